"""The JSON forms that the loopback network speaks, and posts as plain lines. Deliberately absent: sockets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.command import CommandHash
from bot.domain.message import (
    Action,
    Block,
    Button,
    ButtonPress,
    Code,
    Facts,
    Heading,
    InboundMessage,
    Instant,
    Post,
    PostKind,
    Prose,
    Reaction,
    Sender,
    Span,
)
from bot.domain.session import (
    AccountName,
    AgentName,
    ChannelName,
    DeliveryId,
    MessageId,
    NativeId,
    Peer,
    PeerKind,
    ThreadId,
)

Form = dict[str, Any]


def peer_form(peer: Peer) -> Form:
    return {
        "agent": peer.agent,
        "channel": peer.channel,
        "account": peer.account,
        "kind": peer.kind.value,
        "id": peer.id,
        "thread": peer.thread,
    }


def peer_of(form: Mapping[str, Any]) -> Peer:
    return Peer(
        agent=AgentName(form["agent"]),
        channel=ChannelName(form["channel"]),
        account=AccountName(form["account"]),
        kind=PeerKind(form["kind"]),
        id=NativeId(form["id"]),
        thread=None if form["thread"] is None else ThreadId(form["thread"]),
    )


def post_form(post: Post) -> Form:
    return {
        "kind": post.kind.value,
        "blocks": [_block_form(block) for block in post.blocks],
        "buttons": _button_forms(post.buttons),
        "execution": post.execution_id,
        "mention": post.mention,
        "status": post.status,
    }


def post_of(form: Mapping[str, Any]) -> Post:
    return Post(
        kind=PostKind(form["kind"]),
        blocks=tuple(_block_of(block) for block in form["blocks"]),
        buttons=_buttons_of(form["buttons"]),
        execution_id=form["execution"],
        mention=form["mention"],
        status=form["status"],
    )


def _button_forms(buttons: Sequence[Button]) -> list[list[str]]:
    return [[button.action.value, button.execution_id, button.shown] for button in buttons]


def _buttons_of(forms: Sequence[Sequence[str]]) -> tuple[Button, ...]:
    return tuple(
        Button(action=Action(action), execution_id=execution, shown=CommandHash(shown))
        for action, execution, shown in forms
    )


def buttons_of(post: Post) -> list[Button]:
    """All that can be pressed on it: for all of a card, and for each of several."""
    own = [button for block in post.blocks if isinstance(block, Code) for button in block.buttons]
    return [*post.buttons, *own]


def text_of(post: Post) -> str:
    """Everything that a post shows, as lines: what a person reads."""
    lines: list[str] = []
    for block in post.blocks:
        match block:
            case Heading() | Prose():
                lines.append(_line(block.spans))
            case Facts():
                lines += [f"{label}: {_line(spans)}" for label, spans in block.rows]
            case Code():
                lines += [f"{block.label}:", block.text]
    return "\n".join(lines)


def code_of(post: Post, label: str) -> str | None:
    """The text of the code block of this label, all blocks of it together; None where there is none."""
    found = [block.text for block in post.blocks if isinstance(block, Code) and block.label == label]
    return "".join(found) if found else None


def delivery_form(delivery: InboundMessage | ButtonPress | Reaction) -> Form:
    form: Form = {
        "peer": peer_form(delivery.peer),
        "sender": [delivery.sender.native, delivery.sender.name],
        "delivery": delivery.delivery,
        "message_id": delivery.message_id,
    }
    match delivery:
        case InboundMessage():
            return form | {"is": "message", "text": delivery.text, "sent_at": delivery.sent_at}
        case ButtonPress(button=button):
            pressed = [button.action.value, button.execution_id, button.shown]
            return form | {"is": "press", "button": pressed, "reason": delivery.reason}
        case Reaction():
            return form | {"is": "reaction", "emoji": delivery.emoji}


def delivery_of(form: Mapping[str, Any]) -> InboundMessage | ButtonPress | Reaction:
    peer, sender = peer_of(form["peer"]), Sender(native=form["sender"][0], name=form["sender"][1])
    delivery, message_id = DeliveryId(form["delivery"]), MessageId(form["message_id"])
    match form["is"]:
        case "message":
            return InboundMessage(
                peer=peer,
                sender=sender,
                delivery=delivery,
                message_id=message_id,
                text=form["text"],
                sent_at=form["sent_at"],
            )
        case "press":
            action, execution, shown = form["button"]
            return ButtonPress(
                peer=peer,
                sender=sender,
                delivery=delivery,
                message_id=message_id,
                button=Button(action=Action(action), execution_id=execution, shown=CommandHash(shown)),
                reason=form["reason"],
            )
        case _:
            return Reaction(peer=peer, sender=sender, delivery=delivery, message_id=message_id, emoji=form["emoji"])


def _block_form(block: Block) -> Form:
    match block:
        case Heading() | Prose():
            name = "heading" if isinstance(block, Heading) else "prose"
            return {"is": name, "spans": [_span_form(span) for span in block.spans]}
        case Facts():
            return {"is": "facts", "rows": [[label, [_span_form(span) for span in row]] for label, row in block.rows]}
        case Code():
            return {"is": "code", "text": block.text, "label": block.label, "buttons": _button_forms(block.buttons)}


def _block_of(form: Mapping[str, Any]) -> Block:
    match form["is"]:
        case "heading":
            return Heading(spans=tuple(_span_of(span) for span in form["spans"]))
        case "prose":
            return Prose(spans=tuple(_span_of(span) for span in form["spans"]))
        case "facts":
            return Facts(rows=tuple((label, tuple(_span_of(span) for span in row)) for label, row in form["rows"]))
        case _:
            return Code(text=form["text"], label=form["label"], buttons=_buttons_of(form["buttons"]))


def _span_form(span: Span) -> str | Form:
    return {"at": span.at} if isinstance(span, Instant) else span


def _span_of(form: str | Mapping[str, float]) -> Span:
    return form if isinstance(form, str) else Instant(form["at"])


def _line(spans: tuple[Span, ...]) -> str:
    return "".join(span if isinstance(span, str) else f"[{span.at:.0f}]" for span in spans)
