"""Payloads -> our listeners, through Bolt: the same for Socket Mode and HTTP.

`process_before_response`: Bolt otherwise acknowledges an event before its listener ran, and what could not be recorded
is lost. Its checks of signatures (ours is over the raw bytes, before anything is parsed), its look at who we are and
its ignoring of our own events are off. Deliberately absent: how payloads come.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.error import BoltError
from slack_bolt.response import BoltResponse

from bot.errors import ChannelError, StoreError
from channels.slack import form
from channels.slack.hearing import Hearing
from channels.slack.pressing import Ack, Pressing
from channels.slack.rest import QUIET, Rest

log = logging.getLogger(__name__)

_ANY = re.compile("")
_NONSENSE = (BoltError, KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What the library raises inside, for a payload that is not one of Slack's."""


class Bolt:
    def __init__(self, rest: Rest, hearing: Hearing, pressing: Pressing, *, account: str) -> None:
        self._account = account
        token = rest.client.token

        async def authorize() -> AuthorizeResult:
            me = rest.me
            return AuthorizeResult(
                enterprise_id=None,
                team_id=None if me is None else me.team,
                bot_user_id=None if me is None else me.user,
                bot_id=None if me is None else me.bot,
                bot_token=token,
            )

        self._app = AsyncApp(
            logger=QUIET,
            process_before_response=True,
            client=rest.client,
            authorize=authorize,
            request_verification_enabled=False,
            ignoring_self_events_enabled=False,
            ignoring_self_assistant_message_events_enabled=False,
            ssl_check_enabled=False,
            url_verification_enabled=False,
            attaching_function_token_enabled=False,
        )
        self._listen(hearing, pressing)

    def _listen(self, hearing: Hearing, pressing: Pressing) -> None:
        async def event(body: dict[str, Any]) -> None:
            told = body.get("event")
            if isinstance(told, dict) and told.get("type") == "app_home_opened":
                await pressing.home(body)
            else:
                await hearing.event(body)

        async def action(body: dict[str, Any], ack: Ack) -> None:
            await pressing.action(body, ack)

        async def view(body: dict[str, Any], ack: Ack) -> None:
            await pressing.submission(body, ack)

        async def command(body: dict[str, Any], ack: Ack) -> None:
            await pressing.command(body, ack)

        async def failed(error: Exception) -> BoltResponse:
            if not isinstance(error, StoreError | ChannelError):
                log.error("slack.failed", extra={"account": self._account, "kind": type(error).__name__})
            # Not acknowledged: Slack says it again.
            return BoltResponse(status=503, body="")

        self._app.event(_ANY)(event)
        self._app.action(_ANY)(action)
        self._app.view(form.DENIAL)(view)
        self._app.view(form.CONSENT)(view)
        self._app.command(_ANY)(command)
        self._app.error(failed)

    async def dispatch(self, payload: dict[str, Any]) -> BoltResponse:
        """200 where it is done with, for nobody's too; else it has to come again."""
        try:
            # In this mode the library takes what is parsed already; no header of a stranger reaches it.
            answer: BoltResponse = await self._app.async_dispatch(AsyncBoltRequest(mode="socket_mode", body=payload))
        except _NONSENSE as fault:
            log.warning("slack.dropped", extra={"account": self._account, "kind": type(fault).__name__})
            return BoltResponse(status=200, body="")
        if answer.status == 404:
            return BoltResponse(status=200, body="")
        return answer
