"""A road between a node and its gateway that can be cut, or fall silent without a word.

Deliberately absent: any knowledge of what travels on it.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Self


@dataclass(slots=True)
class Road:
    """`async with` opens and closes it; nodes connect to `port`."""

    to_port: int
    port: int = 0
    is_silent: bool = False
    """Bytes go in and none come out, and the sockets stay open: as behind a firewall that has forgotten us."""
    cuts: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_fault: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

    def cut(self) -> None:
        self.cuts += 1
        for writer in list(self._writers):
            writer.transport.abort()

    async def _carry(self, here: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            there, on = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            back.transport.abort()
            return
        self._writers |= {back, on}
        try:
            await asyncio.gather(self._pour(here, on), self._pour(there, back))
        finally:
            self._writers -= {back, on}
            back.transport.abort()
            on.transport.abort()

    async def _pour(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while block := await source.read(65_536):
                if not self.is_silent:
                    sink.write(block)
                    await sink.drain()
        sink.transport.abort()
