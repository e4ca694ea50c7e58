"""`make bench`: measures the three sides in one run and prints them with their ratios. `--json` gives one document."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import inside

RUN_S = 60.0
"""The most that a run may take."""
WARM_UP = 20
"""Results before the first that counts: connections are opened, statements are compiled."""
Tell = Callable[[str], None]


class World:
    """The process outside; orders and answers are JSON lines."""

    def __init__(self, process: asyncio.subprocess.Process, greeting: dict[str, Any]) -> None:
        self._process = process
        self.url = str(greeting["url"])
        self.public_key = bytes.fromhex(greeting["public_key"])

    @classmethod
    async def begin(cls) -> World:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.outside",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=16 * 1_048_576,
        )
        return cls(process, await _line_of(process))

    async def order(self, **order: object) -> dict[str, Any]:
        if self._process.stdin is None:
            raise RuntimeError("the process outside takes no orders")
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()
        return await _line_of(self._process)

    async def end(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()


async def measure(samples: int, sessions: int) -> dict[str, dict[str, float]]:
    """side -> figures, in milliseconds and results a second."""
    world = await World.begin()
    figures: dict[str, dict[str, float]] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="homing-bench-") as name:
            folder = Path(name)
            async with inside.bare(folder, world.url) as url:
                names = inside.named(WARM_UP + samples + sessions)
                figures["bare"] = await _one_side(world, url, names, samples, sessions, is_bare=True)
            async with inside.store_alone(folder, world.url, world.public_key) as (url, store):
                names = await inside.running(store, world.public_key, WARM_UP + samples + sessions)
                figures["store"] = await _one_side(world, url, names, samples, sessions, is_bare=True)
            async with inside.core(folder, world.url, world.public_key) as (url, store):
                names = await inside.running(store, world.public_key, WARM_UP + samples + sessions)
                figures["core"] = await _one_side(world, url, names, samples, sessions, is_bare=False)
    finally:
        await world.end()
    return figures


async def _one_side(
    world: World, url: str, names: list[str], samples: int, sessions: int, *, is_bare: bool
) -> dict[str, float]:
    await world.order(do="connect", url=url, bare=is_bare)
    await world.order(do="one_at_a_time", executions=names[:WARM_UP])
    alone = await world.order(do="one_at_a_time", executions=names[WARM_UP : WARM_UP + samples])
    many = await world.order(do="at_once", executions=names[WARM_UP + samples :])
    return {
        "alone_p50_ms": _quantile(alone["ms"], 50),
        "alone_p95_ms": _quantile(alone["ms"], 95),
        "alone_p99_ms": _quantile(alone["ms"], 99),
        "at_once_p50_ms": _quantile(many["ms"], 50),
        "at_once_p99_ms": _quantile(many["ms"], 99),
        "at_once_total_ms": many["total_s"] * 1_000,
        "at_once_per_s": sessions / many["total_s"],
    }


def _quantile(values: list[float], percent: int) -> float:
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


async def _line_of(process: asyncio.subprocess.Process) -> dict[str, Any]:
    line = await process.stdout.readline() if process.stdout is not None else b""
    if not line:
        raise RuntimeError("the process outside has ended; its words are above")
    answer: dict[str, Any] = json.loads(line)
    return answer


def table(figures: dict[str, dict[str, float]], samples: int, sessions: int) -> str:
    """What people read: each figure of the core beside the two floors, and the ratios."""
    rows = [
        ("one at a time, p50", "alone_p50_ms"),
        ("one at a time, p95", "alone_p95_ms"),
        ("one at a time, p99", "alone_p99_ms"),
        (f"{sessions} sessions at once, p50", "at_once_p50_ms"),
        (f"{sessions} sessions at once, p99", "at_once_p99_ms"),
        (f"{sessions} sessions at once, all", "at_once_total_ms"),
    ]
    lines = [
        f"From a node's finished report to the told message, in ms ({samples} samples one at a time).",
        "",
        f"{'':<30} {'core':>9} {'bare floor':>11} {'ratio':>7} {'store floor':>12} {'ratio':>7}",
    ]
    for title, name in rows:
        core, bare, store = (figures[side][name] for side in ("core", "bare", "store"))
        lines.append(f"{title:<30} {core:>9.2f} {bare:>11.2f} {core / bare:>7.1f} {store:>12.2f} {core / store:>7.1f}")
    each = [figures[side]["at_once_per_s"] for side in ("core", "bare", "store")]
    lines.append(f"{'results a second, at once':<30} {each[0]:>9.0f} {each[1]:>11.0f} {'':>7} {each[2]:>12.0f}")
    lines += [
        "",
        "bare floor: one WebSocket frame in, one durable commit by raw sqlite3 (synchronous=FULL), one POST out.",
        "store floor: the same with the completion's own transaction through the store.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--samples", type=int, default=200, help="results one at a time (1 to 2000)")
    parser.add_argument(
        "--sessions", type=int, default=200, help="results at once, each in its own session (1 to 1000)"
    )
    parser.add_argument("--json", action="store_true", help="one document instead of the table")
    asked = parser.parse_args()
    samples, sessions = max(1, min(2_000, asked.samples)), max(1, min(1_000, asked.sessions))

    async def bounded() -> dict[str, dict[str, float]]:
        async with asyncio.timeout(RUN_S):
            return await measure(samples, sessions)

    figures = asyncio.run(bounded())
    if asked.json:
        sys.stdout.write(json.dumps({"samples": samples, "sessions": sessions, "figures": figures}) + "\n")
    else:
        sys.stdout.write(table(figures, samples, sessions) + "\n")


if __name__ == "__main__":
    main()
