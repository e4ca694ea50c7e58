"""Several commands asked for in answer to one message, and the card that they share."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.command import parse_request
from bot.domain.event import Input, InputKind
from bot.domain.execution import Execution
from bot.domain.message import Action, Button, ButtonPress, Code, Post, Sender
from bot.domain.session import MessageId, Peer
from bot.ports import Ask, TurnStep
from tests.flow.agents import ScriptedAgent
from tests.flow.stage import ANN, BOB, Stage, a_peer
from tests.platforms.forms import buttons_of

THREE = ("df -h", "uptime", "free -m")


def asking(*commands: str) -> ScriptedAgent:
    """Asks for all of them in answer to each message."""

    def answer(inputs: Sequence[Input]) -> list[TurnStep]:
        said = [one for one in inputs if one.kind is InputKind.MESSAGE]
        return [
            Ask(input_id=one.id, request=parse_request(text), node_name="web-1") for one in said for text in commands
        ]

    return ScriptedAgent(answer)


async def asked_together(stage: Stage, *commands: str, who: Sender = ANN, room: str = "ops") -> list[Execution]:
    """Asked for, inspected, and their cards owed; in the order of asking."""
    before = {one.id for one in await stage.all_executions()}
    stage.agent = asking(*(commands or THREE))
    await stage.say("look after it", who=who, room=room)
    await stage.answer()
    await stage.inspect()
    await stage.inspect()
    new = [one for one in await stage.all_executions() if one.id not in before]
    return sorted(new, key=lambda one: one.batch.at if one.batch is not None else 0)


async def shown_together(stage: Stage, *commands: str, who: Sender = ANN, room: str = "ops") -> list[Execution]:
    """And their cards posted."""
    several = await asked_together(stage, *commands, who=who, room=room)
    await stage.tell_all()
    return several


def card_of(stage: Stage, number: int = 1) -> Post:
    """The message as it stands now."""
    edited = [post for message, post in stage.channel.edits if message == f"posted-{number}"]
    return edited[-1] if edited else stage.channel.sent[number - 1].post


def on_card(post: Post) -> list[Code]:
    return [block for block in post.blocks if isinstance(block, Code)]


def button(post: Post, action: Action, execution_id: str | None = None) -> Button:
    (found,) = [one for one in buttons_of(post) if one.action is action and execution_id in {None, one.execution_id}]
    return found


async def press(
    stage: Stage, pressed: Button, *, who: Sender = BOB, message: str | None = "posted-1", reason: str = "",
    peer: Peer | None = None, delivery: str | None = None,
) -> str:  # fmt: skip
    template = stage.a_press((await stage.all_executions())[0], who=who, shown=pressed.shown, delivery=delivery)
    note = await stage.intake.press(
        ButtonPress(
            peer=peer or a_peer(),
            sender=who,
            delivery=template.delivery,
            message_id=None if message is None else MessageId(message),
            button=pressed,
            reason=reason,
        )
    )
    return note.note or ""


async def press_all(stage: Stage, action: Action = Action.APPROVE_ALL, *, who: Sender = BOB, reason: str = "") -> str:
    """The button for the whole of the first message, as it stands now."""
    return await press(stage, button(card_of(stage), action), who=who, reason=reason)
