"""The rows of people who are let in by a code: waiting with one, or paired. One row a person and account.

Deliberately absent: who is asked to pair, which is the gate's, and what they are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, func, select, update

from bot.domain.gate import CODE_LASTS_S, MAX_PENDING, PersonPairing
from bot.domain.message import Sender
from bot.domain.session import AccountName, ChannelName, ReturnAddress, SessionKey
from bot.store.rows import address_of, address_text
from bot.store.schema import digest
from bot.store.schema_known import pairings
from bot.store.transaction import Audited, insert_or_ignore


class StoredPairings(Audited):
    def get(self, channel: ChannelName, account: AccountName, native: str) -> PersonPairing | None:
        row = self.connection.execute(
            select(pairings).where(
                pairings.c.digest == digest(channel, account, native),
                pairings.c.paired_at.is_not(None) | (pairings.c.expires_at > self.now),
            )
        ).first()
        return None if row is None else _pairing_of(row)

    def is_full(self, channel: ChannelName, account: AccountName) -> bool:
        waiting = (
            select(func.count())
            .select_from(pairings)
            .where(
                pairings.c.account_digest == digest(channel, account),
                pairings.c.paired_at.is_(None),
                pairings.c.expires_at > self.now,
            )
        )
        return self.connection.execute(waiting).scalar_one() >= MAX_PENDING

    def ask(self, *, address: ReturnAddress, session: SessionKey, sender: Sender, code: str) -> bool:
        channel, account = address.peer.channel, address.peer.account
        of_account = digest(channel, account)
        # What is over is swept away here: nobody else adds rows, so those that wait stay as few as their bound.
        self.connection.execute(
            delete(pairings).where(
                pairings.c.account_digest == of_account,
                pairings.c.paired_at.is_(None),
                pairings.c.expires_at <= self.now,
            )
        )
        if self.is_full(channel, account):
            return False
        written = self.connection.execute(
            insert_or_ignore(self.dialect, pairings, pairings.c.digest),
            {
                "digest": digest(channel, account, sender.native),
                "channel": channel,
                "account": account,
                "account_digest": of_account,
                "native": sender.native,
                "name": sender.name,
                "address": address_text(address),
                "session": session,
                "code": code,
                "asked_at": self.now,
                "expires_at": self.now + CODE_LASTS_S,
            },
        ).first()
        return written is not None

    def approve(self, code: str, *, by: str) -> PersonPairing | None:
        used = self.connection.execute(
            update(pairings)
            .where(pairings.c.code == code, pairings.c.expires_at > self.now)
            .values(code=None, paired_at=self.now, paired_by=by)
            .returning(*pairings.c)
        ).first()
        return None if used is None else self._noted("person_paired", by, _pairing_of(used))

    def revoke(
        self, channel: ChannelName, account: AccountName, native: str, *, by: str | None = None
    ) -> PersonPairing | None:
        gone = self.connection.execute(
            delete(pairings).where(pairings.c.digest == digest(channel, account, native)).returning(*pairings.c)
        ).first()
        return None if gone is None else self._noted("person_revoked", by, _pairing_of(gone))

    def _noted(self, kind: str, by: str | None, pairing: PersonPairing) -> PersonPairing:
        person = {"person": f"{pairing.channel}:{pairing.native}", "name": pairing.name, "account": pairing.account}
        self.audit.note(kind, by, person)
        return pairing

    def listing(self) -> Sequence[PersonPairing]:
        rows = self.connection.execute(
            select(pairings)
            .where(pairings.c.paired_at.is_not(None) | (pairings.c.expires_at > self.now))
            .order_by(pairings.c.paired_at.is_not(None), pairings.c.asked_at, pairings.c.digest)
        ).all()
        return [_pairing_of(row) for row in rows]


def _pairing_of(row: Row[Any]) -> PersonPairing:
    return PersonPairing(
        channel=ChannelName(row.channel),
        account=AccountName(row.account),
        native=row.native,
        name=row.name,
        address=address_of(row.address),
        session=SessionKey(row.session),
        code=row.code,
        asked_at=row.asked_at,
        expires_at=row.expires_at,
        paired_at=row.paired_at,
        paired_by=row.paired_by,
    )
