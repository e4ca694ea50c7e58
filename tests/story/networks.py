"""One gateway on real adapters, unmodified SDKs and strict platform servers, with a node for which the test speaks.

What came of a story is compared in three records: the node's starts, what the platform servers show, and the store.
Deliberately absent: anything that knows one network's wire; that is in `tests/platforms`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from bot.app import Core, CoreSettings
from bot.domain.command import NodeFingerprint
from bot.domain.directory import Directory, Person
from bot.domain.event import BLOCKING, EventState
from bot.domain.execution import Execution, ExecutionId, ExecutionResult, ExecutionState
from bot.domain.message import Action
from bot.domain.policy import Policy, Rule
from bot.domain.session import AccountName, ChannelName, MessageId, Peer, PersonId
from bot.flow.completion import Completion
from bot.flow.signals import Signals
from bot.ports import Tx
from bot.store import OpenStore, open_store
from tests.gates import OPEN_GATE
from tests.platforms.driver import Network, Seen
from tests.story.puppet import Puppets, a_result, fingerprint_of

WITHIN_S = 20.0
"""How long anything may take before a story fails: a loaded machine gets its time, a passing test never waits it."""

R = TypeVar("R")


class AheadClock:
    """The machine's clock, which the networks' stamps follow too, and which a test can move on."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def now(self) -> float:
        return time.time() + self._ahead_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def advance(self, seconds: float) -> None:
        self._ahead_s += seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request: where, by whom, and what stands there to be decided."""

    network: Network
    peer: Peer
    person: str
    message_id: MessageId
    id: ExecutionId
    card: Seen


@dataclass(slots=True, kw_only=True)
class NetworkWorld:
    """A gateway that can be closed and opened again; networks, nodes and the database stay."""

    networks: Mapping[str, Network]
    url: str
    rules: tuple[Rule, ...] = ()
    compose: Callable[[CoreSettings], CoreSettings] = lambda settings: settings
    """What the settings become where somebody else than the grammar of instructions answers."""
    asks_with: str = "run {}"
    clock: AheadClock = field(default_factory=AheadClock)
    puppets: Puppets = field(default_factory=Puppets)
    _store: OpenStore | None = None
    _core: Core | None = None
    _running: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @property
    def store(self) -> OpenStore:
        assert self._store is not None
        return self._store

    @property
    def core(self) -> Core:
        assert self._core is not None
        return self._core

    def settings(self) -> CoreSettings:
        ids = tuple(PersonId(f"{name}:{network.person('owner')}") for name, network in self.networks.items())
        owner = Person(name="owner", ids=ids)
        settings = CoreSettings(
            policy=Policy(directory=Directory(people=(owner,)), owners=("owner",), rules=self.rules),
            gate=OPEN_GATE,
            poll_s=0.2,
            sweep_s=0.5,
            settling_s=0.0,
        )
        return self.compose(settings)

    async def open(self) -> None:
        self._store = self._open_store()
        if not self.url.startswith("postgresql"):
            await self._store.write(lambda tx: (tx.events.take_over(), tx.inputs.take_over()))
        channels = {
            (ChannelName(name), AccountName("default")): network.channel() for name, network in self.networks.items()
        }
        self._core = Core(self.settings(), self._store, channels, self.clock)
        self._running = contextlib.AsyncExitStack()
        try:
            for name in self.puppets.names:
                await self._store.write(partial(_pair, name=name))
            await self._running.enter_async_context(self._core.running(self.puppets))
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
        await self.puppets.reconnect(self.core.reports)

    async def finish_and_die(self, asked: Asked, output: str) -> None:
        """The report is committed, and the gateway dies before anything else: it stays closed."""
        await self.close()
        store = self._open_store()
        try:
            await Completion(store, Signals()).finished(*self._report(asked.id, a_result(output)))
        finally:
            await store.close()

    # --- people ------------------------------------------------------------------------------------

    async def ask(self, network: Network, peer: Peer, person: str = "ada", command: str = "uptime") -> Asked:
        """`run <command>`, or the plain words for it, until a message with its buttons stands there."""
        message_id = await network.say(peer, network.person(person), self.asks_with.format(command))
        execution = await self.until(partial(self._asked_by, message_id), f"an execution for {message_id}")
        card = await self.card_of(network, peer, execution.id)
        return Asked(
            network=network,
            peer=execution.origin.peer,
            person=person,
            message_id=message_id,
            id=execution.id,
            card=card,
        )

    async def _asked_by(self, message_id: MessageId) -> Execution | None:
        found = await self.store.read(
            lambda tx: tx.executions.in_states(frozenset(ExecutionState), newest_first=True, limit=50)
        )
        return next((one for one in found if one.origin.message_id == message_id), None)

    async def card_of(self, network: Network, peer: Peer, execution_id: ExecutionId) -> Seen:
        """The message that offers to approve this execution there."""

        async def found() -> Seen | None:
            for seen in network.seen(peer):
                if any(action is Action.APPROVE and execution_id in token for action, token in seen.buttons):
                    return seen
            return None

        return await self.until(found, f"a card of {execution_id} on {network.name}")

    async def approve(self, asked: Asked, by: str = "owner") -> str:
        network = asked.network
        return await network.press(asked.peer, asked.card.id, network.person(by), Action.APPROVE)

    async def ask_and_approve(
        self, network: Network, peer: Peer, person: str = "ada", command: str = "uptime"
    ) -> Asked:
        asked = await self.ask(network, peer, person, command)
        await self.approve(asked)
        await self.until_runs(asked)
        return asked

    # --- the node ----------------------------------------------------------------------------------

    async def until_runs(self, *asked: Asked) -> None:
        wanted = {one.id for one in asked}

        async def found() -> bool:
            return wanted <= {started for _, started in self.puppets.starts}

        await self.until(found, f"{', '.join(wanted)} runs on its node")

    async def finish(self, asked: Asked, output: str | ExecutionResult = "done\n") -> None:
        result = a_result(output) if isinstance(output, str) else output
        await self.core.reports.finished(*self._report(asked.id, result))

    def _report(
        self, execution_id: ExecutionId, result: ExecutionResult
    ) -> tuple[NodeFingerprint, ExecutionId, ExecutionResult, float, float]:
        node = next(node for node, started in self.puppets.starts if started == execution_id)
        now = self.clock.now()
        return node, execution_id, result, now - result.duration_s, now

    # --- what came of it ---------------------------------------------------------------------------

    async def until(self, found: Callable[[], Awaitable[R | None]], what: str) -> R:
        """The first truthy answer of an async `found`, looked for fifty times a second."""
        until = time.monotonic() + WITHIN_S
        while True:
            value = await found()
            if value:
                return value
            if time.monotonic() > until:
                standing = "\n".join(
                    f"  {name} {place}: {seen.text!r}"
                    for name, network in self.networks.items()
                    for place, seen in network.everywhere()[-8:]
                )
                raise AssertionError(f"{what}: not within {WITHIN_S} s. What stands:\n{standing}")
            await asyncio.sleep(0.02)

    async def outcome_ids(self, asked: Asked) -> list[MessageId]:
        """The networks' ids of the messages that told this execution's outcomes, by the receipts that we keep."""

        def look(tx: Tx) -> list[MessageId]:
            events = [one for one in tx.events.of_execution(asked.id) if one.identity.startswith("outcome:")]
            return [receipt for event in events for _, _, receipt in tx.events.receipts(event.id)]

        return await self.store.read(look)

    async def told(self, asked: Asked, *, containing: str = "") -> Seen:
        """Until one message in the place that asked tells the outcome, with these words; the newest such."""

        async def found() -> Seen | None:
            ids = await self.outcome_ids(asked)
            here = [seen for seen in asked.network.seen(asked.peer) if seen.id in ids]
            return next((seen for seen in reversed(here) if containing in words_of(seen)), None)

        return await self.until(found, f"the outcome of {asked.id} with {containing!r}")

    async def told_once(self, asked: Asked, *, containing: str = "") -> Seen:
        """Told where it was asked, and after all has come to rest still once in all networks."""
        seen = await self.told(asked, containing=containing)
        await self.settled()
        if containing:
            everywhere = [
                (name, place, one)
                for name, network in self.networks.items()
                for place, one in network.everywhere()
                if containing in words_of(one) and one.id != asked.card.id
            ]
            assert len(everywhere) == 1, everywhere
        assert len(await self.outcome_ids(asked)) == 1
        return seen

    async def settled(self) -> None:
        """Until nothing is owed or unconfirmed and nothing is being prepared."""

        async def rests() -> bool:
            def look(tx: Tx) -> bool:
                owed = tx.events.listing(states=BLOCKING | {EventState.POSTED}, limit=10)
                return not owed and not tx.executions.in_states({ExecutionState.PREPARING}, limit=1)

            return await self.store.read(look)

        await self.until(rests, "everything is told")

    async def state(self, asked: Asked) -> ExecutionState:
        found = await self.store.read(lambda tx: tx.executions.get(asked.id))
        assert found is not None
        return found.state

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.core.sweep.step()
        self.core.signals.all()


def _pair(tx: Tx, *, name: str) -> None:
    tx.nodes.hello(fingerprint_of(name), name.encode(), name)
    tx.nodes.pair(fingerprint_of(name), name=name)


def words_of(seen: Seen) -> str:
    """All that a person can read of it: the words and the file."""
    return seen.text if seen.file is None else f"{seen.text}\n{seen.file}"


def run_ids(world: NetworkWorld) -> Sequence[ExecutionId]:
    """What really ran, in order."""
    return [started for _, started in world.puppets.starts]
