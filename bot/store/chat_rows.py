"""The rows of the web chat. Deliberately absent: what a body holds, and who may read which room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, delete, select, update

from bot.ports import ChatEntry, ChatPerson
from bot.store.schema import digest
from bot.store.schema_chat import (
    chat_cookies,
    chat_counter,
    chat_entries,
    chat_invitations,
    chat_people,
    chat_rooms,
)
from bot.store.transaction import Connected, insert_or_ignore, insert_or_update

_COUNTER = 1


class StoredChat(Connected):
    def post(
        self, *, kind: str, room: str, thread: str | None, author: str, body: str, nonce: str
    ) -> tuple[ChatEntry, bool]:
        standing = self.by_nonce(author=author, nonce=nonce)
        if standing is not None:
            return standing, False
        change = self._draw_change()
        written = self.connection.execute(
            insert_or_ignore(self.dialect, chat_entries, *chat_entries.c),
            {
                "id": change,
                "change": change,
                "kind": kind,
                "room": room,
                "thread": thread,
                "place_digest": digest(kind, room, thread),
                "author": author,
                "nonce": nonce,
                "nonce_digest": digest(author, nonce),
                "body": body,
                "created_at": self.now,
            },
        ).first()
        if written is not None:
            return _entry_of(written), True
        # Somebody else posted it between our look and the counter's lock.
        return _entry_of(self.connection.execute(_by_nonce(author, nonce)).one()), False

    def _draw_change(self) -> int:
        drawing = insert_or_update(self.dialect, chat_counter, "id", lambda _: {"change": chat_counter.c.change + 1})
        drawn = self.connection.execute(drawing.returning(chat_counter.c.change), {"id": _COUNTER, "change": 1})
        return int(drawn.scalar_one())

    def revise(self, entry_id: int, *, body: str) -> ChatEntry | None:
        revised = self.connection.execute(
            update(chat_entries)
            .where(chat_entries.c.id == entry_id)
            .values(body=body, edited_at=self.now, change=self._draw_change())
            .returning(*chat_entries.c)
        ).first()
        return None if revised is None else _entry_of(revised)

    def by_nonce(self, *, author: str, nonce: str) -> ChatEntry | None:
        row = self.connection.execute(_by_nonce(author, nonce)).first()
        return None if row is None else _entry_of(row)

    def since(self, change: int, *, limit: int) -> Sequence[ChatEntry]:
        rows = self.connection.execute(
            select(chat_entries).where(chat_entries.c.change > change).order_by(chat_entries.c.change).limit(limit)
        ).all()
        return [_entry_of(row) for row in rows]

    def newest(
        self, *, kind: str, room: str, thread: str | None, before_id: int | None, limit: int
    ) -> Sequence[ChatEntry]:
        query = select(chat_entries).where(chat_entries.c.place_digest == digest(kind, room, thread))
        if before_id is not None:
            query = query.where(chat_entries.c.id < before_id)
        rows = self.connection.execute(query.order_by(chat_entries.c.id.desc()).limit(limit)).all()
        return [_entry_of(row) for row in reversed(rows)]

    def rooms(self) -> Sequence[str]:
        found = self.connection.execute(select(chat_rooms.c.room).order_by(chat_rooms.c.opened_at, chat_rooms.c.room))
        return list(found.scalars())

    def open_room(self, room: str) -> None:
        self.connection.execute(
            insert_or_ignore(self.dialect, chat_rooms),
            {"room_digest": digest(room), "room": room, "opened_at": self.now},
        )

    def invite(self, *, secret_hash: str, person: ChatPerson, expires_at: float) -> None:
        self.connection.execute(
            insert_or_ignore(self.dialect, chat_invitations),
            {"secret_hash": secret_hash, "native": person.native, "name": person.name, "expires_at": expires_at},
        )

    def redeem(self, *, secret_hash: str, cookie_hash: str, cookie_expires_at: float) -> ChatPerson | None:
        self.connection.execute(delete(chat_invitations).where(chat_invitations.c.expires_at <= self.now))
        used = self.connection.execute(
            delete(chat_invitations)
            .where(chat_invitations.c.secret_hash == secret_hash)
            .returning(chat_invitations.c.native, chat_invitations.c.name)
        ).first()
        if used is None:
            return None
        person = {"native_digest": digest(used.native), "native": used.native, "name": used.name}
        naming = insert_or_update(self.dialect, chat_people, "native_digest", lambda new: {"name": new.name})
        self.connection.execute(naming, person)
        self.connection.execute(delete(chat_cookies).where(chat_cookies.c.expires_at <= self.now))
        self.connection.execute(
            insert_or_ignore(self.dialect, chat_cookies),
            {"cookie_hash": cookie_hash, "native_digest": digest(used.native), "expires_at": cookie_expires_at},
        )
        return ChatPerson(native=used.native, name=used.name)

    def person_of(self, cookie_hash: str) -> ChatPerson | None:
        row = self.connection.execute(
            select(chat_people.c.native, chat_people.c.name)
            .join(chat_cookies, chat_cookies.c.native_digest == chat_people.c.native_digest)
            .where(chat_cookies.c.cookie_hash == cookie_hash, chat_cookies.c.expires_at > self.now)
        ).first()
        return None if row is None else ChatPerson(native=row.native, name=row.name)

    def people(self) -> Sequence[ChatPerson]:
        rows = self.connection.execute(
            select(chat_people.c.native, chat_people.c.name).order_by(chat_people.c.name, chat_people.c.native)
        ).all()
        return [ChatPerson(native=row.native, name=row.name) for row in rows]

    def sign_out(self, cookie_hash: str) -> None:
        self.connection.execute(delete(chat_cookies).where(chat_cookies.c.cookie_hash == cookie_hash))


def _by_nonce(author: str, nonce: str) -> Select[Any]:
    return select(chat_entries).where(chat_entries.c.nonce_digest == digest(author, nonce))


def _entry_of(row: Row[Any]) -> ChatEntry:
    return ChatEntry(
        id=row.id,
        change=row.change,
        kind=row.kind,
        room=row.room,
        thread=row.thread,
        author=row.author,
        body=row.body,
        nonce=row.nonce,
        created_at=row.created_at,
        edited_at=row.edited_at,
    )
