"""Presses, forms and slash commands: recorded, and answered inside the three seconds that Discord gives.

Every button is known by what it carries, so one that an earlier process posted works as well as ours. The library's
`DynamicItem` is not used for that: it looks the button up in the message of the press and drops, without an answer,
a press on a message that has been edited meanwhile; the person would see "This interaction failed".

Deliberately absent: results, which go out by the bot's token (`rest`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import discord

from bot.domain.factor import CODE_DIGITS
from bot.domain.message import CODE_FIELD_CHARS, DENYING, Answer, Button, FormField
from bot.domain.session import Peer
from bot.errors import Malformed, MalformedKey, StoreError
from bot.ports import Inbox
from channels.discord import faults, form, wire
from channels.discord.hearing import Hearing

log = logging.getLogger(__name__)

ANSWER_S = 1.5
"""So long we wait for the record before we ask Discord for more time; the answer itself has to cross the network."""
RECORD_S = 600.0
"""A follow-up may come for 15 minutes; who pressed has gone long before."""
SUGGEST_S = 1.5
END_S = 0.4
"""At the end: for what is being recorded, and then for the word on what was not."""
FORM_S = 900.0
"""An opened form may be sent in as long as its token lives."""
NOTE_CHARS = 1_900
"""Discord takes 2,000 in a private answer."""
NOT_RECORDED = "Not recorded, press again."
NOT_TAKEN = "Not recorded, send it again."
UNKNOWN = "That is none of my buttons or commands any more."


class Interactions:
    def __init__(self, hearing: Hearing, identity: wire.Identity) -> None:
        self._hearing = hearing
        self._identity = identity
        self._inbox: Inbox | None = None
        self._recording: set[asyncio.Task[Answer]] = set()
        self._answers: set[asyncio.Future[None]] = set()

    def open(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def close(self) -> None:
        """Nothing is left under way, and who pressed is told so."""
        self._inbox = None
        if self._recording:
            await asyncio.wait(tuple(self._recording), timeout=END_S)
        for task in tuple(self._recording):
            task.cancel()
        if self._answers:
            await asyncio.wait(tuple(self._answers), timeout=END_S)

    async def take(self, interaction: discord.Interaction) -> None:
        """One interaction of any kind, from arrival to answer."""
        inbox = self._inbox
        if inbox is None:
            return
        async with self._answering():
            match interaction.type:
                case discord.InteractionType.component:
                    await self._component(inbox, interaction)
                case discord.InteractionType.modal_submit:
                    await self._form(inbox, interaction)
                case discord.InteractionType.application_command:
                    await self._command(inbox, interaction)
                case discord.InteractionType.autocomplete:
                    await self._autocomplete(inbox, interaction)

    async def _component(self, inbox: Inbox, interaction: discord.Interaction) -> None:
        button = wire.button_of(interaction)
        if button is None:
            await _say(interaction, UNKNOWN)
        elif button.has_form:
            await interaction.response.send_modal(_form_for(button))
        else:
            await self._press(inbox, interaction, button)

    async def _form(self, inbox: Inbox, interaction: discord.Interaction) -> None:
        """Also one that was opened before a restart: it carries its button."""
        button = wire.button_of(interaction)
        if button is None:
            await _say(interaction, UNKNOWN)
        else:
            await self._press(inbox, interaction, button)

    async def _press(self, inbox: Inbox, interaction: discord.Interaction, button: Button) -> None:
        peer = await self._peer(interaction)
        if peer is None:
            await _say(interaction, NOT_RECORDED)
            return
        press = wire.press_of(interaction, button=button, peer=peer)
        await self._answer(interaction, inbox.press(press), failed=NOT_RECORDED, nothing=None)

    async def _command(self, inbox: Inbox, interaction: discord.Interaction) -> None:
        typed = wire.typed_of(interaction)
        peer = None if typed is None else await self._peer(interaction)
        if typed is None or peer is None:
            await _say(interaction, UNKNOWN if typed is None else NOT_TAKEN)
            return
        message = wire.command_of(interaction, typed=typed, peer=peer)
        await self._answer(interaction, inbox.message(message), failed=NOT_TAKEN, nothing=f"Noted: {typed}")

    async def _autocomplete(self, inbox: Inbox, interaction: discord.Interaction) -> None:
        asked = wire.asked_of(interaction)
        peer = None if asked is None else await self._peer(interaction)
        found: list[discord.app_commands.Choice[str]] = []
        if asked is not None and peer is not None:
            what, typed = asked
            space = None if interaction.guild_id is None else str(interaction.guild_id)
            with contextlib.suppress(StoreError, TimeoutError):
                async with asyncio.timeout(SUGGEST_S):
                    suggestions = await inbox.suggest(peer, wire.sender_of(interaction.user), what, typed, space)
                # A value that does not fit is left out: one that was cut would name something else.
                found = [
                    discord.app_commands.Choice(name=one.shown[: wire.CHOICE_CHARS] or one.value, value=one.value)
                    for one in suggestions
                    if 0 < len(one.value) <= wire.CHOICE_CHARS
                ]
        await interaction.response.autocomplete(found[: wire.MAX_CHOICES])

    async def _peer(self, interaction: discord.Interaction) -> Peer | None:
        channel = interaction.channel
        native = 0 if channel is None else channel.id
        is_direct = interaction.guild_id is None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                return await self._hearing.peer_of(channel, native, interaction.user.id, is_direct=is_direct)
        return None

    async def _answer(
        self,
        interaction: discord.Interaction,
        recording: Coroutine[Any, Any, Answer],
        *,
        failed: str,
        nothing: str | None,
    ) -> None:
        """The note once it is recorded; if that takes long, first a sign to Discord that we are at it."""
        task = asyncio.create_task(recording, name="discord-record")
        # It goes on where Discord does not take our answer: what was pressed is recorded all the same.
        self._recording.add(task)
        task.add_done_callback(self._recorded)
        done, _ = await asyncio.wait({task}, timeout=ANSWER_S)
        if not done:
            # A press is deferred without a trace in the channel; a command shows "thinking" to its sender alone.
            await interaction.response.defer(ephemeral=True)
            await asyncio.wait({task}, timeout=RECORD_S)
        note = await _outcome(task, failed) or nothing
        if note is not None:
            await _say(interaction, note)
        elif not interaction.response.is_done():
            await interaction.response.defer()

    def _recorded(self, task: asyncio.Task[Answer]) -> None:
        self._recording.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("discord.not_recorded", extra={"account": self._identity.account})

    @contextlib.asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        """An answer that does not get through loses nothing: what was recorded stays recorded."""
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answers.add(answered)
        try:
            yield
        except faults.SDK as fault:
            log.warning("discord.not_answered", extra={"account": self._identity.account, "kind": type(fault).__name__})
        except (Malformed, MalformedKey):
            log.warning("discord.malformed", extra={"account": self._identity.account})
        finally:
            self._answers.discard(answered)
            answered.set_result(None)


async def _outcome(task: asyncio.Task[Answer], failed: str) -> str | None:
    if not task.done():
        task.cancel()
        return failed
    try:
        return task.result().note
    except (StoreError, asyncio.CancelledError):
        return failed


async def _say(interaction: discord.Interaction, note: str) -> None:
    """To the one who pressed or typed, and to nobody else."""
    text = form.escaped(note)
    text = text if len(text) <= NOTE_CHARS else form.escaped(note[: NOTE_CHARS // 2]) + "…"
    if interaction.response.is_done():
        await interaction.followup.send(text, ephemeral=True, suppress_embeds=True)
    else:
        await interaction.response.send_message(text, ephemeral=True, suppress_embeds=True)


def _form_for(button: Button) -> discord.ui.Modal:
    """What the button asks for, in one form; a denial's reason may stay empty."""
    title = f"{form.LABELS[button.action]} {button.execution_id}"
    form_shown = discord.ui.Modal(title=title, custom_id=button.token(), timeout=FORM_S)
    is_no = button.action in DENYING
    if is_no or FormField.REASON in button.asks:
        reason: discord.ui.TextInput[discord.ui.Modal] = discord.ui.TextInput(
            custom_id=wire.REASON_FIELD,
            style=discord.TextStyle.paragraph,
            required=not is_no,
            max_length=wire.REASON_CHARS,
        )
        form_shown.add_item(discord.ui.Label(text="Reason (may stay empty)" if is_no else "Reason", component=reason))
    if FormField.CODE in button.asks:
        code: discord.ui.TextInput[discord.ui.Modal] = discord.ui.TextInput(
            custom_id=wire.CODE_FIELD, min_length=CODE_DIGITS, max_length=CODE_FIELD_CHARS
        )
        described = "Six digits, or a recovery code. Nobody else sees it."
        form_shown.add_item(discord.ui.Label(text="Code of your own device", description=described, component=code))
    return form_shown
