"""`homing config`: every fault at once, the schema for editors, the example with every key."""

from __future__ import annotations

from bot.cli import shown
from bot.cli.opened import settings_of
from bot.cli.options import DEFAULT_CONFIG, AsJson, ConfigPath
from bot.errors import ConfigError


def check(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Name every fault at once.

    Of the file and of HOMING_… in the environment; and what is odd without being wrong.

    Example: homing config check --config /etc/homing/config.toml
    """
    from bot.config import warnings

    try:
        found = warnings(settings_of(config))
    except ConfigError as fault:
        if not config.is_file():
            raise
        # Half a config would be warned about for what its other half says.
        again = "mend this, then check again: what is odd is looked for where there is no fault"
        raise ConfigError((*fault.faults, again)) from fault
    if as_json:
        shown.document({"ok": True, "warnings": list(found)})
        return
    for text in found:
        shown.line(f"warning: {text}")
    shown.line(f"{config.name}: no fault; a gateway that runs reads it at its next start, and rules and people at")
    shown.line("`homing reload`")


def schema(as_json: AsJson = False) -> None:
    """The JSON schema of config.toml, for editors.

    It is one JSON document with or without --json.

    Example: homing config schema > config.schema.json
    """
    from bot.config import schema as text

    del as_json
    shown.raw(text())


def example(as_json: AsJson = False) -> None:
    """A config.toml with every key, its unit and its default.

    Example: homing config example > config.toml
    """
    from bot.config import example as text

    if as_json:
        shown.document({"ok": True, "toml": text()})
    else:
        shown.raw(text())
