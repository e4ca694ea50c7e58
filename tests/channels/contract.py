"""What every channel does for the core, whatever network it speaks: one suite, run on each by a `Rig`.

A channel's own tests subclass `ChannelContract` and give the fixture `rig`. Deliberately absent: any network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import pytest

from bot.domain.batch_card import batch_card, cut
from bot.domain.command import CommandHash
from bot.domain.execution import ExecutionState
from bot.domain.message import (
    Action,
    Answer,
    Attachment,
    Button,
    ButtonPress,
    Code,
    DeliveryReport,
    Facts,
    FormField,
    Heading,
    InboundMessage,
    Instant,
    Nonce,
    NotPosted,
    Post,
    PostKind,
    Prose,
    Reaction,
    Sender,
    Standing,
    Suggest,
    Suggestion,
)
from bot.domain.render import parts_of, with_room_for_mark
from bot.domain.session import AccountName, ChannelName, MessageId, Peer, ReturnAddress, ThreadId
from bot.errors import ChannelError, ChannelRejected, StoreError
from bot.ports import Channel
from tests.domain.made import BATCH, several

WAIT_S = 10.0
"""How long a state may take to come before a test fails: far above what a loaded machine takes."""

SHOWN = CommandHash("ab" * 32)
APPROVE = Button(action=Action.APPROVE, execution_id="7K3QHM", shown=SHOWN)
DENY = Button(action=Action.DENY, execution_id="7K3QHM", shown=SHOWN)
WITH_REASON = replace(APPROVE, asks=(FormField.REASON,))
WITH_CODE = replace(APPROVE, asks=(FormField.CODE,))
WITH_BOTH = replace(APPROVE, action=Action.ALWAYS, asks=(FormField.REASON, FormField.CODE))


async def until(holds: Callable[[], bool], *, what: str, within_s: float = WAIT_S) -> None:
    """Wait for a state, with a bound."""
    try:
        async with asyncio.timeout(within_s):
            while not holds():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not within {within_s} s: {what}")


def words(text: str) -> Post:
    return Post(kind=PostKind.REPLY, blocks=(Prose(spans=(text,)),))


def card(title: str, *buttons: Button) -> Post:
    return Post(
        kind=PostKind.CARD,
        blocks=(
            Heading(spans=(f"{title} · 7K3QHM",)),
            Prose(spans=("Expires ", Instant(1_800_000_000.0), ".")),
            Code(text="df -h /srv", label="Command"),
            Facts(rows=(("Node", ("web-1",)),)),
        ),
        buttons=buttons,
        execution_id="7K3QHM",
        status="awaiting_approval",
    )


D = TypeVar("D", InboundMessage, ButtonPress, Reaction)


@dataclass(slots=True)
class RecordingInbox:
    """The core's side: keeps what came, once for a delivery, and answers as a test says."""

    messages: list[InboundMessage] = field(default_factory=list)
    presses: list[ButtonPress] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    calls: int = 0
    """Also the repeats."""
    note: str | None = None
    is_down: bool = False
    """Nothing can be recorded."""
    reports: list[DeliveryReport] = field(default_factory=list)
    newest: list[Standing] = field(default_factory=list)
    cards: list[Standing] = field(default_factory=list)
    suggested: list[tuple[Peer, Sender, Suggest, str]] = field(default_factory=list)
    suggestions: list[Suggestion] = field(default_factory=list)
    asks: list[Post] = field(default_factory=list)
    outputs: dict[str, Attachment] = field(default_factory=dict)

    async def message(self, message: InboundMessage) -> Answer:
        self._take(self.messages, message)
        return Answer(note=self.note)

    async def press(self, press: ButtonPress) -> Answer:
        self._take(self.presses, press)
        return Answer(note=self.note)

    async def reaction(self, reaction: Reaction) -> Answer:
        self._take(self.reactions, reaction)
        return Answer(note=self.note)

    async def delivered(self, report: DeliveryReport) -> None:
        self.reports.append(report)

    async def read_from(self, channel: ChannelName, account: AccountName) -> Sequence[Standing]:
        del channel, account
        return tuple(self.newest)

    async def open_cards(self, channel: ChannelName, account: AccountName) -> Sequence[Standing]:
        del channel, account
        return tuple(self.cards)

    async def suggest(
        self, peer: Peer, sender: Sender, what: Suggest, typed: str, space: str | None = None
    ) -> Sequence[Suggestion]:
        del space
        self.suggested.append((peer, sender, what, typed))
        return tuple(self.suggestions)

    async def awaiting(self, channel: ChannelName, sender: Sender) -> Sequence[Post]:
        del channel, sender
        return tuple(self.asks)

    async def output(self, execution_id: str) -> Attachment | None:
        return self.outputs.get(execution_id)

    def _take(self, kept: list[D], one: D) -> None:
        self.calls += 1
        if self.is_down:
            raise StoreError("the disk is full")
        if all(each.delivery != one.delivery for each in kept):
            kept.append(one)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A message as people see it on the network."""

    message_id: MessageId
    text: str
    """All words of it, whatever the markup."""
    buttons: tuple[str, ...]
    """What each offered button sends when it is pressed."""


class Rig(Protocol):
    """One started channel, its inbox, and the network's far side in the test's hands."""

    @property
    def channel(self) -> Channel: ...
    @property
    def inbox(self) -> RecordingInbox: ...
    @property
    def peers(self) -> Sequence[Peer]:
        """At least two conversations that differ, top level, where `write` may be used."""
        ...

    @property
    def has_threads(self) -> bool: ...

    async def write(self, peer: Peer, text: str, *, repeats: int = 0) -> MessageId:
        """Somebody writes there; the network delivers it, and `repeats` times again. Returns when all are answered."""
        ...

    async def press(self, peer: Peer, message_id: MessageId, button: Button, *, reason: str = "") -> None:
        """Somebody presses a button that they are shown there."""
        ...

    async def shown(self, peer: Peer) -> Sequence[Shown]:
        """What stands in exactly this conversation, oldest first, the people's own messages included."""
        ...


class ChannelContract:
    """The promises of `Channel`."""

    has_member_buttons = True
    """Whether each command on a card of a batch has its buttons there; else it is decided by typing its id."""

    async def test_a_message_arrives_with_its_peer_its_words_and_its_sender(self, rig: Rig) -> None:
        message_id = await rig.write(rig.peers[0], "run df -h <&\"'> ümläut 🏠")
        await until(lambda: len(rig.inbox.messages) == 1, what="the message is in the inbox")
        message = rig.inbox.messages[0]
        assert message.peer == rig.peers[0]
        assert message.text == "run df -h <&\"'> ümläut 🏠"
        assert message.message_id == message_id
        assert message.sender.native
        assert message.peer.channel == rig.channel.name
        assert message.peer.account == rig.channel.account

    async def test_two_messages_are_two_deliveries_even_with_the_same_words(self, rig: Rig) -> None:
        await rig.write(rig.peers[0], "run uptime")
        await rig.write(rig.peers[0], "run uptime")
        await rig.write(rig.peers[1], "run uptime")
        await until(lambda: len(rig.inbox.messages) == 3, what="three messages are in the inbox")
        assert len({message.delivery for message in rig.inbox.messages}) == 3
        assert [message.peer for message in rig.inbox.messages] == [rig.peers[0], rig.peers[0], rig.peers[1]]

    async def test_f109_a_delivery_that_the_network_repeats_keeps_its_id(self, rig: Rig) -> None:
        await rig.write(rig.peers[0], "run uptime", repeats=3)
        await until(lambda: rig.inbox.calls >= 1, what="the message is in the inbox")
        assert len(rig.inbox.messages) == 1

    async def test_a_post_stands_where_it_was_sent_and_nowhere_else(self, rig: Rig) -> None:
        receipt = await rig.channel.send(at(rig.peers[0]), words("only here"), Nonce("n-1"))
        assert [each.message_id for each in await rig.shown(rig.peers[0])] == [receipt.message_id]
        assert "only here" in (await rig.shown(rig.peers[0]))[0].text
        for other in rig.peers[1:]:
            assert await rig.shown(other) == []

    async def test_a_post_into_a_thread_stands_in_the_thread(self, rig: Rig) -> None:
        if not rig.has_threads:
            return
        root = await rig.write(rig.peers[0], "run uptime")
        thread = replace(rig.peers[0], thread=ThreadId(root))
        receipt = await rig.channel.send(at(thread), words("in the thread"), Nonce("n-1"))
        assert receipt.message_id in {each.message_id for each in await rig.shown(thread)}
        assert receipt.message_id not in {each.message_id for each in await rig.shown(rig.peers[0])}

    async def test_a_post_answers_the_message_that_asked(self, rig: Rig) -> None:
        asked = await rig.write(rig.peers[0], "run uptime")
        address = ReturnAddress(peer=rig.peers[0], message_id=asked)
        receipt = await rig.channel.send(address, words("up 3 days"), Nonce("n-1"))
        assert receipt.message_id in {each.message_id for each in await rig.shown(rig.peers[0])}

    async def test_posts_of_one_conversation_stand_in_the_order_of_their_sends(self, rig: Rig) -> None:
        receipts = [
            await rig.channel.send(at(rig.peers[0]), words(f"part {number}"), Nonce(f"n-{number}"))
            for number in range(5)
        ]
        assert [each.message_id for each in await rig.shown(rig.peers[0])] == [each.message_id for each in receipts]

    async def test_a_send_whose_answer_was_lost_is_found_by_its_nonce(self, rig: Rig) -> None:
        receipt = await rig.channel.send(at(rig.peers[0]), words("once"), Nonce("n-1"))
        found = await rig.channel.find(at(rig.peers[0]), Nonce("n-1"))
        # A network that cannot be asked says that it does not know; it never says "surely not".
        assert found == receipt or found is NotPosted.UNKNOWN

    async def test_a_send_that_never_happened_is_not_found(self, rig: Rig) -> None:
        found = await rig.channel.find(at(rig.peers[0]), Nonce("never"))
        assert isinstance(found, NotPosted)

    async def test_a_repeated_nonce_posts_once_or_is_known_to_be_a_repeat(self, rig: Rig) -> None:
        first = await rig.channel.send(at(rig.peers[0]), words("once"), Nonce("n-1"))
        if await rig.channel.find(at(rig.peers[0]), Nonce("n-1")) is NotPosted.UNKNOWN:
            return
        again = await rig.channel.send(at(rig.peers[0]), words("once"), Nonce("n-1"))
        assert again.message_id == first.message_id
        assert len(await rig.shown(rig.peers[0])) == 1

    async def test_identical_posts_with_two_nonces_are_two_messages(self, rig: Rig) -> None:
        await rig.channel.send(at(rig.peers[0]), words("same words"), Nonce("n-1"))
        await rig.channel.send(at(rig.peers[0]), words("same words"), Nonce("n-2"))
        assert len(await rig.shown(rig.peers[0])) == 2

    async def test_an_edit_replaces_what_the_message_shows_and_may_be_repeated(self, rig: Rig) -> None:
        if not rig.channel.capabilities.can_edit:
            return
        receipt = await rig.channel.send(at(rig.peers[0]), card("Approval needed", APPROVE, DENY), Nonce("n-1"))
        for _ in range(2):
            await rig.channel.edit(rig.peers[0], receipt.message_id, card("Denied, nothing ran"))
        shown = await rig.shown(rig.peers[0])
        assert [each.message_id for each in shown] == [receipt.message_id]
        assert "Denied, nothing ran" in shown[0].text
        assert "Approval needed" not in shown[0].text

    async def test_f056_an_edit_without_buttons_takes_them_away(self, rig: Rig) -> None:
        if not (rig.channel.capabilities.can_edit and rig.channel.capabilities.has_buttons):
            return
        receipt = await rig.channel.send(at(rig.peers[0]), card("Approval needed", APPROVE, DENY), Nonce("n-1"))
        assert len((await rig.shown(rig.peers[0]))[0].buttons) == 2
        await rig.channel.edit(rig.peers[0], receipt.message_id, card("Denied, nothing ran"))
        assert (await rig.shown(rig.peers[0]))[0].buttons == ()

    async def test_f048_a_press_names_the_card_and_the_button_that_were_pressed(self, rig: Rig) -> None:
        if not rig.channel.capabilities.has_buttons:
            return
        others = [replace(APPROVE, execution_id=name) for name in ("AAAAAA", "CCCCCC", "FFFFFF")]
        receipts = [
            await rig.channel.send(at(rig.peers[0]), card("Approval needed", button, DENY), Nonce(f"n-{number}"))
            for number, button in enumerate(others)
        ]
        for number in (1, 0, 2):
            await rig.press(rig.peers[0], receipts[number].message_id, others[number])
        await until(lambda: len(rig.inbox.presses) == 3, what="three presses are in the inbox")
        assert [press.button for press in rig.inbox.presses] == [others[1], others[0], others[2]]
        assert [press.message_id for press in rig.inbox.presses] == [receipts[n].message_id for n in (1, 0, 2)]
        assert {press.peer for press in rig.inbox.presses} == {rig.peers[0]}
        assert len({press.delivery for press in rig.inbox.presses}) == 3

    async def test_a_denial_carries_its_reason(self, rig: Rig) -> None:
        if not rig.channel.capabilities.has_buttons:
            return
        receipt = await rig.channel.send(at(rig.peers[0]), card("Approval needed", APPROVE, DENY), Nonce("n-1"))
        await rig.press(rig.peers[0], receipt.message_id, DENY, reason="not during the freeze")
        await until(lambda: len(rig.inbox.presses) == 1, what="the press is in the inbox")
        assert rig.inbox.presses[0].reason == "not during the freeze"
        assert rig.inbox.presses[0].sender.native

    async def test_f057_the_longest_button_goes_out_and_comes_back_whole(self, rig: Rig) -> None:
        if not rig.channel.capabilities.has_buttons:
            return
        for number, action in enumerate(Action):
            button = Button(action=action, execution_id="WWWWWW", shown=CommandHash("f" * 64))
            receipt = await rig.channel.send(at(rig.peers[0]), card("Ask", button), Nonce(f"n-{number}"))
            await rig.press(rig.peers[0], receipt.message_id, button)
        await until(lambda: len(rig.inbox.presses) == len(Action), what="every kind of press is in the inbox")
        assert [press.button.action for press in rig.inbox.presses] == list(Action)

    @pytest.mark.parametrize("text", ["systemctl restart app-{}", 'echo \'"\\\\{}\' "```_*~`<@U1>&{{{{x}}}}|[a](b)"'])
    async def test_f057_a_full_card_of_a_batch_stands_whole_and_each_of_its_buttons_comes_back(
        self, rig: Rig, text: str
    ) -> None:
        """As many as it declares, with the mark of a repeat and a mention above them."""
        capabilities = rig.channel.capabilities
        assert capabilities.batch_members > 1
        on_card = cut(several(*(text.format(number) for number in range(40))), [capabilities])[0]
        assert len(on_card) > 1
        post = batch_card(BATCH, on_card, with_room_for_mark(capabilities), here=rig.peers[0])
        (part,) = parts_of(post, capabilities, mention=None, repeated=0)
        receipt = await rig.channel.send(at(rig.peers[0]), part, Nonce("n-1"))
        (shown,) = [one for one in await rig.shown(rig.peers[0]) if one.message_id == receipt.message_id]
        assert [one.request.text in shown.text for one in on_card] == [True] * len(on_card)
        own = [button for block in part.blocks if isinstance(block, Code) for button in block.buttons]
        offered = [button for button in (*own, *part.buttons) if button.token() in shown.buttons]
        assert set(part.buttons) <= set(offered)
        assert self.has_member_buttons is (set(own) <= set(offered))
        assert len(shown.buttons) == len(offered)
        for button in offered:
            await rig.press(rig.peers[0], receipt.message_id, button)
        await until(lambda: len(rig.inbox.presses) == len(offered), what="every press is in the inbox")
        assert [press.button for press in rig.inbox.presses] == offered
        if capabilities.can_edit:
            ended = [replace(one, state=ExecutionState.EXPIRED) for one in on_card]
            await rig.channel.edit(rig.peers[0], receipt.message_id, batch_card(BATCH, ended, capabilities))
            (shown,) = [one for one in await rig.shown(rig.peers[0]) if one.message_id == receipt.message_id]
            assert shown.buttons == ()

    async def test_f117_words_that_look_like_markup_or_mentions_are_shown_as_they_are(self, rig: Rig) -> None:
        hostile = "<!channel> @everyone <@U123> <b>bold</b> `code` *stars* &amp; [link](https://example.org)"
        await rig.channel.send(at(rig.peers[0]), words(hostile), Nonce("n-1"))
        assert hostile in (await rig.shown(rig.peers[0]))[0].text

    async def test_a_post_of_the_declared_size_is_taken_whole(self, rig: Rig) -> None:
        text = "x" * (rig.channel.capabilities.text_chars - 64) + " the end"
        await rig.channel.send(at(rig.peers[0]), words(text), Nonce("n-1"))
        assert "the end" in (await rig.shown(rig.peers[0]))[0].text

    async def test_what_is_of_another_account_is_refused_and_posted_nowhere(self, rig: Rig) -> None:
        stranger = replace(rig.peers[0], account=AccountName("somebody-else"))
        with pytest.raises(ChannelRejected):
            await rig.channel.send(at(stranger), words("astray"), Nonce("n-1"))
        assert await rig.shown(rig.peers[0]) == []

    async def test_an_edit_of_a_message_that_is_not_there_is_a_channel_error(self, rig: Rig) -> None:
        if not rig.channel.capabilities.can_edit:
            return
        elsewhere = await rig.channel.send(at(rig.peers[1]), words("elsewhere"), Nonce("n-1"))
        with pytest.raises(ChannelError):
            await rig.channel.edit(rig.peers[0], elsewhere.message_id, words("astray"))
        assert "elsewhere" in (await rig.shown(rig.peers[1]))[0].text


def at(peer: Peer) -> ReturnAddress:
    return ReturnAddress(peer=peer, message_id=None)
