"""The rows of the audit: lines that wait for the end of their transaction, the chain, redaction, and its witnesses.

Deliberately absent: the form of a line (see `bot.domain.audit`), and any way to change one but to redact its body.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, literal_column, select, text, update

from bot.domain.audit import GENESIS, REDACTED, Fields, Head, Line, about, about_briefly, body_text, follow
from bot.domain.command import CommandHash
from bot.domain.execution import Execution, ExecutionId
from bot.ports import Witnessed
from bot.store.audit_key import AuditKey
from bot.store.schema import executions
from bot.store.schema_audit import audit_lines, audit_witnesses
from bot.store.transaction import Connected, insert_or_update

_SALT_BYTES = 16
_LOCK_NUMBER = 4_663_465
"""The advisory lock under which lines are appended on PostgreSQL. Ours by habit, beside that of migrations."""

# Made once: making a statement costs more than running it.
_LOCK = text(f"SELECT pg_advisory_xact_lock({_LOCK_NUMBER})")
_HEAD = select(audit_lines.c.seq, audit_lines.c.at, audit_lines.c.hash).order_by(audit_lines.c.seq.desc()).limit(1)
_APPEND = insert(audit_lines)
# With one more in front: its hash is what the first of them follows.
_LINES = (
    select(audit_lines)
    .where(audit_lines.c.seq >= bindparam("after"))
    .order_by(audit_lines.c.seq)
    .limit(bindparam("most"))
)
_STANDING = select(
    executions.c.asker,
    executions.c.session,
    executions.c.node,
    executions.c.node_name,
    executions.c.rule,
    executions.c.command_hash,
    executions.c.masked,
).where(executions.c.id == bindparam("this_id"))
_REDACTABLE = (audit_lines.c.body.is_not(None), audit_lines.c.kind != REDACTED)


class StoredAudit(Connected):
    """`note` and `step` keep lines back until `flush`, the transaction's last statement before its commit."""

    __slots__ = ("_key", "_waiting")

    def __init__(self, connection: Connection, moment: Callable[[], float], key: AuditKey) -> None:
        super().__init__(connection, moment)
        self._key = key
        self._waiting: list[tuple[str, ExecutionId | None, str]] = []

    def note(self, kind: str, by: str | None, fields: Fields, *, execution: ExecutionId | None = None) -> None:
        self._keep(kind, by, fields, execution)

    def step(self, execution: Execution, kind: str, *, by: str | None, detail: str | None) -> None:
        """The line of a step, written for whoever makes the step."""
        self._keep(kind, by, about(execution, kind=kind, detail=detail, keyed=self._key.keyed), execution.id)

    def step_alone(self, execution_id: ExecutionId, kind: str, *, by: str | None, detail: str | None) -> None:
        """The same for an execution that this transaction has not looked at: that a result was told, for example."""
        row = self.connection.execute(_STANDING, {"this_id": execution_id}).first()
        if row is None:
            return
        shown = None if row.command_hash is None else CommandHash(row.command_hash)
        fields = about_briefly(
            asker=row.asker,
            session=row.session,
            node=row.node,
            node_name=row.node_name,
            rule=row.rule,
            shown_hash=shown if shown is None or row.masked is None else self._key.keyed(shown),
            detail=detail,
        )
        self._keep(kind, by, fields, execution_id)

    def _keep(self, kind: str, by: str | None, fields: Mapping[str, object], execution: ExecutionId | None) -> None:
        body = body_text(by, fields, salt=secrets.token_hex(_SALT_BYTES))
        self._waiting.append((kind, execution, body))

    def flush(self) -> None:
        """Append what waits, in its order.

        Two transactions may not follow the same line, so the second waits for the first's commit. It waits here, when
        it has all its other locks and asks for no more. Appended at once, with each step, two replicas could do this:

            first                           second
            step: holds the audit
                                            adds an event: holds the row of #ops
                                            step: waits for the audit
            adds an event in #ops:
            waits for the row of #ops       … and neither ever goes on

        Whoever holds the audit's lock waits for nobody, so no circle goes through it. On SQLite a write transaction
        is alone anyway.
        """
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        if self.dialect != "sqlite":
            # A statement of its own: one that also read the head would read it as it was before the wait.
            self.connection.execute(_LOCK)
        at, last, rows = moment_text(self.now), self.head(), []
        for kind, execution, body in waiting:
            line = follow(last, at=at, kind=kind, execution=execution, body=body)
            rows.append(
                {
                    "seq": line.seq,
                    "at": at,
                    "kind": kind,
                    "execution_id": execution,
                    "body": body,
                    "body_hash": line.body_hash,
                    "hash": line.hash,
                }
            )
            last = line.head()
        self.connection.execute(_APPEND, rows)

    def head(self) -> Head | None:
        row = self.connection.execute(_HEAD).first()
        return None if row is None else Head(seq=row.seq, at=row.at, hash=row.hash)

    def lines(self, *, after: int = 0, limit: int = 1_000) -> Sequence[Line]:
        rows = self.connection.execute(_LINES, {"after": after, "most": limit + (after > 0)}).all()
        previous, found = GENESIS, []
        for row in rows:
            if row.seq > after:
                found.append(_line_of(row, previous))
            previous = row.hash
        return found

    def of_execution(self, execution_id: ExecutionId, *, limit: int = 1_000) -> Sequence[Line]:
        mine = select(audit_lines.c.seq).where(audit_lines.c.execution_id == execution_id)
        seqs = self.connection.execute(mine.order_by(audit_lines.c.seq).limit(limit)).scalars()
        return [line for seq in seqs for line in self.lines(after=seq - 1, limit=1)]

    def before(self, moment: float) -> int:
        found = select(func.min(audit_lines.c.seq)).where(audit_lines.c.at >= moment_text(moment))
        first = self.connection.execute(found).scalar()
        if first is not None:
            return int(first) - 1
        head = self.head()
        return 0 if head is None else head.seq

    def first_body(self) -> int | None:
        found = select(audit_lines.c.seq).where(*_REDACTABLE).order_by(audit_lines.c.seq).limit(1)
        return self.connection.execute(found).scalar()

    def redact(
        self, *, first: int, last: int, by: str | None, reason: str, execution: ExecutionId | None = None
    ) -> int:
        theirs = () if execution is None else (audit_lines.c.execution_id == execution,)
        gone = self.connection.execute(
            update(audit_lines)
            .where(audit_lines.c.seq >= first, audit_lines.c.seq <= last, *_REDACTABLE, *theirs)
            .values(body=None)
        ).rowcount
        if gone:
            fields: Fields = {"first": first, "last": last, "bodies": gone, "reason": reason}
            self.note(REDACTED, by, fields, execution=execution)
        return gone

    def witnesses(self) -> Sequence[Witnessed]:
        rows = self.connection.execute(select(audit_witnesses).order_by(audit_witnesses.c.name)).all()
        return [_witnessed_of(row) for row in rows]

    def told(self, witness: str, head: Head) -> None:
        told = {"seq": head.seq, "at": head.at, "hash": head.hash, "told_at": self.now}
        self._remember(witness, {**told, "trouble": None, "failing_since": None})

    def not_told(self, witness: str, trouble: str) -> None:
        since = func.coalesce(audit_witnesses.c.failing_since, literal_column("excluded.failing_since"))
        saying = insert_or_update(
            self.dialect,
            audit_witnesses,
            "name",
            lambda new: {"trouble": new.trouble, "failing_since": since},
        )
        self.connection.execute(saying, {"name": witness, "trouble": trouble, "failing_since": self.now})

    def _remember(self, witness: str, values: dict[str, object]) -> None:
        saying = insert_or_update(
            self.dialect, audit_witnesses, "name", lambda new: {name: new[name] for name in values}
        )
        self.connection.execute(saying, {"name": witness, **values})


def moment_text(moment: float) -> str:
    """`2027-01-15T08:00:00.000Z`."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _line_of(row: Row[Any], previous: str) -> Line:
    return Line(
        seq=row.seq,
        at=row.at,
        kind=row.kind,
        execution=None if row.execution_id is None else ExecutionId(row.execution_id),
        previous=previous,
        body=row.body,
        body_hash=row.body_hash,
        hash=row.hash,
    )


def _witnessed_of(row: Row[Any]) -> Witnessed:
    head = None if row.seq is None else Head(seq=row.seq, at=row.at, hash=row.hash)
    return Witnessed(
        name=row.name, head=head, told_at=row.told_at, trouble=row.trouble, failing_since=row.failing_since
    )
