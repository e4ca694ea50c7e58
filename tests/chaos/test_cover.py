"""kill -9 at every named point of the whole program, each at least once, and a restart.

The command runs at most once; its end is told once, where it was asked and nowhere else; nothing that was acknowledged
is lost; nothing is left behind but what is held or dead, and visible.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.cover import OUT_OF_REACH, cover
from tests.chaos.points import Moment, gateway_points, node_points, sites
from tests.chaos.storm import storm
from tests.test_security_page import all_tests


def test_every_write_of_the_gateway_is_a_point_with_a_name_of_its_own() -> None:
    names = [site.name for site in sites().found]
    assert len(names) == len(set(names))
    assert {"flow.heartbeat.Heartbeat.commit write again", "flow.heartbeat.Heartbeat._tell keep"} <= set(names)
    # One line of the source is one point: two writes of one line could not be told apart.
    lines = [(site.path, line) for site in sites().found for line in range(site.first_line, site.last_line + 1)]
    assert len(lines) == len(set(lines))


def test_what_no_story_reaches_is_a_point_and_has_a_test_of_its_own() -> None:
    assert {f"{Moment.BEFORE} {point}" for point in OUT_OF_REACH} <= gateway_points() | node_points()
    assert {test for _, test in OUT_OF_REACH.values()} <= all_tests()


@pytest.mark.timeout(1_800)
async def test_f034_f040_f067_a_kill_at_any_named_point_breaks_neither_promise(home: Path, migrated: Path) -> None:
    report = await cover(home, migrated)
    print(*report.lines(), sep="\n")
    assert report.violations == []
    assert report.missed == []


@pytest.mark.timeout(600)
async def test_a_round_of_random_blows_breaks_neither_promise(home: Path, migrated: Path) -> None:
    outcome = await storm(home / "w", migrated, seed=5, minutes=10.0, rounds=1)
    assert sum(outcome.kills.values()) >= 1
    assert outcome.violations == []
