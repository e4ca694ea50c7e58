"""Gateways and nodes as processes of their own, forked from one that has loaded everything: a start takes milliseconds.

Each is ended by its own pid. Deliberately absent: what they run.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Generic, TypeVar

from bot.node.client import run_node
from bot.node.settings import NodeSettings

A = TypeVar("A")
_END_S = 10.0
PRELOAD = ("bot.node.client",)


def run_the_node(settings: NodeSettings) -> None:
    """The program of `homing node`, until it is told to end."""
    asyncio.run(run_node(settings))


class Forked(Generic[A]):
    """One process that runs `target(argument)`; what it says goes to `log`."""

    def __init__(
        self, target: Callable[[A], None], argument: A, log: Path, *, preload: Sequence[str] = PRELOAD
    ) -> None:
        """`preload` counts for the first process that is ever forked: what is missing then is loaded by each one."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(preload))
        self._process = context.Process(target=_run, args=(target, argument, log), daemon=True)
        self.log = log

    def start(self) -> None:
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.is_alive()

    async def ended(self, within_s: float = 60.0) -> int | None:
        """Wait for its end; its exit code, negative for a signal."""
        until = time.monotonic() + within_s
        while self._process.is_alive():
            if time.monotonic() > until:
                raise AssertionError(f"process {self.pid} did not end; its words are in {self.log}")
            await asyncio.sleep(0.01)
        return self._process.exitcode

    async def kill(self) -> None:
        """kill -9: no word, no clean-up."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        if self._process.pid is None or not self._process.is_alive():
            return
        os.kill(self._process.pid, number)
        await self.ended(_END_S)


def _run(target: Callable[[A], None], argument: A, log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    logging.basicConfig(level=logging.INFO, force=True)
    target(argument)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
