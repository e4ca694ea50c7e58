"""The one place that starts a command: in the directory that was approved, as its user, under its limits.

A child that needs a user or limits of its own starts as `starter`, which becomes the command; any other is the
command at once. Deliberately absent: reading its output and ending it (see `process`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

from bot.domain.command import Command
from bot.node import starter
from bot.node.user import User, own_user, user_named

_STARTER = str(Path(starter.__file__).resolve())
_BECOME_S = 10.0
"""An interpreter starts in some 20 ms; a machine that needs longer than this has no room for the command either."""


class NotStarted(OSError):
    """Nothing of the command ran. `strerror` says why."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.ECANCELED, why)


def forbid_core_dumps() -> None:
    """Of this process, which holds a key, and of all that it starts: a dump would hold what they were given."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Spawn:
    """One child. Raises `OSError` where there is none; `settled` tells whether it became the command."""

    def __init__(self, command: Command, *, out: int, err: int) -> None:
        self._answer: int | None = None
        self.popen: subprocess.Popen[bytes]
        with contextlib.ExitStack() as opened:
            directory = _directory(command)
            opened.callback(os.close, directory)
            user = _user(command)
            if user is None and _has_no_limits(command):
                self.popen = subprocess.Popen(  # noqa: S603 -- the approved command, without a shell
                    command.argv,
                    executable=command.executable,
                    # The directory that was looked at, whatever its path leads to by now.
                    cwd=f"/proc/self/fd/{directory}",
                    env=dict(command.env),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )
                return
            orders = os.memfd_create("orders", os.MFD_CLOEXEC)
            opened.callback(os.close, orders)
            os.write(orders, _orders(command, user, directory))
            os.lseek(orders, 0, os.SEEK_SET)
            answer, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            opened.callback(os.close, theirs)
            try:
                self.popen = subprocess.Popen(  # noqa: S603 -- our own program, which becomes the approved command
                    (sys.executable, "-I", "-S", _STARTER, str(orders), str(theirs)),
                    env={},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    pass_fds=(orders, theirs, directory),
                    start_new_session=True,
                )
            except OSError:
                os.close(answer)
                raise
            self._answer = answer

    async def settled(self) -> None:
        """Until it is the command. Raises `OSError` where it never became it; then it ends by itself, or is ended."""
        if self._answer is None:
            return
        loop, answer, said = asyncio.get_running_loop(), self._answer, bytearray()
        is_over = asyncio.Event()

        def read() -> None:
            block = os.read(answer, 64)
            said.extend(block)
            if not block:
                loop.remove_reader(answer)
                is_over.set()

        loop.add_reader(answer, read)
        try:
            async with asyncio.timeout(_BECOME_S):
                await is_over.wait()
        except TimeoutError:
            self.popen.kill()
            raise NotStarted("the system did not start it in time") from None
        finally:
            loop.remove_reader(answer)
            os.close(answer)
            self._answer = None
        if bytes(said) == starter.READY:
            return
        why = bytes(said).removeprefix(starter.READY)
        if why.isdigit() and int(why):
            raise OSError(int(why), os.strerror(int(why)))
        raise NotStarted("the system ended it before it began")

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""
        if self._answer is not None:
            os.close(self._answer)
            self._answer = None


def _has_no_limits(command: Command) -> bool:
    return all(getattr(command.limits, name) is None for name in starter.LIMITS)


def _directory(command: Command) -> int:
    """The work directory, opened; from here on nobody can put another one in its place."""
    opened = os.open(command.cwd, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    seen = os.fstat(opened)
    if f"{seen.st_dev}:{seen.st_ino}" != command.cwd_id:
        os.close(opened)
        raise NotStarted("its directory was swapped in the moment of the start")
    return opened


def _user(command: Command) -> User | None:
    """None where the command runs as the node itself."""
    if command.user == own_user().name:
        return None
    user = user_named(command.user)
    if user is None:
        raise NotStarted(f"there is no user {command.user} here")
    return user


def _orders(command: Command, user: User | None, directory: int) -> bytes:
    changed = None
    if user is not None:
        changed = {"uid": user.uid, "gid": user.gid, "groups": list(user.groups)}
    form = {
        "executable": command.executable,
        "argv": list(command.argv),
        "env": dict(command.env),
        "directory": directory,
        "limits": {name: getattr(command.limits, name) for name in starter.LIMITS},
        "user": changed,
    }
    return json.dumps(form).encode("ascii")
