"""Random lives with break-glass in them: nothing runs under one that does not hold at its hand-over.

As the lives without it, and on top: people open, end, let lapse and reopen; the rules about who may are reloaded; and
any of it may happen inside a hand-over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest

from bot.domain.event import EventState
from bot.domain.execution import ExecutionId
from bot.domain.glass import GlassRule, GlassState
from bot.domain.message import Action
from bot.domain.policy import Policy
from bot.flow.decision import APPROVED_FOR_S
from bot.flow.glass_watch import GlassWatch
from tests.attack.test_decisions_model import (
    WHO,
    Case,
    Law,
    Lives,
    Model,
    a_law,
    lives,
    migrated_file,
    on_sqlite,
    others,
)
from tests.flow.stage import a_peer
from tests.postgres import postgres_database

__all__ = ["migrated_file"]
OPEN_S = 300.0
ANNOUNCED = a_peer("announcements")


@dataclass
class Broken:
    """What the model knows of one break-glass."""

    who: str
    until: float
    is_over: bool = False


@dataclass
class BrokenCase(Case):
    under: Broken | None = None


@dataclass
class GlassModel(Model):
    """Ten lines more. Bob and ann may, or one of them, or nobody; cy and bob review."""

    law: Law
    cases: dict[ExecutionId, Case] = field(default_factory=dict)
    people: frozenset[str] = frozenset()
    reviewers: frozenset[str] = frozenset()
    broken: list[Broken] = field(default_factory=list)

    def lets(self, who: str) -> bool:
        return who in self.people and bool(self.reviewers - {who})

    def open_of(self, who: str, now: float) -> Broken | None:
        return next((one for one in self.broken if one.who == who and not one.is_over and now < one.until), None)

    def carries(self, one: Broken | None, now: float) -> bool:
        return one is not None and not one.is_over and now < one.until and self.lets(one.who)

    def vote(self, case: Case, who: str, now: float, *, yes: bool) -> None:
        glass = self.open_of(who, now) if yes else None
        may_break = self.carries(glass, now) and self.asks(case) and now < case.expires_at
        if not may_break or case.is_approved or case.is_over:
            super().vote(case, who, now, yes=yes)
            return
        assert isinstance(case, BrokenCase)
        case.has_voted.add(who)
        case.yes.add(who)
        case.is_approved, case.expires_at = True, now + APPROVED_FOR_S
        case.under = None if self.holds(case) and self.may(who, case) else glass


class GlassLives(Lives):
    model: GlassModel
    a_case = BrokenCase

    def a_model(self, chance: Random) -> Model:
        model = GlassModel(a_law(chance))
        self.draw(model, chance)
        return model

    @staticmethod
    def draw(model: GlassModel, chance: Random) -> None:
        model.people = frozenset(chance.choice([("bob", "discord:U1"), ("bob", "discord:U1"), ("bob",), ()]))
        model.reviewers = frozenset(chance.choice([("cy", "bob"), ("cy", "bob"), ("bob",), ()]))

    @property
    def policy(self) -> Policy:
        rule = GlassRule(
            people=tuple(sorted(self.model.people)),
            reviewers=tuple(sorted(self.model.reviewers)),
            announce_to=(ANNOUNCED,),
            open_for_s=OPEN_S,
        )
        return replace(self.model.law.policy, glass=rule if self.model.people else None)

    def happenings(self) -> dict[Callable[[Random], Awaitable[None]], int]:
        return {
            **super().happenings(),
            self.somebody_breaks_glass: 4,
            self.one_is_ended: 1,
            self.one_is_watched: 1,
            self.other_people_may: 1,
            self.approved_and_taken_back: 4,
        }

    async def somebody_breaks_glass(self, chance: Random) -> None:
        await self.breaks_glass(chance.choice(["bob", "bob", *sorted(WHO)]))

    async def breaks_glass(self, who: str) -> None:
        now = self.clock.now()
        if self.model.lets(who) and self.model.open_of(who, now) is None:
            for one in self.model.broken:
                # One of theirs whose time was over is over for good.
                one.is_over |= one.who == who
            self.model.broken.append(Broken(who=who, until=now + OPEN_S))
        await self.stage.say("break-glass the disk is full", who=WHO[who])

    async def one_is_ended(self, chance: Random) -> None:
        await self.ends_own(chance.choice(["bob", "bob", *sorted(WHO)]))

    async def ends_own(self, who: str) -> None:
        """One's own, here."""
        mine = [one for one in self.model.broken if one.who == who]
        for one in mine:
            one.is_over = True
        await self.stage.say("break-glass end", who=WHO[who])

    async def one_is_watched(self, chance: Random) -> None:
        del chance
        for one in self.model.broken:
            one.is_over |= not self.model.carries(one, self.clock.now())
        await GlassWatch(self.stage.store, self.stage.policies, self.stage.signals).step()

    async def other_people_may(self, chance: Random) -> None:
        self.draw(self.model, chance)
        self.enact(self.model.law)

    async def approved_and_taken_back(self, chance: Random) -> None:
        """A request, an approval by whoever has one open, and then, within its hand-over, the end of it."""
        await self.ask(chance)
        if self.model.people:
            await self.breaks_glass(chance.choice(sorted(self.model.people)))
        for one in [one for one in self.model.broken if self.model.carries(one, self.clock.now())]:
            if wanted := self.one_of_them(chance):
                await self.decided(wanted, one.who, Action.APPROVE, is_typed=chance.random() < 0.5)

        async def happens() -> None:
            match chance.choice(["end", "reload", "time", "nothing", "nothing"]):
                case "end":
                    await self.ends_own(chance.choice(sorted(self.model.people or {"bob"})))
                case "reload":
                    await self.other_people_may(chance)
                case "time":
                    self.clock.advance(OPEN_S)

        self.stage.hub.during_offer = happens
        await self.stage.hand_over()
        self.stage.hub.during_offer = None

    def why_not(self, one: ExecutionId) -> str | None:
        case = self.model.cases[one]
        assert isinstance(case, BrokenCase)
        if case.under is None or case.is_over or self.clock.now() >= case.expires_at or not self.model.asks(case):
            return super().why_not(one)
        return None if self.model.carries(case.under, self.clock.now()) else "the break-glass does not hold"

    def goes(self, one: ExecutionId, why_not: str | None) -> None:
        super().goes(one, why_not)
        case = self.model.cases[one]
        assert isinstance(case, BrokenCase)
        self.seen["under"] += case.under is not None

    async def what_the_store_says_is_what_the_model_says(self) -> None:
        await super().what_the_store_says_is_what_the_model_says()
        now = self.clock.now()
        opened = await self.opened.read(lambda tx: tx.glasses.listing({GlassState.OPEN}))
        assert sorted(one.person for one in opened if now < one.expires_at) == sorted(
            one.who for one in self.model.broken if not one.is_over and now < one.until
        )
        every = await self.opened.read(lambda tx: tx.glasses.listing(frozenset(GlassState)))
        events = await self.opened.read(lambda tx: tx.events.listing(states=frozenset(EventState), limit=10_000))
        owed = [event.identity for event in events if event.address.peer == ANNOUNCED]
        assert len([one for one in owed if ":opened:" in one]) == len(every), "one was opened in silence"
        under = [one for one in await self.stage.all_executions() if one.glass is not None]
        assert {one.id for one in under} == {one.split(":")[4] for one in owed if ":approved:" in one}


def test_f081_nothing_runs_under_a_break_glass_that_does_not_hold_at_its_hand_over(migrated_file: Path) -> None:
    lives(on_sqlite(migrated_file), seeds=range(15), days=3, kind=GlassLives)
    assert GlassLives.seen["under"] >= 1, GlassLives.seen


def test_f081_neither_on_postgresql() -> None:
    lives(postgres_database, seeds=range(15, 21), days=3, kind=GlassLives)


@pytest.mark.long
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_f081_neither_in_a_thousand_lives(database: str, migrated_file: Path) -> None:
    lives(
        on_sqlite(migrated_file) if database == "sqlite" else postgres_database, seeds=others(), days=5, kind=GlassLives
    )
