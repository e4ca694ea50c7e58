"""The world around a gateway: nodes that report over the real protocol, and a network that takes messages.

A process of its own, so that both ends of the measured way are read from one clock and none of it is the gateway's
own work. Deliberately absent: what a gateway does in between.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from bench.children import Form, serve
from bot.domain.execution import Chunk, Ending, ExecutionId, ExecutionResult, Output, Stream
from bot.domain.node import Known, Pairing
from bot.node.frames import MAX_FRAME_BYTES, Answers, Ask, Finished, Progress, Welcome
from bot.node.identity import KeyPair, new_key, new_nonce
from bot.node.protocol import NodeEnd

ARRIVAL_S = 60.0
"""The longest wait for all messages of one order: a benchmark that hangs says so."""
SETTLE_S = 0.5
"""After the last message: a second copy of one, or one in a wrong place, would come within it."""
OUTPUT = "".join(f"{number:03} a line of ordinary output, about as long as people read\n" for number in range(10))
CONNECTING = 12
"""Nodes that prove their keys at the same time; the hub lets in 16 from one address."""


@dataclass(slots=True)
class Line:
    """One node's connection. The bare floor knows no handshake: there `end` is None."""

    socket: aiohttp.ClientWebSocketResponse
    end: NodeEnd | None
    reading: asyncio.Task[None] | None = None

    async def read(self) -> None:
        """Acknowledgements, and the question about what is open: all of it runs."""
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.TEXT and self.end is not None:
                frame = self.end.read(message.data)
                if isinstance(frame, Ask):
                    answers = Answers(answers=tuple((asked, Known.RUNNING) for asked, _ in frame.executions))
                    await self.socket.send_str(self.end.write(answers))

    async def report(self, execution: str) -> None:
        now = time.time()
        result = ExecutionResult(
            ending=Ending.EXITED,
            exit_code=0,
            signal=None,
            duration_s=1.0,
            output=Output(head=(Chunk(stream=Stream.OUT, text=OUTPUT),)),
        )
        frame = Finished(execution=ExecutionId(execution), result=result, started_at=now - 1, ended_at=now)
        text = json.dumps({"execution": execution, "output": OUTPUT}) if self.end is None else self.end.write(frame)
        await self.socket.send_str(text)


@dataclass(slots=True)
class World:
    keys: list[KeyPair] = field(default_factory=list)
    lines: dict[str, list[Line]] = field(default_factory=dict)
    sent_ns: dict[str, int] = field(default_factory=dict)
    took_ns: dict[str, int] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)
    """Execution -> the rooms of every copy that came."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    client: aiohttp.ClientSession | None = None
    slow_rooms_s: dict[str, float] = field(default_factory=dict)
    """Accounts whose network answers only after so long."""
    streaming: asyncio.Task[None] | None = None

    # --- the network -------------------------------------------------------------------------------

    async def take(self, request: web.Request) -> web.Response:
        """A posted message: the moment counts in which its bytes are here."""
        now_ns = time.monotonic_ns()
        form = json.loads(await request.read())
        peer = form.get("peer", {})
        name = str(form.get("post", {}).get("execution") or form.get("execution", ""))
        if request.path == "/post" and name in self.sent_ns:
            self.places.setdefault(name, []).append(str(peer.get("id", "")))
            if name not in self.took_ns:
                self.took_ns[name] = now_ns - self.sent_ns[name]
                self.arrived.set()
        slow_s = self.slow_rooms_s.get(str(peer.get("account", "")))
        if slow_s is not None:
            await asyncio.sleep(slow_s)
        return web.json_response({"id": str(now_ns), "known": True})

    # --- nodes ---------------------------------------------------------------------------------------

    async def connect(self, order: Form) -> Form:
        """`count` nodes to the gateway at `url`, under this name; `bare` is one socket without a handshake."""
        assert self.client is not None
        lines = self.lines.setdefault(order["name"], [])
        if order.get("bare"):
            lines.append(Line(await self.client.ws_connect(order["url"], max_msg_size=MAX_FRAME_BYTES), None))
            return {}
        gate, begun = asyncio.Semaphore(CONNECTING), time.monotonic()
        first, count = int(order.get("first", 0)), int(order.get("count", 1))
        made = await asyncio.gather(*(self._prove(gate, order["url"], key) for key in self.keys[first : first + count]))
        lines += made
        return {"took_s": time.monotonic() - begun}

    async def _prove(self, gate: asyncio.Semaphore, url: str, key: KeyPair) -> Line:
        assert self.client is not None
        async with gate:
            socket = await self.client.ws_connect(url, max_msg_size=MAX_FRAME_BYTES)
            end = NodeEnd(key, new_nonce(), "bench")
            await socket.send_str(end.hello())
            end.read(await socket.receive_str())
            await socket.send_str(end.proof())
            while True:
                frame = end.read(await socket.receive_str())
                if isinstance(frame, Welcome) and frame.pairing is Pairing.PAIRED:
                    break
        line = Line(socket, end)
        line.reading = asyncio.create_task(line.read())
        return line

    async def make_keys(self, order: Form) -> Form:
        self.keys += [new_key() for _ in range(int(order["count"]) - len(self.keys))]
        return {"keys": [key.public_key.hex() for key in self.keys]}

    async def disconnect(self, order: Form) -> Form:
        for line in self.lines.pop(order["name"], []):
            if line.reading is not None:
                line.reading.cancel()
                await asyncio.gather(line.reading, return_exceptions=True)
            await line.socket.close()
        return {}

    async def stream(self, order: Form) -> Form:
        """Each of these lines says its newest output again and again: `executions[i]` on line `i`; 0 per_s ends it."""
        if self.streaming is not None:
            self.streaming.cancel()
            await asyncio.gather(self.streaming, return_exceptions=True)
            self.streaming = None
        if order["per_s"]:
            lines = self.lines[order["name"]]
            pairs = list(zip(order["executions"], lines[int(order.get("first", 0)) :], strict=False))
            self.streaming = asyncio.create_task(self._stream(pairs, float(order["per_s"])))
        return {}

    async def _stream(self, pairs: list[tuple[str, Line]], per_s: float) -> None:
        number = 0
        while True:
            begun = time.monotonic()
            number += 1
            for execution, line in pairs:
                if line.end is not None:
                    tail = f"step {number}\n" + OUTPUT
                    await line.socket.send_str(
                        line.end.write(Progress(execution=ExecutionId(execution), live_tail=tail))
                    )
            await asyncio.sleep(max(0.0, 1 / per_s - (time.monotonic() - begun)))

    # --- the measurements ------------------------------------------------------------------------------

    async def one_at_a_time(self, order: Form) -> Form:
        line = self.lines[order["name"]][0]
        for execution in order["executions"]:
            await asyncio.sleep(float(order.get("rest_s", 0.0)))
            await self._report(line, execution)
            await self._until({execution})
        return {"ms": [self.took_ns[execution] / 1e6 for execution in order["executions"]]}

    async def at_once(self, order: Form) -> Form:
        """All of them within `over_s`, evenly; `rooms` says where each belongs. What came of them is counted."""
        executions, line = order["executions"], self.lines[order["name"]][0]
        over_s, began = float(order.get("over_s", 0.0)), time.monotonic()
        for number, execution in enumerate(executions):
            wait_s = began + over_s * number / len(executions) - time.monotonic()
            if wait_s > 0.001:
                await asyncio.sleep(wait_s)
            await self._report(line, execution)
        offered_s = time.monotonic() - began
        lost = await self._until(set(executions))
        total_s = time.monotonic() - began
        await asyncio.sleep(SETTLE_S)
        return {
            "ms": [self.took_ns[one] / 1e6 for one in executions if one in self.took_ns],
            "offered_s": offered_s,
            "total_s": total_s,
            "lost": lost,
            **self._places_of(executions, order.get("rooms")),
        }

    def _places_of(self, executions: list[str], rooms: dict[str, str] | None) -> Form:
        copies = Counter(len(self.places.get(one, [])) for one in executions)
        astray = sum(
            1 for one in executions for room in self.places.get(one, []) if room != (rooms or {}).get(one, one)
        )
        return {"doubled": sum(count for number, count in copies.items() if number > 1), "astray": astray}

    async def _report(self, line: Line, execution: str) -> None:
        """The clock is read just before its bytes leave."""
        self.sent_ns[execution] = time.monotonic_ns()
        await line.report(execution)

    async def _until(self, wanted: set[str]) -> int:
        """How many never came."""
        try:
            async with asyncio.timeout(ARRIVAL_S):
                while not wanted <= self.took_ns.keys():
                    self.arrived.clear()
                    await self.arrived.wait()
        except TimeoutError:
            return len(wanted - self.took_ns.keys())
        return 0

    async def slow(self, order: Form) -> Form:
        """From now on the network of this account answers after so long."""
        self.slow_rooms_s = dict(order["accounts"])
        return {}


async def main() -> None:
    world = World()
    app = web.Application()
    for verb in ("post", "edit", "find", "hook"):
        app.router.add_post(f"/{verb}", world.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    orders: dict[str, Any] = {
        "keys": world.make_keys,
        "connect": world.connect,
        "disconnect": world.disconnect,
        "one_at_a_time": world.one_at_a_time,
        "at_once": world.at_once,
        "stream": world.stream,
        "slow": world.slow,
    }
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        world.client = client
        await serve({"url": f"http://127.0.0.1:{runner.addresses[0][1]}"}, orders)
        for name in list(world.lines):
            await world.disconnect({"name": name})
        await world.stream({"per_s": 0})
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
