"""Sends, edits and looks by the bot's token. What may have been posted is never posted again by itself.

The library's own retry handlers are off: they send a message again whose answer was lost.
Deliberately absent: files (`files`), what comes in.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.domain.message import Nonce, NotPosted, Post, Receipt
from bot.domain.session import MessageId, Peer, PeerKind, ReturnAddress
from bot.errors import ChannelRejected, ChannelThrottled, ChannelUnavailable, ChannelUncertain, Malformed
from channels.slack import faults, form, wire
from channels.slack.files import Files
from channels.slack.pace import Pace
from channels.slack.threads import Threads

log = logging.getLogger(__name__)

QUIET = logging.getLogger(f"{__name__}.sdk")
"""The library's lines hold payloads, and faults with what came from outside."""
QUIET.setLevel(logging.CRITICAL + 1)

CALL_S = 10
NAME_S = 1.0
"""A name is for show: the acknowledgement does not wait longer for it."""
MAX_KNOWN = 2_000
PAGE = 200
MAX_PAGES = 10
"""2,000 messages since the send; where there are more, it cannot be told."""
SETTLE_S = 3.0
"""So long after an answer was lost Slack may still be at work on the message: only then it is surely not there."""
PATIENCE = 5
MAX_PATIENCE_S = 120.0
BEFORE_S = 900.0
"""A look begins so long before the send: "surely not" may not come of a clock that is ahead of Slack's, and one that is
further off than five minutes is refused by Slack's signatures anyway."""


def client_of(token: str, api_base: str) -> AsyncWebClient:
    return AsyncWebClient(
        token=token, base_url=api_base.rstrip("/") + "/", timeout=CALL_S, retry_handlers=[], logger=QUIET
    )


class Rest:
    def __init__(self, client: AsyncWebClient) -> None:
        self.client = client
        self.me: wire.Me | None = None
        self._pace = Pace()
        self._files = Files(client)
        self._threads = Threads(client)
        self._direct: OrderedDict[str, str] = OrderedDict()
        self._kinds: OrderedDict[str, PeerKind] = OrderedDict()
        self._names: OrderedDict[str, str] = OrderedDict()
        self._sent: OrderedDict[tuple[str, Nonce], MessageId] = OrderedDict()
        self._tried: OrderedDict[tuple[str, Nonce], float] = OrderedDict()
        self._lost: OrderedDict[tuple[str, Nonce], float] = OrderedDict()
        """Until when an answer that stayed away may still have its effect, by the loop's clock."""

    async def who(self) -> wire.Me:
        """Ask Slack who we are. Raises what the library raises."""
        answer: Any = await self.client.auth_test()
        user, bot, team = answer.get("user_id"), answer.get("bot_id"), answer.get("team_id")
        self.me = wire.Me(user=str(user), bot=str(bot), team=str(team))
        return self.me

    # --- sending -----------------------------------------------------------------------------------

    async def send(self, address: ReturnAddress, post: Post, nonce: Nonce) -> Receipt:
        peer = address.peer
        room = await self.room_of(peer)
        sent = self._sent.get((room, nonce))
        if sent is not None:
            await self._files.attach(room, peer.thread, sent, nonce, post)
            return Receipt(message_id=sent)
        if post.attachment is not None:
            await self._files.prepare(post.attachment, nonce)
        await self._pace.turn(room)
        await self._threads.stands(room, peer.thread)
        # The first attempt counts: what it left may only be seen after a later one.
        _keep(self._tried, (room, nonce), self._tried.get((room, nonce), time.time()))
        is_answered = False
        try:
            answer: Any = await self.client.chat_postMessage(
                channel=room,
                thread_ts=peer.thread,
                metadata=form.metadata_of(nonce, None if post.attachment is None else post.attachment.name),
                unfurl_links=False,
                unfurl_media=False,
                text=form.fallback_of(post),
                blocks=form.blocks_of(post),
            )
            sent, is_answered = MessageId(wire.ts_id(answer.get("ts"))), True
        except Malformed as fault:
            raise faults.repeated_unsafe() from fault
        except faults.SDK as fault:
            remedy = faults.remedy_of(fault)
            is_answered = not isinstance(remedy, ChannelUncertain)
            if isinstance(remedy, ChannelThrottled):
                self._pace.hold(room, remedy.retry_after_s)
            raise remedy from fault
        finally:
            if not is_answered:
                _keep(self._lost, (room, nonce), asyncio.get_running_loop().time() + SETTLE_S)
        await self._threads.holds(room, peer.thread, answer)
        _keep(self._sent, (room, nonce), sent)
        await self._files.attach(room, peer.thread, sent, nonce, post)
        return Receipt(message_id=sent)

    async def edit(self, peer: Peer, message_id: MessageId, post: Post) -> None:
        """Without metadata: Slack keeps what stands there then, and a lost send is still found."""
        room = await self.room_of(peer)
        try:
            await self.client.chat_update(
                channel=room, ts=message_id, text=form.fallback_of(post), blocks=form.blocks_of(post)
            )
        except faults.SDK as fault:
            raise faults.repeatable(fault) from fault

    async def whisper(self, room: str, thread: str | None, person: str, note: str) -> None:
        """To one person alone. Losing it loses nothing that is owed."""
        try:
            await self.client.chat_postEphemeral(
                channel=room, user=person, thread_ts=thread, text=form.escaped(note)[:3_000], blocks=form.said(note)
            )
        except faults.SDK as fault:
            log.info("slack.note_lost", extra={"error": faults.known(faults.code_of(fault))})

    async def look_busy(self, room: str, ts: str) -> None:
        with contextlib.suppress(*faults.SDK):
            await self.client.reactions_add(channel=room, timestamp=ts, name="eyes")

    # --- looking -----------------------------------------------------------------------------------

    async def find(self, address: ReturnAddress, nonce: Nonce) -> Receipt | NotPosted:
        peer = address.peer
        room = await self.room_of(peer)
        found: dict[str, Any] = {}
        sent = self._sent.get((room, nonce))
        if sent is None:
            looked = await self._look(room, address, nonce)
            left_s = self._lost.get((room, nonce), 0.0) - asyncio.get_running_loop().time()
            if looked is NotPosted.SURELY and left_s > 0:
                await asyncio.sleep(left_s)
                looked = await self._look(room, address, nonce)
            if isinstance(looked, NotPosted):
                return looked
            found, sent = looked, MessageId(str(looked["ts"]))
        _keep(self._sent, (room, nonce), sent)
        if self._files.has(nonce):
            await self._files.attach(room, peer.thread, sent, nonce, None)
        else:
            await self._miss_file(room, peer.thread, found)
        return Receipt(message_id=sent)

    async def _look(self, room: str, address: ReturnAddress, nonce: Nonce) -> dict[str, Any] | NotPosted:
        tried = self._tried.get((room, nonce))
        since = address.message_id if tried is None else f"{tried - BEFORE_S:.6f}"
        pages = 0
        try:
            async for messages, is_last in self.pages(room, address.peer.thread, since=since):
                pages += 1
                for message in messages:
                    if form.nonce_in(message) == nonce:
                        wire.ts_id(message.get("ts"))
                        return message
                if not is_last and pages >= MAX_PAGES:
                    return NotPosted.UNKNOWN
        except Malformed:
            return NotPosted.UNKNOWN
        except faults.SDK as fault:
            if faults.code_of(fault) == "thread_not_found":
                return NotPosted.SURELY
            raise faults.unanswered(fault) from fault
        return NotPosted.SURELY

    async def _miss_file(self, room: str, thread: str | None, message: dict[str, Any]) -> None:
        """A process that died between words and file has left the words without it: then they say so."""
        name, sent = form.file_in(message), message.get("ts")
        if name is None or not isinstance(sent, str):
            return
        try:
            async for messages, _ in self.pages(room, thread, since=sent):
                if any(form.shows_file(one, name) and one.get("bot_id") == message.get("bot_id") for one in messages):
                    return
        except faults.SDK:
            return
        await self._files.say_lost(room, MessageId(sent), None)

    async def pages(
        self, room: str, thread: str | None, *, since: str | None, is_patient: bool = False
    ) -> AsyncIterator[tuple[list[dict[str, Any]], bool]]:
        """Newest first at the top level, oldest first in a thread; with whether that is all."""
        more: dict[str, Any] = {"limit": PAGE, "include_all_metadata": True}
        if since is not None:
            more["oldest"] = since
        while True:
            answer: Any = await self._page(room, thread, more, PATIENCE if is_patient else 0)
            found = answer.get("messages")
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            is_last = not (answer.get("has_more") and cursor)
            yield [one for one in found or [] if isinstance(one, dict)], is_last
            if is_last:
                return
            more["cursor"] = cursor

    async def _page(self, room: str, thread: str | None, more: dict[str, Any], patience: int) -> AsyncSlackResponse:
        """Some apps are granted one page a minute: https://docs.slack.dev/apis/web-api/rate-limits"""
        while True:
            try:
                if thread is None:
                    return await self.client.conversations_history(channel=room, **more)
                return await self.client.conversations_replies(channel=room, ts=thread, **more)
            except faults.SDK as fault:
                remedy = faults.remedy_of(fault)
                if not isinstance(remedy, ChannelThrottled) or patience <= 0:
                    raise
                patience -= 1
                await asyncio.sleep(min(MAX_PATIENCE_S, remedy.retry_after_s))

    async def message(self, room: str, ts: str) -> dict[str, Any]:
        """One message with its thread and all of its reactions. Raises what the library raises."""
        answer: Any = await self.client.reactions_get(channel=room, timestamp=ts, full=True)
        found = answer.get("message")
        return found if isinstance(found, dict) else {}

    async def room_of(self, peer: Peer) -> str:
        """The native id to post to; the direct conversation of a person is opened, which may be repeated."""
        if peer.kind is not PeerKind.DIRECT:
            return peer.id
        known = self._direct.get(peer.id)
        if known is not None:
            return known
        try:
            answer: Any = await self.client.conversations_open(users=peer.id)
        except faults.SDK as fault:
            raise faults.repeatable(fault) from fault
        room = (answer.get("channel") or {}).get("id")
        if not isinstance(room, str) or not wire.is_direct(room):
            raise ChannelUnavailable("Slack opened no direct conversation")
        self.learn_direct(peer.id, room)
        return room

    def learn_direct(self, person: str, room: str) -> None:
        _keep(self._direct, person, room)

    def learn_kind(self, room: str, kind: PeerKind) -> None:
        _keep(self._kinds, room, kind)

    async def kind_of(self, room: str) -> PeerKind:
        """A room or a conversation of several: the id does not say it. Raises a `ChannelError`."""
        if wire.is_direct(room):
            return PeerKind.DIRECT
        known = self._kinds.get(room)
        if known is None:
            try:
                answer: Any = await self.client.conversations_info(channel=room)
            except faults.SDK as fault:
                raise faults.repeatable(fault) from fault
            channel = answer.get("channel") or {}
            known = PeerKind.GROUP if channel.get("is_mpim") else PeerKind.CHANNEL
            self.learn_kind(room, known)
        return known

    async def person_of(self, room: str) -> str:
        """The other side of a direct conversation. Raises a `ChannelError`."""
        for person, known in self._direct.items():
            if known == room:
                return person
        try:
            answer: Any = await self.client.conversations_info(channel=room)
            person = wire.person_id((answer.get("channel") or {}).get("user"))
        except faults.SDK as fault:
            raise faults.repeatable(fault) from fault
        except Malformed as fault:
            raise ChannelRejected("that direct conversation has no other side") from fault
        self.learn_direct(person, room)
        return person

    async def name_of(self, person: str) -> str:
        """For show only: the id where it cannot be learned now."""
        known = self._names.get(person)
        if known is None:
            try:
                async with asyncio.timeout(NAME_S):
                    answer: Any = await self.client.users_info(user=person)
            except faults.SDK:
                return person
            user = answer.get("user") or {}
            profile = user.get("profile") or {}
            found = profile.get("display_name") or profile.get("real_name") or user.get("name")
            known = found[: wire.MAX_NAME_CHARS] if isinstance(found, str) and found else person
            _keep(self._names, person, known)
        return known


def _keep(cache: OrderedDict[Any, Any], key: object, value: object) -> None:
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > MAX_KNOWN:
        cache.popitem(last=False)
