"""What people do in their Slack apps: write, press, fill in forms, react, type commands, open App Home.

Deliberately absent: our domain. Ids and payloads here are Slack's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from tests.platforms.slack.delivery import Acknowledged
from tests.platforms.slack.payloads import (
    buttons_in,
    command_form,
    event_callback,
    home_event,
    home_press_payload,
    mention_event,
    message_event,
    press_payload,
    reaction_event,
    short_name,
    submission_payload,
    typed,
)
from tests.platforms.slack.reading import read, read_view
from tests.platforms.slack.server import SlackServer
from tests.platforms.slack.world import App, Conversation, Ephemeral, Form, Message, Person

GRACE_S = 0.25
"""How long one waits for private words after the press was acknowledged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one person got for a press or a command, seen by nobody else."""

    words: str
    is_acknowledged: bool
    """False: Slack shows a warning sign beside the button."""


@dataclass(slots=True)
class People:
    server: SlackServer

    async def write(
        self,
        app: App,
        conversation: Conversation,
        person: Person,
        text: str,
        *,
        thread_ts: str | None = None,
        mention: bool = True,
        repeats: int = 0,
        deliver: bool = True,
    ) -> Message:
        """To this app: with a mention in rooms, delivered as `message` and as `app_mention`."""
        world = self.server.world
        conversation.members.add(person.id)
        is_mention = mention and conversation.kind != "im"
        words, blocks = typed(text, app.bot_user if is_mention else None)
        ts = world.ts()
        message = Message(channel=conversation.id, ts=ts, user=person.id, text=words, thread_ts=thread_ts)
        message.blocks, message.client_msg_id = blocks, f"fake-client-msg-{ts}"
        world.keep(message)
        if not deliver:
            return message
        bodies = [event_callback(app, message_event(message, conversation, world), world)]
        if is_mention:
            bodies.append(event_callback(app, mention_event(message, conversation, world), world))
        for _ in range(repeats + 1):
            await asyncio.gather(*(self.server.postman.deliver(app, body, repeats=True) for body in bodies))
        for other in world.apps.values():
            if other is not app and other.bot_user in conversation.members:
                event = event_callback(other, message_event(message, conversation, world), world)
                self.server.postman.in_background(self.server.postman.deliver(other, event, repeats=True))
        return message

    async def press(
        self,
        app: App,
        person: Person,
        message: Message,
        fits: Callable[[Form], bool],
        *,
        reason: str = "",
        code: str = "",
        grace_s: float = GRACE_S,
    ) -> Told:
        """A button that the message shows, or showed before it was edited."""
        views = [message.blocks, *message.earlier[::-1]]
        found = [button for blocks in views for button in buttons_in(blocks) if fits(button)]
        assert found, "the message never showed this button"
        server = self.server
        # Who presses is there.
        server.world.conversations[message.channel].members.add(person.id)
        trigger, link = server.trigger(), server.response_url(app, message.channel, person.id, message.ts)
        payload = press_payload(app, person, message, found[0], server.world, trigger=trigger, response_url=link)
        return await self._interact(app, person, payload, trigger, (reason, code), grace_s)

    async def press_home(
        self,
        app: App,
        person: Person,
        fits: Callable[[Form], bool],
        *,
        reason: str = "",
        code: str = "",
        view: Form | None = None,
    ) -> Told:
        server = self.server
        view = view or server.world.homes[app.id, person.id]
        found = [button for button in buttons_in(view["blocks"]) if fits(button)]
        assert found, f"App Home does not show this button: {read_view(view).text}"
        trigger = server.trigger()
        payload = home_press_payload(app, person, view, found[0], server.world, trigger=trigger)
        return await self._interact(app, person, payload, trigger, (reason, code), GRACE_S)

    async def _interact(
        self, app: App, person: Person, payload: Form, trigger: str, filled: tuple[str, str], grace_s: float
    ) -> Told:
        before = len(self.server.world.ephemerals)
        got = await self.server.postman.deliver(app, payload, repeats=False)
        view = await self._soon(lambda: self._modal(trigger), lambda: self.whispered(person.id, before), grace_s)
        if view is not None:
            reason, code = filled
            return await self.submit(app, person, view, reason, code=code, before=before, grace_s=grace_s)
        return Told(words=self.whispered(person.id, before), is_acknowledged=got is not None)

    async def submit(
        self,
        app: App,
        person: Person,
        view: Form,
        reason: str,
        *,
        code: str = "",
        before: int | None = None,
        grace_s: float = GRACE_S,
    ) -> Told:
        """Fill in the fields of this modal, as they are named, and send it, if the app lets anybody."""
        since = len(self.server.world.ephemerals) if before is None else before
        values: Form = {}
        for block in view["blocks"]:
            if block["type"] == "input":
                element = block["element"]
                action = element.get("action_id", "fake")
                value = code if action == "code" else reason
                if not value and not block.get("optional", False):
                    return Told(words="Please complete this required field.", is_acknowledged=False)
                if value and not element.get("min_length", 0) <= len(value) <= element.get("max_length", 3_000):
                    return Told(words="That is too short, or too long.", is_acknowledged=False)
                values[block["block_id"]] = {action: {"type": element["type"], "value": value or None}}
        trigger = self.server.trigger()
        got = await self.server.postman.deliver(
            app, submission_payload(app, person, view, values, trigger=trigger), repeats=False
        )
        words = _modal_words(got)
        if not words:
            await self._soon(lambda: None, lambda: self.whispered(person.id, since), grace_s)
            words = self.whispered(person.id, since)
        return Told(words=words, is_acknowledged=got is not None)

    async def command(self, app: App, conversation: Conversation, person: Person, text: str) -> Told:
        server, before = self.server, len(self.server.world.ephemerals)
        conversation.members.add(person.id)
        link = server.response_url(app, conversation.id, person.id)
        form = command_form(app, person, conversation, text, trigger=server.trigger(), response_url=link)
        got = await server.postman.deliver(app, form, repeats=False)
        words = _answer_words((got.body if got is not None else None) or {}, conversation.id, person.id)
        if not words:
            await self._soon(lambda: None, lambda: self.whispered(person.id, before), GRACE_S)
            words = self.whispered(person.id, before)
        return Told(words=words, is_acknowledged=got is not None)

    async def react(self, app: App, message: Message, person: Person, emoji: str, *, deliver: bool = True) -> None:
        name = short_name(emoji)
        users = message.reactions.setdefault(name, [])
        if person.id not in users:
            users.append(person.id)
        if deliver:
            event = reaction_event(message, person.id, name, self.server.world)
            body = event_callback(app, event, self.server.world)
            await self.server.postman.deliver(app, body, repeats=True)

    async def open_home(self, app: App, person: Person) -> Acknowledged | None:
        world = self.server.world
        channel = world.direct(app.bot_user, person.id, app.team)
        body = event_callback(app, home_event(person.id, channel.id, world), world)
        return await self.server.postman.deliver(app, body, repeats=True)

    def home(self, app: App, person: Person) -> str:
        """All words of the App Home that this person sees; empty where none was published."""
        view = self.server.world.homes.get((app.id, person.id))
        return "" if view is None else read_view(view).text

    def whispered(self, person: str, since: int = 0) -> str:
        """What was shown to this person alone."""
        shown = [one for one in self.server.world.ephemerals[since:] if one.user == person]
        return "\n".join(read(one).text for one in shown)

    def _modal(self, trigger: str) -> Form | None:
        return next((view for used, view in self.server.api.opened if used == trigger), None)

    async def _soon(self, found: Callable[[], Form | None], or_else: Callable[[], str], grace_s: float) -> Form | None:
        try:
            async with asyncio.timeout(grace_s):
                while found() is None and not or_else():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pass
        return found()


def _answer_words(body: Form, channel: str, person: str) -> str:
    """What a command is answered with beside the acknowledgement: private, unless it says otherwise."""
    assert body.get("response_type", "ephemeral") == "ephemeral"
    text, blocks = str(body.get("text") or ""), body.get("blocks") or []
    return read(Ephemeral(channel=channel, user=person, text=text, blocks=blocks)).text


def _modal_words(got: Acknowledged | None) -> str:
    """What a form answers by itself: faults beside its fields, or another view in its place."""
    body = (got.body if got is not None else None) or {}
    match body.get("response_action"):
        case "errors":
            return "\n".join(body["errors"].values())
        case "update" | "push":
            return read_view(body["view"]).text
    return ""
