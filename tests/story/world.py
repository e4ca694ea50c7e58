"""One gateway with all that it needs, in the hands of a test: store, node, channels, people, time.

Everything is composed as `bot.app.Core` is in production; a restart opens the same database again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import text

from bot.app import Core, CoreSettings
from bot.domain.command import NodeFingerprint
from bot.domain.event import BLOCKING, Event, EventState
from bot.domain.execution import Execution, ExecutionId, ExecutionResult, ExecutionState
from bot.domain.message import Action, Capabilities, PostKind
from bot.domain.session import (
    MessageId,
    Peer,
)
from bot.flow.completion import Completion
from bot.flow.dispatch import Dispatch
from bot.flow.signals import Signals
from bot.ports import Channel, NodeHub, Store, Tx
from bot.store import OpenStore, open_store
from bot.store.transaction import Connected
from tests.platforms.loopback import LoopbackPlatform, Posted, channels_of
from tests.story.puppet import Puppets, a_result, fingerprint_of
from tests.story.shifted import ShiftedClock

WITHIN_S = 15.0
"""How long anything may take before a story fails: a loaded machine gets its time, a passing test never waits it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request of a story: where, by whom, and the card or notice that answered it."""

    peer: Peer
    person: str
    message_id: MessageId
    card: Posted

    @property
    def id(self) -> ExecutionId:
        assert self.card.execution is not None
        return ExecutionId(self.card.execution)


@dataclass(slots=True, kw_only=True)
class World:
    """A gateway that can be closed and opened again, with a network and a node that stay."""

    platform: LoopbackPlatform
    url: str
    clock: ShiftedClock
    puppets: Puppets = field(default_factory=Puppets)
    settings: CoreSettings
    accounts: Sequence[tuple[str, str]]
    capabilities: Capabilities | None = None
    asks_with: str = "run {}"
    """The words in which people ask: an instruction, or plain words where a model answers."""
    wrap: Callable[[Channel], Channel] | None = None
    """What stands between the core and a channel, where a story needs something there."""
    _store: OpenStore | None = None
    _core: Core | None = None
    _hub: NodeHub | None = None
    _running: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    # --- the gateway's life ------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        assert self._store is not None
        return self._store

    @property
    def core(self) -> Core:
        assert self._core is not None
        return self._core

    @property
    def hub(self) -> NodeHub:
        assert self._hub is not None
        return self._hub

    async def connect(self, running: contextlib.AsyncExitStack) -> NodeHub:
        """The hub for this life of the gateway; what has to end with it is entered into `running`."""
        del running
        for name in self.puppets.names:
            await self.pair(fingerprint_of(name), name)
        return self.puppets

    async def open(self) -> None:
        self._store = self._open_store()
        if not self.url.startswith("postgresql"):
            await self._store.write(lambda tx: (tx.events.take_over(), tx.inputs.take_over()))
        channels = channels_of(self.platform.url, self.accounts, capabilities=self.capabilities)
        wrapped = {name: channel if self.wrap is None else self.wrap(channel) for name, channel in channels.items()}
        self._core = Core(self.settings, self._store, wrapped, self.clock)
        self._running = contextlib.AsyncExitStack()
        try:
            self._hub = await self.connect(self._running)
            await self._running.enter_async_context(self._core.running(self._hub))
        except BaseException:
            await self.close()
            raise

    def _open_store(self) -> OpenStore:
        return open_store(self.url, clock=self.clock, gateway=True, use_clock=True)

    async def close(self) -> None:
        await self._running.aclose()
        if self._store is not None:
            await self._store.close()

    async def restart(self) -> None:
        await self.close()
        await self.open()
        for name in self.puppets.names:
            if fingerprint_of(name) not in self.puppets.away:
                await self.puppets.reconnect(self.core.reports, name)

    async def finish_and_die(self, asked: Asked, output: str) -> None:
        """The report is committed, and the gateway dies before anything else: it stays closed."""
        await self.close()
        store = self._open_store()
        try:
            await Completion(store, Signals()).finished(*self._report(asked.id, a_result(output)))
        finally:
            await store.close()

    async def pair(self, fingerprint: NodeFingerprint, name: str) -> None:
        await self.store.write(lambda tx: tx.nodes.hello(fingerprint, name.encode(), name))
        await self.store.write(lambda tx: tx.nodes.pair(fingerprint, name=name))

    # --- people ------------------------------------------------------------------------------------

    async def say(self, peer: Peer, person: str, words: str) -> MessageId:
        message_id, _ = await self.platform.say(peer, person, words, sent_at=self.clock.now())
        return message_id

    async def ask(self, peer: Peer, person: str = "ada", command: str = "uptime") -> Asked:
        """`run <command>`, until its card (or the refusal) stands as an answer to it."""
        return await self.answered(peer, person, await self.say(peer, person, self.asks_with.format(command)))

    async def answered(self, peer: Peer, person: str, message_id: MessageId) -> Asked:
        is_card = {True} if self.asks_with != "run {}" else {True, False}
        card = await self.platform.until(
            lambda: next(
                (
                    posted
                    for posted in self.platform.at(peer)
                    if posted.reply_to == message_id and (posted.execution is not None) in is_card
                ),
                None,
            ),
            f"an answer to {message_id} in {peer.id}",
            within_s=WITHIN_S,
        )
        return Asked(peer=peer, person=person, message_id=message_id, card=card)

    async def approve(self, asked: Asked, by: str = "owner") -> str | None:
        return await self.platform.press(asked.card, by, Action.APPROVE)

    async def ask_and_approve(self, peer: Peer, person: str = "ada", command: str = "uptime") -> Asked:
        """Until it runs on the node."""
        asked = await self.ask(peer, person, command)
        await self.approve(asked)
        await self.until_runs(asked)
        return asked

    # --- the node ----------------------------------------------------------------------------------

    async def until_runs(self, *asked: Asked) -> None:
        wanted = {one.id for one in asked}
        await self.platform.until(
            lambda: wanted <= {started for _, started in self.puppets.starts},
            f"{', '.join(wanted)} runs on its node",
            within_s=WITHIN_S,
        )

    async def dispatch_once(self) -> None:
        """One look of a dispatch of our own, and the end of what it began: what is not handed over now is held."""
        dispatch = Dispatch(self.store, self.hub, self.core.policies, self.core.signals)
        await dispatch.step()
        await dispatch.tasks.drain()

    async def until_started(self, execution_id: str | None) -> None:
        await self.platform.until(
            lambda: any(started == execution_id for _, started in self.puppets.starts),
            f"{execution_id} runs on its node",
            within_s=WITHIN_S,
        )

    async def finish(self, asked: Asked | str | None, output: str | ExecutionResult = "done\n") -> None:
        """The node's finished report; returns when the node would be answered."""
        execution_id = asked.id if isinstance(asked, Asked) else ExecutionId(asked or "")
        result = a_result(output) if isinstance(output, str) else output
        await self.core.reports.finished(*self._report(execution_id, result))

    def _report(
        self, execution_id: ExecutionId, result: ExecutionResult
    ) -> tuple[NodeFingerprint, ExecutionId, ExecutionResult, float, float]:
        node = next(node for node, started in self.puppets.starts if started == execution_id)
        now = self.clock.now()
        return node, execution_id, result, now - result.duration_s, now

    # --- what came of it ---------------------------------------------------------------------------

    def told(self, asked: Asked | ExecutionId) -> list[Posted]:
        """Every message of the whole network that tells the outcome of this execution."""
        execution_id = asked.id if isinstance(asked, Asked) else asked
        kinds = {PostKind.RESULT, PostKind.NOTICE}
        return [one for one in self.platform.by_bot() if one.execution == execution_id and one.kind in kinds]

    async def wait_told(
        self, asked: Asked, *, containing: str = "", within_s: float = WITHIN_S, count: int = 1
    ) -> list[Posted]:
        """Until `count` outcome messages stand; each must stand where it was asked, as an answer to the asker."""

        def found() -> list[Posted] | None:
            told = [one for one in self.told(asked) if containing in one.text]
            return told if len(told) >= count else None

        told = await self.platform.until(found, f"the outcome of {asked.id}, with {containing!r}", within_s=within_s)
        for one in told:
            assert one.peer.thread == asked.peer.thread
            assert one.place == asked.card.place
            assert one.reply_to == asked.message_id
        return told

    async def told_once(self, asked: Asked, *, containing: str = "") -> Posted:
        """Told where it was asked, and after everything has come to rest still once in the whole network."""
        await self.wait_told(asked, containing=containing)
        await self.settled()
        told = self.told(asked)
        assert len(told) == 1, [one.text for one in told]
        return told[0]

    async def until_told_by(self, asked: Asked, *, count: int) -> None:
        """Until that many outcome messages stand, moving the clock by two seconds again and again."""
        for _ in range(60):
            await self.pass_time(2.0)
            if len(self.told(asked)) >= count:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{asked.id} was told {len(self.told(asked))} times, not {count}")

    async def told_once_besides(self, asked: Asked, dead: Peer, *, containing: str = "") -> Posted:
        """As `told_once`, while another place is dead."""
        await self.wait_told(asked, containing=containing)
        await self.settled(besides=dead)
        (told,) = self.told(asked)
        return told

    async def execution(self, execution_id: ExecutionId) -> Execution:
        found = await self.store.read(lambda tx: tx.executions.get(execution_id))
        assert found is not None
        return found

    async def until_state(self, execution_id: ExecutionId, *states: ExecutionState) -> Execution:
        async with asyncio.timeout(WITHIN_S):
            while (found := await self.execution(execution_id)).state not in states:
                await asyncio.sleep(0.005)
        return found

    async def events(self, *states: EventState) -> Sequence[Event]:
        wanted = frozenset(states or EventState)
        return await self.store.read(lambda tx: tx.events.listing(states=wanted, limit=1_000))

    async def until_event(self, state: EventState, *, containing: str = "") -> Event:
        """The first event in this state whose identity holds `containing`."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                for found in await self.events(state):
                    if containing in found.identity:
                        return found
                await asyncio.sleep(0.005)

    async def settled(self, *, besides: Peer | None = None) -> None:
        """Until nothing is owed, no input waits, and every card shows what is known; `besides` one dead place."""
        async with asyncio.timeout(WITHIN_S):
            while not await self._rests(besides):
                await asyncio.sleep(0.005)

    async def _rests(self, besides: Peer | None) -> bool:
        # In the order in which one makes the next: what is looked at first can add nothing to what is looked at later.
        if await self.count("SELECT count(*) FROM inputs WHERE state <> 'answered'"):
            return False
        if await self.count("SELECT count(*) FROM executions WHERE state = 'preparing'"):
            return False
        if await self.store.read(lambda tx: tx.executions.unshown_batches()):
            return False
        owed = await self.events(*BLOCKING)
        if any(event.address.peer != besides for event in owed):
            return False
        # A card behind an event that blocks its address waits for it.
        lagging = (
            "SELECT count(*) FROM cards WHERE closed = 0 AND shown_revision < (SELECT sum(revision) FROM executions "
            "WHERE executions.id = cards.execution_id "
            "OR (executions.batch = cards.batch AND executions.batch_card = cards.batch_card))"
        )
        return besides is not None or not await self.count(lagging)

    async def count(self, query: str) -> int:
        """A look behind the port: one number."""
        return await self.store.read(partial(_one_number, query))

    # --- time --------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Move the clock, and wake nobody."""
        self.clock.advance(seconds)

    async def pass_time(self, seconds: float) -> None:
        """Move the clock and let every loop look; the sweep has made its pass when this returns."""
        self.advance(seconds)
        await self.core.sweep.step()
        self.core.signals.all()
        await self.look()

    async def look(self) -> None:
        """One look of the heartbeat, and the end of everything that it began: what is not sent now was not due."""
        await self.core.heartbeat.step()
        await self.core.heartbeat.tasks.drain()
        # The gateway's own heartbeat may be between its claim and its send: time does not move on under it, unless
        # that send is one that never ends.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                while await self.events(EventState.CLAIMED, EventState.SENDING):
                    await asyncio.sleep(0.005)


def _one_number(query: str, tx: Tx) -> int:
    assert isinstance(tx.inputs, Connected)
    return int(tx.inputs.connection.execute(text(query)).scalar_one())
