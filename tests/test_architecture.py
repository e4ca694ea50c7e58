"""The tests that docs/ARCHITECTURE.md names exist; and the invariants that only a reader of code can hold."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from bot.domain.session import Session
from bot.loop import Wake
from bot.ports import Wakes

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for room in ("bot", "channels") for path in (ROOT / room).rglob("*.py"))


def _calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))


def test_every_invariant_of_the_architecture_names_tests_that_exist() -> None:
    """A table of promises whose tests were renamed away would promise nothing."""
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| .+ \| (.+) \|$", page, re.MULTILINE)
    named = {name for _, cell in rows for name in re.findall(r"`(test_\w+)`", cell)}
    here = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert [int(number) for number, _ in rows] == list(range(1, 14))
    assert all(re.search(r"`test_\w+`", cell) for _, cell in rows)
    assert named - here == set()


def test_no_code_derives_an_address_from_a_key() -> None:
    """Invariant 4: a key is read back to check what an operator wrote, and for the name of its agent."""
    readers = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        for call in _calls(path)
        if isinstance(call.func, ast.Name) and call.func.id == "parse_key"
    }

    assert readers == {"bot/domain/place.py", "bot/domain/session.py", "bot/config/values.py"}


def test_no_wake_carries_data() -> None:
    """Invariant 8: a wake has nothing to say but that it is one."""
    for wake in (Wake.wake, Wakes.wake):
        assert list(inspect.signature(wake).parameters) == ["self"]


def test_log_lines_are_events_with_keys() -> None:
    """Invariant 10: the first word is one of ours, never a text that came from outside."""
    faults = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in SOURCES
        for call in _calls(path)
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "log"
        and call.func.attr in {"debug", "info", "warning", "error", "exception", "critical"}
        and not (
            len(call.args) == 1
            and (
                (
                    isinstance(call.args[0], ast.Constant)
                    and re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", str(call.args[0].value))
                )
                # A parameter of a private function, whose callers write it out.
                or (isinstance(call.args[0], ast.Name) and call.args[0].id == "event")
            )
        )
    ]

    assert faults == []


def test_every_class_of_keys_has_one_sink_on_the_page_and_a_test_that_holds_it() -> None:
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \| `(test_\w+)` \|$", page, re.MULTILINE)
    classes = [one.__name__ for one in get_args(Session)]
    assert sorted(name for name, *_ in rows) == sorted(classes)
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for _, key, _, test in rows:
        assert f"def {test}(" in tests
        assert key.startswith("`agent:main:")
