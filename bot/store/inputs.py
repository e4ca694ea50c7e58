"""The rows of what is owed to agents, of their sessions, and of presses that came too early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Executable,
    Float,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from bot.domain.event import (
    INPUT_TRANSITIONS,
    ClaimToken,
    Input,
    InputId,
    InputKind,
    InputState,
    InputTrigger,
    NewInput,
)
from bot.domain.message import ButtonPress, Reaction, Standing
from bot.domain.session import AccountName, ChannelName, MessageId, Peer, ReturnAddress, SessionKey
from bot.store.rows import address_of, address_text, conversation_digest, early_of, early_text, input_of
from bot.store.schema import addresses, digest, early, events, inputs, receipts, sessions
from bot.store.transaction import Connected, insert_or_ignore, insert_or_update

_DUE, _CLAIMED, _ANSWERED = InputState.DUE.value, InputState.CLAIMED.value, InputState.ANSWERED.value
_RELEASED = INPUT_TRANSITIONS[InputState.CLAIMED][InputTrigger.RELEASE].value
_MAX_SESSIONS_LOOKED_AT = 8
"""A session that another replica took between our look and our lock is passed over; replicas are few."""
_MAX_READ_FROM = 5_000
"""Messages that are looked at for where to read on: more than an hour of a busy workspace addresses to us."""
_MAX_EARLY = 1_000
"""Handed out at once. A person presses once a second at best, and they are kept for a minute."""

_other = inputs.alias("other")


@cache
def _remembering(dialect: str, *, newest: bool) -> Executable:
    """Only a message says where its session is now: a result comes home to where it was asked, perhaps long ago."""
    known = sessions.c.address
    if newest:
        return insert_or_update(dialect, sessions, "digest", lambda new: {"address": func.coalesce(new.address, known)})
    return insert_or_update(dialect, sessions, "digest", lambda new: {"address": func.coalesce(known, new.address)})


def _is_due(now: float | BindParameter[float]) -> ColumnElement[bool]:
    """Never tried is due whatever the clock says: one that was set back would hold it for as long."""
    return or_(inputs.c.not_before <= now, inputs.c.attempt == 0)


# Run at every look, and made once: making them costs more than running them.
_waiting = (
    select(inputs.c.session_digest, func.min(inputs.c.id).label("first"))
    .where(inputs.c.state == _DUE, _is_due(bindparam("now", type_=Float)))
    .group_by(inputs.c.session_digest)
    .subquery()
)
_NEXT_SESSION = (
    select(sessions.c.digest)
    .join(_waiting, _waiting.c.session_digest == sessions.c.digest)
    .where(
        ~exists().where(_other.c.session_digest == sessions.c.digest, _other.c.state == _CLAIMED),
        sessions.c.digest.not_in(bindparam("passed_over", expanding=True)),
    )
    .order_by(_waiting.c.first)
    .limit(1)
    .with_for_update(of=sessions, skip_locked=True)
)
_LATE_EARLY = delete(early).where(early.c.until <= bindparam("now", type_=Float))
_POSTED_EARLY = (
    select(early.c.delivery_digest)
    .where(
        early.c.taken == 0,
        exists().where(
            receipts.c.message_digest == early.c.message_digest,
            events.c.id == receipts.c.event_id,
            addresses.c.id == events.c.address_id,
            addresses.c.conversation_digest == early.c.conversation_digest,
            or_(early.c.thread.is_(None), early.c.thread == addresses.c.thread),
        ),
    )
    .order_by(early.c.kept_at)
    .limit(_MAX_EARLY)
)
_TAKE_EARLY = (
    update(early)
    .where(early.c.delivery_digest.in_(_POSTED_EARLY.scalar_subquery()), early.c.taken == 0)
    .values(taken=1)
    .returning(early.c.kept_at, early.c.body)
)


class StoredInputs(Connected):
    def add(self, new: NewInput) -> InputId | None:
        now = self.now
        answered = new.state is InputState.ANSWERED
        address = address_text(new.address)
        written = self.connection.execute(
            insert_or_ignore(self.dialect, inputs, inputs.c.id),
            {
                "delivery_digest": digest(new.channel, new.account, new.delivery),
                "channel": new.channel,
                "account": new.account,
                "delivery": new.delivery,
                "session": new.session,
                "session_digest": digest(new.session),
                "address": address,
                "kind": new.kind.value,
                "person": new.person,
                "person_native": new.person_native,
                "person_name": new.person_name,
                "text": new.text,
                "execution_id": new.execution_id,
                "state": new.state.value,
                "attempt": 0,
                "not_before": now,
                "created_at": now,
                "answered_at": now if answered else None,
            },
        ).scalar()
        if written is None:
            return None
        self.connection.execute(
            _remembering(self.dialect, newest=new.kind is InputKind.MESSAGE),
            {"digest": digest(new.session), "session": new.session, "address": address},
        )
        return InputId(written)

    def read_from(
        self, channel: ChannelName, account: AccountName, *, since: float, overlap_s: float
    ) -> list[Standing]:
        rows = self.connection.execute(
            select(inputs.c.address, inputs.c.created_at)
            .where(
                inputs.c.channel == channel,
                inputs.c.account == account,
                inputs.c.kind == InputKind.MESSAGE.value,
                inputs.c.created_at >= since,
            )
            .order_by(inputs.c.id.desc())
            .limit(_MAX_READ_FROM)
        ).all()
        newest_at: dict[Peer, float] = {}
        found: dict[Peer, MessageId] = {}
        for row in rows:
            address = None if row.address is None else address_of(row.address)
            if address is None or address.message_id is None:
                continue
            newest = newest_at.setdefault(address.peer, row.created_at)
            if address.peer in found and row.created_at < newest - overlap_s:
                newest_at[address.peer] = float("-inf")
            if newest > float("-inf"):
                found[address.peer] = address.message_id
        return [Standing(peer=peer, message_id=message_id) for peer, message_id in found.items()]

    def has_waiting(self, session: SessionKey) -> bool:
        waiting = select(inputs.c.id).where(
            inputs.c.session_digest == digest(session), inputs.c.state.in_((_DUE, _CLAIMED))
        )
        return self.connection.execute(waiting.limit(1)).first() is not None

    def newest_address(self, session: SessionKey) -> ReturnAddress | None:
        text = self.connection.execute(select(sessions.c.address).where(sessions.c.digest == digest(session))).scalar()
        return None if text is None else address_of(text)

    def claim(self, *, token: ClaimToken, lease_s: float, limit: int) -> Sequence[Input]:
        now = self.now
        passed_over: list[str] = []
        for _ in range(_MAX_SESSIONS_LOOKED_AT):
            session = self._lock_session(now, passed_over)
            if session is None:
                return []
            taken = self._claim_of(session, now, token=token, lease_s=lease_s, limit=limit)
            if taken:
                return taken
            passed_over.append(session)
        return []

    def _lock_session(self, now: float, passed_over: list[str]) -> str | None:
        """The session with the oldest due input and no open claim; locked, which says nothing of its inputs yet."""
        return self.connection.execute(_NEXT_SESSION, {"now": now, "passed_over": passed_over}).scalar()

    def _claim_of(self, session: str, now: float, *, token: ClaimToken, lease_s: float, limit: int) -> Sequence[Input]:
        # Looked at again under the lock: the statement that found the session may have read before another
        # replica's claim was committed, and locked after it.
        claimed = exists().where(_other.c.session_digest == session, _other.c.state == _CLAIMED)
        rows = self.connection.execute(
            select(inputs)
            .where(inputs.c.session_digest == session, inputs.c.state == _DUE, _is_due(now), ~claimed)
            .order_by(inputs.c.id)
            .limit(limit)
        ).all()
        if not rows:
            return []
        state = INPUT_TRANSITIONS[InputState.DUE][InputTrigger.CLAIM].value
        self.connection.execute(
            update(inputs)
            .where(inputs.c.id.in_([row.id for row in rows]), inputs.c.state == _DUE)
            .values(state=state, claim_token=token, lease_until=now + lease_s, attempt=inputs.c.attempt + 1)
        )
        return [replace(found, attempt=found.attempt + 1) for found in map(input_of, rows)]

    def answer(self, inputs_: Sequence[Input], *, token: ClaimToken) -> bool:
        state = INPUT_TRANSITIONS[InputState.CLAIMED][InputTrigger.ANSWER].value
        return self._settle(inputs_, token, {"state": state, "answered_at": self.now})

    def reword(self, input_id: InputId, text: str) -> None:
        self.connection.execute(update(inputs).where(inputs.c.id == input_id).values(text=text))

    def release(
        self, inputs_: Sequence[Input], *, token: ClaimToken, not_before: float, is_untried: bool = False
    ) -> bool:
        attempt = inputs.c.attempt - 1 if is_untried else inputs.c.attempt
        return self._settle(inputs_, token, {"state": _RELEASED, "not_before": not_before, "attempt": attempt})

    def _settle(self, claimed: Sequence[Input], token: ClaimToken, changes: dict[str, object]) -> bool:
        settled = self.connection.execute(
            update(inputs)
            .where(
                inputs.c.id.in_([one.id for one in claimed]),
                inputs.c.state == _CLAIMED,
                inputs.c.claim_token == token,
            )
            .values(claim_token=None, lease_until=None, **changes)
        )
        return settled.rowcount == len(claimed)

    def release_lapsed(self) -> int:
        return self._release_where(lapsed_by=self.now)

    def take_over(self) -> int:
        return self._release_where(lapsed_by=None)

    def _release_where(self, *, lapsed_by: float | None) -> int:
        query = update(inputs).where(inputs.c.state == _CLAIMED)
        if lapsed_by is not None:
            query = query.where(inputs.c.lease_until <= lapsed_by)
        released = self.connection.execute(query.values(state=_RELEASED, claim_token=None, lease_until=None))
        return int(released.rowcount)

    def keep_early(self, press: ButtonPress | Reaction, *, until: float) -> None:
        peer = press.peer
        self.connection.execute(
            insert_or_ignore(self.dialect, early),
            {
                "delivery_digest": digest(peer.channel, peer.account, press.delivery),
                "conversation_digest": conversation_digest(peer),
                "thread": peer.thread,
                "message_digest": digest(press.message_id),
                "body": early_text(press),
                "kept_at": self.now,
                "until": until,
                "taken": 0,
            },
        )

    def take_early(self) -> Sequence[ButtonPress | Reaction]:
        self.connection.execute(_LATE_EARLY, {"now": self.now})
        rows = self.connection.execute(_TAKE_EARLY).all()
        return [early_of(row.body) for row in sorted(rows, key=lambda row: row.kept_at)]

    def prune(self, *, answered_before: float, limit: int = 500) -> int:
        old = (
            select(inputs.c.id)
            .where(inputs.c.state == _ANSWERED, inputs.c.answered_at < answered_before)
            .order_by(inputs.c.answered_at)
            .limit(limit)
        )
        gone = self.connection.execute(delete(inputs).where(inputs.c.id.in_(old.scalar_subquery())))
        return int(gone.rowcount)
