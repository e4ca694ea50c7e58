"""How many messages are under way on each account. Each has its own bound, so none waits for another one's network.

Deliberately absent: what is sent, and where.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from bot.domain.session import AccountName, ChannelName, Peer

Account = tuple[ChannelName, AccountName]


def account_of(peer: Peer) -> Account:
    return peer.channel, peer.account


@dataclass(slots=True)
class Places:
    each: int
    """Of one account."""
    taken: Counter[Account] = field(default_factory=Counter)
    undecided: int = 0
    """Kept for transactions of which nobody knows yet whether they take one, and on which account."""
    waiting: set[Account] = field(default_factory=set)
    """Those on which more may be due than there were places."""

    def free(self, account: Account) -> int:
        return max(0, self.each - self.taken[account] - self.undecided)

    def uncrowded(self, accounts: Collection[Account]) -> frozenset[Account]:
        """Where a place is free and nobody waits for one."""
        return frozenset(one for one in accounts if one not in self.waiting and self.free(one))

    def take(self, account: Account) -> None:
        self.taken[account] += 1

    def leave(self, account: Account) -> None:
        self.taken[account] -= 1
