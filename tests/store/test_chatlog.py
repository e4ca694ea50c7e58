"""What the store promises of the web chat's log, on both databases."""

from __future__ import annotations

import asyncio
import itertools

from bot.ports import ChatEntry, ChatPerson
from bot.store import OpenStore
from tests.clock import START, ManualClock

ANN = ChatPerson(native="ann", name="Ann")


async def post(
    store: OpenStore, nonce: str, *, room: str = "ops", thread: str | None = None, author: str = "ann", body: str = "{}"
) -> tuple[ChatEntry, bool]:
    return await store.chat_log.post(kind="channel", room=room, thread=thread, author=author, body=body, nonce=nonce)


async def test_a_post_is_kept_once_a_nonce_of_its_author(store: OpenStore) -> None:
    entry, new = await post(store, "n1", body='{"text": "hi"}')
    assert new
    assert entry == ChatEntry(
        id=1,
        change=1,
        kind="channel",
        room="ops",
        thread=None,
        author="ann",
        body='{"text": "hi"}',
        nonce="n1",
        created_at=START,
        edited_at=None,
    )
    assert await post(store, "n1", body="{}") == (entry, False)
    assert await store.chat_log.by_nonce(author="ann", nonce="n1") == entry
    assert await store.chat_log.by_nonce(author="", nonce="n1") is None
    assert (await post(store, "n1", author=""))[1], "the same nonce of another author is another post"


async def test_posts_with_one_nonce_at_the_same_moment_are_one(store: OpenStore, another: OpenStore) -> None:
    posted = await asyncio.gather(*(post(one, "n1") for one in (store, another) * 4))
    assert len({entry.id for entry, _ in posted}) == 1
    assert [new for _, new in posted].count(True) == 1


async def test_an_edit_is_a_later_change_of_the_same_entry(store: OpenStore, clock: ManualClock) -> None:
    first, _ = await post(store, "n1")
    second, _ = await post(store, "n2")
    clock.advance(1)
    edited = await store.chat_log.revise(first.id, body='{"text": "now"}')
    assert edited is not None
    assert (edited.id, edited.body, edited.edited_at) == (first.id, '{"text": "now"}', START + 1)
    assert edited.change > second.change
    assert await store.chat_log.since(0) == [second, edited]
    assert await store.chat_log.since(second.change) == [edited]
    assert await store.chat_log.since(0, limit=1) == [second]
    assert await store.chat_log.revise(99, body="{}") is None


async def test_a_page_that_knows_the_last_change_misses_nothing(store: OpenStore, another: OpenStore) -> None:
    seen: list[int] = []
    writing = True

    async def follow() -> None:
        while writing:
            seen.extend(entry.change for entry in await another.chat_log.since(seen[-1] if seen else 0))

    following = asyncio.create_task(follow())
    pairs = zip(range(100), itertools.cycle((store, another)), strict=False)
    posted = await asyncio.gather(*(post(one, str(number)) for number, one in pairs))
    writing = False
    await following
    seen.extend(entry.change for entry in await store.chat_log.since(seen[-1] if seen else 0))
    assert seen == sorted(entry.change for entry, _ in posted)


async def test_a_conversation_is_read_newest_first_and_paged_back(store: OpenStore) -> None:
    entries = [(await post(store, str(number)))[0] for number in range(5)]
    await post(store, "t", thread="17")
    await post(store, "r", room="Ops")
    log = store.chat_log
    assert await log.newest(kind="channel", room="ops", thread=None, limit=2) == entries[3:]
    before = entries[3].id
    assert await log.newest(kind="channel", room="ops", thread=None, before_id=before, limit=2) == entries[1:3]
    assert [entry.nonce for entry in await log.newest(kind="channel", room="ops", thread="17")] == ["t"]
    assert await log.newest(kind="direct", room="ops", thread=None) == []


async def test_rooms_are_opened_once(store: OpenStore, clock: ManualClock) -> None:
    for room in ("ops", "dev", "ops", "Ops"):
        await store.chat_log.open_room(room)
        clock.advance(1)
    assert await store.chat_log.rooms() == ["ops", "dev", "Ops"]


async def test_an_invitation_is_used_once(store: OpenStore, another: OpenStore) -> None:
    await store.chat_log.invite(secret_hash="s", person=ANN, expires_at=START + 60)
    redeemed = await asyncio.gather(
        *(
            one.chat_log.redeem(secret_hash="s", cookie_hash=f"c{number}", cookie_expires_at=START + 600)
            for number, one in enumerate((store, another) * 3)
        )
    )
    assert [person for person in redeemed if person is not None] == [ANN]
    cookie = f"c{redeemed.index(ANN)}"
    assert await store.chat_log.person_of(cookie) == ANN
    assert await store.chat_log.people() == [ANN]
    assert await store.chat_log.redeem(secret_hash="guess", cookie_hash="c9", cookie_expires_at=START + 60) is None
    assert await store.chat_log.person_of("c9") is None


async def test_invitations_and_cookies_run_out_and_a_sign_out_is_at_once(store: OpenStore, clock: ManualClock) -> None:
    log = store.chat_log
    await log.invite(secret_hash="s1", person=ANN, expires_at=START + 60)
    await log.invite(secret_hash="s2", person=ANN, expires_at=START + 600)
    clock.advance(60)
    assert await log.redeem(secret_hash="s1", cookie_hash="c1", cookie_expires_at=START + 600) is None
    assert await log.redeem(secret_hash="s2", cookie_hash="c2", cookie_expires_at=START + 120) == ANN
    await log.sign_out("c1")
    assert await log.person_of("c2") == ANN
    clock.advance(60)
    assert await log.person_of("c2") is None
    await log.invite(secret_hash="s3", person=ChatPerson(native="ann", name="Ann B."), expires_at=START + 600)
    await log.redeem(secret_hash="s3", cookie_hash="c3", cookie_expires_at=START + 600)
    assert await log.people() == [ChatPerson(native="ann", name="Ann B.")]
    await log.sign_out("c3")
    assert await log.person_of("c3") is None
