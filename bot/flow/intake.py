"""What a channel delivers -> recorded once -> an input for the session's agent, or a decision at once.

Recorded means committed: the adapter acknowledges after these calls return. Typed decisions do not wait
behind the session's turn, because that turn may be waiting for them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from bot.domain.event import InputKind, InputState, NewEvent, NewInput, Payload, Say
from bot.domain.execution import ExecutionId
from bot.domain.gate import AskToPair, Closed, Gate
from bot.domain.glass_words import BreakGlass, EndGlass, Review
from bot.domain.mask import Masker
from bot.domain.message import (
    DECIDING,
    OF_ALL,
    Action,
    Answer,
    Attachment,
    ButtonPress,
    DeliveryReport,
    InboundMessage,
    Post,
    Reaction,
    Sender,
    Standing,
    Suggest,
    Suggestion,
)
from bot.domain.policy import decision_of
from bot.domain.session import (
    AccountName,
    AgentName,
    ChannelName,
    DeliveryId,
    DirectScope,
    Peer,
    ReturnAddress,
    SessionKey,
    key_for,
)
from bot.domain.words import Approve, Pause, Resume, Revoke, Several, Unclear, Urgent, Words, parse_words
from bot.flow import demands
from bot.flow.admission import NOT_HEARD, Admissions, offer_code
from bot.flow.decision import Decider, Word, decide, switch
from bot.flow.delivery import reopen, settle
from bot.flow.glass import said_of_glass
from bot.flow.grants import take_back
from bot.flow.lookup import awaiting, output, suggestions
from bot.flow.signals import Signals
from bot.flow.telling import Fallbacks
from bot.flow.together import NOT_ITS_BUTTON, REACTED, carries, decide_card, decide_each, typed
from bot.ports import Policies, Store, Tx

log = logging.getLogger(__name__)

SEEN_LATE_S = 3_600.0
"""An older message is not acted on: whoever wrote it an hour ago no longer expects it to start something now."""
_OVERLAP_S = 120.0
"""Deliveries are recorded side by side: one that is older than the newest may have failed. A repeat costs a look."""
EARLY_S = 60.0
"""How long a press waits for the receipt of the message that it was made on."""
MAX_REASON_CHARS = 500
"""A line on a card that one can take in; the longest that a form of ours takes."""


@dataclass(frozen=True, slots=True)
class Intake:
    """The `Inbox` of every channel."""

    store: Store
    policies: Policies
    signals: Signals
    scope: DirectScope = DirectScope.PER_ACCOUNT_CHANNEL_PEER
    gate: Gate = field(default_factory=Gate)
    noted: dict[tuple[str, str, Closed], float] = field(default_factory=dict)
    """When it was last logged that somebody was ignored there, and why. In memory only."""
    fallbacks: Fallbacks = field(default_factory=dict)
    masker: Masker = field(default_factory=Masker)
    talkers: frozenset[AgentName] = frozenset()
    """Agents that answer talk as well."""

    async def message(self, message: InboundMessage) -> Answer:
        """Record a message; a repeated delivery changes nothing, and neither does one that the gate ignores."""
        words = parse_words(message.text)
        heard = await self._admissions.hears(message, words)
        if heard is True:
            return await self._heard(message, words)
        if isinstance(heard, AskToPair):
            await self._offer_code(message)
            return Answer()
        if demands.read_by_others(words, message):
            # Not said to us, and read by others all the same. Whoever has no device costs the store no write.
            person = self._decider(message.peer, message.sender).person
            if await self.store.read(lambda tx: tx.factors.get(person)) is not None:
                await self.store.write(lambda tx: demands.overheard(tx, person, words, message))
        # A slash command is no message that others see: its network shows a failure where no word comes back.
        return Answer(note=NOT_HEARD if message.message_id is None else None)

    async def _heard(self, message: InboundMessage, words: Words) -> Answer:
        address = ReturnAddress(peer=message.peer, message_id=message.message_id)

        def record(tx: Tx) -> bool:
            late = tx.now - message.sent_at > SEEN_LATE_S
            settled = late or isinstance(words, Urgent)
            session = self._session(message.peer, message.sender)
            decider = self._decider(message.peer, message.sender)
            text, has_code = demands.kept(tx, decider.person, words, message)
            new = _input(session, address, message.sender, message.delivery, text, decider)
            if settled:
                # No turn reads it any more: it is kept as it may be read.
                new = replace(new, state=InputState.ANSWERED, text=self.masker.text(new.text))
            input_id = tx.inputs.add(new)
            if input_id is None:
                return False
            reopen(tx, message.peer)
            # With its moment: SQLite numbers rows anew once they are pruned, and an identity is spent for ever.
            mark = f"{input_id}:{tx.now}"
            if has_code:
                _say(tx, session, address, message.sender, demands.OVERHEARD, f"overheard:{mark}")
            if late:
                demands.overheard(tx, decider.person, words, message)
                note = "I was not there when you wrote this, and saw it only now. Nothing was done; ask again."
                _say(tx, session, address, message.sender, note, f"late:{mark}")
            elif isinstance(words, Urgent):
                note = self._act(tx, words, decider, message.peer, session)
                # After it: an execution is locked before a person's codes, here as by a press.
                demands.overheard(tx, decider.person, words, message)
                _say(tx, session, address, message.sender, note, f"decision:{mark}")
            return True

        is_new = await self.store.write(record)
        if not is_new:
            log.info("message.repeated", extra={"channel": message.peer.channel, "delivery": message.delivery})
        self._look()
        # Talk that no turn answers shows no sign of work.
        is_talk = isinstance(words, Unclear) and message.peer.agent not in self.talkers
        is_asked = not isinstance(words, get_args(Urgent)) and not is_talk
        return Answer(is_working=is_new and is_asked)

    async def press(self, press: ButtonPress) -> Answer:
        """A button. Decisions are made at once and answered privately; `again` and `output` become inputs."""
        if not await self._admissions.takes(press):
            return Answer(note=NOT_HEARD)
        note = await self.store.write(lambda tx: self._press(tx, press))
        self._look()
        return Answer(note=note)

    async def reaction(self, reaction: Reaction) -> Answer:
        """A tick or a cross on a card decides; anything else, anywhere else, is talk."""
        if decision_of(reaction.emoji) is None:
            return Answer()
        if not await self._admissions.takes(reaction):
            return Answer()
        note = await self.store.write(lambda tx: self._reaction(tx, reaction))
        self._look()
        return Answer(note=note)

    async def delivered(self, report: DeliveryReport) -> None:
        """The network's later word on a message of ours."""
        await self.store.write(lambda tx: settle(tx, report, self.fallbacks))
        self._look()

    async def read_from(self, channel: ChannelName, account: AccountName) -> Sequence[Standing]:
        """Where to read on after a gap: the durable cursor is what was recorded."""
        return await self.store.read(
            lambda tx: tx.inputs.read_from(channel, account, since=tx.now - SEEN_LATE_S, overlap_s=_OVERLAP_S)
        )

    async def open_cards(self, channel: ChannelName, account: AccountName) -> Sequence[Standing]:
        return await self.store.read(lambda tx: tx.cards.open_at(channel, account))

    async def suggest(
        self, peer: Peer, sender: Sender, what: Suggest, typed: str, space: str | None = None
    ) -> Sequence[Suggestion]:
        person, session = self._decider(peer, sender).person, self._session(peer, sender)

        def complete(tx: Tx) -> Sequence[Suggestion]:
            if not self._admissions.completes(tx, peer, sender, space):
                return ()
            return suggestions(tx, self.policies.now, person, session, what, typed)

        return await self.store.read(complete)

    async def awaiting(self, channel: ChannelName, sender: Sender) -> Sequence[Post]:
        person = self.policies.now.directory.identify(channel, sender.native)
        return await self.store.read(lambda tx: awaiting(tx, self.policies.now, person))

    async def output(self, execution_id: str) -> Attachment | None:
        return await self.store.read(lambda tx: output(tx, execution_id))

    async def settle_early(self) -> bool:
        """Try again what was pressed before its message had a receipt. One pass of the `early` loop."""

        def settle(tx: Tx) -> int:
            early = tx.inputs.take_early()
            for one in early:
                if isinstance(one, ButtonPress):
                    self._press(tx, one)
                else:
                    self._reaction(tx, one)
            return len(early)

        settled = await self.store.write(settle)
        if settled:
            self._look()
        return False

    async def _offer_code(self, message: InboundMessage) -> None:
        address = ReturnAddress(peer=message.peer, message_id=message.message_id)
        session = self._session(message.peer, message.sender)

        def offer(tx: Tx) -> Closed | None:
            if tx.now - message.sent_at > SEEN_LATE_S:
                return Closed.SEEN_LATE
            return None if offer_code(tx, session, address, message.sender) else Closed.TOO_MANY_PENDING

        closed = await self.store.write(offer)
        if closed is not None:
            self._admissions.note(message.peer, closed)
        self.signals.heartbeat.wake()

    @property
    def _admissions(self) -> Admissions:
        return Admissions(self.store, self.policies.now, self.gate, self.noted)

    def _press(self, tx: Tx, press: ButtonPress) -> str | None:
        button, decider = press.button, self._decider(press.peer, press.sender)
        execution_id = ExecutionId(button.execution_id)
        if button.action not in DECIDING:
            return self._ask_for(tx, press, f"{button.action.value} {execution_id}")
        word = Word(action=button.action, shown=button.shown, reason=self._reason(press.reason), code=press.code)
        if button.action in OF_ALL and press.message_id is None:
            return decide_card(tx, self.policies, decider, button, None, word)
        if press.message_id is None:
            # A view of this person alone, made from the execution's row: the hash says what it showed.
            return decide(tx, self.policies.now, decider, execution_id, word)
        card = tx.cards.at(press.peer, press.message_id)
        if card is None and press.code is not None:
            # A code is never kept, not for a minute either.
            return f"The card of {execution_id} is being recorded. Press again in a moment; nothing was decided."
        if card is None:
            # The row keeps what was written as it may be read.
            reason = demands.scrubbed(tx, decider.person, word.reason)
            tx.inputs.keep_early(replace(press, reason=reason), until=tx.now + EARLY_S)
            return f"Noted. It counts as soon as the card of {execution_id} is recorded, within a minute at most."
        if button.action in OF_ALL:
            return decide_card(tx, self.policies, decider, button, card, word)
        if not carries(tx, card, execution_id):
            return NOT_ITS_BUTTON
        return decide(tx, self.policies.now, decider, execution_id, word)

    def _reaction(self, tx: Tx, reaction: Reaction) -> str | None:
        action = decision_of(reaction.emoji)
        card = tx.cards.at(reaction.peer, reaction.message_id)
        if action is None or card is None:
            # Perhaps a card whose receipt is not committed yet; for any other message this lapses unseen.
            tx.inputs.keep_early(reaction, until=tx.now + EARLY_S)
            return None
        if card.batch is not None:
            return REACTED
        execution = tx.executions.get(card.execution_id)
        shown = None if execution is None else execution.command_hash
        decider = self._decider(reaction.peer, reaction.sender)
        word = Word(action=action, shown=shown, is_sign=True)
        note = decide(tx, self.policies.now, decider, card.execution_id, word)
        if action is not Action.APPROVE or not demands.wants_more(tx, self.policies.now, decider.person, execution):
            return note
        # Said in the room, once: not every network has a private word for who reacted.
        address = ReturnAddress(peer=reaction.peer, message_id=reaction.message_id)
        session, once = self._session(reaction.peer, reaction.sender), f"sign:{card.execution_id}:{decider.person}"
        _say(tx, session, address, reaction.sender, demands.sign_is_not_enough(card.execution_id), once)
        return None

    def _ask_for(self, tx: Tx, press: ButtonPress, text: str) -> str | None:
        """`again` and `output` buttons are the typed words, asked on the message that carries the button."""
        address = ReturnAddress(peer=press.peer, message_id=press.message_id)
        session = self._session(press.peer, press.sender)
        decider = self._decider(press.peer, press.sender)
        tx.inputs.add(_input(session, address, press.sender, press.delivery, text, decider))
        return None

    def _act(self, tx: Tx, words: Urgent, decider: Decider, here: Peer, session: SessionKey) -> str:
        def why(text: str) -> str:
            return demands.scrubbed(tx, decider.person, self._reason(text))

        match words:
            case BreakGlass() | EndGlass() | Review():
                return said_of_glass(
                    tx, self.policies.now, decider.person, words, here=here, session=session, masked=why
                )
            case Pause():
                return switch(tx, self.policies.now, decider, pause=True, reason=why(words.reason))
            case Resume():
                return switch(tx, self.policies.now, decider, pause=False)
            case Revoke():
                return take_back(tx, self.policies.now, decider.person, words.id, why=why(words.reason))
            case Approve() if demands.is_overheard(words, here):
                return demands.OVERHEARD
            case Several():
                return decide_each(tx, self.policies, decider, words.ids, typed(words.each, here, self._reason))
        return decide(tx, self.policies.now, decider, words.id, typed(words, here, self._reason))

    def _reason(self, text: str) -> str:
        return self.masker.text(text.strip()[:MAX_REASON_CHARS])

    def _session(self, peer: Peer, sender: Sender) -> SessionKey:
        return key_for(peer, person=self.policies.now.directory.identify(peer.channel, sender.native), scope=self.scope)

    def _decider(self, peer: Peer, sender: Sender) -> Decider:
        return Decider(person=self.policies.now.directory.identify(peer.channel, sender.native), name=sender.name)

    def _look(self) -> None:
        for wake in (self.signals.turn, self.signals.dispatch, self.signals.heartbeat, self.signals.cards):
            wake.wake()


def _input(
    session: SessionKey, address: ReturnAddress, sender: Sender, delivery: DeliveryId, text: str, who: Decider
) -> NewInput:
    return NewInput(
        session=session,
        address=address,
        kind=InputKind.MESSAGE,
        channel=address.peer.channel,
        account=address.peer.account,
        delivery=delivery,
        person=who.person,
        person_native=sender.native,
        person_name=sender.name,
        text=text,
    )


def _say(tx: Tx, session: SessionKey, address: ReturnAddress, sender: Sender, text: str, identity: str) -> None:
    payload: Payload = Say(text=text)
    tx.events.add(NewEvent(identity=identity, session=session, address=address, payload=payload, mention=sender.native))
