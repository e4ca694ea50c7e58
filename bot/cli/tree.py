"""The tree of commands, and what is said of a wrong word in it.

Deliberately absent: the gateway's packages, which are imported by the commands that need them; the start of a node (see
`node_start`), and what becomes of a fault (see `main`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from bot import __version__
from bot.cli import (
    audit,
    checks,
    config,
    event,
    events,
    executions,
    glass,
    grants,
    node,
    node_start,
    nodes,
    pairing,
    policy,
    processes,
    shown,
    switches,
    totp,
)

app = typer.Typer(
    name="homing",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Runs commands on your machines after a person approves them, and brings every result home.\n\n"
    "Example: homing run",
)
_groups: dict[str, tuple[str, dict[str, Callable[..., None]]]] = {
    "nodes": ("Who may run commands.", {"list": nodes.list_, "pair": nodes.pair, "revoke": nodes.revoke}),
    "pairing": (
        "Who may speak to the bot.",
        {"list": pairing.list_, "approve": pairing.approve, "revoke": pairing.revoke},
    ),
    "events": ("What is owed to people.", {"list": events.list_, "retell": events.retell}),
    "approvals": ("What waits for a decision.", {"pending": executions.pending}),
    "grants": ("What is always allowed.", {"list": grants.list_, "show": grants.show, "revoke": grants.revoke}),
    "glass": (
        "Who approved alone in an emergency, and what was found of it.",
        {"list": glass.list_, "show": glass.show, "end": glass.end, "review": glass.review},
    ),
    "totp": (
        "Second factors: devices of people, whose codes a yes may need.",
        {
            "enroll": totp.enroll,
            "list": totp.list_,
            "remove": totp.remove,
            "unlock": totp.unlock,
            "codes": totp.codes,
        },
    ),
    "audit": (
        "What was asked, decided and done.",
        {"show": audit.show, "verify": audit.verify, "export": audit.export, "redact": audit.redact},
    ),
    "policy": (
        "What the rules say.",
        {"explain": policy.explain, "test": policy.try_cases, "backtest": policy.backtest},
    ),
    "config": (
        "The configuration.",
        {"check": config.check, "schema": config.schema, "example": config.example},
    ),
}
_commands: dict[str, Callable[..., None]] = {
    "run": processes.run,
    "demo": processes.demo,
    "status": executions.status,
    "why": executions.why_,
    "executions": executions.executions,
    "doctor": checks.doctor,
    "event": event.event,
    "invite": switches.invite,
    "pause": switches.pause,
    "resume": switches.resume,
    "reload": switches.reload,
    "backup": switches.backup,
}
for _name, _command in _commands.items():
    app.command(_name)(_command)
_node = typer.Typer(rich_markup_mode=None, help=node_start.DOING)
# Alone it starts the node, which is answered before this tree is made; a keeper's questions stand below it.
_node.command("check")(node.check)
_node.command("example")(node.example)
app.add_typer(_node, name="node")
for _name, (_help, _members) in _groups.items():
    _first = next(iter(_members))
    _group = typer.Typer(
        no_args_is_help=True, help=f"{_help}\n\nExample: homing {_name} {_first}", rich_markup_mode=None
    )
    for _member, _command in _members.items():
        _group.command(_member)(_command)
    app.add_typer(_group, name=_name)


def _version(wanted: bool) -> None:
    if wanted:
        shown.line(f"homing {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 -- its callback answers
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        shown.raw(context.get_help())


def run(arguments: Sequence[str]) -> int:
    """The exit code of one command. Raises what the command raises; a wrong word is said here."""
    try:
        code = typer.main.get_command(app).main(args=list(arguments), prog_name="homing", standalone_mode=False)
    except typer.TyperException as fault:
        if type(fault).__name__ == "NoArgsIsHelpError":
            shown.raw(str(fault))
            return shown.USAGE_EXIT_CODE
        shown.faults([_usage(fault)], as_json="--json" in arguments)
        return shown.USAGE_EXIT_CODE
    return code if isinstance(code, int) else 0


def _usage(fault: typer.TyperException) -> str:
    """A wrong word on the command line, with the one that was probably meant."""
    said = getattr(fault, "format_message", fault.__str__)()
    text = " ".join(re.sub(r"\(Possible options:.*\)|Did you mean.*", "", said, flags=re.DOTALL).split()).rstrip(".")
    context = getattr(fault, "ctx", None)
    command = getattr(context, "command", None)
    wrong = re.search(r"No such (?:command '(?P<command>[^']*)'|option:? '?(?P<option>[^'\s]+))", text)
    path = getattr(context, "command_path", "homing")
    if wrong is None or command is None:
        return f"{text}; `{path} --help` says what it takes"
    if wrong["command"] is not None:
        known = list(getattr(command, "commands", {}))
    else:
        known = [name for parameter in command.params for name in parameter.opts if name.startswith("--")] + ["--help"]
    near = difflib.get_close_matches(wrong["command"] or wrong["option"], known, n=1, cutoff=0.5)
    return f"{text}; did you mean {near[0]}?" if near else f"{text}; there are: {', '.join(sorted(known))}"
