"""Which agent answers where: bindings from places to agents, of which the most specific wins.

Deliberately absent: who may speak there (the gate), and what the agent may do (policy).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.domain.session import AccountName, AgentName, ChannelName, Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A place is a channel, an account of it, or one conversation, with its threads unless it names one."""

    agent: AgentName
    channel: ChannelName
    account: AccountName | None = None
    peer: Peer | None = None

    def weight_at(self, peer: Peer) -> int:
        """How specific it is about this conversation; 0 where it is about others."""
        if self.channel != peer.channel or self.account not in (None, peer.account):
            return 0
        if self.peer is None:
            return 1 if self.account is None else 2
        theirs = replace(peer, agent=self.peer.agent)
        if self.peer == theirs:
            return 4
        return 3 if self.peer == theirs.parent() else 0


def bound(peer: Peer, bindings: Sequence[Binding]) -> Peer:
    """The conversation as the agent's that answers in it. Of two equal bindings the first counts."""
    best = max(bindings, key=lambda one: one.weight_at(peer), default=None)
    if best is None or best.weight_at(peer) == 0:
        return peer
    return replace(peer, agent=best.agent)
