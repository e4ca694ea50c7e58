"""What a command prints: exactly one JSON document, or lines and tables for people. Faults as one line each.

Deliberately absent: colour that carries meaning. Every state is a word; NO_COLOR is honoured by rich.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from bot.domain.parts import visible

USAGE_EXIT_CODE = 2


def document(form: object) -> None:
    """The one document of `--json`, on standard output."""
    sys.stdout.write(json.dumps(form, ensure_ascii=False, indent=2) + "\n")


def line(text: str) -> None:
    """One line for people. Control characters in it are made visible: names and commands come from outside."""
    sys.stdout.write(visible(text) + "\n")


def faults(lines: Sequence[str], *, as_json: bool) -> None:
    """On standard error, one line each; with `--json` the document says it as well."""
    if as_json:
        document({"ok": False, "error": "; ".join(lines)})
    for text in lines:
        sys.stderr.write(f"homing: {visible(text)}\n")


def aside(text: str) -> None:
    """A word for people on standard error: on standard output stands what was asked for, and nothing else."""
    sys.stderr.write(visible(text) + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, none: str) -> None:
    """Rows for people; `none` is said where there are none."""
    if not rows:
        line(none)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        # Ids are copied by hand and by mouse: they are never cut or broken.
        shown.add_column(column, no_wrap=column in {"id", "fingerprint"}, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(visible(cell)) for cell in row))
    # Into a pipe nothing is wrapped: other programs read it by lines.
    console = Console() if sys.stdout.isatty() else Console(width=10_000, force_terminal=False)
    console.print(shown, soft_wrap=not sys.stdout.isatty())


class Times:
    """Moments in one zone, which is named."""

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)

    def at(self, moment: float | None) -> str:
        if moment is None:
            return "–"
        return datetime.fromtimestamp(moment, self._zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def raw(text: str) -> None:
    """Text of ours, line ends included."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
