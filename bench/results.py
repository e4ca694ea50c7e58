"""The documents of runs: kept as JSON, shown as a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def write(name: str, document: dict[str, Any]) -> Path:
    """`results/NAME.json`. Parts that were not measured this time are kept from the document that stood there."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    if path.exists():
        measured = {part["letter"] for part in document["parts"]}
        older = json.loads(path.read_text())
        kept = [
            {**part, "machine": part.get("machine", older["machine"]), "scale": part.get("scale", older["scale"])}
            for part in older["parts"]
            if part["letter"] not in measured
        ]
        document = {**document, "parts": sorted([*document["parts"], *kept], key=lambda part: str(part["letter"]))}
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def number(value: float | None, unit: str = "") -> str:
    if value is None:
        return ""
    shown = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"
    return f"{shown} {unit}".strip()


def table(document: dict[str, Any]) -> str:
    """What people read: each figure beside its floor, the ratio, and the target."""
    lines = []
    on = document["machine"]
    lines.append(f"{on['cpu']}, {on['cores']} cores, {on['system']}, Python {on['python']}, SQLite {on['sqlite']}")
    lines.append(f"load when it ended: {on['load_before']}; scale {document['scale']:g}")
    for part in document["parts"]:
        lines += ["", f"({part['letter']}) {part['title']}"]
        for one in part["figures"]:
            ratio = f"{one['ratio']:.2f} ×" if one["ratio"] is not None else ""
            met = {True: "met", False: "NOT met", None: ""}[one["is_met"]]
            value, floor = number(one["value"], one["unit"]), number(one["floor"], one["unit"])
            lines.append(f"  {one['name']:<70} {value:>14} {floor:>14} {ratio:>9}  {one['target']} {met}".rstrip())
        lines += [f"  {note}" for note in part["notes"]]
    return "\n".join(lines)
