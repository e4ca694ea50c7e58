"""What several commands take, said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigPath = Annotated[
    Path,
    typer.Option("--config", "-c", envvar="HOMING_CONFIG", help="The configuration.", metavar="FILE"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1_000, help="At most so many rows.")]
DEFAULT_CONFIG = Path("config.toml")
