"""`homing node`, and what its own policy says. Deliberately absent: what a node does (see `bot.node`)."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from bot.cli import shown
from bot.cli.options import AsJson
from bot.cli.processes import logs_json, say_aside

StateDir = Annotated[Path, typer.Option("--state-dir", help="Its key, journal and reports.", metavar="FOLDER")]
WorkDir = Annotated[
    Path | None,
    typer.Option("--work-dir", help="Where commands start. Left out: the home folder.", metavar="FOLDER"),
]
Env = Annotated[
    list[str] | None,
    typer.Option("--env", help="A variable of here that commands get as well; may be repeated.", metavar="NAME"),
]
RulesPath = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="The node's own policy, which wins over the gateway. Left out: node.toml in the state folder, if there.",
        metavar="FILE",
    ),
]
DEFAULT_STATE_DIR = Path("homing-node")


class _Missing(typer.TyperException):
    """An option that only one of the commands of a group needs."""

    def __init__(self, option: str, context: typer.Context) -> None:
        super().__init__(f"Missing option '{option}'")
        self.ctx = context


def node(
    context: typer.Context,
    gateway: Annotated[
        str | None, typer.Option("--gateway", help="Where the gateway is: wss://host/node.", metavar="URL")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="For people. Left out: the host's name.")] = None,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    work_dir: WorkDir = None,
    env: Env = None,
    config: RulesPath = None,
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

    if context.invoked_subcommand is not None:
        return
    if gateway is None:
        raise _Missing("--gateway", context)
    in_json = logs_json(as_json=as_json)
    set_up(as_json=in_json)
    if in_json is None and sys.stderr.isatty():
        # Each event of the connection is told in words as well; a person at a terminal needs it once.
        logging.getLogger("bot.node.client").setLevel(logging.WARNING)
    settings = NodeSettings(
        gateway_url=gateway,
        name=name or socket.gethostname(),
        state_dir=state_dir,
        work_dir=work_dir,
        rules_file=config,
        env_names=tuple(env or ()),
        gateway_key=gateway_key,
        allow_plain=allow_plain,
    )
    # Words for people go aside: they may be lines of a service's log, where nothing else stands on standard output.
    asyncio.run(run_node(settings, tell=say_aside))
    if as_json:
        shown.document({"ok": True})


def check(
    config: RulesPath = None,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    work_dir: WorkDir = None,
    env: Env = None,
    as_json: AsJson = False,
) -> None:
    """Say what this node's own policy would allow; name every fault of node.toml at once.

    Give it the --state-dir, --work-dir and --env that the node is started with.

    Example: homing node check --config /etc/homing/node.toml
    """
    from bot.errors import ConfigError
    from bot.node.rules_file import RulesFile
    from bot.node.rules_shown import described, misfits, odd, user_of
    from bot.node.settings import NodeSettings

    settings = NodeSettings(
        # Its address matters to no policy.
        gateway_url="ws://127.0.0.1/node",
        name="checked",
        state_dir=state_dir,
        work_dir=work_dir,
        rules_file=config,
        env_names=tuple(env or ()),
    )
    file = RulesFile.found(config, state_dir)
    rules = file.current()
    user = user_of(rules)
    if faults := tuple(misfits(rules, settings, user)):
        raise ConfigError(tuple(f"{file.path.name}: {fault}" for fault in faults))
    says, warnings = list(described(rules, settings, user)), list(odd(rules, user, policy=file.path))
    if as_json:
        where = str(file.path) if file.path.exists() else None
        shown.document({"ok": True, "file": where, "says": says, "warnings": warnings})
        return
    shown.line(f"{file.path}: no fault" if file.path.exists() else f"there is no {file.path}; so this node")
    for text in says:
        shown.line(f"  {text}")
    for text in warnings:
        shown.line(f"warning: {text}")


def example(as_json: AsJson = False) -> None:
    """A node.toml with every key, in comments: it changes nothing until a line is taken out of its comment.

    Example: homing node example > node.toml
    """
    from bot.node.rules_shown import EXAMPLE

    if as_json:
        shown.document({"ok": True, "toml": EXAMPLE})
    else:
        shown.raw(EXAMPLE)
