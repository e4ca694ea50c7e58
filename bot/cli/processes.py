"""`homing run` and `demo`: long-lived ones. Deliberately absent: what they do."""

from __future__ import annotations

import asyncio
import importlib
import sys

from bot.cli import shown
from bot.cli.aside import logs_json, say_aside
from bot.cli.opened import settings_of
from bot.cli.options import DEFAULT_CONFIG, AsJson, ConfigPath
from bot.errors import HomingError


def run(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Start the gateway.

    Channels, store, the nodes' end and the web chat. The first start writes a config with one owner.

    With --json the log is JSON, and the one document on standard output comes at the end.

    Example: homing run --config /etc/homing/config.toml
    """
    from bot.app import run_gateway
    from bot.config import first_config
    from bot.config.secrets import secrets_of
    from bot.log import set_up

    announce = say_aside if as_json else _say
    if first_config(config):
        announce(
            f"{config} was written, with one owner, who may ask, and decide where no rule names others; "
            "`homing config example` has every key"
        )
    settings = settings_of(config)
    set_up(as_json=logs_json(as_json=as_json), secrets=secrets_of(settings))
    asyncio.run(run_gateway(settings, announce=announce, reread=lambda: settings_of(config)))
    if as_json:
        shown.document({"ok": True})


def demo(as_json: AsJson = False) -> None:
    """Show in a terminal what Homing promises.

    Real gateway, real node, real web chat, and a kill -9 between finish and relay. Ends with 1 if a claim fails.

    Example: homing demo
    """
    from bot.demo import run_demo

    for needed in ("pydantic_settings", "sqlalchemy", "jinja2"):
        # The demo's gateway is a process of its own: what it lacks is better said here, at once.
        importlib.import_module(needed)
    if not asyncio.run(run_demo(say_aside if as_json else _say)):
        raise HomingError("a claim of the demo does not hold; the lines above say which")
    if as_json:
        shown.document({"ok": True})


def _say(text: str) -> None:
    """On standard output, at once: into a pipe or a file it would wait for a full buffer, and the link with it."""
    shown.line(text)
    sys.stdout.flush()
