"""What an operator can mend: each finding is ok, a warning, a fault or a note, with its remedy. Changes nothing.

Deliberately absent: printing, which the command line does.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bot.config import Settings, load_settings, to_policy, warnings
from bot.domain.event import EventState
from bot.domain.factor import Factor
from bot.domain.glass import GlassState
from bot.domain.node import Pairing
from bot.domain.parts import duration
from bot.domain.policy import Verdict
from bot.errors import ConfigError, StoreError
from bot.inquiry import MAX_COUNTED, Standing, is_heard, standing
from bot.networks import build_networks
from bot.ports import Channel, Clock, Witnessed
from bot.presence import holder, is_running
from bot.store import OpenStore, open_store

SCARCE_BYTES = 256 * 2**20
"""Below this the next burst of output may fill the disk: a thousand results of 256 KiB each."""
ANSWER_S = 2.0
"""A gateway on this machine or the next answers in milliseconds."""
CHECK_S = 10.0
"""What one account's network has to answer in, with several questions. Whoever runs this waits for it."""
OVERDUE_S = 120.0
"""What is owed for so long is not merely waiting for its turn: a telling takes well under a second."""


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    level: Level
    what: str
    said: str
    remedy: str = ""


async def examine(config: Path, environ: Mapping[str, str], clock: Clock) -> tuple[Finding, ...]:
    """Everything, as far as it can be looked at: a broken config ends it, a broken store does not."""
    try:
        settings = load_settings(config, environ)
    except ConfigError as fault:
        return tuple(Finding(level=Level.FAULT, what="config", said=line) for line in fault.faults)
    found = [Finding(level=Level.WARNING, what="config", said=line) for line in warnings(settings)]
    found = found or [Finding(level=Level.OK, what="config", said=f"{config.name} has no fault")]
    found += _file_rights(config, settings)
    found += _reach(settings)
    runs = await _gateway(settings)
    found.append(runs)
    found += await _store(settings, clock, runs=runs.level is Level.OK)
    found += await accounts(build_networks(settings, clock).values())
    if settings.local_node.enabled:
        found.append(
            Finding(
                level=Level.NOTE,
                what="local node",
                said="its commands run as the gateway's own user and can read its files: it is for trying out",
                remedy="for more, run `homing node` as another user or on another machine, and set enabled = false "
                "in [local_node]",
            )
        )
    return tuple(found)


async def accounts(channels: Iterable[Channel]) -> list[Finding]:
    """What the networks say of their accounts, all asked at once."""
    found = await asyncio.gather(*(_account(channel) for channel in channels))
    return [one for findings in found for one in findings]


async def _account(channel: Channel) -> list[Finding]:
    what = f"{channel.name} ({channel.account})"
    try:
        async with asyncio.timeout(CHECK_S):
            checks = await channel.check()
    except TimeoutError:
        said = f"the network did not answer within {CHECK_S:.0f} s"
        return [Finding(level=Level.FAULT, what=what, said=said, remedy="look at api_base, the proxy and the way out")]
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                await channel.close()
    levels = {True: Level.OK, False: Level.FAULT}
    return [Finding(level=levels[one.is_ok], what=what, said=one.said, remedy=one.remedy) for one in checks]


def _file_rights(config: Path, settings: Settings) -> Iterator[Finding]:
    data_dir = settings.gateway.data_dir
    for path, what in ((config, "config file"), (data_dir, "data folder")):
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            yield Finding(
                level=Level.WARNING, what=what, said=f"{path} is not there yet", remedy="`homing run` makes it"
            )
            continue
        if mode & (stat.S_IRWXG | stat.S_IRWXO) & ~_harmless(path):
            yield Finding(
                level=Level.WARNING,
                what=what,
                said=f"others than its owner have rights on {path} (mode {stat.S_IMODE(mode):o})",
                remedy=f"chmod {'700' if path.is_dir() else '600'} {path}",
            )
        else:
            yield Finding(level=Level.OK, what=what, said=f"{path} is its owner's alone")
    if data_dir.is_dir() and not os.access(data_dir, os.W_OK | os.X_OK):
        yield Finding(
            level=Level.FAULT,
            what="data folder",
            said=f"{data_dir} cannot be written by this user",
            remedy="run as its owner, or change the owner",
        )
    free = shutil.disk_usage(data_dir if data_dir.exists() else Path.cwd()).free
    scarce = free < SCARCE_BYTES
    yield Finding(
        level=Level.FAULT if scarce else Level.OK,
        what="disk",
        said=f"{free // 2**20} MiB are free",
        remedy="make room: without it results cannot be kept" if scarce else "",
    )


def _harmless(path: Path) -> int:
    """The rights of others that show nothing: a config without secrets may be read by a group that operates it."""
    return 0 if path.is_dir() else stat.S_IRGRP


def _reach(settings: Settings) -> Iterator[Finding]:
    host, public = settings.gateway.host, settings.gateway.public_url
    if not settings.web.enabled or _is_loopback(host):
        return
    if public is None or not public.startswith("https://"):
        yield Finding(
            level=Level.FAULT,
            what="web chat",
            said=f"it listens at {host}, beyond this machine, without a public_url that begins with https",
            remedy="put a proxy with TLS in front and name it in [gateway] public_url, or listen at 127.0.0.1",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _gateway(settings: Settings) -> Finding:
    process = await asyncio.to_thread(holder, settings)
    if process is not None:
        return Finding(level=Level.OK, what="gateway", said=f"it runs, process {process}")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.gateway.host, settings.gateway.host)  # noqa: S104 -- compared, not listened at
    if not settings.store_url.startswith("sqlite"):
        try:
            async with asyncio.timeout(ANSWER_S):
                _, writer = await asyncio.open_connection(host, settings.gateway.port)
            writer.close()
            return Finding(level=Level.OK, what="gateway", said=f"something answers at {host}:{settings.gateway.port}")
        except (OSError, TimeoutError):
            pass
    return Finding(level=Level.WARNING, what="gateway", said="it does not run", remedy="start it with `homing run`")


async def _store(settings: Settings, clock: Clock, *, runs: bool) -> list[Finding]:
    try:
        store: OpenStore = await asyncio.to_thread(open_store, settings.store_url, clock=clock, gateway=False)
    except StoreError as fault:
        return [Finding(level=Level.FAULT, what="store", said=str(fault))]
    try:
        now, witnesses, devices = await store.read(
            lambda tx: (standing(tx), tx.audit.witnesses(), tx.factors.listing())
        )
    except StoreError as fault:
        return [Finding(level=Level.FAULT, what="store", said=str(fault))]
    finally:
        await store.close()
    found = [Finding(level=Level.OK, what="store", said="it opens, and its schema is the one that this version knows")]
    found += [*_owed(now), *_glass(now), *_heads(settings, witnesses, now.now, runs=runs)]
    found += _devices(settings, devices, now.now)
    return found + list(_nodes(now, runs=runs, is_stopped=is_running(settings) is False))


def _heads(settings: Settings, witnesses: Sequence[Witnessed], now: float, *, runs: bool) -> Iterator[Finding]:
    """Whether the places that are to keep heads of the audit have them."""
    wanted = {"file": settings.audit.heads_file, "url": settings.audit.heads_url}
    known = {one.name: one for one in witnesses}
    for name in (name for name, place in wanted.items() if place is not None):
        what, told = f"audit heads ({name})", known.get(name)
        if told is None:
            yield Finding(level=Level.NOTE, what=what, said="none was told yet", remedy="the gateway does when it runs")
        elif told.trouble is not None:
            since = duration(max(0.0, now - (told.failing_since or now)))
            remedy = "mend it: until then a rewritten past would not show; `homing audit verify` checks what is there"
            yield Finding(level=Level.FAULT, what=what, said=f"since {since}: {told.trouble}", remedy=remedy)
        else:
            age_s, line = max(0.0, now - (told.told_at or now)), 0 if told.head is None else told.head.seq
            is_late = runs and age_s > 2 * settings.audit.heads_every + OVERDUE_S
            yield Finding(
                level=Level.WARNING if is_late else Level.OK,
                what=what,
                said=f"told {duration(age_s)} ago, up to line {line}",
                remedy="the gateway's log says what holds it up" if is_late else "",
            )


def _devices(settings: Settings, devices: Sequence[Factor], now: float) -> Iterator[Finding]:
    """Who is to decide with a code, and has no device for it."""
    policy = to_policy(settings)
    enrolled = {one.person for one in devices if one.enrolled_at is not None}
    strict = [rule for rule in policy.rules if rule.action is not Verdict.DENY and rule.terms.second_factor]
    for rule in strict:
        named = policy.owners if rule.deciders is None else rule.deciders
        lacking = [one for one in policy.directory.expand((*named, *rule.escalate_to)) if one not in enrolled]
        if lacking:
            said = f"the rule “{rule.name}” wants a code of who says yes, and none can come from: {', '.join(lacking)}"
            remedy = f"with each of them beside you: `homing totp enroll {lacking[0]}`"
            yield Finding(level=Level.WARNING, what="second factor", said=said, remedy=remedy)
    for locked in (one for one in devices if one.is_locked(now)):
        said = f"{locked.person} is locked after wrong codes"
        remedy = f"ask whether it was them, then `homing totp unlock {locked.person}`"
        yield Finding(level=Level.WARNING, what="second factor", said=said, remedy=remedy)


def _owed(now: Standing) -> Iterator[Finding]:
    if now.paused is not None:
        since = duration(max(0.0, now.now - now.paused.since))
        said = f"{now.paused.by} paused dispatch {since} ago: {now.paused.reason or 'no reason given'}"
        yield Finding(level=Level.WARNING, what="paused", said=said, remedy="`homing resume`")
    dead, held = now.events[EventState.DEAD], now.events[EventState.HELD]
    if dead:
        count = f"{dead}{' or more' if dead >= MAX_COUNTED else ''}"
        yield Finding(
            level=Level.FAULT,
            what="owed",
            said=f"{count} dead: results or answers that nobody was told",
            remedy="`homing events list --state dead` says why, then `homing events retell <id>`",
        )
    if held:
        yield Finding(level=Level.WARNING, what="owed", said=f"{held} are held until their channel is open")
    age_s = 0.0 if now.oldest_untold_at is None else now.now - now.oldest_untold_at
    if age_s > OVERDUE_S:
        yield Finding(
            level=Level.WARNING,
            what="owed",
            said=f"the oldest that is not told waits since {duration(age_s)}",
            remedy="`homing events list` says for what; is the gateway running?",
        )
    elif not dead:
        yield Finding(level=Level.OK, what="owed", said="nothing is overdue")


def _glass(now: Standing) -> Iterator[Finding]:
    """What of break-glass is open, what nobody has looked at, and what nobody was told."""
    for glass in now.glasses:
        what = f"break-glass {glass.id}"
        match glass.state:
            case GlassState.OVERDUE:
                late = duration(max(0.0, now.now - (glass.review_by or now.now)))
                said = f"of {glass.person} ({glass.reason}): its review is overdue since {late}"
                remedy = f"`homing glass show {glass.id}`, then `homing glass review {glass.id} --verdict … --note …`"
                yield Finding(level=Level.FAULT, what=what, said=said, remedy=remedy)
            case GlassState.OPEN:
                left = duration(max(0.0, glass.expires_at - now.now))
                said = f"{glass.person} may approve alone for {left} more: {glass.reason}"
                yield Finding(level=Level.WARNING, what=what, said=said, remedy=f"`homing glass end {glass.id}`")
            case _:
                said = f"of {glass.person} ({glass.reason}) waits for its review"
                yield Finding(level=Level.NOTE, what=what, said=said, remedy=f"`homing glass show {glass.id}`")
    if now.unheard:
        ids = ", ".join(str(one) for one in now.unheard[:10])
        yield Finding(
            level=Level.FAULT,
            what="break-glass",
            said=f"{len(now.unheard)} of its announcements did not reach their place (events {ids})",
            remedy="`homing events list --state dead` says why, then `homing events retell <id>`",
        )


def _nodes(now: Standing, *, runs: bool, is_stopped: bool) -> Iterator[Finding]:
    paired = [node for node in now.nodes if node.pairing is Pairing.PAIRED]
    for node in now.nodes:
        if node.pairing is Pairing.PENDING:
            yield Finding(
                level=Level.WARNING,
                what=f"node {node.name}",
                said="it waits to be let in",
                remedy=f"compare its fingerprint, then `homing nodes pair {node.fingerprint}`",
            )
    for node in paired:
        # Without a gateway nobody is connected, however lately it was heard from.
        if is_heard(node, now.now) and not is_stopped:
            yield Finding(level=Level.OK, what=f"node {node.name}", said="it is connected")
        elif runs:
            since = duration(max(0.0, now.now - node.last_seen_at))
            yield Finding(
                level=Level.WARNING,
                what=f"node {node.name}",
                said=f"it was last heard from {since} ago",
                remedy="look at `homing node` on its machine, or `homing nodes revoke` it",
            )
    if not paired:
        remedy = "start `homing node` on a machine, or set enabled = true in [local_node]"
        yield Finding(level=Level.WARNING, what="nodes", said="none is paired: nothing can be run", remedy=remedy)
