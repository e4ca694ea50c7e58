"""A chat network on loopback: `LoopbackPlatform`, a real HTTP server, and `LoopbackChannel`, which speaks to it.

The channel takes any channel's name and account, so that stories tell of Discord, Slack and WhatsApp rooms alike.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence

import aiohttp
from aiohttp import web

from bot.domain.message import (
    ButtonPress,
    Capabilities,
    Delivery,
    InboundMessage,
    Nonce,
    NotPosted,
    Post,
    Reaction,
    Receipt,
)
from bot.domain.session import AccountName, ChannelName, MessageId, Peer, ReturnAddress
from bot.errors import (
    ChannelError,
    ChannelHeld,
    ChannelRejected,
    ChannelThrottled,
    ChannelUnavailable,
    ChannelUncertain,
)
from bot.ports import Check, Inbox
from tests.platforms.forms import Form, delivery_of, peer_form, post_form
from tests.platforms.network import ANSWER_S, LoopbackPlatform, as_json
from tests.platforms.posted import Posted

__all__ = ["LoopbackChannel", "LoopbackPlatform", "Posted", "channels_of"]


class LoopbackChannel:
    """One account of the network, as a `Channel` under any name."""

    def __init__(
        self,
        url: str,
        name: ChannelName,
        account: AccountName,
        *,
        capabilities: Capabilities | None = None,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._url = url
        self._name = name
        self._account = account
        self._capabilities = capabilities or Capabilities(
            text_chars=4_000, code_chars=3_000, edit_interval_s=0.0, batch_members=8
        )
        self._answer = aiohttp.ClientTimeout(total=answer_s)
        self._inbox: Inbox | None = None
        self._client: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._is_closed = False

    @property
    def name(self) -> ChannelName:
        return self._name

    @property
    def account(self) -> AccountName:
        return self._account

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def start(self, inbox: Inbox) -> None:
        self._inbox, self._is_closed = inbox, False
        app = web.Application()
        app.router.add_post("/", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        await self._register(f"http://127.0.0.1:{self._runner.addresses[0][1]}/")

    async def close(self) -> None:
        if self._runner is not None:
            # Where the network is away it finds out by itself that nobody listens.
            with contextlib.suppress(ChannelError):
                await self._register(None)
            await self._runner.cleanup()
            self._runner = None
        self._is_closed = True
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def send(self, address: ReturnAddress, post: Post, nonce: Nonce) -> Receipt:
        form = {
            "peer": peer_form(self._own(address.peer)),
            "reply_to": address.message_id,
            "nonce": nonce,
            "post": post_form(post),
        }
        answer = await self._call("post", form, lost=ChannelUncertain)
        return Receipt(message_id=MessageId(answer["id"]))

    async def edit(self, peer: Peer, message_id: MessageId, post: Post) -> None:
        form = {"peer": peer_form(self._own(peer)), "message_id": message_id, "post": post_form(post)}
        # An edit may be repeated, so a lost answer is no doubt.
        await self._call("edit", form, lost=ChannelUnavailable)

    async def find(self, address: ReturnAddress, nonce: Nonce) -> Receipt | NotPosted:
        form = {"peer": peer_form(self._own(address.peer)), "nonce": nonce}
        answer = await self._call("find", form, lost=ChannelUnavailable)
        if not answer["known"]:
            return NotPosted.UNKNOWN
        return NotPosted.SURELY if answer["id"] is None else Receipt(message_id=MessageId(answer["id"]))

    async def delivery(self, peer: Peer, message_id: MessageId) -> Delivery:
        del peer, message_id
        raise ChannelUnavailable("this network confirms at once")

    async def check(self) -> Sequence[Check]:
        return ()

    def _own(self, peer: Peer) -> Peer:
        if (peer.channel, peer.account) != (self._name, self._account):
            raise ChannelRejected("this conversation is not one of this account")
        return peer

    async def _take(self, request: web.Request) -> web.Response:
        """One delivery: acknowledged after the core has recorded it."""
        inbox = self._inbox
        if inbox is None:
            return web.Response(status=503)
        delivery = delivery_of(json.loads(await request.read()))
        match delivery:
            case InboundMessage():
                answer = await inbox.message(delivery)
            case ButtonPress():
                answer = await inbox.press(delivery)
            case Reaction():
                answer = await inbox.reaction(delivery)
        return as_json({"note": answer.note})

    async def _register(self, url: str | None) -> None:
        form = {"channel": self._name, "account": self._account, "url": url}
        await self._call("hook", form, lost=ChannelUnavailable)

    async def _call(self, verb: str, form: Form, *, lost: type[ChannelError]) -> Form:
        if self._is_closed:
            raise ChannelUnavailable("this channel is closed")
        if self._client is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._client = aiohttp.ClientSession(connector=connector, timeout=self._answer)
        try:
            async with self._client.post(f"{self._url}/{verb}", data=json.dumps(form)) as response:
                status, text = response.status, await response.text()
                retry_after = response.headers.get("Retry-After", "1")
        except aiohttp.ClientConnectorError as fault:
            raise ChannelUnavailable("the network cannot be reached") from fault
        except (aiohttp.ClientError, TimeoutError) as fault:
            raise lost("the connection ended before the answer came") from fault
        match status:
            case 200:
                answer: Form = json.loads(text)
                return answer
            case 409:
                raise ChannelHeld(text)
            case 429:
                raise ChannelThrottled("the network asks for patience", retry_after_s=float(retry_after))
            case 503:
                raise ChannelUnavailable("the network is away")
        raise ChannelRejected(text)


def channels_of(
    url: str, accounts: Iterable[tuple[str, str]], *, capabilities: Capabilities | None = None
) -> dict[tuple[ChannelName, AccountName], LoopbackChannel]:
    """One channel for each (channel, account), as `Core` wants them."""
    return {
        (ChannelName(name), AccountName(account)): LoopbackChannel(
            url, ChannelName(name), AccountName(account), capabilities=capabilities
        )
        for name, account in accounts
    }
