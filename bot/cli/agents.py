"""What `homing status` says of agents: what their models took within a day, and when they are woken next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bot.cli import shown
from bot.domain.parts import duration
from bot.domain.spending import MICROS, Spent
from bot.inquiry import Standing

if TYPE_CHECKING:
    from bot.config import Settings


def lines(settings: Settings, now: Standing) -> Iterator[str]:
    """One line an agent; nothing where none has a model, and none had within the day."""
    currencies = {agent.name: agent.currency for agent in settings.agents}
    spent = dict(now.spendings)
    for name in dict.fromkeys((*currencies, *spent)):
        took = spent.get(name, Spent())
        model = next((agent.model for agent in settings.agents if agent.name == name), "no model any more")
        yield f"agent       {name} ({model}): {_words(took, currencies.get(name, ''))} within a day"


def clock_lines(settings: Settings, now: Standing, times: shown.Times) -> Iterator[str]:
    """One line for each cadence and schedule of the config: what became of its last time, and when it comes next."""
    from bot.config.woken import heartbeats

    wanted = [f"heartbeat:{name}" for _, name, section in heartbeats(settings) if section.every > 0]
    wanted += [f"schedule:{one.name}" for one in settings.schedule]
    known = {tick.name: tick for tick in now.ticks}
    for name in wanted:
        tick = known.get(name)
        if tick is None or tick.due_at is None:
            yield f"clock       {name}: no gateway has looked at it yet"
            continue
        ran = "never ran" if tick.ran_at is None else f"ran {times.at(tick.ran_at)}"
        said = "" if tick.said in ("done", "planned") else f", last {tick.said}"
        yield f"clock       {name}: {ran}{said}, next {times.at(tick.due_at)}"


def _words(spent: Spent, currency: str) -> str:
    money = f", {spent.money_micros / MICROS:.2f} {currency}" if spent.money_micros else ""
    return (
        f"{spent.turns} turns, {spent.requests} requests, {spent.tokens_read} tokens read and "
        f"{spent.tokens_written} written{money}, {duration(spent.took_s)}"
    )


def form(settings: Settings, now: Standing) -> dict[str, object]:
    currencies = {agent.name: agent.currency for agent in settings.agents}
    return {
        "agents": [{"name": name, "currency": currencies.get(name), **_form(spent)} for name, spent in now.spendings],
        "clocks": [
            {"name": tick.name, "ran_at": tick.ran_at, "said": tick.said, "next_at": tick.due_at} for tick in now.ticks
        ],
        "sessions": [
            {"agent": name, "session": session, **_form(spent)} for name, session, spent in now.session_spendings
        ],
        "turns": [
            {
                "at": at,
                "agent": one.agent,
                "session": one.session,
                "person": one.person,
                "model": one.model,
                **_form(one.spent),
            }
            for at, one in now.turn_spendings
        ],
    }


def _form(spent: Spent) -> dict[str, object]:
    return {
        "turns": spent.turns,
        "requests": spent.requests,
        "tokens_read": spent.tokens_read,
        "tokens_written": spent.tokens_written,
        "money": spent.money_micros / MICROS,
        "took_s": round(spent.took_s, 3),
    }
