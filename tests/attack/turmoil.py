"""A whole gateway, its node and a second node as processes, people who ask and decide, and a hand that kills at random.

Everything that happens is drawn from one seed; what the machine makes of it is not. Deliberately absent: any hook in
the product. What came of it all is read over HTTP, from the database file and from one file for each command.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import shlex
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil

from bot.cli.opened import WallClock
from bot.demo.chat import DemoError, Seen, Visitor, _seen
from bot.demo.gateway import GatewayProcess
from bot.domain.event import Event, EventState
from bot.domain.execution import FINAL, Execution, ExecutionState
from bot.node.files import running_node
from bot.store import open_store
from tests.attack.processes import CONFIG, SecondNode

ROOMS = ("general", "ops", "lab", "free")
PEOPLE = ("owner", "anna", "bob")
_AWAY = (DemoError, aiohttp.ClientError, TimeoutError, OSError)
"""What a page sees of a gateway that is being killed."""
Place = tuple[str, str | None]


@dataclass(slots=True)
class Asked:
    """One command: it adds a line to a file of its own, waits, and writes its token."""

    token: str
    place: Place
    file: Path

    @property
    def runs(self) -> int:
        return len(self.file.read_text().splitlines()) if self.file.exists() else 0


@dataclass(slots=True)
class Turmoil:
    home: Path
    chance: random.Random
    gateway: GatewayProcess
    second: SecondNode
    people: dict[str, Visitor] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    threads: dict[str, str] = field(default_factory=dict)
    blows: list[str] = field(default_factory=list)
    calm: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when no more blows fall; what waits for an answer then gets one."""

    @property
    def embedded_dir(self) -> Path:
        return self.home / "data" / "local-node"

    def places(self) -> list[Place]:
        return [(room, None) for room in ROOMS] + list(self.threads.items())

    # --- people ------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        for name in PEOPLE:
            link = str((await self.gateway.homing("invite", name))["link"])
            self.people[name] = Visitor(name, self.gateway.base_url)
            await self.people[name].join(link)
        for room in ROOMS:
            self.threads[room] = str(await self.people["anna"].say(room, "let us talk about this"))
        await self.second.start()
        await self.second.pair()
        await self._wait_for_nodes()

    async def _wait_for_nodes(self) -> None:
        owner = self.people["owner"]
        until = time.monotonic() + 60.0
        while time.monotonic() < until:
            asked = await owner.say("general", "nodes")
            with contextlib.suppress(*_AWAY):
                answer = await owner.wait_for("general", _is_reply_after(asked), "the list of nodes", within_s=5.0)
                if answer.text.count("connected") == 2 and "not connected" not in answer.text:
                    return
            await asyncio.sleep(0.3)
        raise DemoError("the nodes did not connect")

    async def ask(self) -> None:
        """One command at a drawn place; posted until it is taken, and sometimes once more with the same nonce."""
        token = f"tok{len(self.asked):04d}{secrets.token_hex(4)}"
        place = self.chance.choice(self.places())
        file = self.home / "marks" / token
        self.asked.append(Asked(token=token, place=place, file=file))
        wait_s = self.chance.choice((0, 0.1, 0.5, 2, 4))
        words = f"echo x >> {shlex.quote(str(file))}; sleep {wait_s}; echo {token}"
        node = self.chance.choice(("local", "second"))
        person = self.people[self.chance.choice(PEOPLE)]
        body = {
            "kind": "channel",
            "room": place[0],
            "thread": place[1],
            "text": f"run on {node}: {words}",
            "nonce": secrets.token_hex(8),
        }
        await self._until_taken(lambda: person._post("/web/messages", body))
        if self.chance.random() < 0.3:
            await asyncio.gather(*(self._try(person._post("/web/messages", body)) for _ in range(2)))

    async def decide_for_ever(self) -> None:
        """Approve most of what is asked, deny or stop some, with double clicks."""
        owner = self.people["owner"]
        while True:
            for place in self.places():
                for seen in await self._messages(place):
                    if any(button["action"] == "approve" for button in seen.buttons):
                        await self._decide(owner, seen)
                    elif any(b["action"] == "stop" for b in seen.buttons) and self.chance.random() < 0.03:
                        await self._try(owner.press(seen, "stop"))
            await asyncio.sleep(0.1)

    async def _decide(self, owner: Visitor, seen: Seen) -> None:
        drawn = self.chance.random()
        action = "approve" if drawn < 0.85 else "deny" if drawn < 0.93 else "stop"
        clicks = 3 if self.chance.random() < 0.4 else 1
        await asyncio.gather(*(self._try(owner.press(seen, action)) for _ in range(clicks)))
        if self.chance.random() < 0.2:
            await self._try(owner.say(seen.room, f"approve {seen.execution}"))

    async def _messages(self, place: Place) -> list[Seen]:
        with contextlib.suppress(*_AWAY):
            return await self.people["owner"].messages(place[0], thread=place[1])
        return []

    async def _try(self, work: Awaitable[object]) -> None:
        with contextlib.suppress(*_AWAY):
            await work

    async def _until_taken(self, work: Callable[[], Awaitable[object]]) -> None:
        until = time.monotonic() + 90.0
        while time.monotonic() < until:
            with contextlib.suppress(*_AWAY):
                await work()
                return
            await asyncio.sleep(0.2)
        raise DemoError("a message was not taken")

    # --- blows -------------------------------------------------------------------------------------

    async def strike(self) -> None:
        blow = self.chance.choice(
            ("kill gateway", "kill gateway", "kill local", "kill second", "freeze local", "freeze gateway", "kill all")
        )
        self.blows.append(blow)
        match blow:
            case "kill gateway":
                await self.gateway.kill()
                await asyncio.sleep(self.chance.random())
                await self.gateway.start()
            case "kill local":
                self._signal_local(signal.SIGKILL)
            case "kill second":
                await self.second.kill()
                await asyncio.sleep(self.chance.random())
                await self.second.start()
            case "freeze local":
                self._signal_local(signal.SIGSTOP)
                await asyncio.sleep(self.chance.choice((0.3, 2.0, 12.0)))
                self._signal_local(signal.SIGCONT)
            case "freeze gateway":
                process = self.gateway._process
                if process is not None:
                    process.send_signal(signal.SIGSTOP)
                    await asyncio.sleep(self.chance.choice((0.3, 2.0, 11.0)))
                    process.send_signal(signal.SIGCONT)
            case _:
                await self.gateway.kill()
                self._signal_local(signal.SIGKILL)
                await self.second.kill()
                await self.gateway.start()
                await self.second.start()

    def _signal_local(self, number: signal.Signals) -> None:
        pid = running_node(self.embedded_dir)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    # --- what became of it -------------------------------------------------------------------------

    async def rows(self) -> tuple[list[Execution], list[Event]]:
        store = open_store(f"sqlite:///{self.gateway.database}", clock=WallClock(), gateway=False)
        try:
            return await store.read(
                lambda tx: (
                    list(tx.executions.in_states(frozenset(ExecutionState), limit=100_000)),
                    list(tx.events.listing(states=frozenset(EventState), limit=100_000)),
                )
            )
        finally:
            await store.close()

    async def wait_until_settled(self, *, within_s: float) -> None:
        """Nothing waits, runs or is owed. Raises `DemoError` that names what is stuck."""
        until = time.monotonic() + within_s
        while True:
            executions, events = await self.rows()
            open_ = [e for e in executions if e.state not in FINAL | {ExecutionState.LOST}]
            owed = [e for e in events if e.state is not EventState.TOLD]
            if len(executions) >= len(self.asked) and not open_ and not owed:
                return
            if time.monotonic() > until:
                stuck = [(e.id, e.state.value) for e in open_] + [(e.identity, e.state.value, e.trouble) for e in owed]
                raise DemoError(f"{len(executions)} executions of {len(self.asked)} asked; stuck: {stuck}")
            await asyncio.sleep(0.3)

    async def everything_shown(self) -> dict[Place, list[Seen]]:
        """All messages of all places, older pages included."""
        shown: dict[Place, list[Seen]] = {}
        owner = self.people["owner"]
        for place in self.places():
            found = shown[place] = await owner.messages(place[0], thread=place[1])
            while True:
                # The root of a thread stands above every page of it.
                oldest = min((seen.id for seen in found if seen.thread == place[1]), default=1)
                query = {"kind": "channel", "room": place[0], "before": str(oldest)}
                query |= {} if place[1] is None else {"thread": place[1]}
                async with owner._session.get("/web/messages", params=query) as response:
                    older = (await response.json())["messages"]
                more = [one for one in map(_seen, older) if one.id < oldest and one.thread == place[1]]
                if not more:
                    break
                found.extend(more)
        return shown

    async def faults(self) -> list[str]:
        """Every way in which what happened breaks the two promises."""
        executions, events = await self.rows()
        shown = await self.everything_shown()
        found: list[str] = []
        told = {event.identity for event in events if event.state is EventState.TOLD}
        for asked in self.asked:
            mine = [e for e in executions if asked.token in e.request.text]
            if len(mine) != 1:
                found.append(f"{asked.token}: {len(mine)} executions of one request")
            if asked.runs > 1:
                found.append(f"{asked.token}: ran {asked.runs} times: {[e.id for e in mine]}")
            for execution in mine:
                found += self._faults_of(asked, execution, told, shown)
        return found

    def _faults_of(
        self, asked: Asked, execution: Execution, told: set[str], shown: dict[Place, list[Seen]]
    ) -> list[str]:
        name, state = f"{asked.token} ({execution.id}, {execution.state.value})", execution.state
        found = []
        peer = execution.origin.peer
        if (peer.id, peer.thread) != asked.place:
            found.append(f"{name}: belongs to {peer}, asked at {asked.place}")
        if not any(mark.startswith(f"outcome:{execution.id}:{state.value}") for mark in told):
            found.append(f"{name}: its end was not told")
        if asked.runs and state not in {ExecutionState.FINISHED, ExecutionState.LOST}:
            found.append(f"{name}: it ran, and people were told that it did not")
        if state is ExecutionState.FINISHED and not asked.runs and execution.result and execution.result.succeeded:
            found.append(f"{name}: told as finished, and its file has no line")
        here = [
            seen for seen in shown[asked.place] if seen.execution == execution.id and seen.kind in {"result", "notice"}
        ]
        if not here:
            found.append(f"{name}: nothing of its end stands at {asked.place}")
        if state is ExecutionState.FINISHED and not any(seen.kind == "result" for seen in here):
            found.append(f"{name}: no result stands at {asked.place}")
        for place, messages in shown.items():
            for seen in messages:
                is_mine = seen.execution == execution.id or (seen.author is None and asked.token in seen.text)
                if is_mine and place != asked.place and seen.id not in {int(t) for t in self.threads.values()}:
                    found.append(f"{name}: {seen.kind} {seen.id} stands at {place}, asked at {asked.place}")
        return found


def _is_reply_after(message_id: int) -> Callable[[Seen], bool]:
    return lambda seen: seen.id > message_id and seen.kind == "reply"


@asynccontextmanager
async def turmoil(home: Path, seed: int) -> AsyncIterator[Turmoil]:
    """Everything started, nobody struck yet; at the end every process that was started is gone."""
    (home / "marks").mkdir(parents=True)
    gateway = GatewayProcess(home, CONFIG)
    world = Turmoil(home, random.Random(seed), gateway, SecondNode(home, gateway))  # noqa: S311 -- a seeded test
    try:
        await gateway.start()
        await world.prepare()
        yield world
    finally:
        for visitor in world.people.values():
            await visitor.close()
        await gateway.stop()
        await world.second.kill()
        pid = running_node(world.embedded_dir)
        if pid is not None:
            with contextlib.suppress(psutil.Error):
                psutil.Process(pid).kill()


async def storm(world: Turmoil, *, for_s: float, asks: int) -> None:
    """Ask `asks` commands over `for_s` seconds, decide them, strike all the while; then wait until all is settled."""
    deciding = asyncio.create_task(world.decide_for_ever())
    until = time.monotonic() + for_s

    async def strike() -> None:
        while time.monotonic() < until:
            await asyncio.sleep(world.chance.uniform(0.2, max(0.4, min(2.5, for_s / 12))))
            await world.strike()

    async def ask() -> None:
        for _ in range(asks):
            await asyncio.sleep(world.chance.uniform(0, 2 * for_s / asks))
            await world.ask()

    try:
        await asyncio.gather(strike(), ask())
        await world.wait_until_settled(within_s=180.0)
    finally:
        deciding.cancel()
        await asyncio.gather(deciding, return_exceptions=True)
