"""Writes docs/machines.md from the tables that the program runs: `.venv/bin/python docs/draw_machines.py`.

Deliberately absent: any state or trigger by name. A test holds the page equal to what this makes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from bot.domain.event import EVENT_TRANSITIONS, INPUT_TRANSITIONS, EventState, InputState
from bot.domain.execution import TRANSITIONS, ExecutionState
from bot.domain.glass import GLASS_TRANSITIONS, GlassState

PAGE = Path(__file__).with_name("machines.md")
INTRODUCTION = """\
# The state machines

Drawn by `.venv/bin/python docs/draw_machines.py` from the tables in `bot/domain`: change the tables, not this page.
Every change of a state is a lookup in one of them; the store's guard (`UPDATE … WHERE id = ? AND state = ?`) comes from
the same table. What a table does not hold cannot happen: the attempt raises `IllegalTransition` and changes nothing.
"""
Table = Mapping[Any, Mapping[Any, StrEnum]]
MACHINES: tuple[tuple[str, str, type[StrEnum], Table], ...] = (
    (
        "Execution",
        "`TRANSITIONS` in `bot/domain/execution.py`. Nothing leads back to `approved`: a command runs at most once.",
        ExecutionState,
        TRANSITIONS,
    ),
    (
        "Event",
        "`EVENT_TRANSITIONS` in `bot/domain/event.py`. An event leaves the queue told, or dead and visible.",
        EventState,
        EVENT_TRANSITIONS,
    ),
    (
        "Input",
        "`INPUT_TRANSITIONS` in `bot/domain/event.py`. Typed decisions are answered without waiting for a turn.",
        InputState,
        INPUT_TRANSITIONS,
    ),
    (
        "Break-glass",
        "`GLASS_TRANSITIONS` in `bot/domain/glass.py`. Nothing leads back to `open`; each end owes a review.",
        GlassState,
        GLASS_TRANSITIONS,
    ),
)


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([INTRODUCTION, *(line for machine in MACHINES for line in _section(*machine))])


def _section(name: str, about: str, states: type[StrEnum], table: Table) -> Iterator[str]:
    yield f"## {name}\n\n{about}\n\n```mermaid\nstateDiagram-v2"
    yield f"    [*] --> {next(iter(states))}"
    for state in states:
        triggers: dict[StrEnum, list[str]] = {}
        for trigger, after in table[state].items():
            triggers.setdefault(after, []).append(trigger)
        for after, names in triggers.items():
            yield f"    {state} --> {after}: {', '.join(names)}"
        if not table[state]:
            yield f"    {state} --> [*]"
    yield "```\n\n| state | triggers | who moves it on |\n|---|---|---|"
    who = _who(states)
    for state in states:
        ways = " · ".join(f"{trigger} → {after}" for trigger, after in table[state].items())
        yield f"| {state} | {ways or '–'} | {who.get(state, '–')} |"
    yield ""


def _who(states: type[StrEnum]) -> dict[str, str]:
    """The comment behind each state in the source."""
    return dict(re.findall(r'= "(\w+)" +# (.+)', inspect.getsource(states)))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
