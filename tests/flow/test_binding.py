"""What comes in belongs to the agent of its conversation, whatever the network's adapter called it."""

from __future__ import annotations

from dataclasses import replace

from bot.domain.binding import Binding
from bot.domain.execution import Execution, ExecutionState
from bot.domain.message import Delivery as Delivered
from bot.domain.message import DeliveryReport, InboundMessage, Reaction, Suggest
from bot.domain.session import AgentName, DeliveryId, MessageId
from bot.flow.binding import Bound
from tests.flow.ends import CHANNEL
from tests.flow.stage import ANN, BOB, Stage, a_peer

OPS = Binding(agent=AgentName("ops"), channel=CHANNEL)
ACCOUNT = a_peer().account


async def shown(stage: Stage) -> tuple[Bound, Execution]:
    """A request whose card stands, asked for through the binding."""
    inbox = Bound(stage.intake, (OPS,))
    message = InboundMessage(
        peer=a_peer(),
        sender=ANN,
        delivery=DeliveryId("d1"),
        message_id=MessageId("m1"),
        text="run df -h",
        sent_at=stage.clock.now(),
    )
    await inbox.message(message)
    await stage.answer()
    await stage.inspect()
    await stage.tell_all()
    return inbox, await stage.only()


async def test_a_message_is_of_the_agent_that_the_binding_names_and_its_card_is_pressed_as_ever(stage: Stage) -> None:
    inbox, execution = await shown(stage)
    assert execution.session == "agent:ops:discord:channel:ops"
    # The adapter knows of one agent only.
    press = replace(stage.a_press(execution), peer=a_peer())
    assert (await inbox.press(press)).note is not None
    await stage.in_state(execution, ExecutionState.APPROVED)


async def test_a_reaction_decides_and_all_else_goes_through_as_it_is(stage: Stage) -> None:
    inbox, execution = await shown(stage)
    (suggested,) = await inbox.suggest(a_peer(), ANN, Suggest.EXECUTION, "")
    assert suggested.value == execution.id
    (card,) = await inbox.open_cards(CHANNEL, ACCOUNT)
    assert len(await inbox.read_from(CHANNEL, ACCOUNT)) == 1
    assert len(await inbox.awaiting(CHANNEL, BOB)) == 1
    assert await inbox.output(execution.id) is None
    await inbox.delivered(
        DeliveryReport(channel=CHANNEL, account=ACCOUNT, message_id=card.message_id, delivery=Delivered.CONFIRMED)
    )
    reaction = Reaction(peer=a_peer(), sender=BOB, delivery=DeliveryId("r1"), message_id=card.message_id, emoji="👍")
    await inbox.reaction(reaction)
    await stage.in_state(execution, ExecutionState.APPROVED)
