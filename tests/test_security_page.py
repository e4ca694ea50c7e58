"""docs/SECURITY.md: every line that claims something names a test, and that test is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "SECURITY.md").read_text(encoding="utf-8")
FIELD_ROWS = [*range(48, 88), *range(116, 120)]
"""Themes E, F, G and K of the field's failures: approvals, who may decide, integrity, content."""


def all_tests() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        found.update(re.findall(r"^\s*(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    return found


def test_every_claim_of_the_page_names_a_test_that_exists() -> None:
    known = all_tests()
    rows = [row for row in re.findall(r"^\| .* \|$", PAGE, re.MULTILINE) if "held by" not in row]
    assert len(rows) > 40
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert set(named) <= known, set(named) - known


def test_every_failure_of_the_field_about_approvals_is_named_by_a_test() -> None:
    named = {int(number) for test in all_tests() for number in re.findall(r"f(\d{3})(?=_)", test)}
    assert [row for row in FIELD_ROWS if row not in named] == []
