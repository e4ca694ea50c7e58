"""The benchmark runs, and its page is made of its documents. No figure is asserted: a slow machine is no fault."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import report, results
from bench.measuring import Part, quantile
from bench.plots import drawn


async def ran(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_the_benchmark_prints_each_figure_beside_its_floor() -> None:
    """Few samples, the whole way: real sockets, real stores, each side a process."""
    document = json.loads(await ran("bench", "--only", "ab", "--scale", "0.005", "--json"))
    alone, many = document["parts"]
    figures = {one["name"]: one for one in alone["figures"]}
    assert figures["p50"]["value"] > 0
    assert figures["p50"]["floor"] > 0
    assert document["machine"]["cores"] > 0
    counted = {one["name"]: one["value"] for one in many["figures"]}
    assert counted["4 sessions, told"] == 4
    assert counted["4 sessions, told twice or in another room"] == 0


async def test_the_benchmark_of_the_policy_prints_a_verdict_beside_its_floor() -> None:
    figures = json.loads(await ran("bench.policy", "--rules", "20", "--rounds", "3", "--json"))["figures"]
    assert figures.keys() == {"plain", "script", "worst"}
    assert all(value > 0 for side in figures.values() for value in side.values())


def a_document(value: float) -> dict[str, object]:
    part = Part(letter="a", title="One result", axes=("ms", "%"), series={"core": [(1.0, 5.0), (2_000.0, 99.0)]})
    part.add("p50", value, "ms", floor=2.0, most_of_floor=2.0)
    on = {
        "at": "2026-01-01T00:00:00Z",
        "cpu": "a processor",
        "cores": 2,
        "memory_gib": 4.0,
        "system": "Linux",
        "python": "3.11",
        "sqlite": "3.40",
        "versions": {"aiohttp": "3", "twilio": None},
        "load_before": 0.1,
    }
    return {"machine": on, "scale": 1.0, "parts": [part.form()]}


def test_the_page_holds_each_figure_with_floor_ratio_and_what_it_was_before() -> None:
    page = report.page(a_document(3.0), a_document(9.0))
    assert "| p50 | 3 ms | 2 ms | 1.50 | 9 ms | 4.50 | ≤ 2 × floor ✓ |" in page
    assert "![One result](benchmarks/a.svg)" in page
    assert page.startswith("# What it costs")
    assert "## Where the time goes" in page


def test_a_document_keeps_the_parts_that_were_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    first, second = a_document(3.0), a_document(4.0)
    second["parts"] = [{**Part(letter="b", title="Many").form()}]
    results.write("now", first)
    kept = json.loads(results.write("now", second).read_text())
    assert [part["letter"] for part in kept["parts"]] == ["a", "b"]
    assert kept["parts"][0]["figures"][0]["value"] == 3.0


def test_a_plot_is_well_formed_and_shows_every_line() -> None:
    root = ET.fromstring(drawn("a & b", {"one": [(1.0, 1.0), (9.0, 3.0)], "two": [(1.0, 5e5)]}, ("x", "y")))  # noqa: S314
    assert len([each for each in root if each.tag.endswith("polyline")]) == 2


def test_a_quantile_lies_between_its_neighbours() -> None:
    assert [quantile([3.0, 1.0, 2.0], percent) for percent in (0, 50, 100)] == [1.0, 2.0, 3.0]
    assert quantile([1.0, 2.0], 75) == 1.75
    assert quantile([4.0], 99) == 4.0
