"""`homing node`: the start of a node. Deliberately absent: what a node does (see `bot.node`).

It reads its own words with argparse. What the tree of commands brings along costs a process that runs for months on
every machine 10 MiB and a tenth of a second.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from bot.cli import shown
from bot.cli.aside import logs_json, say_aside

_BELOW = ("check", "example")
"""Commands of the tree; whatever else follows `homing node` starts one."""
DOING = "Run commands on this machine for a gateway. Needs only this package, without its extra."
STATE_DIR = "Its key, journal and reports."
WORK_DIR = "Where commands start. Left out: the home folder."
ENV = "A variable of here that commands get as well; may be repeated."
CONFIG = "The node's own policy, which wins over the gateway. Left out: node.toml in the state folder, if there."
DEFAULT_STATE_DIR = Path("homing-node")
_USAGE = """\
Usage: homing node --gateway URL [OPTIONS]
       homing node check|example [OPTIONS]

"""
_MORE = """\
It prints its fingerprint; an operator lets it in once, with `homing nodes pair <fingerprint>`.

Example: homing node --gateway wss://homing.example.org/node --name web-1 --state-dir /var/lib/homing-node

Commands:
  check    Say what this node's own policy would allow; name every fault of node.toml at once.
  example  A node.toml with every key, in comments: it changes nothing until a line is taken out of its comment.
"""


def is_meant(arguments: Sequence[str]) -> bool:
    return arguments[:1] == ["node"] and not (len(arguments) > 1 and arguments[1] in _BELOW)


def run(arguments: Sequence[str]) -> int:
    """Start the node that these words describe, and stay until it ends. The exit code."""
    as_json = "--json" in arguments
    try:
        said = _read(arguments)
    except _Wrong as fault:
        shown.faults([str(fault)], as_json=as_json)
        return shown.USAGE_EXIT_CODE
    _start(said, as_json=as_json)
    return 0


def _read(arguments: Sequence[str]) -> argparse.Namespace:
    words = _words()
    said, unknown = words.parse_known_args(list(arguments))
    if unknown:
        raise _Wrong(_no_such(unknown[0], words))
    if said.gateway is None:
        words.error("Missing option '--gateway'")
    return said


def _start(said: argparse.Namespace, *, as_json: bool) -> None:
    import socket

    from bot.log import set_up
    from bot.node.client import run_node
    from bot.node.settings import NodeSettings

    in_json = logs_json(as_json=as_json)
    set_up(as_json=in_json)
    if in_json is None and sys.stderr.isatty():
        # Each event of the connection is told in words as well; a person at a terminal needs it once.
        logging.getLogger("bot.node.client").setLevel(logging.WARNING)
    settings = NodeSettings(
        gateway_url=said.gateway,
        name=said.name or socket.gethostname(),
        state_dir=said.state_dir,
        work_dir=said.work_dir,
        rules_file=said.config,
        env_names=tuple(said.env),
        gateway_key=said.gateway_key,
        allow_plain=said.allow_plain,
    )
    # Words for people go aside: they may be lines of a service's log, where nothing else stands on standard output.
    asyncio.run(run_node(settings, tell=say_aside))
    if as_json:
        shown.document({"ok": True})


class _Wrong(Exception):
    """A word that does not fit."""


class _Words(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _Wrong(f"{message[:1].upper()}{message[1:]}; `homing node --help` says what it takes")


def _words() -> _Words:
    words = _Words(
        prog="homing node",
        usage=argparse.SUPPRESS,
        description=_USAGE + DOING,
        epilog=_MORE,
        add_help=False,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    plain = (
        "Take ws:// to another machine, where the network itself is encrypted. Else anybody on the way can read and "
        "change what runs."
    )
    options = words.add_argument_group("Options")
    options.add_argument("--gateway", metavar="URL", help="Where the gateway is: wss://host/node.")
    options.add_argument("--name", metavar="NAME", help="For people. Left out: the host's name.")
    options.add_argument(
        "--state-dir",
        metavar="FOLDER",
        type=Path,
        default=DEFAULT_STATE_DIR,
        help=f"{STATE_DIR} [default: %(default)s]",
    )
    options.add_argument("--work-dir", metavar="FOLDER", type=Path, help=WORK_DIR)
    options.add_argument("--env", metavar="NAME", action="append", default=[], help=ENV)
    options.add_argument("-c", "--config", metavar="FILE", type=Path, help=CONFIG)
    options.add_argument(
        "--gateway-key", metavar="FINGERPRINT", help="The gateway's fingerprint; any other is refused."
    )
    options.add_argument("--allow-plain", action="store_true", help=plain)
    options.add_argument("--json", action="store_true", help="Print exactly one JSON document.")
    options.add_argument("--help", action="help", help="Show this message and exit.")
    return words


def _no_such(word: str, words: argparse.ArgumentParser) -> str:
    """A wrong word, with the one that was probably meant."""
    if not word.startswith("-"):
        near = difflib.get_close_matches(word, _BELOW, n=1, cutoff=0.5)
        return f"No such command '{word}'; " + (
            f"did you mean {near[0]}?" if near else f"there are: {', '.join(_BELOW)}"
        )
    known = set(re.findall(r"--[a-z-]+", words.format_help()))
    wrong = word.partition("=")[0]
    near = difflib.get_close_matches(wrong, known, n=1, cutoff=0.5)
    return f"No such option: {wrong}; " + (
        f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known))}"
    )
