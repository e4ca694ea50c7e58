"""The world around the gateway: a node that reports over the real protocol, and a network that takes messages.

A process of its own, so that both ends of the measured way are read from one clock and none of it is the gateway's
own work. Speaks JSON lines with its parent. Deliberately absent: what a gateway does in between.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import aiohttp
from aiohttp import web

from bot.domain.execution import (
    Chunk,
    Ending,
    ExecutionId,
    ExecutionResult,
    Output,
    Stream,
)
from bot.domain.node import Known, Pairing
from bot.node.frames import MAX_FRAME_BYTES, Answers, Ask, Finished, Welcome
from bot.node.identity import new_key, new_nonce
from bot.node.protocol import NodeEnd

ARRIVAL_S = 30.0
"""The longest wait for one message: a benchmark that hangs says so."""
OUTPUT = "".join(f"{number:03} a line of ordinary output, about as long as people read\n" for number in range(10))


class Outside:
    def __init__(self) -> None:
        self.key = new_key()
        self.sent_ns: dict[str, int] = {}
        self.took_ns: dict[str, int] = {}
        self.arrived = asyncio.Event()
        self.socket: aiohttp.ClientWebSocketResponse | None = None
        self.end: NodeEnd | None = None
        self.reading: asyncio.Task[None] | None = None

    # --- the network -------------------------------------------------------------------------------

    async def take(self, request: web.Request) -> web.Response:
        """A posted message: the moment counts in which its bytes are here."""
        now_ns = time.monotonic_ns()
        form = json.loads(await request.read())
        name = str(form.get("peer", {}).get("id", ""))
        if name in self.sent_ns and name not in self.took_ns:
            self.took_ns[name] = now_ns - self.sent_ns[name]
            self.arrived.set()
        return web.json_response({"id": str(now_ns)})

    # --- the node ----------------------------------------------------------------------------------

    async def connect(self, session: aiohttp.ClientSession, url: str, *, is_bare: bool) -> None:
        """A new connection; the bare floor knows no handshake."""
        if self.socket is not None and self.reading is not None:
            self.reading.cancel()
            await asyncio.gather(self.reading, return_exceptions=True)
            await self.socket.close()
        self.socket = await session.ws_connect(url, max_msg_size=MAX_FRAME_BYTES)
        self.end = None
        if not is_bare:
            end = NodeEnd(self.key, new_nonce(), "bench")
            await self.socket.send_str(end.hello())
            end.read(await self.socket.receive_str())
            await self.socket.send_str(end.proof())
            while True:
                frame = end.read(await self.socket.receive_str())
                if isinstance(frame, Welcome) and frame.pairing is Pairing.PAIRED:
                    break
            self.end = end
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        """Acknowledgements, and the question about what is open: all of it runs."""
        if self.socket is None:
            return
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.TEXT and self.end is not None:
                frame = self.end.read(message.data)
                if isinstance(frame, Ask):
                    answers = Answers(answers=tuple((asked, Known.RUNNING) for asked, _ in frame.executions))
                    await self.socket.send_str(self.end.write(answers))

    async def report(self, execution: str) -> None:
        """One finished report, the clock read just before its bytes leave."""
        if self.socket is None:
            raise RuntimeError("not connected")
        now = time.time()
        result = ExecutionResult(
            ending=Ending.EXITED,
            exit_code=0,
            signal=None,
            duration_s=1.0,
            output=Output(head=(Chunk(stream=Stream.OUT, text=OUTPUT),)),
        )
        frame = Finished(execution=ExecutionId(execution), result=result, started_at=now - 1, ended_at=now)
        end = NodeEnd(self.key, b"", "bench") if self.end is None else self.end
        text = json.dumps({"execution": execution, "output": OUTPUT}) if self.end is None else end.write(frame)
        self.sent_ns[execution] = time.monotonic_ns()
        await self.socket.send_str(text)

    # --- the measurements --------------------------------------------------------------------------

    async def one_at_a_time(self, executions: list[str]) -> dict[str, Any]:
        for execution in executions:
            await self.report(execution)
            await self._until({execution})
        return {"ms": [self.took_ns[execution] / 1e6 for execution in executions]}

    async def at_once(self, executions: list[str]) -> dict[str, Any]:
        began_ns = time.monotonic_ns()
        for execution in executions:
            await self.report(execution)
        await self._until(set(executions))
        total_s = (time.monotonic_ns() - began_ns) / 1e9
        return {"ms": [self.took_ns[execution] / 1e6 for execution in executions], "total_s": total_s}

    async def _until(self, wanted: set[str]) -> None:
        async with asyncio.timeout(ARRIVAL_S):
            while not wanted <= self.took_ns.keys():
                self.arrived.clear()
                await self.arrived.wait()


async def main() -> None:
    outside = Outside()
    app = web.Application()
    for verb in ("post", "edit", "find", "hook"):
        app.router.add_post(f"/{verb}", outside.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    _answer({"url": url, "public_key": outside.key.public_key.hex()})
    async with aiohttp.ClientSession() as session:
        while line := await asyncio.to_thread(sys.stdin.readline):
            order = json.loads(line)
            match order["do"]:
                case "connect":
                    await outside.connect(session, order["url"], is_bare=order["bare"])
                    _answer({})
                case "one_at_a_time":
                    _answer(await outside.one_at_a_time(order["executions"]))
                case "at_once":
                    _answer(await outside.at_once(order["executions"]))
    if outside.reading is not None:
        outside.reading.cancel()
    await runner.cleanup()


def _answer(form: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(form) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
