"""Processes of a measurement and how they are spoken to: one JSON line an order, one an answer.

Every load generator, every platform and every gateway is one of them, so that the CPU of each is its own. Deliberately
absent: what any of them does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import psutil

Form = dict[str, Any]
Handler = Callable[[Form], Awaitable[Form]]
ANSWER_S = 300.0
"""Of one order. The longest, filling a store with a million sessions, takes a minute or two."""
_LINE_BYTES = 64 * 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a process has taken since it began, and what it holds now."""

    cpu_s: float
    rss_mib: float
    descriptors: int
    threads: int


class Child:
    """One process, seen by the one that measures."""

    def __init__(self, process: asyncio.subprocess.Process, greeting: Form) -> None:
        self._process = process
        self.greeting = greeting

    @classmethod
    async def begin(cls, module: str) -> Self:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
        )
        return cls(process, await _answer_of(process, module))

    async def order(self, do: str, **more: object) -> Form:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
        await self._process.stdin.drain()
        answer = await _answer_of(self._process, do)
        if "fault" in answer:
            raise RuntimeError(f"{do}: {answer['fault']}")
        return answer

    def usage(self) -> Usage:
        return usage_of(self._process.pid)

    async def end(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10.0):
                await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_fault: object) -> None:
        await self.end()


def usage_of(pid: int) -> Usage:
    process = psutil.Process(pid)
    with process.oneshot():
        times = process.cpu_times()
        return Usage(
            cpu_s=times.user + times.system,
            rss_mib=process.memory_info().rss / 1_048_576,
            descriptors=process.num_fds(),
            threads=process.num_threads(),
        )


async def _answer_of(process: asyncio.subprocess.Process, what: str) -> Form:
    assert process.stdout is not None
    async with asyncio.timeout(ANSWER_S):
        line = await process.stdout.readline()
    if not line:
        raise RuntimeError(f"{what}: the process has ended; its words are above")
    answer: Form = json.loads(line)
    return answer


async def serve(greeting: Form, handlers: Mapping[str, Handler]) -> None:
    """In the child: greet, then do what is ordered, until the orders end."""
    _say(greeting)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0, "rb", closefd=False))
    while line := await reader.readline():
        order = json.loads(line)
        try:
            answer = await handlers[order.pop("do")](order)
        except (OSError, TimeoutError, LookupError, RuntimeError) as fault:
            answer = {"fault": f"{type(fault).__name__}: {fault}"}
        _say(answer)


def _say(form: Form) -> None:
    sys.stdout.write(json.dumps(form) + "\n")
    sys.stdout.flush()
