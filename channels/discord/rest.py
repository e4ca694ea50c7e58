"""What we do on Discord by the bot's token: send, edit, look, open a direct conversation, begin a thread.

A client of its own that only logs in: posts go out while the connection that listens is away. Deliberately absent:
interactions, whose own token ends after 15 minutes, so that no result hangs on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import discord

from bot.domain.message import Action, NotPosted, Post, Receipt
from bot.domain.retry import MAX_AGE_S
from bot.domain.session import MessageId, Peer, PeerKind, ReturnAddress
from bot.errors import ChannelRejected, ChannelUnavailable, Malformed
from channels.discord import faults, form, wire
from channels.discord.client import Client

log = logging.getLogger(__name__)

CALL_S = 18.0
"""Of one send with all that it needs; the core gives up on a send after 20 s."""
LOGIN_WAIT_S = 5.0
"""So long a send waits for a login that is under way, at the start of a gateway."""
MAX_LOOKED_THROUGH = 200
"""Messages that a look for a lost answer reads: two pages of Discord's."""
THREAD_REST_MIN: Final = 1440
"""Until Discord puts a thread away: a day without a word, its usual value. Whoever writes there brings it back."""
MAX_KNOWN = 10_000
"""People whose conversation is known, and threads that are known to be there; the rest is asked again."""
_STYLES = {
    Action.APPROVE: discord.ButtonStyle.success,
    Action.DENY: discord.ButtonStyle.danger,
    Action.STOP: discord.ButtonStyle.danger,
    Action.APPROVE_ALL: discord.ButtonStyle.success,
    Action.DENY_ALL: discord.ButtonStyle.danger,
    Action.STOP_ALL: discord.ButtonStyle.danger,
}


class Rest:
    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._client: discord.Client | None = None
        self._logged_in = asyncio.Event()
        self._direct: OrderedDict[int, int] = OrderedDict()
        self._begun: OrderedDict[str, float] = OrderedDict()
        """Nonce -> when its send began: a look that reads further back has seen whatever stands."""

    async def login(self, token: str) -> None:
        """Raises what the library raises."""
        client, is_in = Client(), False
        try:
            await client.login(token)
            is_in = True
        finally:
            if not is_in:
                await client.close()
        self._client = client
        self._logged_in.set()

    async def close(self) -> None:
        client, self._client = self._client, None
        self._logged_in.clear()
        if client is not None:
            await client.close()

    @property
    def me(self) -> int:
        """Our own id. Only after a login."""
        user = self.client.user
        if user is None:
            raise ChannelUnavailable("the bot is not logged in to Discord")
        return user.id

    @property
    def client(self) -> discord.Client:
        """Only after a login."""
        if self._client is None:
            raise ChannelUnavailable("the bot is not logged in to Discord")
        return self._client

    # --- posts ---

    async def send(self, address: ReturnAddress, post: Post, nonce: str) -> Receipt:
        """Raises a `ChannelError`."""
        shape = form.form_of(post, nonce)
        if shape.chars > form.TEXTS_CHARS:
            raise ChannelRejected(f"the message has {shape.chars} characters, Discord takes {form.TEXTS_CHARS}")
        self._begun.setdefault(nonce, self._now())  # a repeat keeps the moment of the first
        while len(self._begun) > MAX_KNOWN:
            self._begun.popitem(last=False)
        # What comes before the post itself leaves no message behind, so a lost answer there is no doubt.
        async with self._calling(may_stand=False) as client:
            place = client.get_partial_messageable(await self.channel_of(address.peer))
        try:
            return await self._post(place, address, shape, nonce)
        except discord.NotFound as fault:
            if fault.code != faults.UNKNOWN_CHANNEL or address.peer.thread is None:
                raise faults.of_send(fault, may_stand=True) from fault
        async with self._calling(may_stand=False):
            await self._begin_thread(client, address.peer, post)
        try:
            return await self._post(place, address, shape, nonce)
        except discord.NotFound as fault:
            raise faults.of_send(fault, may_stand=True) from fault

    async def _post(
        self,
        place: discord.PartialMessageable,
        address: ReturnAddress,
        shape: form.Form,
        nonce: str,
    ) -> Receipt:
        """Raises `NotFound` as it is: a thread that is not there yet may be begun."""
        view = _view(shape)
        reference = _reference(address, place.id)
        try:
            async with asyncio.timeout(CALL_S):
                if reference is None:
                    message = await place.send(
                        view=view,
                        files=_files(shape),
                        nonce=nonce,
                        suppress_embeds=True,
                        allowed_mentions=_mentions(shape),
                    )
                else:
                    message = await place.send(
                        view=view,
                        files=_files(shape),
                        nonce=nonce,
                        suppress_embeds=True,
                        allowed_mentions=_mentions(shape),
                        reference=reference,
                    )
        except discord.NotFound:
            raise
        except faults.CALL as fault:
            raise faults.of_send(fault, may_stand=True) from fault
        return Receipt(message_id=MessageId(str(message.id)))

    async def edit(self, peer: Peer, message_id: str, post: Post) -> None:
        """Raises a `ChannelError`."""
        shape = form.form_of(post, "")
        if shape.chars > form.TEXTS_CHARS:
            raise ChannelRejected(f"the message has {shape.chars} characters, Discord takes {form.TEXTS_CHARS}")
        async with self._calling(may_stand=False) as client:
            message = client.get_partial_messageable(await self.channel_of(peer)).get_partial_message(int(message_id))
            if shape.file is None:
                await message.edit(view=_view(shape), allowed_mentions=_mentions(shape))
            else:
                await message.edit(view=_view(shape), allowed_mentions=_mentions(shape), attachments=_files(shape))

    async def find(self, address: ReturnAddress, nonce: str) -> Receipt | NotPosted:
        """By the mark in the message: Discord gives a nonce back only to the one who sent it, and only then.

        "Surely not" is said only where everything was read that can have been posted since the send began.
        """
        marker = form.marker_of(nonce)
        since = self._begun.get(nonce, self._now() - MAX_AGE_S)
        read, oldest = 0, self._now()
        try:
            async with self._calling(may_stand=False) as client:
                place = client.get_partial_messageable(await self.channel_of(address.peer))
                async for message in place.history(limit=MAX_LOOKED_THROUGH):
                    read, oldest = read + 1, wire.time_of(message.id)
                    ours = message.author.id == self.me
                    if ours and (message.nonce == nonce or _has(message, marker)):
                        return Receipt(message_id=MessageId(str(message.id)))
        except ChannelRejected as fault:
            # The cause says whether there is no such place, where nothing can stand, or whether we may not read it.
            gone = isinstance(fault.__cause__, discord.NotFound)
            return NotPosted.SURELY if gone else NotPosted.UNKNOWN
        if not read:
            # Discord gives nothing, and no error, to whom Read Message History is denied.
            return NotPosted.UNKNOWN
        # A minute for two clocks that differ.
        return NotPosted.SURELY if read < MAX_LOOKED_THROUGH or oldest < since - 60.0 else NotPosted.UNKNOWN

    async def stands(self, peer: Peer, message_id: str) -> bool:
        """Whether this message is there. Raises a `ChannelError` where it cannot be asked."""
        try:
            async with self._calling(may_stand=False) as client:
                place = client.get_partial_messageable(await self.channel_of(peer))
                await place.fetch_message(int(message_id))
        except ChannelRejected:
            return False
        return True

    # --- places ---

    async def channel_of(self, peer: Peer) -> int:
        """Discord's id of the channel, thread or direct conversation. Raises what the library raises."""
        if peer.thread is not None:
            return wire.snowflake(peer.thread)
        native = wire.snowflake(peer.id)
        if peer.kind is not PeerKind.DIRECT:
            return native
        if native not in self._direct:
            # Discord gives the conversation that there is; asking again makes no second one.
            opened = await self.client.create_dm(discord.Object(native))
            self._direct[native] = opened.id
            while len(self._direct) > MAX_KNOWN:
                self._direct.popitem(last=False)
        return self._direct[native]

    async def channel(self, native: int) -> object:
        """What kind of channel this is, asked of Discord. Raises what the library raises."""
        return await self.client.fetch_channel(native)

    async def type_in(self, native: int) -> None:
        """Shown for ten seconds, or until we post. Failing is nothing."""
        with contextlib.suppress(ChannelUnavailable, *faults.SDK):
            await self.client.get_partial_messageable(native).typing()

    async def _begin_thread(self, client: discord.Client, peer: Peer, post: Post) -> None:
        """A thread that is started from a message gets that message's id. One that is there is as good."""
        name = "Homing" if post.execution_id is None else f"Homing {post.execution_id}"
        try:
            # The library's own call wants the guild, which an address has not; Discord does not ask for it.
            await client.http.start_thread_with_message(
                wire.snowflake(peer.id), int(peer.thread or 0), name=name, auto_archive_duration=THREAD_REST_MIN
            )
        except discord.HTTPException as fault:
            if fault.code != faults.THREAD_EXISTS:
                raise

    @contextlib.asynccontextmanager
    async def _calling(self, *, may_stand: bool) -> AsyncIterator[discord.Client]:
        """Our errors instead of the library's, inside the time that a call has."""
        try:
            async with asyncio.timeout(LOGIN_WAIT_S):
                await self._logged_in.wait()
        except TimeoutError as fault:
            raise ChannelUnavailable("the bot is not logged in to Discord") from fault
        try:
            async with asyncio.timeout(CALL_S):
                yield self.client
        except Malformed as fault:
            raise ChannelRejected(str(fault)) from fault
        except faults.CALL as fault:
            raise faults.of_send(fault, may_stand=may_stand) from fault


def _view(shape: form.Form) -> discord.ui.LayoutView:
    view = discord.ui.LayoutView(timeout=None)
    for at, text in enumerate(shape.texts):
        view.add_item(discord.ui.TextDisplay(text, id=shape.marker if at == 0 else None))
        if at in shape.rows:
            view.add_item(_row(shape.rows[at]))
    if shape.file is not None:
        view.add_item(discord.ui.File(f"attachment://{shape.file.name}"))
    for first in range(0, len(shape.buttons), form.ROW_BUTTONS):
        view.add_item(_row(shape.buttons[first : first + form.ROW_BUTTONS]))
    # The library keeps each open view for ever, to call it at a press; presses come to `interactions` by their token.
    view.stop()
    return view


def _row(buttons: Sequence[form.Shown]) -> discord.ui.ActionRow[discord.ui.LayoutView]:
    row: discord.ui.ActionRow[discord.ui.LayoutView] = discord.ui.ActionRow()
    for token, label, action in buttons:
        style = _STYLES.get(action, discord.ButtonStyle.secondary)
        row.add_item(discord.ui.Button(style=style, label=label, custom_id=token))
    return row


def _files(shape: form.Form) -> list[discord.File]:
    if shape.file is None:
        return []
    return [discord.File(io.BytesIO(shape.file.text.encode("utf-8", "replace")), filename=shape.file.name)]


def _mentions(shape: form.Form) -> discord.AllowedMentions:
    users: list[discord.abc.Snowflake] | bool = [] if shape.mention is None else [discord.Object(shape.mention)]
    return discord.AllowedMentions(everyone=False, roles=False, users=users or False, replied_user=False)


def _reference(address: ReturnAddress, place: int) -> discord.MessageReference | None:
    """The message that asked, where it stands in the same channel: a thread's own root stands in the parent."""
    asked = address.message_id
    if asked is None or (address.peer.thread is not None and str(asked) == str(address.peer.thread)):
        return None
    return discord.MessageReference(message_id=int(asked), channel_id=place, fail_if_not_exists=False)


def _has(message: discord.Message, marker: int) -> bool:
    return any(getattr(component, "id", None) == marker for component in message.components)
