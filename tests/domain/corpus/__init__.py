"""Shell texts with the verdict that each must get, in the TOML files beside this one; and how to read them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    chapter: str
    text: str
    verdict: str
    """plain: runs as argv; script: is one for a shell; refused: nobody can be given it."""
    reads: str
    """all: every command was found; code: something gets code; unknown: not all of it could be read."""
    programs: frozenset[str]
    """Programs that must be found: what is written, and what wrappers start."""


@cache
def samples() -> tuple[Sample, ...]:
    return tuple(
        Sample(
            chapter=path.stem,
            text=entry["text"] if "text" in entry else "".join(piece * times for piece, times in entry["parts"]),
            verdict=entry["verdict"],
            reads=entry.get("reads", ""),
            programs=frozenset(entry.get("programs", ())),
        )
        for path in sorted(Path(__file__).parent.glob("*.toml"))
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["texts"]
    )
