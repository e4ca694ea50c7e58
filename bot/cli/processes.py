"""`homing run`, `node` and `demo`: the long-lived ones. Deliberately absent: what they do."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from bot.cli import shown
from bot.cli.opened import settings_of
from bot.cli.options import DEFAULT_CONFIG, AsJson, ConfigPath
from bot.errors import ConfigError, HomingError


def run(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Start the gateway.

    Channels, store, the nodes' end and the web chat. The first start writes a config with one owner.

    With --json the log is JSON, and the one document on standard output comes at the end.

    Example: homing run --config /etc/homing/config.toml
    """
    from bot.app import run_gateway
    from bot.config import first_config
    from bot.log import set_up

    announce = _say_aside if as_json else _say
    if first_config(config):
        announce(
            f"{config} was written, with one owner, who may ask, and decide where no rule names others; "
            "`homing config example` has every key"
        )
    settings = settings_of(config)
    set_up(as_json=_logs_json(as_json=as_json), secrets=settings.secrets())
    asyncio.run(run_gateway(settings, announce=announce))
    if as_json:
        shown.document({"ok": True})


def node(
    gateway: Annotated[str, typer.Option("--gateway", help="Where the gateway is: wss://host/node.", metavar="URL")],
    name: Annotated[str | None, typer.Option("--name", help="For people. Left out: the host's name.")] = None,
    state_dir: Annotated[
        Path, typer.Option("--state-dir", help="Its key, journal and reports.", metavar="FOLDER")
    ] = Path("homing-node"),
    work_dir: Annotated[
        Path | None,
        typer.Option("--work-dir", help="Where commands start. Left out: the home folder.", metavar="FOLDER"),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", help="A variable of here that commands get as well; may be repeated.", metavar="NAME"),
    ] = None,
    gateway_key: Annotated[
        str | None,
        typer.Option("--gateway-key", help="The gateway's fingerprint; any other is refused.", metavar="FINGERPRINT"),
    ] = None,
    allow_plain: Annotated[
        bool,
        typer.Option(
            "--allow-plain",
            help="Take ws:// to another machine, where the network itself is encrypted. Else anybody on the way can "
            "read and change what runs.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run commands on this machine for a gateway. Needs only this package, without its extra.

    It prints its fingerprint; an operator lets it in once, with `homing nodes pair <fingerprint>`.

    Example: homing node --gateway wss://homing.example.org/node --name web-1 --state-dir /var/lib/homing-node
    """
    import socket

    from bot.log import set_up
    from bot.node.client import run_node
    from bot.node.settings import NodeSettings

    logs_json = _logs_json(as_json=as_json)
    set_up(as_json=logs_json)
    if logs_json is None and sys.stderr.isatty():
        # Each event of the connection is told in words as well; a person at a terminal needs it once.
        logging.getLogger("bot.node.client").setLevel(logging.WARNING)
    settings = NodeSettings(
        gateway_url=gateway,
        name=name or socket.gethostname(),
        state_dir=state_dir,
        work_dir=work_dir,
        env_names=tuple(env or ()),
        gateway_key=gateway_key,
        allow_plain=allow_plain,
    )
    # Words for people go aside: they may be lines of a service's log, where nothing else stands on standard output.
    asyncio.run(run_node(settings, tell=_say_aside))
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
    if not asyncio.run(run_demo(_say_aside if as_json else _say)):
        raise HomingError("a claim of the demo does not hold; the lines above say which")
    if as_json:
        shown.document({"ok": True})


def _logs_json(*, as_json: bool) -> bool | None:
    """As `set_up` takes it: None is text on a terminal and JSON elsewhere. Raises `ConfigError`."""
    wanted = os.environ.get("HOMING_LOG", "")
    if wanted not in ("", "json", "text"):
        raise ConfigError(
            ("environment HOMING_LOG: is json or text; left out it is text on a terminal, JSON elsewhere",)
        )
    if as_json or not wanted:
        return True if as_json else None
    return wanted == "json"


def _say(text: str) -> None:
    """On standard output, at once: into a pipe or a file it would wait for a full buffer, and the link with it."""
    shown.line(text)
    sys.stdout.flush()


def _say_aside(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
