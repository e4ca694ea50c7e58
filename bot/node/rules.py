"""The node's own policy: what it will ever run, for which gateway, as whom, where, under which limits. It wins.

What it says of a command is None or a reason. Reasons are read by whoever asked: they say what would be allowed, and
never how to be rid of it (F-076). Deliberately absent: the file it comes from (see `rules_file`), and any look at the
disk but where directories really are.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bot.domain.command import Limits, NodeFingerprint, Request
from bot.domain.pattern import Pattern
from bot.domain.shell import Analysis, Unit
from bot.node.frames import MAX_OUTPUT_BYTES
from bot.node.plain_text import WHAT_IT_IS, is_commands_only

_MAX_SHOWN = 12
"""Patterns in one refusal: it is read in a chat."""
_MAX_SHOWN_CHARS = 80

MOST = Limits(timeout_s=31_536_000.0, output_bytes=MAX_OUTPUT_BYTES)
"""Where a policy sets no limit of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request as this node has looked at it, for its policy to judge."""

    request: Request
    analysis: Analysis
    gateway: str
    """Fingerprint of the key that asks."""
    cwd: str
    programs: tuple[tuple[str | None, ...], ...]
    """For each reading of each unit, the file that it starts, where that can be known."""
    scripts: tuple[str, ...]
    """Files that are named to be run: by their path, or to an interpreter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All of `node.toml`. Made without anything it allows what the gateway approved."""

    gateways: tuple[NodeFingerprint, ...] = ()
    """Keys that it obeys; empty: the one of the first contact."""
    commands: tuple[Pattern, ...] = ()
    """What it runs; empty: anything that the gateway approved."""
    deny: tuple[Pattern, ...] = ()
    """What it never runs, whatever `commands` holds."""
    scripts: bool | None = None
    """Whether it runs shell texts. None: only where `commands` is empty."""
    user: str | None = None
    """The user of commands. None: the node's own."""
    dirs: tuple[Path, ...] = ()
    """Where the work directory, and each file that is named to be run, must be; empty: anywhere."""
    env_names: tuple[str, ...] | None = None
    """Of the node's environment, what commands get beside the clean one. None: what the command line says."""
    limits: Limits = field(default_factory=lambda: MOST)

    @property
    def runs_scripts(self) -> bool:
        return self.scripts if self.scripts is not None else not self.commands

    def obeys(self, gateway: str) -> bool:
        return not self.gateways or gateway in self.gateways

    def refusal(self, seen: Seen) -> str | None:
        """Why this is not run here; None where it may be. The order is the order of what matters most."""
        if not self.obeys(seen.gateway):
            return "this node does not obey the gateway that asks; ask whoever keeps the node"
        return self._denied(seen) or self._not_listed(seen) or self._elsewhere(seen)

    def _denied(self, seen: Seen) -> str | None:
        for unit, programs in zip(seen.analysis.units, seen.programs, strict=True):
            if self.deny and unit.is_unknown:
                return (
                    "this node's own policy denies some commands, and which one this would start is not known before "
                    "a shell runs it; write the program's name out"
                )
            for pattern in self.deny:
                if any(
                    pattern.fits(view, executable=program, loosely=True)
                    for view, program in zip(unit.views, programs, strict=True)
                ):
                    return f"this node's own policy never runs {_shown(unit)}: it fits “{pattern.text}”"
        return None

    def _not_listed(self, seen: Seen) -> str | None:
        script = seen.request.script
        if script is not None and not self.runs_scripts:
            return f"this node's own policy runs no shell texts, only one plain command at a time{self._what_runs()}"
        if not self.commands:
            # Else `sh -c` with its text as a plain word would be the way around.
            if not self.runs_scripts and any(unit.runs_code for unit in seen.analysis.units):
                return "this node's own policy runs plain commands only, and no code that is given among their words"
            return None
        if script is not None and not is_commands_only(script):
            return f"of shell texts, this node's own policy runs {WHAT_IT_IS}{self._what_runs()}"
        for unit, programs in zip(seen.analysis.units, seen.programs, strict=True):
            if not self._lists(unit, None if script is not None else programs[0]):
                return f"this node's own policy does not hold {_shown(unit)}{self._what_runs()}"
        return None

    def _lists(self, unit: Unit, executable: str | None) -> bool:
        view = unit.views[0]
        return not unit.is_unknown and any(
            pattern.spells_out(view.through) and pattern.fits(view, executable=executable, loosely=False)
            for pattern in self.commands
        )

    def _elsewhere(self, seen: Seen) -> str | None:
        if not self.dirs:
            return None
        real = [path.resolve() for path in self.dirs]
        for path in (seen.cwd, *seen.scripts):
            if not any(Path(path).is_relative_to(directory) for directory in real):
                what = "starts commands" if path == seen.cwd else "runs files that are named by their path"
                return f"this node's own policy {what} only below {_listed(map(str, real))}, and {path} is not there"
        return None

    def _what_runs(self) -> str:
        return f"; it runs {_listed(f'“{pattern.text}”' for pattern in self.commands)}" if self.commands else ""


def _shown(unit: Unit) -> str:
    # With its quotes: without them the gateway could not see how far a password goes that it has to mask.
    text = " ".join("…" if word is None else shlex.quote(word) for word in unit.views[0].words)
    return f"“{text[:_MAX_SHOWN_CHARS]}{'…' if len(text) > _MAX_SHOWN_CHARS else ''}”"


def _listed(texts: Iterable[str]) -> str:
    every = list(texts)
    more = f" and {len(every) - _MAX_SHOWN} more" if len(every) > _MAX_SHOWN else ""
    return ", ".join(every[:_MAX_SHOWN]) + more
