"""The node's own policy in words, for its keeper: what it would allow, what is odd about it, and an example.

Deliberately absent: any refusal (see `rules`), whose words are for whoever asked.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from bot.domain.command import Limits, Request, lower_of
from bot.domain.pattern import Pattern
from bot.domain.shell import analyse
from bot.errors import ConfigError
from bot.node.rules import Rules
from bot.node.rules_file import RulesFile
from bot.node.settings import NodeSettings
from bot.node.user import User, own_user, user_named

EXAMPLE = """\
# What this node will ever run. It wins over the gateway: a gateway that was broken into cannot widen it.
# Put it beside the node's key as node.toml, or name it with --config. `homing node check` says what it means.
# It is read anew for every command. Every key may be left out; what stands behind # is an example.

# Fingerprints of the gateways that it obeys; any other is refused at the handshake. Left out: the one it met first.
# gateways = ["ET3O-22WL-7YIA-TQBQ-27FF-M7BT-ZJED"]

# What it runs: words, * for one word or a part of one, ** at the end for any more. Left out: anything that the gateway
# approved. A command must fit from its first word to its last; what a wrapper such as sudo starts must be written out.
# commands = ["df **", "uptime", "systemctl restart app", "journalctl -u app **"]

# What it never runs, whatever commands holds: it is enough that a command could fit. A guard rail, no wall.
# deny = ["rm -rf **", "shutdown **", "reboot **"]

# Whether it runs shell texts (pipes, variables, loops). Left out: only where commands is left out too. With commands:
# only commands joined by ; && || or |, each of which must fit.
# scripts = false

# The user that commands run as; the node must then be started as root. Left out: the node's own user.
# user = "app"

# The folders that commands start in, and that scripts and programs named by their path must be in. Left out: any.
# dirs = ["/srv/app"]

# Variables of the node's own environment that commands get beside a clean one. Left out: those named with --env.
# env_names = ["APP_ENV"]

# The most that a command gets; where the gateway asks for less, that counts.
[limits]
# Seconds, or a text such as "30m".
# timeout = "1h"
# Bytes of output that are kept, head and tail together.
# output_bytes = 262144
# Memory (address space) of each of its processes, in bytes or such as "512M".
# memory = "2G"
# Processes and threads of its user at the same time, over all commands. It binds no command that runs as root.
# processes = 256
# Files that each of its processes may hold open.
# open_files = 1024
"""


def described(rules: Rules, settings: NodeSettings, user: User) -> Iterator[str]:
    """One line for each thing that it says."""
    if rules.gateways:
        yield f"obeys the gateways {', '.join(rules.gateways)}"
    elif settings.gateway_key is not None:
        yield f"obeys the gateway {settings.gateway_key}"
    else:
        yield "obeys the gateway that it meets first, and then no other"
    if not rules.commands:
        yield "runs anything that the gateway approved" + ("" if rules.runs_scripts else ", as plain commands only")
    for pattern in rules.commands:
        yield f"runs {pattern.text}"
    if rules.commands:
        yield "runs these in shell texts too, side by side" if rules.runs_scripts else "runs no shell texts"
    for pattern in rules.deny:
        yield f"never runs {pattern.text}"
    yield f"as the user {user.name}, in {settings.work_dir or user.home}"
    if rules.dirs:
        yield f"only in, and only files below, {', '.join(map(str, rules.dirs))}"
    names = settings.env_names if rules.env_names is None else rules.env_names
    yield f"with the variables {', '.join(names)} beside a clean environment" if names else "with a clean environment"
    yield f"within {', '.join(_limits(lower_of(settings.limits, rules.limits)))}"


def opening_words(file: RulesFile, settings: NodeSettings) -> Iterator[str]:
    """What its keeper should know at the start. Raises `ConfigError` where it cannot run by its policy."""
    rules = file.current()
    user = user_of(rules)
    faults = tuple(misfits(rules, settings, user))
    if faults:
        raise ConfigError(tuple(f"{file.path.name}: {fault}" for fault in faults))
    if not rules.commands:
        yield f"this node's own policy names no commands: it runs anything that its gateway approved, as {user.name}"
    else:
        yield f"this node runs {len(rules.commands)} kinds of commands and no other, as {user.name}"
    for oddity in odd(rules, user, policy=file.path):
        yield f"warning: {oddity}"


def user_of(rules: Rules) -> User:
    """Of a policy that was read just now, so that its user is there."""
    named = None if rules.user is None else user_named(rules.user)
    return named or own_user()


def misfits(rules: Rules, settings: NodeSettings, user: User) -> Iterator[str]:
    """Where it and the command line contradict each other, so that nothing could ever run."""
    if rules.dirs:
        work = (settings.work_dir or Path(user.home)).resolve()
        if not any(work.is_relative_to(directory.resolve()) for directory in rules.dirs):
            yield f"dirs: commands start in {work}, which is in none of them; name it there, or another --work-dir"


def odd(rules: Rules, user: User, *, policy: Path) -> Iterator[str]:
    """What is no fault and perhaps not meant."""
    if user.uid == 0:
        yield "commands run as root, who can change this policy, the node's key and its journal; name another user"
        if rules.limits.processes is not None:
            yield "limits.processes binds no command that runs as root; name another user"
    elif _could_change(policy, user):
        yield f"commands run as {user.name}, who can change {policy} and what is beside it; name another user"
    for pattern in rules.commands:
        if not _could_allow(pattern):
            yield f"commands: “{pattern.text}” allows nothing: its program starts another, which must be written out"
    if rules.deny and not rules.commands:
        yield "deny without commands is a guard rail, no wall: a script can start what nobody sees in its words"


def _could_allow(pattern: Pattern) -> bool:
    """Read as if its stars were words: for `sudo **` nobody can say what would be started (F-085)."""
    words = tuple(shlex.split(pattern.text, comments=False))
    units = analyse(Request(text=pattern.text, argv=words, script=None)).units
    return all(not unit.is_unknown for unit in units) and pattern.spells_out(units[0].views[0].through)


def _could_change(policy: Path, user: User) -> bool:
    """Who owns a file or its folder can replace it, whatever their modes are today."""
    owners = {path.stat().st_uid for path in (policy, policy.parent) if path.exists()}
    return user.uid in owners


def _limits(limits: Limits) -> Iterator[str]:
    yield f"{limits.timeout_s:g} s"
    yield f"{limits.output_bytes} bytes of output"
    if limits.memory_bytes is not None:
        yield f"{limits.memory_bytes} bytes of memory each process"
    if limits.processes is not None:
        yield f"{limits.processes} processes"
    if limits.open_files is not None:
        yield f"{limits.open_files} open files"
