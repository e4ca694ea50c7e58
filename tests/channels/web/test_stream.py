"""The live stream: nothing lost, nothing twice, nothing of others, bounded, ended in time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from aiohttp import web

from bot.domain.message import Nonce
from bot.ports import ChatPerson
from channels.web.access import hash_of
from channels.web.conversations import Conversations
from channels.web.feed import Feed, newest_change
from channels.web.gate import WebLimits
from channels.web.live import LiveStream
from tests.channels.contract import APPROVE, at, card, until, words
from tests.channels.web.site import Site, Visitor, direct, listening, room, site_at, visitor_of


async def head_of(visitor: Visitor) -> int:
    head = (await visitor.get("/web/me")).json["head"]
    assert isinstance(head, int)
    return head


async def test_what_is_written_posted_and_edited_is_seen_live(site: Site, ana: Visitor, ben: Visitor) -> None:
    async with listening(ben, await head_of(ben)) as stream:
        await ana.write(room("ops"), "run uptime")
        assert (await stream.entry())["text"] == "run uptime"
        receipt = await site.channel.send(at(room("ops")), card("Approval needed", APPROVE), Nonce("n-1"))
        assert (await stream.entry())["id"] == int(receipt.message_id)
        await site.channel.edit(room("ops"), receipt.message_id, card("Running"))
        edited = await stream.entry()
        assert edited["id"] == int(receipt.message_id)
        assert "Running" in json.dumps(edited)


async def test_a_stream_comes_back_after_a_restart_and_misses_nothing(site: Site, ana: Visitor) -> None:
    async with listening(ana, await head_of(ana)) as stream:
        await ana.write(room("ops"), "run one")
        heard = await stream.next()
        assert heard is not None
        await site.stop()
        assert await stream.next() is None
    await site.start()
    await ana.write(room("ops"), "run two")
    await site.restart()
    await ana.write(room("ops"), "run three")
    # The header is what a browser sends when it comes back; the address still holds where the page began.
    async with listening(ana, 0, {"Last-Event-ID": str(heard.id)}) as stream:
        assert [(await stream.entry())["text"] for _ in range(2)] == ["run two", "run three"]
        await ana.write(room("ops"), "run four")
        assert (await stream.entry())["text"] == "run four"


async def test_what_is_written_while_a_stream_opens_is_seen_exactly_once(site: Site, ana: Visitor) -> None:
    start = await head_of(ana)

    async def write() -> None:
        for number in range(60):
            await site.channel.send(at(room("ops")), words(f"{number}"), Nonce(f"n-{number}"))

    async def listen() -> list[object]:
        async with listening(ana, start) as stream:
            return [(await stream.entry())["id"] for _ in range(60)]

    *streams, _ = await asyncio.gather(listen(), listen(), listen(), write())
    for seen in streams:
        assert seen == sorted(set(seen), key=lambda one: int(str(one)))
        assert len(seen) == 60


async def test_a_page_that_is_ahead_of_the_log_or_far_behind_reads_anew(ana: Visitor) -> None:
    await ana.write(room("ops"), "run uptime")
    async with listening(ana, 999_999) as stream:
        heard = await stream.next("reset")
        assert heard is not None
        assert heard.id < 999_999


async def test_a_silent_stream_beats_and_says_how_far_it_is(tmp_path: Path) -> None:
    async with site_at(tmp_path, limits=WebLimits(beat_s=0.05)) as site, visitor_of(site) as ana:
        await ana.sign_in("ana", "Ana")
        await site.channel.send(at(direct("ben")), words("not for ana"), Nonce("n-1"))
        async with listening(ana, 0) as stream:
            beats = [await stream.next("beat") for _ in range(3)]
        assert all(beat is not None for beat in beats)
        assert beats[-1] is not None
        assert beats[-1].id == await newest_change(site.log)


async def test_streams_are_bounded_for_each_person(tmp_path: Path) -> None:
    async with site_at(tmp_path, limits=WebLimits(streams_each=2)) as site, visitor_of(site) as ana:
        await ana.sign_in("ana", "Ana")
        async with listening(ana, 0), listening(ana, 0):
            refused = await ana.get("/web/stream", {"after": "0"})
            assert refused.status == 429
            assert "too many tabs" in str(refused.json["words"])
            async with visitor_of(site) as ben:
                await ben.sign_in("ben", "Ben")
                async with listening(ben, 0):
                    pass


async def test_f115_sign_out_ends_the_streams_of_that_sign_in_only(site: Site, ana: Visitor) -> None:
    async with visitor_of(site) as other_browser:
        await other_browser.sign_in("ana", "Ana Sol")
        async with listening(ana, await head_of(ana)) as mine, listening(other_browser, await head_of(ana)) as other:
            assert (await ana.post("/web/sign-out", {})).status == 200
            # At once, not only when the next beat asks who is still signed in.
            async with asyncio.timeout(5):
                assert await mine.next() is None
            await site.channel.send(at(room("ops")), words("still here"), Nonce("n-1"))
            assert (await other.entry())["room"] == "ops"
        assert (await ana.get("/web/me")).status == 401


async def test_f115_a_sign_out_by_another_process_ends_the_stream_at_the_next_beat(tmp_path: Path) -> None:
    async with site_at(tmp_path, limits=WebLimits(beat_s=0.05)) as site, visitor_of(site) as ana:
        await ana.sign_in("ana", "Ana")
        async with listening(ana, 0) as stream:
            assert await stream.next("beat") is not None
            await site.log.sign_out(hash_of(ana.cookie))
            async with asyncio.timeout(5):
                assert await stream.next() is None


async def test_what_the_feed_hands_on_during_the_catching_up_is_shown_once(site: Site, ana: Visitor) -> None:
    """The race itself: the entry is in the stream's queue before the read that also finds it has begun."""
    feed = Feed(site.log, streams_each=1, streams_total=1)
    with feed.open("ana", hash_of(ana.cookie)) as stream:
        await feed.start()
        for number in range(3):
            await site.channel.send(at(room("ops")), words(f"{number}"), Nonce(f"n-{number}"))
        feed.wake()
        await until(lambda: feed.head >= 3, what="the feed has handed on three entries")
        sent: list[int] = []

        class Page(web.StreamResponse):
            async def write(self, part: bytes | bytearray | memoryview) -> None:
                fields = dict(line.split(": ", 1) for line in bytes(part).decode().strip().split("\n"))
                if fields.get("event") == "entry":
                    sent.append(int(fields["id"]))

        live = LiveStream(site.log, feed, Conversations(site.log), beat_s=0.05)
        following = asyncio.create_task(
            live._follow(Page(), stream, ChatPerson(native="ana", name="Ana"), ana.cookie, 0)
        )
        last = await site.channel.send(at(room("ops")), words("last"), Nonce("n-last"))
        feed.wake()
        await until(lambda: int(last.message_id) in sent, what="the last entry is shown")
        stream.end()
        await following
    await feed.close()
    assert len(sent) == 4
    assert sent == sorted(set(sent))
