"""Discord as a `Channel`: composition and the port. One bot account.

Deliberately absent: how anything is done on Discord (`rest`, `gateway`, `interactions`, `catchup`, `doctor`).
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Sequence

import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot.domain.message import Capabilities, Delivery, Nonce, NotPosted, Post, Receipt
from bot.domain.session import AccountName, AgentName, ChannelName, MessageId, Peer, PeerKind, ReturnAddress
from bot.errors import ChannelRejected, ConfigError, Malformed
from bot.ports import Check, Inbox
from channels.discord import doctor, form, wire
from channels.discord.catchup import CatchUp
from channels.discord.gateway import Access, Gateway
from channels.discord.hearing import Hearing
from channels.discord.interactions import Interactions
from channels.discord.rest import Rest

log = logging.getLogger(__name__)

API_BASE = Route.BASE
GATEWAY = DiscordWebSocket.DEFAULT_GATEWAY

_open: weakref.WeakSet[DiscordChannel] = weakref.WeakSet()
"""Accounts of this process that are not closed: the library has one address of API and socket for all of them."""


class DiscordChannel:
    def __init__(
        self,
        *,
        agent: AgentName,
        account: AccountName,
        reply_mode: str,
        token: str,
        api_base: str,
        gateway_url: str | None,
        shards: int | None,
        slash_commands: bool,
        now: Callable[[], float],
    ) -> None:
        """Raises `ConfigError` for addresses that differ from those of another account of this process."""
        self._identity = wire.Identity(agent=agent, account=account, has_threads=reply_mode == "thread")
        self._addresses = (api_base.rstrip("/"), gateway_url)
        # The library writes addresses with tokens of interactions in them, and faults with what came from outside.
        logging.getLogger("discord").setLevel(logging.CRITICAL + 1)
        _claim(self)
        self._token = token
        self._slash_commands = slash_commands
        self._rest = Rest(now)
        self._hearing = Hearing(self._rest, self._identity, now)
        self._interactions = Interactions(self._hearing, self._identity)
        self._catch_up = CatchUp(self._rest, self._hearing, self._identity, now)
        access = Access(
            token=token,
            shards=shards,
            gateway_url=gateway_url,
            asks_gateway=self._addresses[0] != API_BASE,
            slash_commands=slash_commands,
        )
        self._gateway = Gateway(access, self._rest, self._hearing, self._interactions, self._catch_up, account=account)

    @property
    def addresses(self) -> tuple[str, str | None]:
        """Of the API and of the socket, as configured."""
        return self._addresses

    @property
    def name(self) -> ChannelName:
        return wire.DISCORD

    @property
    def account(self) -> AccountName:
        return self._identity.account

    @property
    def capabilities(self) -> Capabilities:
        """2,600 of our characters stay under Discord's 4,000 whatever has to be escaped (see `form`).

        Edits: 5 in 5 s a channel is what Discord usually grants. Files: 10 MiB in every guild, less its envelope.
        """
        return Capabilities(
            text_chars=2_600,
            code_chars=1_800,
            edit_interval_s=1.5,
            file_bytes=8 * 2**20,
            card_files=True,
            batch_members=form.BATCH_MEMBERS,
        )

    async def start(self, inbox: Inbox) -> None:
        self._hearing.open(inbox)
        self._interactions.open(inbox)
        self._catch_up.open(inbox)
        await self._gateway.start()
        log.info("discord.started", extra={"account": self.account})

    async def close(self) -> None:
        await self._interactions.close()
        self._hearing.close()
        await self._gateway.close()
        await self._rest.close()
        _open.discard(self)

    async def send(self, address: ReturnAddress, post: Post, nonce: Nonce) -> Receipt:
        self._own(address.peer)
        if address.message_id is not None:
            _checked(address.message_id)
        receipt = await self._rest.send(address, post, nonce)
        self._hearing.quiet(address.peer)
        return receipt

    async def edit(self, peer: Peer, message_id: MessageId, post: Post) -> None:
        await self._rest.edit(self._own(peer), _checked(message_id), post)

    async def find(self, address: ReturnAddress, nonce: Nonce) -> Receipt | NotPosted:
        self._own(address.peer)
        return await self._rest.find(address, nonce)

    async def delivery(self, peer: Peer, message_id: MessageId) -> Delivery:
        """What stands is delivered."""
        stands = await self._rest.stands(self._own(peer), _checked(message_id))
        return Delivery.CONFIRMED if stands else Delivery.FAILED

    async def check(self) -> Sequence[Check]:
        return await doctor.checks(self._token, slash_commands=self._slash_commands)

    def _own(self, peer: Peer) -> Peer:
        # Whichever of our agents it is: the network knows of none.
        if (peer.channel, peer.account) != (self.name, self.account):
            raise ChannelRejected("this conversation is not one of this account on Discord")
        if peer.kind is PeerKind.GROUP or (peer.kind is PeerKind.DIRECT and peer.thread is not None):
            raise ChannelRejected("Discord has channels, their threads and direct conversations only")
        _checked(peer.id)
        if peer.thread is not None:
            _checked(peer.thread)
        return peer


def _checked(native: str) -> str:
    try:
        wire.snowflake(native)
    except Malformed as fault:
        raise ChannelRejected(str(fault)) from fault
    return native


def _claim(channel: DiscordChannel) -> None:
    """Point the library at this account's addresses. It keeps them in variables of its modules."""
    others = {other.addresses for other in _open}
    if others - {channel.addresses}:
        said = (
            "discord: api_base and gateway_url must be the same for all accounts of one gateway, because "
            "discord.py keeps one of each per process; run a second gateway for the other"
        )
        raise ConfigError((said,))
    api_base, gateway_url = channel.addresses
    Route.BASE = api_base
    DiscordWebSocket.DEFAULT_GATEWAY = GATEWAY if gateway_url is None else yarl.URL(gateway_url)
    _open.add(channel)
