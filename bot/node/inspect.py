"""What will really run: a request and limits -> the whole command as this machine sees it, or a refusal.

The same look is taken three times: before people are asked, at the offer, and just before the spawn; what differs
is refused. Deliberately absent: starting anything. Files are read here, so callers use a thread.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.domain.command import (
    SHELL,
    Command,
    FileDigest,
    Limits,
    NodeFingerprint,
    Request,
    is_of_old_form,
    lower_of,
)
from bot.domain.shell import analyse
from bot.errors import ConfigError
from bot.node.digest import Digests, Unbound, checked_text, size_of
from bot.node.drift import difference
from bot.node.named import Named, named_files
from bot.node.operands import interpreter_line
from bot.node.rules import Rules, Seen
from bot.node.rules_file import RulesFile
from bot.node.settings import NodeSettings
from bot.node.user import User, own_user, user_named
from bot.ports import NodeRefusal

log = logging.getLogger(__name__)

_MAX_PROGRAMS = 10
"""Interpreters of interpreters, two a line with `env`; Linux follows five lines at most: fs/exec.c."""
_MAX_FILES = 64
"""Of one command; a shell text of people names some ten programs."""
_PLAIN_ENV = ("LANG", "LC_ALL", "TZ")


@dataclass(frozen=True, slots=True)
class Inspector:
    """One node's eyes."""

    settings: NodeSettings
    node: NodeFingerprint
    rules: RulesFile

    def inspect(
        self, argv: tuple[str, ...], script: str | None, limits: Limits, *, gateway: str = ""
    ) -> Command | NodeRefusal:
        """The whole command. A refusal says what is missing and the remedy."""
        try:
            return self._inspect(argv, script, limits, gateway)
        except Unbound as refusal:
            return NodeRefusal(reason=str(refusal))

    def differences(self, approved: Command) -> str | None:
        """What has changed since `approved` was seen; None where it would run as it was approved."""
        if is_of_old_form(approved):
            return "the command was approved before the node bound its user and directory; ask again"
        now = self.inspect(approved.argv, approved.script, approved.limits, gateway=approved.gateway)
        if isinstance(now, NodeRefusal):
            return now.reason
        return difference(approved, now)

    def _inspect(self, argv: tuple[str, ...], script: str | None, limits: Limits, gateway: str) -> Command:
        if not argv or not argv[0]:
            raise Unbound("there is no program to run; name one")
        if script is not None and argv != (SHELL, "-c", script):
            raise Unbound(f"a shell script is run by {SHELL} -c and by nothing else")
        for word in argv:
            checked_text("an argument", word)
        rules = self._current_rules()
        user = self._user(rules)
        cwd = self._cwd(user)
        executable = self._find(argv[0], cwd)
        request = Request(text=script or "", argv=argv, script=script)
        analysis = analyse(request)
        named = named_files(
            request, analysis, cwd=cwd, program=executable, find=lambda name: self._find_or_none(name, cwd)
        )
        refusal = rules.refusal(
            Seen(
                request=request,
                analysis=analysis,
                gateway=gateway,
                cwd=cwd,
                programs=tuple(named.programs),
                scripts=tuple(named.scripts),
            )
        )
        if refusal is not None:
            raise Unbound(refusal)
        return Command(
            node=self.node,
            argv=argv,
            script=script,
            executable=executable,
            cwd=cwd,
            cwd_id=_id_of(cwd),
            user=user.name,
            gateway=gateway,
            env=tuple(sorted(self._env(user, rules).items())),
            limits=lower_of(lower_of(limits, self.settings.limits), rules.limits),
            files=self._files(executable, named, cwd),
        )

    def _current_rules(self) -> Rules:
        try:
            return self.rules.current()
        except ConfigError as fault:
            # Whoever asks in a chat is not shown the file; its keeper finds every fault with `homing node check`.
            log.error("rules.unusable", extra={"faults": len(fault.faults)})  # noqa: TRY400 -- no traceback: it is a file
            raise Unbound(
                "this node's own policy cannot be read now; whoever keeps the node has to look at it"
            ) from None

    def _user(self, rules: Rules) -> User:
        user = own_user() if rules.user is None else user_named(rules.user)
        if user is None:
            raise Unbound(f"this node has no user {rules.user} any more; whoever keeps the node has to look at it")
        return user

    def _cwd(self, user: User) -> str:
        wanted = self.settings.work_dir or Path(user.home)
        try:
            real = wanted.resolve(strict=True)
        except (OSError, RuntimeError):
            raise Unbound(
                f"the node's work directory {wanted} is not there; make it, or start the node with another --work-dir"
            ) from None
        if not real.is_dir() or not os.access(real, os.X_OK):
            raise Unbound(
                f"the node's work directory {real} is no directory that its user may enter; "
                "change its mode, or start the node with another --work-dir"
            )
        return checked_text("the work directory", str(real))

    def _env(self, user: User, rules: Rules) -> Mapping[str, str]:
        env = {
            "PATH": self.settings.path,
            "HOME": user.home,
            "USER": user.name,
            "LOGNAME": user.name,
            "SHELL": user.shell,
            "LANG": "C.UTF-8",
        }
        further = self.settings.env_names if rules.env_names is None else rules.env_names
        for name in (*_PLAIN_ENV, *further):
            value = os.environ.get(name)
            if value is not None:
                env[name] = checked_text(f"the variable {name}", value)
        return env

    def _find(self, name: str, cwd: str) -> str:
        if "/" in name:
            found = Path(cwd, name)
            if not _exists(found):
                raise Unbound(f"{name} is not there, as the node sees it from {cwd}; look at the path")
        else:
            tried = (Path(directory, name) for directory in self.settings.path.split(":"))
            hit = next((path for path in tried if _is_file(path) and os.access(path, os.X_OK)), None)
            if hit is None:
                raise Unbound(
                    f"the program {name} is not found on the node; install it there, write its whole path, "
                    f"or start the node with a --path that holds it (it searches {self.settings.path})"
                )
            found = hit
        real = Path(os.path.realpath(found))
        if not _is_file(real):
            raise Unbound(f"{real} is no file that can be run; look at the path")
        if not os.access(real, os.X_OK):
            raise Unbound(f"{real} may not be run by the node's user; make it executable: chmod +x {real}")
        return checked_text("the program's path", str(real))

    def _find_or_none(self, name: str, cwd: str) -> str | None:
        # OSError, ValueError: a word of a shell text that is no path at all, over-long or with a NUL.
        with contextlib.suppress(Unbound, OSError, ValueError):
            return self._find(name, cwd) if name else None
        return None

    def _files(self, executable: str, named: Named, cwd: str) -> tuple[FileDigest, ...]:
        digests = Digests(most_bytes=self.settings.digest_bytes)
        self._digest_program(executable, cwd, digests)
        for path in named.needed:
            digests.add(path)
        left_bytes, left_out = self.settings.digest_bytes, named.left_out
        for path in named.files:
            size = size_of(path)
            if path in digests:
                continue
            if size is None or size > left_bytes or len(digests) >= _MAX_FILES:
                left_out += 1
                continue
            left_bytes -= size
            try:
                self._digest_program(path, cwd, digests)
            except Unbound:
                left_out += 1
        if left_out:
            log.info("inspection.left_out", extra={"words": left_out})
        return digests.all()

    def _digest_program(self, executable: str, cwd: str, digests: Digests) -> None:
        """The program, and what its first line names to interpret it."""
        todo = [executable]
        for _ in range(_MAX_PROGRAMS):
            if not todo:
                return
            head, _ = digests.add(todo.pop())
            for name in interpreter_line(head):
                real = self._find(name, cwd)
                if real not in digests and real not in todo:
                    todo.append(real)


# Not the methods of Path: they raise for a name that is too long for a path, which is no file and no fault.
def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113


def _id_of(directory: str) -> str:
    try:
        seen = os.stat(directory)  # noqa: PTH116 -- beside os.open and os.access, one family
    except OSError as fault:
        raise Unbound(f"the work directory {directory} went away ({fault.strerror}); ask again") from None
    return f"{seen.st_dev}:{seen.st_ino}"
