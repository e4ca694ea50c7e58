"""`make bench`: what Homing costs, each figure beside its floor in the same run."""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import edges, fleet, footprint, growth, soak, way_home
from bench.machine import machine
from bench.measuring import Bench, Part
from bench.results import RESULTS, table, write

Measure = Callable[[Bench], Awaitable[Part]]
PARTS: dict[str, tuple[Measure, float, str]] = {
    "a": (way_home.alone, 180.0, "one finished report to its told message, one at a time"),
    "b": (way_home.at_once, 180.0, "200 and 2,000 sessions that finish inside one second"),
    "c": (edges.decision, 180.0, "a decision to the command's first output, on a real node"),
    "d": (edges.webhook, 120.0, "an inbound webhook to its recorded acknowledgement"),
    "e": (growth.growth, 1_500.0, "one result, as what the store holds grows to a million"),
    "f": (fleet.fleet, 300.0, "a thousand nodes, a hundred of them streaming"),
    "g": (footprint.footprint, 300.0, "cold start, idle memory, install size"),
    "h": (soak.soak, 300.0, "a day's results in two minutes: what must not grow"),
    "o": (way_home.overload, 180.0, "one noisy room, account or node: what it costs the others"),
}
"""Letter -> how it is measured, the seconds after which it is given up, and what it is."""


async def measure(bench: Bench, letters: str) -> list[Part]:
    """Each part within its time; one that fails is said and costs no other."""
    parts = []
    for letter in letters:
        act, within_s, title = PARTS[letter]
        bench.tell(f"{letter}: {title}")
        try:
            async with asyncio.timeout(within_s):
                parts.append(await act(bench))
        except (TimeoutError, RuntimeError, OSError, LookupError, AssertionError, sqlite3.Error) as fault:
            words = f"not measured: {type(fault).__name__} {fault}".strip()
            bench.tell(f"{letter}: {words}")
            parts.append(Part(letter=letter, title=title, notes=[words]))
    return parts


def main() -> None:
    listed = "\n".join(
        f"  {letter}  {title} (at most {within_s:.0f} s)" for letter, (_, within_s, title) in PARTS.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=f"{__doc__}\n\nParts:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", default="".join(PARTS), metavar="LETTERS", help="these parts alone, such as --only ab"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="0.01 to 1: a share of the samples, for a quick look")
    parser.add_argument("--json", action="store_true", help="one document on standard output instead of the table")
    parser.add_argument("--keep", metavar="NAME", help=f"write the document to {RESULTS}/NAME.json as well")
    asked = parser.parse_args()
    if unknown := set(asked.only) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="homing-bench-") as name:
        bench = Bench(folder=Path(name), scale=max(0.001, min(1.0, asked.scale)))
        parts = asyncio.run(measure(bench, asked.only))
    document = {"machine": machine(), "scale": bench.scale, "parts": [part.form() for part in parts]}
    if asked.keep:
        write(asked.keep, document)
    sys.stdout.write(json.dumps(document) + "\n" if asked.json else table(document) + "\n")


if __name__ == "__main__":
    main()
