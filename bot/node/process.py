"""One running command: started once without a shell, read as it writes, ended with all that descends from it.

Deliberately absent: whether it may start (see `launch`), and asyncio's own subprocesses, whose `wait` hangs while a
grandchild holds a pipe (https://github.com/python/cpython/issues/119710).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from bot.domain.command import Command
from bot.domain.execution import Ending, ExecutionResult, Stream
from bot.node.capture import Capture
from bot.node.spawn import Spawn
from bot.node.tree import Families, group_lives, signal_all, signal_group

_READ_BYTES = 65_536
"""A pipe holds no more: man 7 pipe."""
_LOOK_S = 0.05
"""Between looks while a tree ends."""
_KILL_S = 10.0
"""How long KILL is repeated: only a process in an uninterruptible wait outlives it, and no signal helps there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    grace_s: float = 5.0
    """Between TERM and KILL."""
    drain_s: float = 2.0
    """For output, after the first process has ended while a child holds its pipe."""


class _Tap:
    """The reading end of one of the command's pipes."""

    def __init__(self, stream: Stream, process: Process) -> None:
        self.stream = stream
        self.closed = asyncio.Event()
        self._process = process
        self._fd, self.writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._fd, False)
        self.name = os.readlink(f"/proc/self/fd/{self._fd}")  # noqa: PTH115 -- the pipe's inode, no path

    def open(self) -> None:
        os.close(self.writer)
        asyncio.get_running_loop().add_reader(self._fd, self.read)

    def read(self) -> bool:
        """Whether there was anything. One block a call, so that two streams keep their order."""
        if self.closed.is_set():
            return False
        try:
            block = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if not block:
            self.close()
            return False
        self._process.take(self.stream, block)
        return True

    def close(self) -> None:
        if not self.closed.is_set():
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self.closed.set()
            self._process.capture.end(self.stream)

    def abandon(self) -> None:
        """Nothing was started."""
        os.close(self.writer)
        os.close(self._fd)


class Process:
    """`start`, and after it `begun`, raise `OSError` where nothing was started; then `ended` gives the one result."""

    def __init__(
        self, command: Command, families: Families, patience: Patience, raw: int | None, raw_bytes: int
    ) -> None:
        self.capture = Capture(command.limits.output_bytes)
        self._command = command
        self._families = families
        self._patience = patience
        self._raw = raw
        self._raw_room_bytes = raw_bytes
        self._stop = asyncio.Event()
        self._exited = asyncio.Event()
        self._taps = (_Tap(Stream.OUT, self), _Tap(Stream.ERR, self))
        self._began = time.monotonic()
        try:
            self._spawn = Spawn(command, out=self._taps[0].writer, err=self._taps[1].writer)
        except (OSError, ValueError, subprocess.SubprocessError):
            for tap in self._taps:
                tap.abandon()
            raise
        self._popen = self._spawn.popen
        # In the same breath as the start: nobody else may reap it.
        families.begin(self.pid, frozenset(tap.name for tap in self._taps))
        self._pidfd = os.pidfd_open(self.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_exit)
        for tap in self._taps:
            tap.open()

    @classmethod
    def start(
        cls,
        command: Command,
        *,
        families: Families,
        patience: Patience | None = None,
        raw: int | None = None,
        raw_bytes: int = 0,
    ) -> Process:
        """Start it now. `raw` is a file to which at most `raw_bytes` of both streams are written as they come."""
        return cls(command, families, patience or Patience(), raw, raw_bytes)

    async def begun(self) -> None:
        """Until it is the command. Raises `OSError` where it never became it: then nothing ran, and nothing is left."""
        is_begun = False
        try:
            await self._spawn.settled()
            is_begun = True
        finally:
            if not is_begun:
                signal_group(self.pid, signal.SIGKILL)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_KILL_S):
                        await self._exited.wait()
                self._let_go()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def stop(self) -> None:
        """Wanted by a person. May repeat; does nothing where the process has ended by itself."""
        self._stop.set()

    async def ended(self) -> ExecutionResult:
        """Until it has ended and its output is read, or until its time is over or a stop is wanted."""
        try:
            ending = await self._until_it_ends()
            await self._drain()
            return self._result(ending)
        finally:
            self._let_go()

    def take(self, stream: Stream, block: bytes) -> None:
        """What a tap has read."""
        if self._raw is not None and self._raw_room_bytes > 0:
            try:
                self._raw_room_bytes -= os.write(self._raw, block[: self._raw_room_bytes])
            except OSError:
                # The raw bytes are a service; the report, whose room is reserved, is the promise.
                self._raw_room_bytes = 0
        self.capture.feed(stream, block)

    def _on_exit(self) -> None:
        # It stays readable for ever.
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self._exited.set()

    async def _until_it_ends(self) -> Ending:
        waits = [asyncio.create_task(event.wait()) for event in (self._exited, self._stop)]
        left_s = self._command.limits.timeout_s - (time.monotonic() - self._began)
        try:
            await asyncio.wait(waits, timeout=max(0.0, left_s), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        if self._exited.is_set():
            return Ending.EXITED
        await self._end_all()
        return Ending.STOPPED if self._stop.is_set() else Ending.TIMED_OUT

    async def _end_all(self) -> None:
        """TERM, grace, KILL: to the group and to everybody who has left it."""
        signal_group(self.pid, signal.SIGTERM)
        signal_all(self._families.members(self.pid), signal.SIGTERM)
        await _until(lambda: not self._anybody_lives(), within_s=self._patience.grace_s)
        until = time.monotonic() + _KILL_S
        while self._anybody_lives() and time.monotonic() < until:
            # Again and again: a tree that forks while it is killed has new members.
            signal_group(self.pid, signal.SIGKILL)
            signal_all(self._families.members(self.pid), signal.SIGKILL)
            await asyncio.sleep(_LOOK_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KILL_S):
                await self._exited.wait()

    def _anybody_lives(self) -> bool:
        return not self._exited.is_set() or bool(self._families.members(self.pid)) or group_lives(self.pid)

    async def _drain(self) -> None:
        """Read to the end; who holds a pipe for longer than our patience is a background job that was left behind."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience.drain_s):
                for tap in self._taps:
                    await tap.closed.wait()
        # What a shell leaves in its own session ends with the command. A daemon has made a session of its own.
        signal_group(self.pid, signal.SIGTERM)
        await _until(lambda: not group_lives(self.pid), within_s=self._patience.grace_s)
        signal_group(self.pid, signal.SIGKILL)
        for tap in self._taps:
            # What is in the pipe already; bounded by its size, because a daemon may still be writing.
            for _ in range(16):
                if not tap.read():
                    break
            tap.close()

    def _result(self, ending: Ending) -> ExecutionResult:
        code = self._popen.poll()
        duration_s = time.monotonic() - self._began
        # None: it survives KILL in an uninterruptible wait. It was killed, which is all that can be said.
        name = _signal_name(signal.SIGKILL if code is None else -code) if code is None or code < 0 else None
        if ending is Ending.EXITED and name is not None:
            ending = Ending.SIGNALLED
        return ExecutionResult(
            ending=ending,
            exit_code=None if name is not None else code,
            signal=name,
            duration_s=duration_s,
            output=self.capture.output(),
        )

    def _let_go(self) -> None:
        self._spawn.abandon()
        for tap in self._taps:
            tap.close()
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._families.end(self.pid)
        if self._popen.poll() is None:
            # Only where this was cancelled: nothing may be left that nobody watches.
            signal_group(self.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout=1.0)


async def _until(is_so: Callable[[], bool], *, within_s: float) -> None:
    until = time.monotonic() + within_s
    while not is_so() and time.monotonic() < until:  # noqa: ASYNC110 -- the end of others' children raises no event
        await asyncio.sleep(_LOOK_S)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
