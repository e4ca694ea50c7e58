"""The connection that listens: logs in, connects, comes back by itself, reads on after a gap.

Each connection is a new client of the library; inside one the library resumes by itself. Its own long back-off (up to
17 minutes) is switched off: ours ends at one. Deliberately absent: what is done with what is heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sys
import threading
from collections.abc import Coroutine
from dataclasses import dataclass

import discord
import yarl
from discord.gateway import DiscordWebSocket, KeepAliveHandler

from bot.domain.retry import delay_s
from bot.domain.session import AccountName
from channels.discord import commands, faults
from channels.discord.catchup import CatchUp
from channels.discord.client import Client, ShardedClient
from channels.discord.hearing import Hearing
from channels.discord.interactions import Interactions
from channels.discord.rest import Rest

log = logging.getLogger(__name__)

LONGEST_REST_S = 60.0
"""Between two connections. Discord allows 1,000 new ones a day; one a minute is 1,440, but no outage lasts a day."""
REFUSED_REST_S = 300.0
"""After a refused token or intent: somebody has to mend it, and asking more often gets an account blocked."""
RESTLESS_TIMES, RESTLESS_S = 5, 60.0
"""So many ends of one connection in so long: coming back again at once helps nobody, and Discord takes its token away
from a bot that identifies a thousand times a day. The library comes back without a pause where it is sent away."""
RESTLESS_REST_S, RESTLESS_LONGEST_S = 60.0, 600.0
"""Then it rests, twice as long each time."""
START_WAIT_S = 8.0
"""So long a start waits for the first connection or its first fault."""
CLOSE_S = 4.0
REFUSED_CODES = frozenset({4004, 4010, 4011, 4012, 4013, 4014})
"""Close codes after which the same connection can never do:
https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How this account gets in."""

    token: str
    shards: int | None
    gateway_url: str | None
    asks_gateway: bool
    """Whether the API has to be asked for the socket's address: it is not Discord's own."""
    slash_commands: bool


class Gateway:
    def __init__(
        self,
        access: Access,
        rest: Rest,
        hearing: Hearing,
        interactions: Interactions,
        catch_up: CatchUp,
        *,
        account: AccountName,
    ) -> None:
        self._access = access
        self._rest = rest
        self._hearing = hearing
        self._interactions = interactions
        self._catch_up = catch_up
        self._account = account
        self._life: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._client: discord.Client | None = None
        self._reading: set[asyncio.Task[None]] = set()
        self._faults = 0
        self._is_refused = False
        self._ends: list[float] = []
        self._restless = 0
        """How often in a row it had to be left alone."""
        self._is_restless = False
        hearing.read_again = self._read_on

    async def start(self) -> None:
        """Returns once it is connected, or once it has failed for the first time; never raises for the network."""
        self._life = asyncio.create_task(self._live(), name=f"discord-{self._account}")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_WAIT_S):
                await self._tried.wait()

    async def close(self) -> None:
        life, self._life = self._life, None
        for task in (*self._reading, *((life,) if life is not None else ())):
            task.cancel()
        if life is not None:
            await asyncio.wait({life}, timeout=CLOSE_S)

    # --- its life ---

    async def _live(self) -> None:
        """Log in for what we send, then listen, for ever."""
        while True:
            if await self._attempt(self._rest.login(self._access.token)):
                break
            await asyncio.sleep(self._rest_s())
        is_synced = not self._access.slash_commands
        while True:
            is_synced = is_synced or await self._attempt(self._sync())
            await self._catch_up.mark()
            is_over = await self._attempt(self._listen())
            await asyncio.sleep(1.0 if is_over and not self._is_restless else self._rest_s())

    async def _attempt(self, step: Coroutine[None, None, None]) -> bool:
        """Whether it ended well. A fault is counted and named; what it says may come from outside and is not."""
        named: dict[str, object] = {"account": self._account}
        self._is_refused = False
        try:
            await step
        except (discord.LoginFailure, discord.PrivilegedIntentsRequired, discord.ConnectionClosed) as fault:
            code = _code(fault)
            self._faults += 1
            self._is_refused = code in REFUSED_CODES
            if self._is_refused:
                log.error("discord.rejected", extra={**named, "code": code})  # noqa: TRY400 - the code says all
            else:
                log.warning("discord.disconnected", extra={**named, "code": code, "faults": self._faults})
        except (*faults.SDK, *faults.MALFORMED, RuntimeError) as fault:
            self._faults += 1
            log.warning("discord.disconnected", extra={**named, "kind": type(fault).__name__, "faults": self._faults})
        else:
            return True
        self._tried.set()
        return False

    def _rest_s(self) -> float:
        if self._is_refused:
            return REFUSED_REST_S
        if self._is_restless:
            self._is_restless = False
            rest_s: float = min(RESTLESS_LONGEST_S, RESTLESS_REST_S * 2 ** (self._restless - 1))
            log.error("discord.restless", extra={"account": self._account, "rest_s": rest_s})
            return rest_s
        jitter = random.random()  # noqa: S311 - spreads, hides nothing
        return min(LONGEST_REST_S, delay_s(max(1, self._faults), jitter=jitter))

    async def _sync(self) -> None:
        if await commands.sync(self._rest.client):
            log.info("discord.commands_written", extra={"account": self._account})

    async def _listen(self) -> None:
        """One connection, until it ends."""
        client = await self._new_client()
        for each in (
            self.on_connect,
            self.on_ready,
            self.on_resumed,
            self.on_disconnect,
            self.on_message,
            self.on_raw_reaction_add,
            self.on_interaction,
            self.on_error,
        ):
            client.event(each)
        self._client = client
        try:
            await client.start(self._access.token, reconnect=False)
        finally:
            self._client = None
            with contextlib.suppress(TimeoutError, *faults.SDK, *faults.MALFORMED):
                async with asyncio.timeout(CLOSE_S):
                    await _end_cut_off(client)
                    await client.close()

    async def _new_client(self) -> discord.Client:
        shards = self._access.shards
        if self._access.gateway_url is None and (shards is None or self._access.asks_gateway):
            shards = await self._advised()
        return Client() if shards is None else ShardedClient(shards)

    async def _advised(self) -> int | None:
        """How many connections; None for a single one. Sets the socket's address where the API has its own."""
        try:
            count, url, limits = await self._rest.client.http.get_bot_gateway()
        except discord.GatewayNotFound:
            if self._access.asks_gateway:
                raise  # its token is none of Discord's own socket
            return self._access.shards
        if self._access.asks_gateway:
            # The library asks nobody for this address; it stands in a variable of its module.
            DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(url)
        if limits.get("remaining", 1) < 1:
            log.error("discord.connections_used_up", extra={"account": self._account})
            await asyncio.sleep(min(3_600.0, limits.get("reset_after", 0) / 1000))
        return self._access.shards or (count if count > 1 else None)

    # --- what the library calls, by name ---

    async def on_connect(self) -> None:
        """We hear from here on; the library says `ready` once no further guild has come for two seconds."""
        self._tried.set()

    async def on_ready(self) -> None:
        self._faults = 0
        log.info("discord.connected", extra={"account": self._account})
        self._read_on()

    async def on_resumed(self) -> None:
        self._faults = 0
        log.info("discord.resumed", extra={"account": self._account})
        self._read_on()

    async def on_disconnect(self) -> None:
        client = self._client
        if self._has_ended_too_often(client) and client is not None:
            await client.close()
        await self._catch_up.mark()

    def _has_ended_too_often(self, client: discord.Client | None) -> bool:
        now = asyncio.get_running_loop().time()
        if self._ends and now - self._ends[-1] > 2 * RESTLESS_LONGEST_S:
            self._restless = 0
        shards = 1 if client is None else client.shard_count or 1
        self._ends = [*(end for end in self._ends if now - end < 2 * RESTLESS_LONGEST_S), now][-1_000:]
        if self._is_restless or sum(now - end < RESTLESS_S for end in self._ends) < RESTLESS_TIMES * shards:
            return False
        self._is_restless, self._restless, self._ends = True, self._restless + 1, [now]
        return True

    async def on_message(self, message: discord.Message) -> None:
        await self._hearing.message(message)

    async def on_raw_reaction_add(self, event: discord.RawReactionActionEvent) -> None:
        client = self._client
        await self._hearing.reaction(event, None if client is None else client.get_channel(event.channel_id))

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        await self._interactions.take(interaction)

    async def on_error(self, event_method: str, /, *_: object, **__: object) -> None:
        """The library's own would write the fault with all that came from outside."""
        kind = sys.exc_info()[0]
        named = {"account": self._account, "of": event_method, "kind": "" if kind is None else kind.__name__}
        log.error("discord.event_failed", extra=named)

    def _read_on(self) -> None:
        """A reading that is under way has perhaps passed a channel already: the next one comes after it."""
        client = self._client
        if client is None or len(self._reading) > 1:
            return
        task = asyncio.create_task(self._catch_up.read(client), name="discord-catch-up")
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)


async def _end_cut_off(client: discord.Client) -> None:
    """The library forgets a socket that is cut off while it opens, which takes five seconds where it identifies anew.

    Its thread goes on for a beat of 41 s, and then speaks to a loop that may be gone.
    """
    for thread in threading.enumerate():
        # Nobody but the thread holds such a socket.
        if isinstance(thread, KeepAliveHandler) and thread.ws._connection is client._connection:  # noqa: SLF001
            thread.stop()
            if thread.ws is not client.ws:
                await thread.ws.socket.close()


def _code(fault: Exception) -> int:
    match fault:
        case discord.LoginFailure():
            return 4004
        case discord.PrivilegedIntentsRequired():
            return 4014
        case discord.ConnectionClosed():
            return fault.code or 0
    return 0
