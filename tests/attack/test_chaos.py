"""Processes killed, frozen and started again at random while people ask, decide, press twice and post twice.

Whatever happens: no command runs twice, no end goes untold, nothing stands anywhere but where it was asked.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attack.turmoil import storm, turmoil


@pytest.mark.timeout(300)
async def test_a_few_blows_break_neither_promise(tmp_path: Path) -> None:
    async with turmoil(tmp_path / "home", seed=5) as world:
        await storm(world, for_s=8.0, asks=16)
        assert world.blows
        assert await world.faults() == []


@pytest.mark.long
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_minutes_of_blows_break_neither_promise(tmp_path: Path, seed: int) -> None:
    async with turmoil(tmp_path / "home", seed=seed) as world:
        await storm(world, for_s=120.0, asks=100)
        assert await world.faults() == []
