"""The harness is able to fail: each of ten deliberate faults is found, by the stories and the records as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.cover import Report, Teller
from tests.chaos.planted import SAYS, SHOWS_IN, SPEAKS, Planted
from tests.chaos.stories import network_stories, web_stories


@pytest.mark.timeout(600)
@pytest.mark.parametrize("planted", list(Planted))
async def test_a_planted_fault_is_found(home: Path, migrated: Path, planted: Planted) -> None:
    report = Report()
    speaks = SPEAKS.get(planted, ())
    make = network_stories if speaks else web_stories
    teller = Teller(
        home=home, migrated=migrated, make=make, report=report, speaks=speaks, planted=planted, within_s=20.0
    )
    try:
        for story, point in SHOWS_IN[planted]:
            await teller.tell(story, point)
            if any(SAYS[planted] in fault for fault in report.violations):
                break
    finally:
        await teller.close()
    found = [fault for fault in report.violations if SAYS[planted] in fault]
    assert found, (report.stories, report.kills, report.violations)
