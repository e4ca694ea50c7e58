"""Random lives of requests against a model of ten lines: nothing runs without a quorum that holds at its hand-over.

The real flows and the real store, SQLite and PostgreSQL; people press, type, change their minds and come late, the
policy is reloaded, the gateway restarts, the node goes away and lies, and any of it may happen inside a hand-over.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import ClassVar

import pytest

from bot.domain.batch import BatchId, batch_hash
from bot.domain.command import Command, CommandHash, NodeFingerprint
from bot.domain.execution import ExecutionId, ExecutionState
from bot.domain.message import Action, Button, ButtonPress, Sender
from bot.domain.policy import Policy, Rule, Verdict
from bot.domain.session import DeliveryId
from bot.domain.terms import Terms
from bot.flow.decision import APPROVED_FOR_S
from bot.flow.escalation import Escalations
from bot.ports import Acceptance, NodeRefusal
from bot.store import open_store
from tests.clock import ManualClock
from tests.flow.ends import NODE, OTHER_NODE, RecordingHub, WatchedStore
from tests.flow.stage import ANN, BOB, CY, Stage, a_peer, policy
from tests.flow.together import asking
from tests.postgres import postgres_database

S = ExecutionState
DEE = Sender(native="U4", name="Dee")
"""May never decide anything."""
WHO = {"discord:U1": ANN, "bob": BOB, "cy": CY, "discord:U4": DEE}
EXPIRES_S = 100.0


@dataclass(frozen=True)
class Law:
    """One policy, as the model and as the program see it."""

    deciders: frozenset[str]
    quorum: int = 1
    four_eyes: bool = False

    @property
    def policy(self) -> Policy:
        terms = Terms(quorum=self.quorum, four_eyes=self.four_eyes)
        asks = Rule(
            name="law",
            action=Verdict.ASK,
            deciders=tuple(sorted(self.deciders)),
            terms=terms,
            expires_after_s=EXPIRES_S,
        )
        return policy(asks)


EVERYBODY = frozenset({"bob", "cy", "discord:U1"})


def a_law(chance: Random) -> Law:
    return Law(
        deciders=chance.choice([EVERYBODY, EVERYBODY, frozenset({"bob", "cy"}), frozenset({"cy"}), frozenset()]),
        quorum=chance.choice([1, 1, 2, 2, 3]),
        four_eyes=chance.random() < 0.3,
    )


@dataclass
class Case:
    """What the model knows of one request."""

    asker: str
    expires_at: float
    yes: set[str] = field(default_factory=set)
    has_voted: set[str] = field(default_factory=set)
    is_over: bool = False
    is_approved: bool = False


class Model:
    """The ten lines."""

    def __init__(self, law: Law) -> None:
        self.law, self.cases = law, dict[ExecutionId, Case]()

    def may(self, who: str, case: Case) -> bool:
        return who in self.law.deciders and not (self.law.four_eyes and who == case.asker)

    def holds(self, case: Case) -> bool:
        return sum(self.may(who, case) for who in case.yes) >= self.law.quorum

    def can_decide(self) -> bool:
        return self.law.quorum <= len(self.law.deciders)

    def vote(self, case: Case, who: str, now: float, *, yes: bool) -> None:
        if case.is_approved:
            return
        case.is_over |= now >= case.expires_at
        if case.is_over or who in case.has_voted or not self.asks(case) or not self.may(who, case):
            return
        case.has_voted.add(who)
        case.yes |= {who} if yes else set()
        case.is_over = not yes
        case.is_approved = yes and self.holds(case)
        case.expires_at = now + APPROVED_FOR_S if case.is_approved else case.expires_at

    def asks(self, case: Case) -> bool:
        return len([who for who in self.law.deciders if self.may(who, case)]) >= self.law.quorum


class CheckedHub(RecordingHub):
    """The node: the model judges every offer as it is answered, and every `go` at that very moment.

    Hand-overs run beside each other. What changes for one after its offer was answered, and before its `go`, may come
    before its commit or after it: there, either judgement will do. What changes within its own offer comes before both.
    """

    def __init__(
        self, why_not: Callable[[ExecutionId], str | None], goes: Callable[[ExecutionId, str | None], None]
    ) -> None:
        super().__init__()
        self.why_not, self.goes = why_not, goes
        self.answered = dict[ExecutionId, str | None]()

    async def offer(
        self, node: NodeFingerprint, execution_id: ExecutionId, command: Command, command_hash: CommandHash
    ) -> Acceptance | NodeRefusal:
        answer = await super().offer(node, execution_id, command, command_hash)
        self.answered[execution_id] = self.why_not(execution_id)
        return answer

    async def go(self, node: NodeFingerprint, execution_id: ExecutionId, acceptance: Acceptance) -> None:
        self.goes(execution_id, self.answered[execution_id] and self.why_not(execution_id))
        await super().go(node, execution_id, acceptance)


class Lives:
    """A life is some days; a day is a score of things that happen, all drawn from the seed of the life. The seeds are
    plain numbers: hypothesis tries so many short and equal lives that hardly a request would come as far as its
    hand-over, and which ones it tries changes with the modules that happen to be loaded."""

    a_case: type[Case] = Case
    seen: ClassVar[Counter[str]] = Counter()
    """Over all lives: a test that saw no hand-over proves nothing."""

    def __init__(self, url: str, chance: Random) -> None:
        self.chance = chance
        self.clock = ManualClock()
        self.opened = open_store(url, clock=self.clock, gateway=True, use_clock=True)
        hub = CheckedHub(self.why_not, self.goes)
        self.stage = Stage(store=WatchedStore(self.opened), clock=self.clock, hub=hub)
        self.model = self.a_model(chance)
        self.stage.policy = self.policy
        self.hashes: dict[ExecutionId, CommandHash] = {}
        self.started: list[ExecutionId] = []
        self.breaches: list[tuple[ExecutionId, str]] = []
        self.cards: list[tuple[BatchId, list[ExecutionId]]] = []

    def a_model(self, chance: Random) -> Model:
        return Model(a_law(chance))

    @property
    def policy(self) -> Policy:
        return self.model.law.policy

    async def run(self, days: int) -> None:
        try:
            for node, name in ((NODE, "web-1"), (OTHER_NODE, "db-1")):
                await self.stage.pair(node, name)
            for _ in range(days):
                await self.day(self.chance)
        finally:
            await self.opened.close()

    # --- what may happen -----------------------------------------------------------------------------

    def happenings(self) -> dict[Callable[[Random], Awaitable[None]], int]:
        return {
            self.ask: 4,
            self.ask_for_several: 2,
            self.somebody_presses_for_all_of_a_card: 4,
            self.somebody_decides: 5,
            self.some_agree: 5,
            self.somebody_presses_a_copied_button: 1,
            self.somebody_stops: 1,
            self.time_passes: 2,
            self.tidy: 2,
            self.the_law_changes: 2,
            self.the_node_comes_or_goes: 1,
            self.the_node_reports: 2,
            self.hand_over: 6,
        }

    async def day(self, chance: Random) -> None:
        happenings = self.happenings()
        for happening in chance.choices(list(happenings), weights=list(happenings.values()), k=20):
            await happening(chance)
            await self.what_the_store_says_is_what_the_model_says()

    async def ask(self, chance: Random) -> None:
        who = chance.choice(sorted(WHO))
        known = {one.id for one in await self.stage.all_executions()}
        await self.stage.say(f"run {chance.choice(['df -h', 'df -h | sort', 'rm -rf /srv/x'])}", who=WHO[who])
        await self.stage.answer()
        await self.stage.inspect()
        await self.know(who, known)

    async def ask_for_several(self, chance: Random) -> None:
        """In one turn, so that they share a card; the node may refuse some of them."""
        who = chance.choice(sorted(WHO))
        known = {one.id for one in await self.stage.all_executions()}
        refused = [NodeRefusal(reason="no")] * chance.choice([0, 0, 1])
        self.stage.hub.inspect_answers.extend(refused)
        self.stage.agent = asking(*(f"echo {number}" for number in range(chance.choice([2, 3, 3, 4, 10]))))
        await self.stage.say("look after it", who=WHO[who])
        await self.stage.answer()
        self.stage.agent = None
        await self.stage.inspect()
        self.stage.hub.inspect_answers.clear()
        # What is of a batch is shown by a later pass.
        await self.stage.inspect()
        await self.know(who, known)
        shown: dict[tuple[BatchId, int], list[ExecutionId]] = {}
        for one in await self.stage.all_executions():
            if one.id not in known and one.batch is not None and one.batch.card and one.id in self.hashes:
                shown.setdefault((one.batch.id, one.batch.card), []).append(one.id)
        self.cards += [(batch, on_card) for (batch, _), on_card in shown.items()]

    async def somebody_presses_for_all_of_a_card(self, chance: Random) -> None:
        if not self.cards:
            return
        batch, on_card = chance.choice(self.cards[-3:])
        for who in chance.sample(sorted(WHO), k=chance.randint(1, 3)):
            action = chance.choice([Action.APPROVE_ALL, Action.APPROVE_ALL, Action.DENY_ALL, Action.STOP_ALL])
            is_forged = chance.random() < 0.1
            shown = batch_hash((one, self.hashes[one]) for one in (on_card[1:] if is_forged else on_card))
            for one in [] if is_forged else on_card:
                if action is Action.STOP_ALL:
                    self.stops(one, who)
                else:
                    yes = action is Action.APPROVE_ALL
                    self.model.vote(self.model.cases[one], who, self.clock.now(), yes=yes)
            await self.pressed(batch, who, action, shown)
            self.seen["all of a card"] += 1

    async def know(self, who: str, known: set[ExecutionId]) -> None:
        for one in await self.stage.all_executions():
            if one.id not in known and one.state is S.AWAITING_APPROVAL and one.command_hash is not None:
                self.model.cases[one.id] = self.a_case(asker=who, expires_at=one.expires_at)
                self.hashes[one.id] = one.command_hash

    async def somebody_decides(self, chance: Random) -> None:
        if one := self.one_of_them(chance):
            action = chance.choice([Action.APPROVE, Action.APPROVE, Action.DENY])
            await self.decided(one, chance.choice(sorted(WHO)), action, is_typed=chance.random() < 0.5)

    async def some_agree(self, chance: Random) -> None:
        if one := self.one_of_them(chance):
            for who in chance.sample(sorted(EVERYBODY), k=chance.randint(1, 3)):
                await self.decided(one, who, Action.APPROVE, is_typed=False)

    async def somebody_presses_a_copied_button(self, chance: Random) -> None:
        """It was made for another command."""
        if one := self.one_of_them(chance):
            other = chance.choice([hash_ for hash_ in (*self.hashes.values(), "0" * 64) if hash_ != self.hashes[one]])
            await self.pressed(one, chance.choice(sorted(WHO)), Action.APPROVE, CommandHash(other))

    async def somebody_stops(self, chance: Random) -> None:
        if one := self.one_of_them(chance):
            await self.stopped(one, chance.choice(sorted(WHO)))

    async def time_passes(self, chance: Random) -> None:
        self.clock.advance(chance.choice([1.0, 1.0, 30.0, EXPIRES_S - 1.0, EXPIRES_S, 700.0]))

    async def tidy(self, chance: Random) -> None:
        """And the gateway is another one from here on: what it had in memory is gone."""
        await self.stage.tidy()
        await Escalations(self.stage.store, self.stage.policies, self.stage.signals, self.stage._capabilities_at).step()
        if chance.random() < 0.5:
            self.stage.restart()

    async def the_law_changes(self, chance: Random) -> None:
        self.enact(a_law(chance))

    async def the_node_comes_or_goes(self, chance: Random) -> None:
        self.stage.hub.nodes[:] = [NODE] if chance.random() < 0.7 else []

    async def the_node_reports(self, chance: Random) -> None:
        """Also what was never handed over, and as a node that it was never handed to."""
        if one := self.one_of_them(chance, is_open=False):
            reports, node = self.stage.reports, chance.choice([NODE, NODE, OTHER_NODE])
            match chance.choice(["started", "refused", "not known"]):
                case "started":
                    await reports.started(node, one, self.clock.now())
                case "refused":
                    await reports.refused(node, one, "no")
                case _:
                    await reports.not_known(node, one, "it died")

    async def hand_over(self, chance: Random) -> None:
        """Whatever may happen may happen between the offer and its commit."""
        meanwhile = chance.choice(["nothing", "nothing", "law", "stop", "deny", "time"])

        async def happens() -> None:
            offered, who = self.stage.hub.offers[-1][1], chance.choice(sorted(WHO))
            match meanwhile:
                case "law":
                    self.enact(a_law(chance))
                case "stop":
                    await self.stopped(offered, who)
                case "deny":
                    await self.decided(offered, who, Action.DENY, is_typed=True)
                case "time":
                    self.clock.advance(chance.choice([1.0, 601.0]))

        self.stage.hub.during_offer = happens
        await self.stage.hand_over()
        self.stage.hub.during_offer = None

    def one_of_them(self, chance: Random, *, is_open: bool = True) -> ExecutionId | None:
        """Mostly one that is still open."""
        cases = self.model.cases
        still = [one for one, case in cases.items() if not case.is_over and one not in self.started]
        return chance.choice(still if is_open and still and chance.random() < 0.8 else list(cases)) if cases else None

    # --- beside the model ----------------------------------------------------------------------------

    def enact(self, law: Law) -> None:
        self.model.law = law
        self.stage.policy = self.policy
        assert self.stage.policies.now == self.policy

    async def decided(self, one: ExecutionId, who: str, action: Action, *, is_typed: bool) -> None:
        self.model.vote(self.model.cases[one], who, self.clock.now(), yes=action is Action.APPROVE)
        if is_typed:
            await self.stage.say(f"{action.value} {one}", who=WHO[who])
        else:
            await self.pressed(one, who, action, self.hashes[one])

    async def pressed(self, one: str, who: str, action: Action, shown: CommandHash) -> None:
        button = Button(action=action, execution_id=one, shown=shown)
        delivery = DeliveryId(f"{one}:{who}:{action}:{shown[:4]}")
        await self.stage.intake.press(
            ButtonPress(peer=a_peer(), sender=WHO[who], delivery=delivery, message_id=None, button=button)
        )

    async def stopped(self, one: ExecutionId, who: str) -> None:
        self.stops(one, who)
        await self.stage.say(f"stop {one}", who=WHO[who])

    def stops(self, one: ExecutionId, who: str) -> None:
        case = self.model.cases[one]
        if who in ("bob", case.asker) or (self.model.asks(case) and self.model.may(who, case)):
            case.is_over = case.is_over or one not in self.started

    def why_not(self, one: ExecutionId) -> str | None:
        """Why it must not start under all that holds at this moment."""
        case = self.model.cases[one]
        if case.is_over:
            return "denied or stopped before"
        if self.clock.now() >= case.expires_at:
            return "expired before"
        if not self.model.asks(case):
            return "nobody could approve it under the rules of this moment"
        return None if self.model.holds(case) else "too few votes count under the rules of this moment"

    def goes(self, one: ExecutionId, why_not: str | None) -> None:
        if why_not := "a second start" if one in self.started else why_not:
            self.breaches.append((one, why_not))
        self.started.append(one)
        self.seen["started"] += 1

    async def what_the_store_says_is_what_the_model_says(self) -> None:
        assert not self.breaches
        for one in await self.stage.all_executions():
            case = self.model.cases.get(one.id)
            if case is not None and one.state in (S.DISPATCHED, S.RUNNING):
                assert one.id in self.started
            if case is not None and one.state is S.APPROVED:
                assert case.is_approved


@pytest.fixture(scope="module")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from bot.store import migrate

    path = tmp_path_factory.mktemp("model") / "homing.db"
    migrate(f"sqlite:///{path}")
    return path


def lives(
    open_database: Callable[[], contextlib.AbstractContextManager[str]],
    seeds: Sequence[int],
    days: int,
    kind: type[Lives] = Lives,
) -> None:
    Lives.seen.clear()
    for seed in seeds:
        with open_database() as url:
            try:
                asyncio.run(kind(url, Random(seed)).run(days))  # noqa: S311 - a story, not a secret
            except Exception as error:
                error.add_note(f"in the life of seed {seed}")
                raise
    assert Lives.seen["started"] >= max(1, len(seeds) // 8), Lives.seen
    assert Lives.seen["all of a card"] >= max(1, len(seeds) // 2), Lives.seen


def others() -> Sequence[int]:
    """Another thousand each time."""
    first = secrets.randbelow(1_000_000_000)
    return range(first, first + 1_000)


def on_sqlite(migrated_file: Path) -> Callable[[], contextlib.AbstractContextManager[str]]:
    @contextlib.contextmanager
    def opened() -> Iterator[str]:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(migrated_file, Path(folder) / "homing.db")
            yield f"sqlite:///{folder}/homing.db"

    return opened


def test_f050_f051_f064_f081_nothing_runs_without_a_quorum_that_holds_at_its_hand_over(migrated_file: Path) -> None:
    lives(on_sqlite(migrated_file), seeds=range(25), days=3)


def test_f050_f051_f064_f081_neither_on_postgresql() -> None:
    lives(postgres_database, seeds=range(40, 50), days=3)


@pytest.mark.long
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_f050_f051_f064_f081_neither_in_a_thousand_lives(database: str, migrated_file: Path) -> None:
    lives(on_sqlite(migrated_file) if database == "sqlite" else postgres_database, seeds=others(), days=5)
