"""Slack as a `Channel`: composition and the port. One app in one workspace.

Deliberately absent: how anything is done on Slack (`rest`, `link`, `routes`, `hearing`, `pressing`, `catchup`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from aiohttp import web

from bot.domain.message import Capabilities, Delivery, Nonce, NotPosted, Post, Receipt
from bot.domain.session import AccountName, AgentName, ChannelName, MessageId, Peer, PeerKind, ReturnAddress
from bot.errors import ChannelRejected, Malformed, MalformedKey
from bot.ports import Check, Inbox
from channels.slack import doctor, faults, files, form, wire
from channels.slack.bolt import Bolt
from channels.slack.catchup import CatchUp
from channels.slack.hearing import Hearing
from channels.slack.link import Link
from channels.slack.pressing import Pressing
from channels.slack.rest import Rest, client_of
from channels.slack.routes import Routes

log = logging.getLogger(__name__)


class SlackChannel:
    """By Socket Mode where there is an app token; else over HTTP: `mount` before the server starts."""

    def __init__(
        self,
        *,
        agent: AgentName,
        account: AccountName,
        reply_mode: str,
        bot_token: str,
        app_token: str | None,
        signing_secret: str | None,
        api_base: str,
        now: Callable[[], float],
    ) -> None:
        self._identity = wire.Identity(agent=agent, account=account, has_threads=reply_mode == "thread")
        self._app_token = app_token
        self._signing_secret = signing_secret
        self._rest = Rest(client_of(bot_token, api_base))
        self._hearing = Hearing(self._rest, self._identity)
        self._pressing = Pressing(self._rest, self._hearing, self._identity, now)
        self._bolt = Bolt(self._rest, self._hearing, self._pressing, account=account)
        self._catch_up = CatchUp(self._rest, self._hearing, self._identity, now)
        self._link = Link(self._rest, self._hearing, self._bolt, self._catch_up, app_token=app_token, account=account)
        self._now = now

    @property
    def name(self) -> ChannelName:
        return wire.SLACK

    @property
    def account(self) -> AccountName:
        return self._identity.account

    @property
    def capabilities(self) -> Capabilities:
        """5,500 of our characters stay under what Slack takes of blocks though each may need an escape in JSON.

        Edits: `chat.update` is of tier 3, some 50 a minute for the workspace.
        """
        return Capabilities(
            text_chars=5_500,
            code_chars=4_800,
            edit_interval_s=1.5,
            file_bytes=files.MAX_BYTES,
            card_files=True,
            batch_members=form.BATCH_MEMBERS,
            batch_chars=form.BATCH_CHARS,
        )

    def mount(self, app: web.Application) -> None:
        """Add `/slack/<account>/events`, where requests are signed and no Socket Mode is there."""
        if self._app_token is None and self._signing_secret:
            Routes(self._bolt, account=self.account, signing_secret=self._signing_secret, now=self._now).mount(app)

    async def start(self, inbox: Inbox) -> None:
        self._catch_up.inbox = inbox
        await self._catch_up.mark()
        self._hearing.inbox = inbox
        self._link.start()
        log.info("slack.started", extra={"account": self.account})

    async def close(self) -> None:
        self._hearing.inbox = self._catch_up.inbox = None
        await self._link.close()
        await self._pressing.close()
        await self._hearing.background.close()

    async def send(self, address: ReturnAddress, post: Post, nonce: Nonce) -> Receipt:
        self._own(address.peer)
        return await self._rest.send(address, post, nonce)

    async def edit(self, peer: Peer, message_id: MessageId, post: Post) -> None:
        await self._rest.edit(self._own(peer), _checked(message_id), post)

    async def find(self, address: ReturnAddress, nonce: Nonce) -> Receipt | NotPosted:
        self._own(address.peer)
        if address.message_id is not None:
            _checked(address.message_id)
        return await self._rest.find(address, nonce)

    async def delivery(self, peer: Peer, message_id: MessageId) -> Delivery:
        """What stands is delivered."""
        room = await self._rest.room_of(self._own(peer))
        try:
            await self._rest.message(room, _checked(message_id))
        except faults.SDK as fault:
            if faults.code_of(fault) in {"message_not_found", "channel_not_found"}:
                return Delivery.FAILED
            raise faults.repeatable(fault) from fault
        return Delivery.CONFIRMED

    async def check(self) -> Sequence[Check]:
        return await doctor.checks(self._rest.client, app_token=self._app_token, signing_secret=self._signing_secret)

    def _own(self, peer: Peer) -> Peer:
        # Whichever of our agents it is: the network knows of none.
        if (peer.channel, peer.account) != (self.name, self.account):
            raise ChannelRejected("this conversation is not one of this account on Slack")
        try:
            wire.peer_of(self._identity, PeerKind(peer.kind), peer.id, peer.thread)
        except (Malformed, MalformedKey) as fault:
            raise ChannelRejected(str(fault)) from fault
        return peer


def _checked(message_id: MessageId) -> MessageId:
    try:
        wire.ts_id(message_id)
    except Malformed as fault:
        raise ChannelRejected(str(fault)) from fault
    return message_id
