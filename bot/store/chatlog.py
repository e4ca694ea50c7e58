"""The `ChatLog` of the ports: each call is one transaction of the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from bot.ports import ChatEntry, ChatPerson
from bot.store.tx import OpenTx

R = TypeVar("R")


class Transactions(Protocol):
    """What the log needs of its store."""

    async def write(self, fn: Callable[[OpenTx], R]) -> R: ...
    async def read(self, fn: Callable[[OpenTx], R]) -> R: ...


class StoredChatLog:
    def __init__(self, store: Transactions) -> None:
        self._store = store

    async def post(
        self, *, kind: str, room: str, thread: str | None, author: str, body: str, nonce: str
    ) -> tuple[ChatEntry, bool]:
        return await self._store.write(
            lambda tx: tx.chat.post(kind=kind, room=room, thread=thread, author=author, body=body, nonce=nonce)
        )

    async def revise(self, entry_id: int, *, body: str) -> ChatEntry | None:
        return await self._store.write(lambda tx: tx.chat.revise(entry_id, body=body))

    async def by_nonce(self, *, author: str, nonce: str) -> ChatEntry | None:
        return await self._store.read(lambda tx: tx.chat.by_nonce(author=author, nonce=nonce))

    async def since(self, change: int, *, limit: int = 200) -> Sequence[ChatEntry]:
        return await self._store.read(lambda tx: tx.chat.since(change, limit=limit))

    async def newest(
        self, *, kind: str, room: str, thread: str | None, before_id: int | None = None, limit: int = 100
    ) -> Sequence[ChatEntry]:
        return await self._store.read(
            lambda tx: tx.chat.newest(kind=kind, room=room, thread=thread, before_id=before_id, limit=limit)
        )

    async def rooms(self) -> Sequence[str]:
        return await self._store.read(lambda tx: tx.chat.rooms())

    async def open_room(self, room: str) -> None:
        await self._store.write(lambda tx: tx.chat.open_room(room))

    async def invite(self, *, secret_hash: str, person: ChatPerson, expires_at: float) -> None:
        await self._store.write(
            lambda tx: tx.chat.invite(secret_hash=secret_hash, person=person, expires_at=expires_at)
        )

    async def redeem(self, *, secret_hash: str, cookie_hash: str, cookie_expires_at: float) -> ChatPerson | None:
        return await self._store.write(
            lambda tx: tx.chat.redeem(
                secret_hash=secret_hash, cookie_hash=cookie_hash, cookie_expires_at=cookie_expires_at
            )
        )

    async def person_of(self, cookie_hash: str) -> ChatPerson | None:
        return await self._store.read(lambda tx: tx.chat.person_of(cookie_hash))

    async def people(self) -> Sequence[ChatPerson]:
        return await self._store.read(lambda tx: tx.chat.people())

    async def sign_out(self, cookie_hash: str) -> None:
        await self._store.write(lambda tx: tx.chat.sign_out(cookie_hash))
