"""The rows of executions, their steps, votes and tombstones. Deliberately absent: who may move what, and when."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Integer,
    Select,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from bot.domain.audit import Value
from bot.domain.batch import BatchId
from bot.domain.command import NodeFingerprint
from bot.domain.event import EventState, InputState
from bot.domain.execution import (
    FINAL,
    HANDED_OVER,
    WAITING,
    Execution,
    ExecutionId,
    ExecutionState,
    Step,
    Trigger,
    next_state,
)
from bot.domain.glass import GlassId
from bot.domain.session import PersonId, SessionKey
from bot.errors import StaleRow
from bot.store.audit import StoredAudit
from bot.store.rows import execution_of, execution_values
from bot.store.schema import digest, events, executions, inputs, spent_identities, steps, tombstones, votes
from bot.store.transaction import Connected, insert_or_ignore

# Made once: making a statement of twenty columns costs more than running it.
_ONE = select(executions).where(executions.c.id == bindparam("this_id"))
_LOCKED = _ONE.with_for_update()
_TOMBSTONE = select(tombstones.c.id).where(tombstones.c.id == bindparam("this_id"))
_WRITE = (
    update(executions)
    .where(executions.c.id == bindparam("this_id"), executions.c.state == bindparam("from_state"))
    .values(revision=executions.c.revision + 1)
    .returning(executions.c.revision)
)
_STEP = insert(steps)
_STATES: BindParameter[str] = bindparam("states", expanding=True)
_NODES: BindParameter[str] = bindparam("nodes", expanding=True)
_MOST = bindparam("most", type_=Integer)
_STOP_WANTED = (
    select(executions)
    .where(executions.c.state.in_(_STATES), executions.c.stop_wanted_by.is_not(None), executions.c.node.in_(_NODES))
    .order_by(executions.c.created_at, executions.c.id)
    .limit(_MOST)
)
_mate = executions.alias("mate")
_UNSHOWN = (
    select(executions.c.batch)
    .where(
        executions.c.batch.is_not(None),
        executions.c.batch_card.is_(None),
        executions.c.state.in_([state.value for state in ExecutionState if state not in FINAL]),
        ~exists().where(_mate.c.batch == executions.c.batch, _mate.c.state == ExecutionState.PREPARING.value),
    )
    .distinct()
    .limit(_MOST)
)


@cache
def _in_states(*, of_nodes: bool, of_session: bool, newest_first: bool) -> Select[Any]:
    query = select(executions).where(executions.c.state.in_(_STATES))
    if of_nodes:
        query = query.where(executions.c.node.in_(_NODES))
    if of_session:
        query = query.where(executions.c.session_digest == bindparam("this_session"))
    if newest_first:
        return query.order_by(executions.c.created_at.desc(), executions.c.id.desc()).limit(_MOST)
    # What one turn asked for is of one moment.
    at = func.coalesce(executions.c.batch_at, 0)
    return query.order_by(executions.c.created_at, at, executions.c.id).limit(_MOST)


class StoredExecutions(Connected):
    """Each step, and each yes and no, leaves its line in the audit, here, where no caller can forget it."""

    __slots__ = ("_audit", "_newest")

    def __init__(self, connection: Connection, moment: Callable[[], float], audit: StoredAudit) -> None:
        super().__init__(connection, moment)
        self._audit = audit
        self._newest: dict[ExecutionId, Execution] = {}
        """As this transaction locked or wrote them last, so that the lines of their steps need no look."""

    def insert(self, execution: Execution) -> bool:
        if self.connection.execute(_TOMBSTONE, {"this_id": execution.id}).first() is not None:
            return False
        written = self.connection.execute(
            insert_or_ignore(self.dialect, executions, executions.c.id),
            {
                "id": execution.id,
                "state": execution.state.value,
                "revision": execution.revision,
                **execution_values(execution),
            },
        )
        is_new = written.first() is not None
        if is_new:
            self._newest[execution.id] = execution
        return is_new

    def get(self, execution_id: ExecutionId) -> Execution | None:
        return self._one(_ONE, execution_id)

    def lock(self, execution_id: ExecutionId) -> Execution | None:
        # SQLite drops the clause: there a write transaction is alone anyway.
        found = self._one(_LOCKED, execution_id)
        if found is not None:
            self._newest[execution_id] = found
        return found

    def lock_all(self, execution_ids: Collection[ExecutionId]) -> Sequence[Execution]:
        # PostgreSQL locks rows as they come out of the sort.
        found = self._all(
            select(executions)
            .where(executions.c.id.in_(sorted(execution_ids)))
            .order_by(executions.c.id)
            .with_for_update()
        )
        self._newest.update((one.id, one) for one in found)
        return found

    def of_batch(self, batch: BatchId, *, card: int | None = None) -> Sequence[Execution]:
        found = select(executions).where(executions.c.batch == batch)
        if card is not None:
            found = found.where(executions.c.batch_card == card)
        return self._all(found.order_by(executions.c.batch_at, executions.c.id))

    def unshown_batches(self, *, limit: int = 20) -> Sequence[BatchId]:
        rows = self.connection.execute(_UNSHOWN, {"most": limit})
        return [BatchId(batch) for batch in rows.scalars()]

    def count_waiting(self, session: SessionKey) -> int:
        found = select(func.count()).where(
            executions.c.session_digest == digest(session), executions.c.state.in_([state.value for state in WAITING])
        )
        return int(self.connection.execute(found).scalar_one())

    def move(
        self, execution: Execution, trigger: Trigger, *, by: str | None = None, detail: str | None = None
    ) -> Execution:
        state = next_state(execution.state, trigger)
        revision = self._write(execution, state)
        moved = replace(execution, state=state, revision=revision)
        self._newest[execution.id] = moved
        self.step(execution.id, trigger.value, by=by, detail=detail)
        return moved

    def amend(self, execution: Execution) -> None:
        revision = self._write(execution, execution.state)
        self._newest[execution.id] = replace(execution, revision=revision)

    def _write(self, execution: Execution, state: ExecutionState) -> int:
        written = self.connection.execute(
            _WRITE,
            {
                "this_id": execution.id,
                "from_state": execution.state.value,
                "state": state.value,
                # What this transaction has locked or written last stands in the row: only what changed is written.
                **execution_values(execution, unlike=self._newest.get(execution.id)),
            },
        ).scalar()
        if written is None:
            raise StaleRow(f"execution {execution.id} is no longer {execution.state.value}")
        return int(written)

    def step(self, execution_id: ExecutionId, what: str, *, by: str | None = None, detail: str | None = None) -> None:
        self.connection.execute(
            _STEP,
            {"execution_id": execution_id, "at": self.now, "what": what, "by_whom": by, "detail": detail},
        )
        known = self._newest.get(execution_id)
        if known is not None:
            self._audit.step(known, what, by=by, detail=detail)
        else:
            self._audit.step_alone(execution_id, what, by=by, detail=detail)

    def steps(self, execution_id: ExecutionId) -> Sequence[Step]:
        rows = self.connection.execute(
            select(steps).where(steps.c.execution_id == execution_id).order_by(steps.c.id)
        ).all()
        return [Step(at=row.at, what=row.what, by=row.by_whom, detail=row.detail) for row in rows]

    def vote(
        self, execution_id: ExecutionId, person: PersonId, *, approves: bool, reason: str, with_factor: bool = False
    ) -> bool:
        written = self.connection.execute(
            insert_or_ignore(self.dialect, votes, votes.c.execution_id),
            {
                "execution_id": execution_id,
                "person_digest": digest(person),
                "person": person,
                "approves": int(approves),
                "reason": reason,
                "at": self.now,
                "with_factor": int(with_factor),
            },
        )
        counts = written.first() is not None or (approves and with_factor and self._strengthen(execution_id, person))
        if counts:
            said: dict[str, Value] = {"reason": reason, **({"second_factor": True} if with_factor else {})}
            self._audit.note("yes" if approves else "no", person, said, execution=execution_id)
        return counts

    def _strengthen(self, execution_id: ExecutionId, person: PersonId) -> bool:
        """A yes that was said before the rules asked for a device stands, and counts again with one."""
        stronger = self.connection.execute(
            update(votes)
            .where(
                votes.c.execution_id == execution_id,
                votes.c.person_digest == digest(person),
                votes.c.approves == 1,
                votes.c.with_factor == 0,
            )
            .values(with_factor=1)
        )
        return bool(stronger.rowcount)

    def approvers(self, execution_id: ExecutionId, *, with_factor: bool = False) -> Sequence[PersonId]:
        query = select(votes.c.person).where(votes.c.execution_id == execution_id, votes.c.approves == 1)
        if with_factor:
            query = query.where(votes.c.with_factor == 1)
        rows = self.connection.execute(query.order_by(votes.c.at, votes.c.person))
        return [PersonId(person) for person in rows.scalars()]

    def in_states(
        self,
        states: Collection[ExecutionState],
        *,
        nodes: Collection[NodeFingerprint] | None = None,
        session: SessionKey | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Sequence[Execution]:
        wanted: dict[str, object] = {"states": [state.value for state in states], "most": limit}
        if nodes is not None:
            wanted["nodes"] = list(nodes)
        if session is not None:
            wanted["this_session"] = digest(session)
        query = _in_states(of_nodes=nodes is not None, of_session=session is not None, newest_first=newest_first)
        return self._all(query, wanted)

    def escalating(self, *, limit: int = 100) -> Sequence[Execution]:
        return self._all(
            select(executions)
            .where(executions.c.escalates_at <= self.now)
            .order_by(executions.c.escalates_at, executions.c.id)
            .limit(limit)
        )

    def under(self, glass_id: GlassId, *, limit: int = 100) -> Sequence[Execution]:
        return self._all(
            select(executions)
            .where(executions.c.glass_id == glass_id)
            .order_by(executions.c.decided_at, executions.c.id)
            .limit(limit)
        )

    def expired(self, *, limit: int = 100) -> Sequence[Execution]:
        return self._all(
            select(executions)
            .where(
                executions.c.state.in_([state.value for state in WAITING]),
                executions.c.expires_at <= self.now,
            )
            .order_by(executions.c.expires_at, executions.c.id)
            .limit(limit)
        )

    def stop_wanted(self, nodes: Collection[NodeFingerprint], *, limit: int = 100) -> Sequence[Execution]:
        return self._all(
            _STOP_WANTED,
            {"states": [state.value for state in HANDED_OVER], "nodes": list(nodes), "most": limit},
        )

    def prune(self, *, ended_before: float, limit: int = 500) -> int:
        owed = exists().where(events.c.execution_id == executions.c.id, events.c.state != EventState.TOLD.value)
        unanswered = exists().where(
            inputs.c.execution_id == executions.c.id, inputs.c.state != InputState.ANSWERED.value
        )
        gone = self.connection.execute(
            select(executions.c.id, executions.c.origin, executions.c.state, executions.c.ended_at)
            .where(
                executions.c.state.in_([state.value for state in FINAL]),
                func.coalesce(executions.c.ended_at, executions.c.created_at) < ended_before,
                ~owed,
                ~unanswered,
            )
            .order_by(executions.c.ended_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).all()
        if not gone:
            return 0
        ids = [row.id for row in gone]
        self.connection.execute(
            insert_or_ignore(self.dialect, tombstones),
            [{"id": row.id, "origin": row.origin, "state": row.state, "ended_at": row.ended_at} for row in gone],
        )
        theirs = events.c.execution_id.in_(ids)
        self.connection.execute(
            insert_or_ignore(self.dialect, spent_identities).from_select(
                ["identity_digest"], select(events.c.identity_digest).where(theirs)
            )
        )
        self.connection.execute(delete(events).where(theirs))
        self.connection.execute(delete(executions).where(executions.c.id.in_(ids)))
        return len(ids)

    def _one(self, query: Select[Any], execution_id: ExecutionId) -> Execution | None:
        row = self.connection.execute(query, {"this_id": execution_id}).first()
        return None if row is None else execution_of(row)

    def _all(self, query: Select[Any], wanted: Mapping[str, object] | None = None) -> list[Execution]:
        return [execution_of(row) for row in self.connection.execute(query, wanted).all()]
