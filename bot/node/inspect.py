"""What will really run: a request and limits -> the whole command as this machine sees it, or a refusal.

The same look is taken three times: before people are asked, at the offer, and just before the spawn; what differs
is refused. Deliberately absent: starting anything. Files are read here, so callers use a thread.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.domain.command import SHELL, Command, FileDigest, Limits, NodeFingerprint, is_of_old_form, lower_of
from bot.node.operands import interpreter_line, script_operands
from bot.node.settings import NodeSettings
from bot.ports import NodeRefusal

_BLOCK_BYTES = 1_048_576
_MAX_PROGRAMS = 10
"""Interpreters of interpreters, two a line with `env`; Linux follows five lines at most: fs/exec.c."""
_PLAIN_ENV = ("LANG", "LC_ALL", "TZ")


class _Refusal(Exception):
    """Carries the reason out of the depth; never leaves this module."""


@dataclass(frozen=True, slots=True)
class Inspector:
    """One node's eyes."""

    settings: NodeSettings
    node: NodeFingerprint

    def inspect(
        self, argv: tuple[str, ...], script: str | None, limits: Limits, *, gateway: str = ""
    ) -> Command | NodeRefusal:
        """The whole command. A refusal says what is missing and the remedy."""
        try:
            return self._inspect(argv, script, limits, gateway)
        except _Refusal as refusal:
            return NodeRefusal(reason=str(refusal))

    def differences(self, approved: Command) -> str | None:
        """What has changed since `approved` was seen; None where it would run as it was approved."""
        if is_of_old_form(approved):
            return "the command was approved before the node bound its account and directory; ask again"
        now = self.inspect(approved.argv, approved.script, approved.limits, gateway=approved.gateway)
        if isinstance(now, NodeRefusal):
            return now.reason
        return _difference(approved, now)

    def _inspect(self, argv: tuple[str, ...], script: str | None, limits: Limits, gateway: str) -> Command:
        if not argv or not argv[0]:
            raise _Refusal("there is no program to run; name one")
        if script is not None and argv != (SHELL, "-c", script):
            raise _Refusal(f"a shell script is run by {SHELL} -c and by nothing else")
        for word in argv:
            _check_text("an argument", word)
        cwd = self._cwd()
        env = self._env()
        executable = self._find(argv[0], cwd)
        files: dict[str, FileDigest] = {}
        self._digest_program(executable, cwd, files)
        for operand in script_operands(executable, argv, cwd):
            self._digest(operand, files)
        return Command(
            node=self.node,
            argv=argv,
            script=script,
            executable=executable,
            cwd=cwd,
            cwd_id=_id_of(cwd),
            user=_user().pw_name,
            gateway=gateway,
            env=tuple(sorted(env.items())),
            limits=lower_of(limits, self.settings.limits),
            files=tuple(files.values()),
        )

    def _cwd(self) -> str:
        wanted = self.settings.work_dir or Path(_user().pw_dir)
        try:
            real = wanted.resolve(strict=True)
        except (OSError, RuntimeError):
            raise _Refusal(
                f"the node's work directory {wanted} is not there; make it, or start the node with another --work-dir"
            ) from None
        if not real.is_dir() or not os.access(real, os.X_OK):
            raise _Refusal(
                f"the node's work directory {real} is no directory that its user may enter; "
                "change its mode, or start the node with another --work-dir"
            )
        return _check_text("the work directory", str(real))

    def _env(self) -> Mapping[str, str]:
        user = _user()
        env = {
            "PATH": self.settings.path,
            "HOME": user.pw_dir,
            "USER": user.pw_name,
            "LOGNAME": user.pw_name,
            "SHELL": user.pw_shell or SHELL,
            "LANG": "C.UTF-8",
        }
        for name in (*_PLAIN_ENV, *self.settings.env_names):
            value = os.environ.get(name)
            if value is not None:
                env[name] = _check_text(f"the variable {name}", value)
        return env

    def _find(self, name: str, cwd: str) -> str:
        if "/" in name:
            found = Path(cwd, name)
            if not found.exists():
                raise _Refusal(f"{name} is not there, as the node sees it from {cwd}; look at the path")
        else:
            tried = (Path(directory, name) for directory in self.settings.path.split(":"))
            hit = next((path for path in tried if path.is_file() and os.access(path, os.X_OK)), None)
            if hit is None:
                raise _Refusal(
                    f"the program {name} is not found on the node; install it there, write its whole path, "
                    f"or start the node with a --path that holds it (it searches {self.settings.path})"
                )
            found = hit
        real = Path(os.path.realpath(found))
        if not real.is_file():
            raise _Refusal(f"{real} is no file that can be run; look at the path")
        if not os.access(real, os.X_OK):
            raise _Refusal(f"{real} may not be run by the node's user; make it executable: chmod +x {real}")
        return _check_text("the program's path", str(real))

    def _digest_program(self, executable: str, cwd: str, files: dict[str, FileDigest]) -> None:
        """The program, and what its first line names to interpret it."""
        todo = [executable]
        while todo and len(files) < _MAX_PROGRAMS:
            for name in interpreter_line(self._digest(todo.pop(), files)):
                real = self._find(name, cwd)
                if real not in files and real not in todo:
                    todo.append(real)

    def _digest(self, path: str, files: dict[str, FileDigest]) -> bytes:
        """Add the file's digest; returns its first bytes."""
        real = _check_text("a file's path", os.path.realpath(path))
        digest = hashlib.sha256()
        head = b""
        try:
            # Without O_NONBLOCK the open of a FIFO waits for a writer.
            opened = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as fault:
            if real not in files and fault.errno is not None and os.access(real, os.X_OK):
                return self._unreadable(real, files)
            raise _Refusal(f"{real} cannot be read by the node's user ({fault.strerror}); change its mode") from None
        try:
            seen = os.fstat(opened)
            if not stat.S_ISREG(seen.st_mode):
                raise _Refusal(f"{real} is no regular file, so nothing can bind an approval to what is in it")
            size_bytes = 0
            while block := os.read(opened, _BLOCK_BYTES):
                head = head or block[:512]
                size_bytes += len(block)
                if size_bytes > self.settings.digest_bytes:
                    raise _Refusal(
                        f"{real} is larger than the {self.settings.digest_bytes // 1_048_576} MiB that the node "
                        "checks; start the node with a higher bound"
                    )
                digest.update(block)
        except OSError as fault:
            raise _Refusal(f"{real} cannot be read ({fault.strerror})") from None
        finally:
            os.close(opened)
        files[real] = FileDigest(path=real, sha256=digest.hexdigest())
        return head

    def _unreadable(self, real: str, files: dict[str, FileDigest]) -> bytes:
        """A program that may be run but not read (mode 4711): bound by its inode and times, which a rewrite changes."""
        seen = os.stat(real)  # noqa: PTH116 -- beside os.open and os.access, one family
        said = f"{seen.st_dev}:{seen.st_ino}:{seen.st_size}:{seen.st_mtime_ns}:{seen.st_ctime_ns}"
        files[real] = FileDigest(path=real, sha256=hashlib.sha256(said.encode("ascii")).hexdigest())
        return b""


def _difference(approved: Command, now: Command) -> str | None:
    before = {file.path: file.sha256 for file in approved.files}
    after = {file.path: file.sha256 for file in now.files}
    changed = sorted(path for path in before.keys() & after.keys() if before[path] != after[path])
    if changed:
        return f"{changed[0]} has changed since the command was inspected; ask again"
    if approved.executable != now.executable:
        return f"{approved.argv[0]} is now {now.executable}, and was {approved.executable}; ask again"
    if approved.cwd != now.cwd:
        return f"the work directory is now {now.cwd}, and was {approved.cwd}; ask again"
    if approved.cwd_id != now.cwd_id:
        return f"{now.cwd} is another directory now, put under the same path; ask again"
    if approved.user != now.user:
        return f"commands run as {now.user} now, and {approved.user} was approved; ask again"
    if before.keys() != after.keys():
        other = sorted(before.keys() ^ after.keys())
        return f"{other[0]} is a file of this command only before or only after it was inspected; ask again"
    if approved.env != now.env:
        names = sorted({name for name, _ in set(approved.env) ^ set(now.env)})
        return f"the environment of commands on the node has changed ({', '.join(names)}); ask again"
    if approved.limits != now.limits:
        return "the node's limits are lower now than what was approved; ask again"
    if approved != now:
        return "the command is for another node; ask again"
    return None


def _id_of(directory: str) -> str:
    try:
        seen = os.stat(directory)  # noqa: PTH116 -- beside os.open and os.access, one family
    except OSError as fault:
        raise _Refusal(f"the work directory {directory} went away ({fault.strerror}); ask again") from None
    return f"{seen.st_dev}:{seen.st_ino}"


def _user() -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(os.getuid())
    except KeyError:
        # A container with a bare user id.
        return pwd.struct_passwd((f"#{os.getuid()}", "x", os.getuid(), os.getgid(), "", "/", SHELL))


def _check_text(what: str, text: str) -> str:
    if "\x00" in text:
        raise _Refusal(f"{what} holds a NUL character, which no program can be given")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Refusal(f"{what} is not UTF-8, so nobody can be shown what would run; rename it") from None
    return text
