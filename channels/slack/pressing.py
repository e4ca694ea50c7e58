"""Buttons, forms, App Home and the slash command: recorded and answered inside Slack's 3 s, or told afterwards.

Slack repeats none of these, so what was not recorded is said to the one who pressed.
Deliberately absent: messages and reactions (`hearing`), which Slack repeats.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.domain.message import Action, Answer, Button, Sender
from bot.domain.session import Peer, PeerKind
from bot.errors import ChannelError, Malformed, MalformedKey, StoreError
from channels.slack import faults, form, presses, wire
from channels.slack.hearing import Background, Hearing
from channels.slack.rest import CALL_S, QUIET, Rest

log = logging.getLogger(__name__)

RECORD_S = 2.0
"""Of Slack's 3 s; the way there and back needs the rest."""
MAX_SLOW = 500
NOT_RECORDED = "Not recorded: nothing was decided. Please press again."
NOT_HEARD = "Not recorded. Please send the command again."
NO_FORM = "The form could not be opened, and nothing was decided. Please press again"

Ack = Callable[..., Awaitable[Any]]
Tell = Callable[[str], Coroutine[object, object, None]]


class Pressing:
    def __init__(self, rest: Rest, hearing: Hearing, identity: wire.Identity, now: Callable[[], float]) -> None:
        self._rest = rest
        self._hearing = hearing
        self._identity = identity
        self._now = now
        self._slow: set[asyncio.Task[Answer]] = set()

    @property
    def _background(self) -> Background:
        return self._hearing.background

    async def close(self) -> None:
        for task in tuple(self._slow):
            task.cancel()
        await asyncio.gather(*self._slow, return_exceptions=True)

    # --- buttons -----------------------------------------------------------------------------------

    async def action(self, payload: wire.Fields, ack: Ack) -> None:
        try:
            pressed = presses.pressed(payload)
        except Malformed as fault:
            self._drop(fault)
            await ack()
            return
        if pressed.button.has_form:
            await self._ask(pressed)
        else:
            await self._record(pressed, presses.Filled(), self._teller(pressed))
        await ack()

    async def _ask(self, pressed: presses.Pressed) -> None:
        """Slack lets a form be opened for 3 s after the press."""
        view = form.asking(pressed.button, presses.kept(pressed))
        try:
            async with asyncio.timeout(RECORD_S):
                await self._rest.client.views_open(trigger_id=pressed.trigger, view=view)
        except faults.SDK as fault:
            log.warning(
                "slack.form_lost",
                extra={"account": self._identity.account, "error": faults.known(faults.code_of(fault))},
            )
            tell = self._teller(pressed)
            self._background.do(tell(_no_form(pressed.button)))

    async def submission(self, payload: wire.Fields, ack: Ack) -> None:
        try:
            pressed, filled = presses.submitted(payload)
        except Malformed as fault:
            self._drop(fault)
            await ack()
            return
        if await self._record(pressed, filled, self._teller(pressed)):
            await ack()
        else:
            await ack(response_action="errors", errors={form.asked_last(pressed.button): NOT_RECORDED})

    async def _record(self, pressed: presses.Pressed, filled: presses.Filled, tell: Tell) -> bool:
        """Within the limit, or afterwards with a word. False: it failed, and the person was told or is to be."""

        async def record() -> Answer:
            inbox, _ = await self._hearing.ready()
            return await inbox.press(pressed.press(await self._peer(pressed), filled))

        is_form = pressed.response_url == "" and pressed.room is not None
        return await self._bounded(record(), tell, NOT_RECORDED, tells_failure=not is_form)

    async def _peer(self, pressed: presses.Pressed) -> Peer:
        person = pressed.sender.native
        if pressed.room is None:
            return wire.peer_of(self._identity, PeerKind.DIRECT, person)
        return await self._peer_in(pressed.room, pressed.room_name, person, pressed.thread)

    async def _peer_in(self, room: str, name: str, person: str, thread: str | None) -> Peer:
        kind = wire.kind_by_name(room, name) or await self._rest.kind_of(room)
        native = person if kind is PeerKind.DIRECT else room
        return wire.peer_of(self._identity, kind, native, thread)

    def _teller(self, pressed: presses.Pressed) -> Tell:
        async def tell(note: str) -> None:
            if pressed.room is None:
                await self._show_home(pressed.sender.native, note)
            elif pressed.response_url:
                await self._respond(pressed.response_url, note, pressed.thread)
            elif note:
                await self._rest.whisper(pressed.room, pressed.thread, pressed.sender.native, note)

        return tell

    async def _bounded(
        self, record: Coroutine[object, object, Answer], tell: Tell, failed: str, *, tells_failure: bool = True
    ) -> bool:
        if len(self._slow) >= MAX_SLOW:
            record.close()
            self._background.do(tell(failed))
            return False
        task = asyncio.get_running_loop().create_task(record, name="slack-record")
        self._slow.add(task)
        task.add_done_callback(self._slow.discard)
        done, _ = await asyncio.wait({task}, timeout=RECORD_S)
        if not done:
            self._background.do(self._afterwards(task, tell, failed))
            return True
        note = self._noted(task)
        if note is None:
            if tells_failure:
                self._background.do(tell(failed))
            return False
        self._background.do(tell(note))
        return True

    async def _afterwards(self, task: asyncio.Task[Answer], tell: Tell, failed: str) -> None:
        await asyncio.wait({task})
        note = self._noted(task)
        await tell(failed if note is None else note)

    def _noted(self, task: asyncio.Task[Answer]) -> str | None:
        """The private word, perhaps an empty one; None where nothing was recorded."""
        if task.cancelled():
            return None
        fault = task.exception()
        if fault is None:
            return task.result().note or ""
        log.warning("slack.not_recorded", extra={"account": self._identity.account, "kind": type(fault).__name__})
        return None

    async def _respond(self, url: str, note: str, thread: str | None = None) -> None:
        if not note:
            return
        body: dict[str, Any] = {
            "response_type": "ephemeral",
            "replace_original": False,
            "text": form.escaped(note)[:3_000],
            "blocks": form.said(note),
        }
        if thread is not None:
            body["thread_ts"] = thread
        try:
            answer = await AsyncWebhookClient(url, timeout=CALL_S, retry_handlers=[], logger=QUIET).send_dict(body)
            if answer.status_code != 200:
                log.info("slack.note_lost", extra={"account": self._identity.account})
        except faults.SDK:
            log.info("slack.note_lost", extra={"account": self._identity.account})

    # --- the slash command -------------------------------------------------------------------------

    async def command(self, payload: wire.Fields, ack: Ack) -> None:
        try:
            room, sender = wire.place_id(payload.get("channel_id")), presses.command_sender(payload)
        except Malformed as fault:
            self._drop(fault)
            await ack()
            return
        name, url = payload.get("channel_name"), payload.get("response_url")

        async def record() -> Answer:
            inbox, _ = await self._hearing.ready()
            peer = await self._peer_in(room, name if isinstance(name, str) else "", sender.native, None)
            return await inbox.message(presses.command_of(payload, peer, now=self._now()))

        async def tell(note: str) -> None:
            await self._respond(url if isinstance(url, str) else "", note)

        await self._bounded(record(), tell, NOT_HEARD)
        await ack()

    # --- App Home ----------------------------------------------------------------------------------

    async def home(self, payload: wire.Fields) -> None:
        event = payload.get("event")
        if isinstance(event, dict) and event.get("tab") in {None, "home"}:
            try:
                await self._show_home(wire.person_id(event.get("user")), "")
            except Malformed as fault:
                self._drop(fault)

    async def _show_home(self, person: str, note: str) -> None:
        try:
            inbox, _ = await self._hearing.ready()
            sender = Sender(native=person, name=await self._rest.name_of(person))
            posts = await inbox.awaiting(wire.SLACK, sender)
            await self._rest.client.views_publish(user_id=person, view=form.home(posts, note))
        except (StoreError, ChannelError, MalformedKey, *faults.SDK) as fault:
            log.warning("slack.home_lost", extra={"account": self._identity.account, "kind": type(fault).__name__})

    def _drop(self, fault: Exception) -> None:
        log.warning("slack.dropped", extra={"account": self._identity.account, "kind": type(fault).__name__})


def _no_form(button: Button) -> str:
    """A code is typed nowhere but to us alone, so that only a denial has words that do the same everywhere."""
    if button.action is not Action.DENY:
        return f"{NO_FORM}."
    return f"{NO_FORM}, or write: deny {button.execution_id} [reason]"
