"""The benchmark runs and prints figures. None of them is asserted: a slow machine is no fault."""

from __future__ import annotations

import asyncio
import json
import sys


async def test_the_benchmark_prints_each_side_beside_its_floors() -> None:
    """Few samples, the whole way: real socket, real store, real network process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", "--samples", "3", "--sessions", "4", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()

    figures = json.loads(out)["figures"]
    assert figures.keys() == {"core", "store", "bare"}
    assert all(value > 0 for side in figures.values() for value in side.values())


async def test_the_benchmark_of_the_policy_prints_a_verdict_beside_its_floor() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.policy", "--rules", "20", "--rounds", "3", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()

    figures = json.loads(out)["figures"]
    assert figures.keys() == {"plain", "script", "worst"}
    assert all(value > 0 for side in figures.values() for value in side.values())
