"""docs/RELIABILITY.md: every fault of its tables names a test, and that test is there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.test_security_page import all_tests

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "RELIABILITY.md").read_text(encoding="utf-8")


def test_every_fault_of_the_page_names_a_test_that_exists() -> None:
    known = all_tests()
    rows = [row for row in re.findall(r"^\| .* \|$", PAGE, re.MULTILINE) if row.count("|") == 5]
    faults = [row for row in rows if not row.startswith("| fault |")]
    assert len(faults) > 25
    for row in faults:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert set(named) <= known, set(named) - known


def test_whatever_is_lost_is_said() -> None:
    rows = [row.split("|") for row in re.findall(r"^\| .* \|$", PAGE, re.MULTILINE) if row.count("|") == 5]
    assert {cells[3].strip() for cells in rows} == {"lost", "nothing", "what was cut"}
