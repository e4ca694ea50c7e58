"""What Slack tells an app: events, presses, submitted forms, commands, as its documentation shows them.

Deliberately absent: how they travel.
"""

from __future__ import annotations

import copy
import html
import re
from typing import Any

from tests.platforms.slack.world import App, Conversation, Form, Message, Person, World, message_form

VERIFICATION = "fake-verification-token"
"""The old token that every payload carries and nobody should look at."""

EMOJI = {
    "👍": "+1",
    "👎": "-1",
    "✅": "white_check_mark",
    "❌": "x",
    "👀": "eyes",
    "🏠": "house",
    "✔️": "heavy_check_mark",
    "♾️": "infinity",
    "🎉": "tada",
}
_TONES = {chr(0x1F3FB + tone): f"::skin-tone-{tone + 2}" for tone in range(5)}
_URL = re.compile(r"https?://[^\s<>|]+")


def short_name(emoji: str) -> str:
    """What Slack calls an emoji: `+1`, `white_check_mark`, `+1::skin-tone-3`."""
    tone = ""
    if emoji and emoji[-1] in _TONES:
        emoji, tone = emoji[:-1], _TONES[emoji[-1]]
    return EMOJI.get(emoji, EMOJI.get(emoji.rstrip("\ufe0f"), emoji)) + tone


def typed(text: str, bot: str | None = None) -> tuple[str, list[Form]]:
    """What the app of a person sends for typed words: `text` with escapes, links and short names, and rich text.

    `bot` is mentioned before the words.
    """
    inline: list[Form] = []
    escaped = ""
    if bot is not None:
        inline += [{"type": "user", "user_id": bot}]
        escaped = f"<@{bot}> "
        text = " " + text
    plain = ""

    def flush() -> None:
        nonlocal plain
        if plain:
            inline.append({"type": "text", "text": plain})
        plain = ""

    at = 0
    words = ""
    while at < len(text):
        found = _URL.match(text, at)
        emoji = next((one for one in EMOJI if text.startswith(one, at)), None)
        if found is not None:
            flush()
            inline.append({"type": "link", "url": found[0]})
            words += f"<{_escape(found[0])}>"
            at = found.end()
        elif emoji is not None:
            flush()
            code = "-".join(f"{ord(one):x}" for one in emoji)
            inline.append({"type": "emoji", "name": EMOJI[emoji], "unicode": code})
            words += f":{EMOJI[emoji]}:"
            at += len(emoji)
        else:
            plain += text[at]
            words += _escape(text[at])
            at += 1
    flush()
    escaped += words[1:] if bot is not None else words
    section = {"type": "rich_text_section", "elements": inline}
    return escaped, [{"type": "rich_text", "block_id": "bTyped", "elements": [section]}] if inline else []


def _escape(text: str) -> str:
    return html.escape(text, quote=False)


def channel_type(conversation: Conversation) -> str:
    return conversation.kind


def message_event(message: Message, conversation: Conversation, world: World) -> Form:
    event: Form = {
        "type": "message",
        "user": message.user,
        "ts": message.ts,
        "text": message.text,
        "team": conversation.team,
        "channel": conversation.id,
        "event_ts": message.ts,
        "channel_type": channel_type(conversation),
    }
    for name in ("client_msg_id", "bot_id", "app_id", "thread_ts", "subtype"):
        if getattr(message, name) is not None:
            event[name] = getattr(message, name)
    if message.blocks:
        event["blocks"] = copy.deepcopy(message.blocks)
    if message.is_reply:
        root = conversation.messages.get(str(message.thread_ts))
        event["parent_user_id"] = root.user if root is not None else "USLACKBOT"
    if message.metadata is not None:
        event["metadata"] = message.metadata
    del world
    return event


def mention_event(message: Message, conversation: Conversation, world: World) -> Form:
    """The same words again, under another type, without `channel_type`."""
    event = message_event(message, conversation, world) | {"type": "app_mention"}
    del event["channel_type"]
    return event


def changed_event(message: Message, conversation: Conversation, world: World) -> Form:
    return {
        "type": "message",
        "subtype": "message_changed",
        "channel": conversation.id,
        "channel_type": channel_type(conversation),
        "ts": world.ts(),
        "event_ts": world.ts(),
        "hidden": True,
        "message": message_form(message, world),
        "previous_message": message_form(message, world),
    }


def reaction_event(message: Message, person: str, name: str, world: World) -> Form:
    """It names neither a thread nor the kind of the conversation."""
    return {
        "type": "reaction_added",
        "user": person,
        "reaction": name,
        "item": {"type": "message", "channel": message.channel, "ts": message.ts},
        "item_user": message.user,
        "event_ts": world.ts(),
    }


def home_event(person: str, channel: str, world: World) -> Form:
    return {"type": "app_home_opened", "user": person, "channel": channel, "tab": "home", "event_ts": world.ts()}


def event_callback(app: App, event: Form, world: World) -> Form:
    return {
        "token": VERIFICATION,
        "team_id": app.team.id,
        "context_team_id": app.team.id,
        "context_enterprise_id": app.team.enterprise,
        **({"enterprise_id": app.team.enterprise} if app.team.enterprise else {}),
        "api_app_id": app.id,
        "event": event,
        "type": "event_callback",
        "event_id": world.id("Ev"),
        "event_time": int(float(event["event_ts"])),
        "authorizations": [
            {
                "enterprise_id": app.team.enterprise,
                "team_id": app.team.id,
                "user_id": app.bot_user,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
        "event_context": "4-fake-context",
    }


def _head(app: App, person: Person, trigger: str) -> Form:
    enterprise = {"id": app.team.enterprise, "name": "Example Grid"} if app.team.enterprise else None
    return {
        "user": {"id": person.id, "username": person.name, "name": person.name, "team_id": person.team},
        "api_app_id": app.id,
        "token": VERIFICATION,
        "trigger_id": trigger,
        "team": {"id": app.team.id, "domain": app.team.domain},
        "enterprise": enterprise,
        "is_enterprise_install": False,
    }


def press_payload(
    app: App, person: Person, message: Message, button: Form, world: World, *, trigger: str, response_url: str
) -> Form:
    conversation = world.conversations[message.channel]
    container: Form = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": message.channel,
        "is_ephemeral": False,
    }
    if message.thread_ts is not None:
        container["thread_ts"] = message.thread_ts
    names = {"im": "directmessage", "group": "privategroup"}
    shown = message_form(message, world)
    return {
        "type": "block_actions",
        **_head(app, person, trigger),
        "container": container,
        "channel": {"id": message.channel, "name": names.get(conversation.kind, conversation.name)},
        "message": shown,
        "state": {"values": {}},
        "response_url": response_url,
        "actions": [_action(button, world)],
    }


def home_press_payload(app: App, person: Person, view: Form, button: Form, world: World, *, trigger: str) -> Form:
    """There is no channel, no message and no response_url behind App Home."""
    return {
        "type": "block_actions",
        **_head(app, person, trigger),
        "container": {"type": "view", "view_id": view["id"]},
        "view": view,
        "actions": [_action(button, world)],
    }


def _action(button: Form, world: World) -> Form:
    action: Form = {
        "type": "button",
        "action_id": button.get("action_id", "xYz1"),
        "block_id": button.get("block_id", "bAct"),
        "text": button["text"] | {"text": _escape(button["text"]["text"])},
        "action_ts": world.ts(),
    }
    for name in ("value", "style"):
        if name in button:
            action[name] = button[name]
    return action


def submission_payload(app: App, person: Person, view: Form, values: Form, *, trigger: str) -> Form:
    return {
        "type": "view_submission",
        **_head(app, person, trigger),
        "view": view | {"state": {"values": values}},
        "response_urls": [],
    }


def standing_view(app: App, view: Form, world: World) -> Form:
    """A view as Slack keeps it: with ids and a hash."""
    kept: Form = copy.deepcopy(view)
    for number, block in enumerate(kept["blocks"]):
        block.setdefault("block_id", f"bView{number}")
    view_id = world.id("V")
    return kept | {
        "id": view_id,
        "team_id": app.team.id,
        "app_id": app.id,
        "bot_id": app.bot_id,
        "root_view_id": view_id,
        "previous_view_id": None,
        "private_metadata": view.get("private_metadata", ""),
        "callback_id": view.get("callback_id", ""),
        "hash": f"{world.ts()}.fake",
        "state": {"values": {}},
    }


def command_form(
    app: App, person: Person, conversation: Conversation, text: str, *, trigger: str, response_url: str
) -> dict[str, str]:
    names = {"im": "directmessage", "group": "privategroup"}
    form = {
        "token": VERIFICATION,
        "team_id": app.team.id,
        "team_domain": app.team.domain,
        "channel_id": conversation.id,
        "channel_name": names.get(conversation.kind, conversation.name),
        "user_id": person.id,
        "user_name": person.name,
        "command": "/homing",
        "text": text,
        "api_app_id": app.id,
        "is_enterprise_install": "false",
        "response_url": response_url,
        "trigger_id": trigger,
    }
    if app.team.enterprise:
        form |= {"enterprise_id": app.team.enterprise, "enterprise_name": "Example Grid"}
    return form


def buttons_in(blocks: list[Form]) -> list[Form]:
    """Every button of these blocks, in order, with the id of its block."""
    found: list[Form] = []
    for number, block in enumerate(blocks):
        elements: list[Any] = list(block.get("elements", [])) if block.get("type") == "actions" else []
        elements += [block["accessory"]] if "accessory" in block else []
        name = block.get("block_id", f"b{number}")
        found += [one | {"block_id": name} for one in elements if one.get("type") == "button"]
    return found
