"""`homing nodes`: who may run commands. Pairing binds to the key's fingerprint; the name is for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import shown
from bot.cli.opened import with_store
from bot.cli.options import DEFAULT_CONFIG, AsJson, ConfigPath
from bot.cli.switches import operator
from bot.domain.command import NodeFingerprint
from bot.domain.node import Node, Pairing
from bot.errors import HomingError, Malformed
from bot.inquiry import is_heard
from bot.ports import Tx

if TYPE_CHECKING:
    from bot.config import Settings
    from bot.store.open import OpenStore


def list_(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """All nodes that ever connected.

    Pending ones wait for `homing nodes pair`.

    Example: homing nodes list
    """

    from bot.presence import is_running

    async def ask(settings: Settings, store: OpenStore) -> tuple[Settings, Sequence[Node], float]:
        found, now = await store.read(lambda tx: (tx.nodes.listing(), tx.now))
        return settings, found, now

    settings, found, now = with_store(config, ask)
    # Without a gateway nobody is connected, however lately it was heard from.
    runs = is_running(settings) is not False
    if as_json:
        shown.document([_form(node, is_connected=runs and is_heard(node, now)) for node in found])
        return
    times = shown.Times(settings.display.time_zone)
    rows = [
        (
            node.name,
            node.pairing.value,
            "connected" if runs and is_heard(node, now) else times.at(node.last_seen_at),
            node.fingerprint,
        )
        for node in found
    ]
    none = "No node has ever connected. Start one with `homing node --gateway …` on its machine."
    shown.table(("name", "pairing", "last heard from", "fingerprint"), rows, none=none)


def pair(
    fingerprint: Annotated[str, typer.Argument(help="The whole fingerprint, as the node printed it.")],
    name: Annotated[str | None, typer.Option("--name", help="Another name for people than its own.")] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Let a node run commands. Compare the fingerprint with what the node printed at its start.

    Example: homing nodes pair <fingerprint> --name web-1
    """

    async def change(_: Settings, store: OpenStore) -> Node:
        return await store.write(lambda tx: _pair(tx, _typed(fingerprint), name))

    node = with_store(config, change)
    if as_json:
        shown.document({"ok": True, "node": _form(node, is_connected=False)})
    else:
        shown.line(f"{node.name} is paired; people run on it with: run on {node.name}: <command>")


def _typed(text: str) -> NodeFingerprint:
    """As the node prints it, however it was typed; what is none is compared as it stands, and fits nothing."""
    from bot.node.identity import parse_fingerprint

    try:
        return parse_fingerprint(text)
    except Malformed:
        return NodeFingerprint(text)


def _pair(tx: Tx, fingerprint: NodeFingerprint, name: str | None) -> Node:
    known = tx.nodes.get(fingerprint)
    if known is None:
        waiting = [node.fingerprint for node in tx.nodes.listing() if node.pairing is Pairing.PENDING]
        there = f"waiting to be paired: {', '.join(waiting)}" if waiting else "none is waiting to be paired"
        raise HomingError(f"no node with exactly this fingerprint has connected; {there}")
    if known.pairing is Pairing.REVOKED:
        raise HomingError(
            "this key was revoked, which is for ever; to come back as a new node, stop `homing node` on its machine, "
            "remove node.key from its state directory, and start it again"
        )
    node = tx.nodes.pair(fingerprint, name=name, by=operator())
    if node is None:
        raise HomingError("the node is gone; look with `homing nodes list`")
    return node


def revoke(
    node: Annotated[str, typer.Argument(help="Its name or its whole fingerprint.")],
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Cut a node off, for ever.

    What waits for it is cancelled, what it has is lost. The machine may come back with a new key, as a new node.

    Example: homing nodes revoke web-1
    """

    async def change(_: Settings, store: OpenStore) -> Node:
        return await store.write(lambda tx: _revoke(tx, node))

    revoked = with_store(config, change)
    if as_json:
        shown.document({"ok": True, "node": _form(revoked, is_connected=False)})
    else:
        shown.line(f"{revoked.name} is revoked; a running gateway cuts it off within a second")


def _revoke(tx: Tx, named: str) -> Node:
    found = tx.nodes.get(_typed(named)) or tx.nodes.by_name(named)
    if found is None:
        waiting = [node for node in tx.nodes.listing() if node.name == named and node.pairing is Pairing.PENDING]
        found = waiting[0] if len(waiting) == 1 else None
    if found is None:
        names = sorted({node.name for node in tx.nodes.listing() if node.pairing is not Pairing.REVOKED})
        raise HomingError(f"there is no node {named!r}; there are: {', '.join(names) or 'none'}")
    return tx.nodes.revoke(found.fingerprint, by=operator()) or found


def _form(node: Node, *, is_connected: bool) -> dict[str, object]:
    return {
        "name": node.name,
        "fingerprint": node.fingerprint,
        "pairing": node.pairing.value,
        "connected": is_connected,
        "first_seen_at": node.first_seen_at,
        "last_seen_at": node.last_seen_at,
        "paired_at": node.paired_at,
        "revoked_at": node.revoked_at,
    }
