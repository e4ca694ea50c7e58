"""The account's connection: who we are, Socket Mode, its back-off, and what is read after each gap.

The library's reconnection is off: it asks again with an address that is good for one connection, without end, and
says nowhere that a token is refused. Over HTTP there is no connection, and only the first steps are made.
Deliberately absent: what the payloads mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from typing import Any

from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.retry import delay_s
from channels.slack import faults
from channels.slack.bolt import Bolt
from channels.slack.catchup import CatchUp
from channels.slack.hearing import Hearing
from channels.slack.rest import QUIET, Rest

log = logging.getLogger(__name__)

PING_S = 5.0
"""A connection that died without a word is noticed after some 7 s."""
CONNECT_S = 15.0
LOOK_S = 0.2
REFUSED_S = 60.0
"""A refused token is seldom mended sooner."""
MOST_S = 60.0
DRAIN_S = 3.0
"""Slack's limit for an acknowledgement: what came over an old connection is answered over it."""
END_S = 1.0


class _Socket(SocketModeClient):
    """One connection, which ends once."""

    def __init__(self, app_token: str, client: AsyncWebClient) -> None:
        super().__init__(app_token=app_token, web_client=client, logger=QUIET, ping_interval=PING_S)
        self.is_over = asyncio.Event()
        self.running = 0

    async def connect_to_new_endpoint(self, force: bool = False) -> None:
        del force
        self.is_over.set()

    async def ended(self) -> None:
        while not self.is_over.is_set():
            session = self.current_session
            if session is None or session.closed:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self.is_over.wait()

    async def end(self) -> None:
        """Bounded, and nothing of it is left."""
        with contextlib.suppress(*faults.SDK):
            async with asyncio.timeout(END_S):
                await self.close()  # type: ignore[no-untyped-call]
        self.closed = True
        tasks = [task for task in (self.message_processor, self.current_session_monitor, self.message_receiver) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.aiohttp_client_session.close()


class Link:
    def __init__(
        self, rest: Rest, hearing: Hearing, bolt: Bolt, catch_up: CatchUp, *, app_token: str | None, account: str
    ) -> None:
        self._rest = rest
        self._hearing = hearing
        self._bolt = bolt
        self._catch_up = catch_up
        self._app_token = app_token
        self._account = account
        self._task: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._socket: _Socket | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._live(), name=f"slack-{self._account}")

    async def close(self) -> None:
        tasks = [task for task in (self._task, self._reading, *self._retiring) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.end()

    async def _live(self) -> None:
        attempt = 0
        while True:
            try:
                if self._rest.me is None:
                    await self._rest.who()
                    self._hearing.knows()
                if self._app_token is None:
                    self._catch_up.gap_is_over()
                    await self._catch_up.read()
                    return
                await self._catch_up.mark()
                socket = await self._connected(self._app_token)
            except faults.SDK as fault:
                attempt += 1
                await asyncio.sleep(self._patience_s(fault, attempt))
                continue
            attempt = 0
            log.info("slack.connected", extra={"account": self._account})
            self._catch_up.gap_is_over()
            self._read_on()
            await socket.ended()
            log.info("slack.disconnected", extra={"account": self._account})
            self._retire(socket)

    async def _connected(self, app_token: str) -> _Socket:
        answer: Any = await self._rest.client.apps_connections_open(app_token=app_token)
        socket = self._socket = _Socket(app_token, self._rest.client)
        socket.wss_uri = str(answer.get("url"))
        socket.socket_mode_request_listeners.append(self._take)
        is_open = False
        try:
            async with asyncio.timeout(CONNECT_S):
                await socket.connect()  # type: ignore[no-untyped-call]
            is_open = True
        finally:
            if not is_open:
                self._socket = None
                await socket.end()
        return socket

    def _patience_s(self, fault: BaseException, attempt: int) -> float:
        code = faults.code_of(fault)
        if code in faults.TOKEN or code == "missing_scope":
            log.error("slack.rejected", extra={"account": self._account, "error": code})
            return REFUSED_S
        log.warning(
            "slack.unreachable",
            extra={"account": self._account, "attempt": attempt, "kind": type(fault).__name__},
        )
        asked = faults.retry_after_s(fault) if code in {"ratelimited", "rate_limited"} else 0.0
        return max(asked, min(MOST_S, delay_s(attempt, jitter=random.random())))  # noqa: S311

    def _read_on(self) -> None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._catch_up.read(), name="slack-catch-up")

    def _retire(self, socket: _Socket) -> None:
        """What is under way is answered over the connection that it came by."""
        self._socket = None

        async def retire() -> None:
            try:
                async with asyncio.timeout(DRAIN_S):
                    while socket.running:  # noqa: ASYNC110
                        await asyncio.sleep(LOOK_S)
            except TimeoutError:
                pass
            finally:
                await socket.end()

        task = asyncio.get_running_loop().create_task(retire(), name="slack-retire")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _take(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        socket = client if isinstance(client, _Socket) else None
        if socket is not None:
            socket.running += 1
        try:
            answer = await self._bolt.dispatch(request.payload)
            if answer.status != 200:
                return  # not recorded: Slack says it again
            payload = json.loads(answer.body) if answer.body.startswith("{") else None
            with contextlib.suppress(*faults.SDK):
                await client.send_socket_mode_response(
                    SocketModeResponse(envelope_id=request.envelope_id, payload=payload)
                )
        finally:
            if socket is not None:
                socket.running -= 1
