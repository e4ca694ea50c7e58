"""What people press, send in and command on Slack: payloads of interactions -> our values. Pure.

Deliberately absent: messages and reactions (`wire`), and the way to the inbox (`pressing`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from bot.domain.message import CODE_FIELD_CHARS, Button, ButtonPress, InboundMessage, Sender, parse_button
from bot.domain.session import DeliveryId, MessageId, Peer, ThreadId
from bot.errors import Malformed
from channels.slack import form, typed, wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What was written into a form."""

    reason: str = ""
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    """A button that was pressed, with what only a moment is good for."""

    button: Button
    sender: Sender
    room: str | None
    """The conversation's native id; None for App Home."""
    room_name: str
    message_id: MessageId | None
    thread: ThreadId | None
    space: str | None
    delivery: DeliveryId
    trigger: str
    response_url: str

    def press(self, peer: Peer, filled: Filled | None = None) -> ButtonPress:
        return ButtonPress(
            peer=peer,
            sender=self.sender,
            delivery=self.delivery,
            message_id=self.message_id,
            button=self.button,
            reason="" if filled is None else filled.reason,
            code=None if filled is None else filled.code,
            space=self.space,
        )


def pressed(payload: wire.Fields) -> Pressed:
    """One button of a message or of App Home."""
    actions = payload.get("actions")
    if not isinstance(actions, list) or len(actions) != 1:
        raise Malformed("one button is pressed at a time")
    action = wire.fields_of(actions[0])
    sender, container = sender_of(payload), wire.inside(payload, "container")
    moment = wire.shaped(wire.ANY_ID, action.get("action_ts"), "press")
    room: str | None = None
    message: str | None = None
    thread: str | None = None
    if container.get("type") == "message":
        room = wire.place_id(wire.inside(payload, "channel").get("id") or container.get("channel_id"))
        message = wire.ts_id(container.get("message_ts"))
        thread = wire.thread_of({"ts": message, "thread_ts": _thread(payload, container)})
    button = _button(action.get("value"))
    where = f"{room}:{message}" if room is not None else "home"
    return Pressed(
        button=button,
        sender=sender,
        room=room,
        room_name=wire.text_in(wire.inside(payload, "channel"), "name"),
        message_id=None if message is None else MessageId(message),
        thread=None if thread is None else ThreadId(thread),
        space=wire.space_of(payload),
        delivery=DeliveryId(f"press:{where}:{sender.native}:{moment}:{button.action.value}"),
        trigger=wire.text_in(payload, "trigger_id"),
        response_url=wire.text_in(payload, "response_url"),
    )


def _thread(payload: wire.Fields, container: wire.Fields) -> object:
    return container.get("thread_ts") or wire.inside(payload, "message").get("thread_ts")


def kept(press: Pressed) -> str:
    """A press whose form is open, as the form carries it: any process may take it."""
    return json.dumps(
        {
            "button": press.button.token(),
            "room": press.room,
            "name": press.room_name[: wire.MAX_NAME_CHARS],
            "message": press.message_id,
            "thread": press.thread,
        }
    )


def submitted(payload: wire.Fields) -> tuple[Pressed, Filled]:
    """A form that was sent in, and what was written into it."""
    view = wire.inside(payload, "view")
    try:
        fields = wire.fields_of(json.loads(wire.text_in(view, "private_metadata")))
    except (ValueError, RecursionError):
        raise Malformed("that form is none of ours") from None
    room, message, thread = fields.get("room"), fields.get("message"), fields.get("thread")
    sender = sender_of(payload)
    values = wire.inside(wire.inside(view, "state"), "values")
    press = Pressed(
        button=_button(fields.get("button")),
        sender=sender,
        room=None if room is None else wire.place_id(room),
        room_name=wire.text_in(fields, "name"),
        message_id=None if message is None else MessageId(wire.ts_id(message)),
        thread=None if thread is None else ThreadId(wire.ts_id(thread)),
        space=wire.space_of(payload),
        delivery=DeliveryId(f"form:{wire.shaped(wire.ANY_ID, view.get('id'), 'form')}:{sender.native}"),
        trigger=wire.text_in(payload, "trigger_id"),
        response_url="",
    )
    reason = _value(values, form.REASON_BLOCK, form.REASON_FIELD)[: wire.MAX_REASON_CHARS]
    code = _value(values, form.CODE_BLOCK, form.CODE_FIELD).strip()[:CODE_FIELD_CHARS]
    return press, Filled(reason=reason, code=code or None)


def _value(values: wire.Fields, block: str, field: str) -> str:
    value = wire.inside(wire.inside(values, block), field).get("value")
    return value if isinstance(value, str) else ""


def command_of(form: wire.Fields, peer: Peer, *, now: float) -> InboundMessage:
    return InboundMessage(
        peer=peer,
        sender=command_sender(form),
        delivery=DeliveryId(f"command:{wire.shaped(wire.ANY_ID, form.get('trigger_id'), 'command')}"),
        message_id=None,
        text=typed.unescaped(wire.text_in(form, "text")).strip()[: wire.MAX_TEXT_CHARS],
        sent_at=now,
        space=wire.space_of(form),
    )


def command_sender(form: wire.Fields) -> Sender:
    native = wire.person_id(form.get("user_id"))
    return Sender(native=native, name=wire.text_in(form, "user_name")[: wire.MAX_NAME_CHARS] or native)


def sender_of(payload: wire.Fields) -> Sender:
    user = wire.inside(payload, "user")
    native = wire.person_id(user.get("id"))
    return Sender(
        native=native,
        name=(wire.text_in(user, "name") or wire.text_in(user, "username"))[: wire.MAX_NAME_CHARS] or native,
    )


def _button(token: object) -> Button:
    button = parse_button(token) if isinstance(token, str) and len(token) <= 100 else None
    if button is None:
        raise Malformed("that is not a button of ours")
    return button
