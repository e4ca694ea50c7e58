"""`homing doctor`: looks at everything that an operator can mend, and says how. Changes nothing."""

from __future__ import annotations

import asyncio
import os

import typer

from bot.cli import shown
from bot.cli.opened import WallClock
from bot.cli.options import DEFAULT_CONFIG, AsJson, ConfigPath


def doctor(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Look at everything that can be mended.

    Configuration, rights, store, gateway, nodes and what is owed. Ends with 1 where there is a fault.

    Example: homing doctor --json
    """
    from bot.doctor import Level, examine

    findings = asyncio.run(examine(config, os.environ, WallClock()))
    healthy = not any(finding.level is Level.FAULT for finding in findings)
    if as_json:
        shown.document(
            {
                "ok": healthy,
                **({} if healthy else {"error": "; ".join(one.said for one in findings if one.level is Level.FAULT)}),
                "findings": [
                    {"level": one.level.value, "what": one.what, "said": one.said, "remedy": one.remedy}
                    for one in findings
                ],
            }
        )
    else:
        for one in findings:
            shown.line(f"{one.level.value:<8} {one.what}: {one.said}" + (f"; {one.remedy}" if one.remedy else ""))
    if not healthy:
        raise typer.Exit(1)
