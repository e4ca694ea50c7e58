"""`homing config`: every fault at once, the schema for editors, the example with every key."""

from __future__ import annotations

from bot.cli import shown
from bot.cli.opened import settings_of
from bot.cli.options import DEFAULT_CONFIG, AsJson, ConfigPath
from bot.errors import ConfigError


def check(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Name every fault at once.

    Of the file and of HOMING_… in the environment; and what is odd without being wrong. Where a schedule or a hook
    is told where its session was last written from, the store is asked whether it ever was.

    Example: homing config check --config /etc/homing/config.toml
    """
    from bot.cli.unheard import look as unheard_of
    from bot.config import warnings
    from bot.presence import needs_restart

    try:
        settings = settings_of(config)
        found = warnings(settings)
    except ConfigError as fault:
        if not config.is_file():
            raise
        # Half a config would be warned about for what its other half says.
        again = "mend this, then check again: what is odd is looked for where there is no fault"
        raise ConfigError((*fault.faults, again)) from fault
    unheard, waits = unheard_of(config, settings), needs_restart(settings)
    if unheard.faults:
        raise ConfigError(unheard.faults)
    found = (*found, *unheard.warnings)
    if as_json:
        shown.document({"ok": True, "warnings": list(found), "needs_restart": list(waits)})
        return
    for text in found:
        shown.line(f"warning: {text}")
    if waits:
        shown.line(f"the gateway that runs takes at its next start only: {', '.join(waits)}")
    shown.line(f"{config.name}: no fault; a gateway that runs reads it at its next start, and rules, people,")
    shown.line("schedules and hooks at `homing reload`")


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
