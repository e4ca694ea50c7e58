"""The rows of what models remember, of what they asked for, and of what they took."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from sqlalchemy import ColumnElement, Executable, delete, func, insert, select, update

from bot.domain.execution import ExecutionId
from bot.domain.memory import Remembered, remembered_from_text, remembered_to_text
from bot.domain.session import AgentName, Peer, PersonId, SessionKey
from bot.domain.spending import Spending, Spent
from bot.ports import Past
from bot.store.rows import peer_digest
from bot.store.schema import digest
from bot.store.schema_memory import asked, memories, places, spendings
from bot.store.transaction import Connected, insert_or_ignore, insert_or_update

MAX_TURNS = 200
"""Kept of one place: some weeks of a busy room, and more than the largest window of a model takes in."""

_SUMS: tuple[ColumnElement[int] | ColumnElement[float], ...] = (
    func.count(spendings.c.id),
    func.coalesce(func.sum(spendings.c.requests), 0),
    func.coalesce(func.sum(spendings.c.tokens_read), 0),
    func.coalesce(func.sum(spendings.c.tokens_written), 0),
    func.coalesce(func.sum(spendings.c.money_micros), 0),
    func.coalesce(func.sum(spendings.c.took_s), 0.0),
)

_SUMMED = ("requests", "tokens_read", "tokens_written", "money_micros", "took_s")


@cache
def _counting(dialect: str) -> Executable:
    counting = insert_or_update(
        dialect, places, "digest", lambda new: {"unprompted": places.c.unprompted + new.unprompted}
    )
    return counting.returning(places.c.unprompted)


@cache
def _forgetting(dialect: str) -> Executable:
    return insert_or_update(
        dialect, places, "digest", lambda _: {"generation": places.c.generation + 1, "unprompted": 0}
    )


class StoredMemories(Connected):
    def recall(self, session: SessionKey, place: Peer | None) -> Past:
        here = _digest(session, place)
        newest = (
            select(memories.c.id, memories.c.body)
            .where(memories.c.place_digest == here)
            .order_by(memories.c.id.desc())
            .limit(MAX_TURNS)
        )
        rows = self.connection.execute(newest).all()
        leash = "" if place is None else _leash(place)
        unprompted = self.connection.execute(select(places.c.unprompted).where(places.c.digest == leash)).scalar()
        return Past(turns=[remembered_from_text(row.body) for row in reversed(rows)], unprompted=int(unprompted or 0))

    def learn(self, session: SessionKey, place: Peer | None, turn: Remembered) -> None:
        here = _digest(session, place)
        written = {"place_digest": here, "at": self.now, "body": remembered_to_text(turn)}
        self.connection.execute(insert(memories), written)
        oldest_kept = (
            select(memories.c.id)
            .where(memories.c.place_digest == here)
            .order_by(memories.c.id.desc())
            .offset(MAX_TURNS - 1)
            .limit(1)
        )
        self.connection.execute(
            delete(memories).where(memories.c.place_digest == here, memories.c.id < oldest_kept.scalar_subquery())
        )

    def forget(self, session: SessionKey, place: Peer | None) -> None:
        here = _digest(session, place)
        self.connection.execute(delete(memories).where(memories.c.place_digest == here))
        self.connection.execute(_forgetting(self.dialect), {"digest": here, "generation": 1, "unprompted": 0})
        self.spoken(place)

    def asked(self, execution_id: ExecutionId, session: SessionKey, place: Peer | None) -> None:
        here = _digest(session, place)
        generation = self.connection.execute(select(places.c.generation).where(places.c.digest == here)).scalar()
        self.connection.execute(
            insert_or_ignore(self.dialect, asked),
            {"execution_id": execution_id, "place_digest": here, "generation": generation or 0, "at": self.now},
        )

    def count_unprompted(self, place: Peer) -> int:
        counted = {"digest": _leash(place), "generation": 0, "unprompted": 1}
        return int(self.connection.execute(_counting(self.dialect), counted).scalar_one())

    def spoken(self, place: Peer | None) -> None:
        leashes = () if place is None else (_leash(place), _leash(place.parent()))
        self.connection.execute(update(places).where(places.c.digest.in_(leashes)).values(unprompted=0))

    def is_present(self, execution_id: ExecutionId, session: SessionKey, place: Peer | None) -> bool:
        here = _digest(session, place)
        generation = self.connection.execute(select(places.c.generation).where(places.c.digest == here)).scalar() or 0
        row = self.connection.execute(select(asked).where(asked.c.execution_id == execution_id)).first()
        if row is None:
            # Asked for before there were such rows, or by a schedule: it belongs to what never forgot.
            return generation == 0
        return bool(row.place_digest == here and row.generation == generation)

    def spend(self, spending: Spending) -> None:
        spent = spending.spent
        self.connection.execute(
            insert(spendings),
            {
                "at": self.now,
                "agent": spending.agent,
                "session": spending.session,
                "person": spending.person,
                "model": spending.model,
                "requests": spent.requests,
                "tokens_read": spent.tokens_read,
                "tokens_written": spent.tokens_written,
                "money_micros": spent.money_micros,
                "took_s": spent.took_s,
            },
        )

    def spent(self, *, since: float, agent: AgentName | None = None, person: PersonId | None = None) -> Spent:
        query = select(*_SUMS).where(spendings.c.at >= since)
        if agent is not None:
            query = query.where(spendings.c.agent == agent)
        if person is not None:
            query = query.where(spendings.c.person == person)
        return _spent(tuple(self.connection.execute(query).one()))

    def latest(self, *, limit: int) -> Sequence[tuple[float, Spending]]:
        rows = self.connection.execute(select(spendings).order_by(spendings.c.id.desc()).limit(limit)).all()
        return [
            (
                row.at,
                Spending(
                    agent=AgentName(row.agent),
                    session=SessionKey(row.session),
                    person=None if row.person is None else PersonId(row.person),
                    model=row.model,
                    spent=_spent((1, *(getattr(row, name) for name in _SUMMED))),
                ),
            )
            for row in rows
        ]

    def spendings(
        self, *, since: float, by_session: bool = False, limit: int = 100
    ) -> Sequence[tuple[AgentName, SessionKey | None, Spent]]:
        by = (spendings.c.agent, spendings.c.session) if by_session else (spendings.c.agent,)
        query = (
            select(*by, *_SUMS)
            .where(spendings.c.at >= since)
            .group_by(*by)
            .order_by(func.sum(spendings.c.tokens_read + spendings.c.tokens_written).desc())
            .limit(limit)
        )
        return [
            (AgentName(row[0]), SessionKey(row[1]) if by_session else None, _spent(tuple(row[len(by) :])))
            for row in self.connection.execute(query).all()
        ]

    def prune(self, *, before: float, limit: int = 500) -> int:
        gone = 0
        for table, key in ((memories, memories.c.id), (spendings, spendings.c.id), (asked, asked.c.execution_id)):
            old = select(key).where(table.c.at < before).order_by(table.c.at).limit(limit)
            gone += self.connection.execute(delete(table).where(key.in_(old.scalar_subquery()))).rowcount
        return gone


def _digest(session: SessionKey, place: Peer | None) -> str:
    return digest(session, None if place is None else peer_digest(place))


def _leash(place: Peer) -> str:
    """Of a place, whatever session is told there."""
    return digest("unprompted", peer_digest(place))


def _spent(sums: tuple[object, ...]) -> Spent:
    turns, requests, tokens_read, tokens_written, money_micros, took_s = (float(str(one)) for one in sums)
    return Spent(
        turns=int(turns),
        requests=int(requests),
        tokens_read=int(tokens_read),
        tokens_written=int(tokens_written),
        money_micros=int(money_micros),
        took_s=took_s,
    )
