"""What an ask needs before it becomes an execution: a node, room among what waits, and a leash that is not at its end.

Deliberately absent: who may ask for what, which is policy.
"""

from __future__ import annotations

from collections.abc import Collection

from bot.domain.command import NodeFingerprint
from bot.domain.event import Input
from bot.domain.node import Node, Pairing
from bot.domain.session import ReturnAddress
from bot.flow.recall import is_leashed
from bot.ports import Ask, Tx

MAX_WAITING = 100
"""Commands of one session that wait for people or for a node. The worst real turn that we know asked for 63."""


def ready(tx: Tx, asked: Input, origin: ReturnAddress, step: Ask, connected: Collection[NodeFingerprint]) -> Node | str:
    """The node that it is asked for; or the words why nothing is, empty where they were said before."""
    limit = step.unprompted_limit
    words = None if limit is None else is_leashed(tx, asked, origin.peer, limit)
    if words is not None:
        return words
    found = _choose_node(tx, step.node_name, connected)
    if isinstance(found, str):
        return found
    if tx.executions.count_waiting(asked.session) >= MAX_WAITING:
        return f"{MAX_WAITING} commands of this conversation are waiting already; decide or stop some first."
    return found


def _choose_node(tx: Tx, name: str | None, connected: Collection[NodeFingerprint]) -> Node | str:
    """The node that was named, or the only one there is; else the words that say what to write."""
    paired = [node for node in tx.nodes.listing() if node.pairing is Pairing.PAIRED]
    if name is not None:
        named = tx.nodes.by_name(name)
        names = ", ".join(node.name for node in paired) or "none is paired yet"
        return named if named is not None else f"There is no node {name!r}. Nodes: {names}."
    if not paired:
        return "No node is paired yet. Start `homing node` on a machine, then pair it with `homing nodes pair`."
    ready = [node for node in paired if node.fingerprint in connected] or paired
    if len(ready) == 1:
        return ready[0]
    names = ", ".join(node.name for node in ready)
    return f"Which node? Write `run on {ready[0].name}: …`. Nodes: {names}."
