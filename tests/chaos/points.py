"""The named points of the path, read from the code itself: a new commit, frame or state is a new point by itself.

Commits are named by the call site that writes (`flow.heartbeat.Heartbeat._tell keep`), frames by their word in the
protocol's table, the journal by its states. Deliberately absent: what happens at a point.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import FrameType

from bot.domain.node import Known
from bot.node.journal import State
from bot.node.protocol import FROM_GATEWAY, FROM_NODE

ROOT = Path(__file__).resolve().parents[2]
WRITERS = ("bot/flow", "bot/app.py", "bot/reloading.py", "bot/store/chatlog.py")
"""Where a running gateway writes. The command line is left out: each of its words is one transaction of its own, and
whoever typed it sees whether it was done."""
PASS_ON = frozenset({"Completion._apply"})
"""Methods through which several others write: their callers are the sites."""


class Moment(StrEnum):
    BEFORE = "before"
    AFTER = "after"
    ON = "on"  # received, and nothing done about it yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One call that writes to the store."""

    name: str
    path: str
    """Absolute, as a frame knows it."""
    first_line: int
    last_line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """All of them. `forwards` write for whoever calls them: those calls are the sites."""

    found: tuple[Site, ...]
    forwards: frozenset[tuple[str, str]]
    """Path and qualified name."""

    def at(self, frame: FrameType | None) -> Site | None:
        """The site that this frame is in the middle of, looked at through those that only pass a write on."""
        while frame is not None and (frame.f_code.co_filename, frame.f_code.co_qualname) in self.forwards:
            frame = frame.f_back
        if frame is None:
            return None
        return self._by_line().get((frame.f_code.co_filename, frame.f_lineno))

    @cache  # noqa: B019 -- there is one of these in a process
    def _by_line(self) -> Mapping[tuple[str, int], Site]:
        return {(one.path, line): one for one in self.found for line in range(one.first_line, one.last_line + 1)}


@cache
def sites() -> Sites:
    """Read from the source. Every name is given once."""
    found: list[Site] = []
    forwards: set[tuple[str, str]] = set()
    for path in sorted(_modules()):
        module = ".".join(path.relative_to(ROOT / "bot").with_suffix("").parts)
        calls = list(_calls(ast.parse(path.read_text(encoding="utf-8")), ""))
        passed_on = {within for within, call in calls if _is_write(call) and within in PASS_ON}
        forwards |= {(str(path), within) for within in passed_on}
        for within, call in calls:
            if _is_write(call) and within not in passed_on:
                name = f"{module}.{within} {_what(call.args[0])}"
            elif _callee(call) in {one.rpartition(".")[2] for one in passed_on}:
                name = f"{module}.{within}"
            else:
                continue
            if any(name == one.name for one in found):
                name += " again"
            last = call.end_lineno or call.lineno
            found.append(Site(name=name, path=str(path), first_line=call.lineno, last_line=last))
    return Sites(found=tuple(found), forwards=frozenset(forwards))


def _modules() -> Iterator[Path]:
    for writer in WRITERS:
        path = ROOT / writer
        yield from path.rglob("*.py") if path.is_dir() else (path,)


def _calls(node: ast.AST, within: str) -> Iterator[tuple[str, ast.Call]]:
    """Each call with the qualified name of the function that it stands in."""
    for child in ast.iter_child_nodes(node):
        inside = within
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            inside = f"{within}.{child.name}" if within else child.name
        if isinstance(child, ast.Call):
            yield within, child
        yield from _calls(child, inside)


def _callee(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _is_write(call: ast.Call) -> bool:
    """`store.write(…)`, whatever the store is held in."""
    if _callee(call) != "write" or not isinstance(call.func, ast.Attribute):
        return False
    held_in = call.func.value
    name = held_in.attr if isinstance(held_in, ast.Attribute) else held_in.id if isinstance(held_in, ast.Name) else ""
    return name.strip("_") == "store"


def _what(given: ast.expr) -> str:
    """The function that makes the transaction, as one would say it."""
    match given:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name
        case ast.Attribute(value=ast.Attribute(attr=group), attr=name):
            return f"{group}.{name}"
        case ast.Attribute(attr=name):
            return name
        case ast.Call(func=ast.Name(id="partial"), args=[made, *_]):
            return _what(made)
        case ast.Call(func=called):
            return _what(called)
        case ast.Lambda(body=body):
            return _what(body)
        case ast.Tuple(elts=each):
            return "+".join(map(_what, each))
        case _:
            return type(given).__name__


NETWORKS = ("web", "discord", "slack", "whatsapp")
CANNOT = {
    "whatsapp edits",  # its cards are followed by lines
    "whatsapp records reaction",  # Twilio delivers none
    "web records reaction",  # a page has buttons
    "web looks after",  # they confirm at once, so they are never asked: the log is the network
    "discord looks after",
    "slack looks after",
    "web records delivered",
    "discord records delivered",
    "slack records delivered",
}
"""What these networks cannot do, or never need."""
_DOES = ("sends", "edits", "finds", "looks after")
RECORDS = ("message", "press", "reaction", "delivered")
SETTLED = (Known.FINISHED, Known.NEVER_STARTED, Known.UNKNOWN, Known.UNSEEN)
"""What a tombstone can say; `running` is no end."""


def commit(site: str) -> str:
    return f"commit {site}"


def gateway_points() -> frozenset[str]:
    """Where a gateway can be killed by itself."""
    both = [commit(site.name) for site in sites().found]
    both += [f"gateway sends {word}" for word in FROM_GATEWAY]
    on = [f"gateway receives {word}" for word in FROM_NODE]
    for network in NETWORKS:
        both += [what for does in _DOES if (what := f"{network} {does}") not in CANNOT]
        for kind in RECORDS:
            what = f"{network} records {kind}"
            if what not in CANNOT:
                # Before it is recorded; then recorded and not acknowledged; then acknowledged.
                both.append(what)
                on.append(f"{network} acknowledged {kind}")
    return _with(both, on)


def node_points() -> frozenset[str]:
    both = [f"node sends {word}" for word in FROM_NODE]
    both += [f"journal {state.value}" for state in State]
    both += [f"tombstone {known.value}" for known in SETTLED]
    both += ["reserves", "starts"]
    on = [f"node receives {word}" for word in FROM_GATEWAY] + ["process ended"]
    return _with(both, on)


def _with(both: list[str], on: list[str]) -> frozenset[str]:
    moments = (Moment.BEFORE, Moment.AFTER)
    return frozenset(
        [f"{moment} {what}" for what in both for moment in moments] + [f"{Moment.ON} {what}" for what in on]
    )
