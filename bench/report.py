"""`make bench-report`: from the documents of runs to docs/BENCHMARKS.md and its plots.

The page is made from `results/*.json` alone: `now` is what the program costs, `before` is what it cost when the work on
its speed began. Words that no run can know stand in `report.md` beside this module.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench.plots import drawn
from bench.results import RESULTS, number

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "BENCHMARKS.md"
PLOTS = ROOT / "docs" / "benchmarks"
WORDS = Path(__file__).parent / "report.md"


def page(now: dict[str, Any], before: dict[str, Any] | None) -> str:
    """The whole page, as text."""
    head, _, tail = WORDS.read_text().partition("<!-- figures -->\n")
    lines = [head.rstrip(), "", *_machine(now, before)]
    for part in now["parts"]:
        lines += ["", f"## ({part['letter']}) {part['title']}", ""]
        older = _figures(before, part["letter"])
        if note := _measured_apart(part, now):
            lines += [note, ""]
        if part["figures"]:
            lines += _table(part["figures"], older)
        lines += [f"\n{note}" for note in part["notes"]]
        if part["series"]:
            lines += ["", f"![{part['title']}](benchmarks/{part['letter']}.svg)"]
    return "\n".join(lines) + "\n\n" + tail.lstrip()


def _machine(now: dict[str, Any], before: dict[str, Any] | None) -> list[str]:
    on = now["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in on["versions"].items() if version)
    what = f"{on['cpu']}, {on['cores']} cores, {on['memory_gib']} GiB, {on['system']}, Python {on['python']}"
    lines = [
        f"Measured {on['at']} on: {what}, SQLite {on['sqlite']}, {versions}. Load at the end: {on['load_before']}."
    ]
    if now["scale"] != 1:
        lines.append(f"\nA quick look: {now['scale']:g} of the samples.")
    if before is not None:
        lines.append(
            f"\n“Before” was measured {before['machine']['at']}, load at the end {before['machine']['load_before']}."
        )
    return lines


def _measured_apart(part: dict[str, Any], now: dict[str, Any]) -> str:
    """Where a part is of another run than the page's head says."""
    on, scale = part.get("machine", now["machine"]), part.get("scale", now["scale"])
    if (on["at"], scale) == (now["machine"]["at"], now["scale"]):
        return ""
    return f"Measured {on['at']}, {scale:g} of the samples, load at the end {on['load_before']}."


def _figures(document: dict[str, Any] | None, letter: str) -> dict[str, dict[str, Any]]:
    parts = [] if document is None else document["parts"]
    return {one["name"]: one for part in parts if part["letter"] == letter for one in part["figures"]}


def _table(figures: list[dict[str, Any]], older: dict[str, dict[str, Any]]) -> list[str]:
    has_before = any(one["name"] in older for one in figures)
    heads = ["", "value", "floor", "ratio", *(["before", "ratio before"] if has_before else []), "target"]
    rows = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for one in figures:
        ratio = "" if one["ratio"] is None else f"{one['ratio']:.2f}"
        met = {True: " ✓", False: " ✗", None: ""}[one["is_met"]]
        cells = [one["name"], number(one["value"], one["unit"]), number(one["floor"], one["unit"]), ratio]
        if has_before:
            then = older.get(one["name"])
            cells += ["", ""] if then is None else [number(then["value"], then["unit"]), _ratio(then)]
        rows.append("| " + " | ".join([*cells, f"{one['target']}{met}"]) + " |")
    return rows


def _ratio(one: dict[str, Any]) -> str:
    return "" if one["ratio"] is None else f"{one['ratio']:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("--now", default="now", help="name of the document in bench/results")
    parser.add_argument("--before", default="before", help="the one to compare with, where it is there")
    asked = parser.parse_args()
    path, older = RESULTS / f"{asked.now}.json", RESULTS / f"{asked.before}.json"
    if not path.exists():
        sys.exit(f"there is no {path}; make it with: python -m bench --keep {asked.now}")
    now = json.loads(path.read_text())
    before = json.loads(older.read_text()) if older.exists() else None
    PLOTS.mkdir(exist_ok=True)
    for part in now["parts"]:
        if part["series"]:
            plot = drawn(part["title"], part["series"], tuple(part["axes"]))
            (PLOTS / f"{part['letter']}.svg").write_text(plot)
    PAGE.write_text(page(now, before))
    sys.stdout.write(
        f"{PAGE.relative_to(ROOT)} and {PLOTS.relative_to(ROOT)}/*.svg are made of {path.relative_to(ROOT)}\n"
    )


if __name__ == "__main__":
    main()
