"""(g) what it takes to have it: cold start to ready, idle memory of gateway and node, install size."""

from __future__ import annotations

import asyncio
import importlib.metadata
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.children import Child
from bench.measuring import Bench, Part, a_world, median, rest
from bench.platforms import a_gateway
from bench.programs import Program

IDLE_S = 5.0
"""After it is ready: what the start borrowed has been given back, and the networks' first questions are answered."""


async def footprint(bench: Bench) -> Part:
    """(g)"""
    part = Part(letter="g", title="Cold start to ready, idle memory, install size")
    rounds = bench.count(5, 1)
    bare_s, bare_mib = [], []
    for _ in range(rounds):
        seconds, most = await _bare(bench.folder)
        bare_s.append(seconds)
        bare_mib.append(most)
    floor_s, floor_mib = median(bare_s), median(bare_mib)
    part.add("python -c 'import aiohttp': time", floor_s, "s")
    part.add("python -c 'import aiohttp': most memory", floor_mib, "MiB")
    async with await Child.begin("bench.networks") as networks:
        for title, known, most_s, most_mib in (
            ("gateway with all three networks", networks, 2.5, 120.0),
            ("gateway with the web chat alone", None, None, None),
        ):
            ready, mib, peaks = list[float](), list[float](), list[float]()
            for number in range(rounds):
                # The second start on: the first makes the database.
                folder = bench.path(f"gateway-{known is None}")
                async with a_gateway(folder, known) as (program, _, ready_s):
                    if number or rounds == 1:
                        ready.append(ready_s)
                    await rest(IDLE_S)
                    mib.append(program.usage().rss_mib)
                    peaks.append(program.most_mib())
            bench.tell(f"g: {title}: {median(ready):.2f} s, {median(mib):.0f} MiB")
            part.add(f"{title}: start to ready", median(ready), "s", floor=floor_s, most=most_s)
            part.add(f"{title}: idle memory", median(mib), "MiB", floor=floor_mib)
            part.add(f"{title}: most memory", median(peaks), "MiB", floor=floor_mib, most=most_mib)
    await _node(bench, part, rounds, floor_s, floor_mib)
    await _modules(part)
    for title, names in (("node", ("homing",)), ("gateway", ("homing[gateway]",))):
        part.add(f"install size, {title}", _installed_mib(names), "MiB")
    part.notes.append(
        "Most memory is the peak of the resident set, as /usr/bin/time -v reports it. Ready: the gateway listens and "
        "has tried its accounts; the node has read its policy and its journal and tries to connect. The first start on "
        "a new folder, which makes the database, is left out."
    )
    return part


async def _node(bench: Bench, part: Part, rounds: int, floor_s: float, floor_mib: float) -> None:
    ready, mib, peaks = list[float](), list[float](), list[float]()
    async with a_world() as world:
        # An address at which nobody is a gateway: what is measured is the node's own.
        url = world.greeting["url"].replace("http://", "ws://") + "/node"
        for number in range(rounds + 1):
            folder = bench.path("node")
            log = folder / f"log-{number}"
            words = ("node", "--gateway", url, "--name", "idle", "--state-dir", str(folder / "state"))
            node = await Program.begin(words, folder, log)
            try:
                ready_s = await node.until_said("connecting to")
                if number:
                    ready.append(ready_s)
                await rest(IDLE_S / 2)
                mib.append(node.usage().rss_mib)
                peaks.append(node.most_mib())
            finally:
                await node.end()
    bench.tell(f"g: node: {median(ready):.2f} s, {median(mib):.0f} MiB")
    part.add("node: start to ready", median(ready), "s", floor=floor_s, most=0.7)
    part.add("node: idle memory", median(mib), "MiB", floor=floor_mib)
    part.add("node: most memory", median(peaks), "MiB", floor=floor_mib, most=45.0)


async def _bare(folder: Path) -> tuple[float, float]:
    """`python -c 'import aiohttp'` by the same clock, and the peak of its memory."""
    code = "import aiohttp; print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    begun = time.monotonic()
    out = await _python(folder, "-c", code)
    return time.monotonic() - begun, int(out) / 1_024


async def _modules(part: Part) -> None:
    code = "import sys, bot.node.client; print(len(sys.modules))"
    part.add("modules that a node loads", int(await _python(Path(__file__).parents[1], "-c", code)), "")


async def _python(folder: Path, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=folder, stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )
    out, _ = await process.communicate()
    return out.decode()


def _installed_mib(wanted: Sequence[str]) -> float:
    """All files of these distributions and of what they need, as installed here."""
    seen: set[str] = set()
    waiting = list(wanted)
    size = 0
    while waiting:
        spec = waiting.pop()
        name, extras = re.match(r"([A-Za-z0-9_.-]+)(?:\[([^\]]*)\])?", spec).groups()  # type: ignore[union-attr]
        if spec in seen:
            continue
        seen.add(spec)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if name not in seen or not extras:
            size += sum(_size_of(Path(str(found.locate_file(file)))) for file in found.files or ())
        seen.add(name)
        for needed in found.requires or ():
            requirement, _, marker = needed.partition(";")
            if "extra ==" in marker:
                if not any(f"'{one}'" in marker or f'"{one}"' in marker for one in (extras or "").split(",") if one):
                    continue
            elif marker.strip() and "python_version" in marker and "<" in marker:
                continue
            waiting.append(re.match(r"[A-Za-z0-9_.-]+(\[[^\]]*\])?", requirement.strip())[0])  # type: ignore[index]
    return size / 1_048_576


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
