"""What stands beside the one document of a long-lived process: words for people, and the log."""

from __future__ import annotations

import os
import sys

from bot.errors import ConfigError


def logs_json(*, as_json: bool) -> bool | None:
    """As `set_up` takes it: None is text on a terminal and JSON elsewhere. Raises `ConfigError`."""
    wanted = os.environ.get("HOMING_LOG", "")
    if wanted not in ("", "json", "text"):
        raise ConfigError(
            ("environment HOMING_LOG: is json or text; left out it is text on a terminal, JSON elsewhere",)
        )
    if as_json or not wanted:
        return True if as_json else None
    return wanted == "json"


def say_aside(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
