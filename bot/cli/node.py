"""What a node's own policy says. Deliberately absent: its start (see `node_start`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bot.cli import shown
from bot.cli.node_start import CONFIG, DEFAULT_STATE_DIR, ENV, STATE_DIR, WORK_DIR
from bot.cli.options import AsJson

StateDir = Annotated[Path, typer.Option("--state-dir", help=STATE_DIR, metavar="FOLDER")]
WorkDir = Annotated[
    Path | None,
    typer.Option("--work-dir", help=WORK_DIR, metavar="FOLDER"),
]
Env = Annotated[
    list[str] | None,
    typer.Option("--env", help=ENV, metavar="NAME"),
]
RulesPath = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help=CONFIG,
        metavar="FILE",
    ),
]


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
