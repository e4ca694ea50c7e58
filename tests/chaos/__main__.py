"""`make chaos MINUTES=10 SEED=7`: storms side by side, a line after each round, a report that is kept.

Exits 1 on a violation and says how to repeat it; the home of that storm stays, with its logs and its database.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from bot.store import migrate
from tests.chaos.storm import Outcome, storm

KEPT = Path("chaos-report")
STORMS = 2
"""Side by side: each mostly waits for processes that start."""


async def run(minutes: float, seed: int, home: Path) -> list[Outcome]:
    migrated = home / "migrated.db"
    migrate(f"sqlite:///{migrated}")

    async def one(number: int) -> Outcome:
        def say(line: str) -> None:
            print(f"seed {number}, {line}", flush=True)

        return await storm(home / str(number), migrated, seed=number, minutes=minutes, say=say)

    return list(await asyncio.gather(*(one(seed + n) for n in range(STORMS))))


def main() -> int:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else secrets.randbelow(1_000_000)
    KEPT.mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="hc-"))
    print(f"chaos: {minutes:g} minutes, seed {seed}; homes in {home}", flush=True)
    outcomes = asyncio.run(run(minutes, seed, home))
    violations = [f"seed {one.seed}: {fault}" for one in outcomes for fault in one.violations]
    report = KEPT / f"report-{seed}.json"
    report.write_text(json.dumps({"storms": [one.form() for one in outcomes]}, indent=2) + "\n")
    kills = sum(sum(one.kills.values()) for one in outcomes)
    points = len({point for one in outcomes for point in one.points})
    print(
        f"chaos: {kills} kills, {points} different points, {sum(one.asked for one in outcomes)} requests, "
        f"{sum(one.runs for one in outcomes)} commands run, {len(violations)} violations; report: {report}"
    )
    if not violations:
        shutil.rmtree(home, ignore_errors=True)
        return 0
    print(*violations, sep="\n")
    print(f"Repeat it with: make chaos MINUTES={minutes:g} SEED={seed}   (its home stays: {home})")
    return 1


if __name__ == "__main__":
    sys.exit(main())
