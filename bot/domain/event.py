"""What is owed: events to the people of a session, inputs to its agent; their states and tables.

An event holds what is to be told as a small payload; the words are made at the moment of the claim,
from the execution's row, so that an ask that is settled meanwhile is not shown as open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NewType

from bot.domain.batch import BatchId
from bot.domain.execution import ExecutionId, ExecutionState
from bot.domain.message import Nonce
from bot.domain.session import (
    AccountName,
    ChannelName,
    DeliveryId,
    MessageId,
    PersonId,
    ReturnAddress,
    SessionKey,
)
from bot.errors import IllegalTransition, Malformed

EventId = NewType("EventId", int)
InputId = NewType("InputId", int)
AddressId = NewType("AddressId", int)
"""The store's row of one place that we post in; the order of telling is kept within it."""
ClaimToken = NewType("ClaimToken", str)


class EventState(StrEnum):
    DUE = "due"  # heartbeat
    CLAIMED = "claimed"  # heartbeat; sweep when the lease is over
    SENDING = "sending"  # heartbeat; the nonce is committed, the bytes may have left
    RECONCILING = "reconciling"  # heartbeat asks the network what became of the send
    POSTED = "posted"  # a status callback; sweep
    HELD = "held"  # intake or the channel's word that it is open; sweep by age
    TOLD = "told"
    DEAD = "dead"  # an operator: `homing events retell`


class EventTrigger(StrEnum):
    CLAIM = "claim"
    SEND = "send"
    RELEASE = "release"
    TELL = "tell"
    ACCEPT = "accept"
    RETRY = "retry"
    UNCERTAIN = "uncertain"
    HOLD = "hold"
    BURY = "bury"
    CONFIRM = "confirm"
    BOUNCE = "bounce"
    OPEN = "open"
    AGE = "age"
    RETELL = "retell"


S, T = EventState, EventTrigger

EVENT_TRANSITIONS: Mapping[EventState, Mapping[EventTrigger, EventState]] = MappingProxyType(
    {
        S.DUE: {T.CLAIM: S.CLAIMED},
        # Bury from `claimed`: what cannot be rendered is buried before any byte leaves.
        S.CLAIMED: {T.SEND: S.SENDING, T.RELEASE: S.DUE, T.BURY: S.DEAD},
        S.SENDING: {
            T.TELL: S.TOLD,
            T.ACCEPT: S.POSTED,
            T.RETRY: S.DUE,
            T.UNCERTAIN: S.RECONCILING,
            T.HOLD: S.HELD,
            T.BURY: S.DEAD,
        },
        # Bury from `reconciling`: a network that never answers may not block its address for ever.
        S.RECONCILING: {T.TELL: S.TOLD, T.RETRY: S.DUE, T.BURY: S.DEAD},
        S.POSTED: {T.CONFIRM: S.TOLD, T.BOUNCE: S.DUE, T.HOLD: S.HELD, T.BURY: S.DEAD},
        S.HELD: {T.OPEN: S.DUE, T.AGE: S.DEAD},
        S.TOLD: {},
        S.DEAD: {T.RETELL: S.DUE},
    }
)

BLOCKING = frozenset({S.DUE, S.CLAIMED, S.SENDING, S.RECONCILING})
"""While an event of an address is in one of these, later ones of that address wait."""


def next_event_state(state: EventState, trigger: EventTrigger) -> EventState:
    """The one lookup. Raises `IllegalTransition` and changes nothing where the table holds no way."""
    try:
        return EVENT_TRANSITIONS[state][trigger]
    except KeyError:
        raise IllegalTransition("event", state, trigger) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """Words of the agent, or of ours. `code` is shown fenced and inert."""

    text: str
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCard:
    """The card of an execution, to be posted once and edited through its life."""

    execution_id: ExecutionId


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowBatch:
    """One card of a batch, to be posted once and edited through the lives of all that it shows."""

    execution_id: ExecutionId
    """The first that it shows; the others have the same batch and card in their rows."""
    batch: BatchId
    card: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TellOutcome:
    """The way out that an execution took: the result, a denial, an expiry, a refusal, a loss."""

    execution_id: ExecutionId
    state: ExecutionState


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowOutput:
    """All of the output that was kept, on request, at the return address."""

    execution_id: ExecutionId


Payload = Say | ShowCard | ShowBatch | TellOutcome | ShowOutput


def payload_to_json(payload: Payload) -> dict[str, object]:
    match payload:
        case Say():
            return {"kind": "say", "text": payload.text, "code": payload.code}
        case ShowCard():
            return {"kind": "card", "execution": payload.execution_id}
        case ShowBatch():
            return {"kind": "batch", "execution": payload.execution_id, "batch": payload.batch, "card": payload.card}
        case TellOutcome():
            return {"kind": "outcome", "execution": payload.execution_id, "state": payload.state.value}
        case _:
            return {"kind": "output", "execution": payload.execution_id}


def payload_from_json(form: Mapping[str, object]) -> Payload:
    """The inverse of `payload_to_json`. Raises `Malformed` for anything else."""
    match dict(form):
        case {"kind": "say", "text": str(text), "code": None | str() as code, **more} if not more:
            return Say(text=text, code=code)
        case {"kind": "card", "execution": str(execution), **more} if not more:
            return ShowCard(execution_id=ExecutionId(execution))
        case {"kind": "batch", "execution": str(execution), "batch": str(batch), "card": int(card), **more} if (
            not more and type(card) is int
        ):
            return ShowBatch(execution_id=ExecutionId(execution), batch=BatchId(batch), card=card)
        case {"kind": "outcome", "execution": str(execution), "state": str(state), **more} if (
            not more and state in frozenset(ExecutionState)
        ):
            return TellOutcome(execution_id=ExecutionId(execution), state=ExecutionState(state))
        case {"kind": "output", "execution": str(execution), **more} if not more:
            return ShowOutput(execution_id=ExecutionId(execution))
    raise Malformed(f"an event of kind {form.get('kind')!r} with {', '.join(sorted(form))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """Something owed. `identity` makes a repeat of the same write change nothing."""

    identity: str
    """Unique for ever: `outcome:<execution>:<state>`, `reply:<turn>:<step>` and the like."""
    session: SessionKey
    address: ReturnAddress
    payload: Payload
    mention: str | None = None
    """The network's id of the person to mention, where the message answers one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something owed to the people of a session, stored until told."""

    id: EventId
    identity: str
    session: SessionKey
    address_id: AddressId
    address: ReturnAddress
    sequence: int
    """Within its address, in the order of commits."""
    payload: Payload
    mention: str | None
    state: EventState
    attempt: int
    """Sends begun, the present one included."""
    not_before: float
    maybe_repeat: bool
    """An earlier send may have arrived: the message says so."""
    created_at: float
    part: int
    """The part being sent, counted from 0; the parts before it have receipts."""
    nonce: Nonce | None
    """Of the send under way, committed before its bytes left."""
    told_at: float | None = None
    trouble: str | None = None
    """The last thing that went wrong, for operators."""


class InputKind(StrEnum):
    MESSAGE = "message"
    FINISHED = "finished"  # an execution of this session came to its end
    CADENCE = "cadence"  # the clock's own: a look of the agent at its session
    SCHEDULE = "schedule"  # words of the config, at their time
    HOOK = "hook"  # words of the config, and fields of what called
    OPERATOR = "operator"  # words from the terminal
    COMMAND = "command"  # an instruction of the config: no model reads it


class InputState(StrEnum):
    DUE = "due"  # turn
    CLAIMED = "claimed"  # turn; sweep when the lease is over
    ANSWERED = "answered"


class InputTrigger(StrEnum):
    CLAIM = "claim"
    RELEASE = "release"
    ANSWER = "answer"


INPUT_TRANSITIONS: Mapping[InputState, Mapping[InputTrigger, InputState]] = MappingProxyType(
    {
        # Answer from `due`: typed decisions do not wait for the session's turn.
        InputState.DUE: {InputTrigger.CLAIM: InputState.CLAIMED, InputTrigger.ANSWER: InputState.ANSWERED},
        InputState.CLAIMED: {InputTrigger.ANSWER: InputState.ANSWERED, InputTrigger.RELEASE: InputState.DUE},
        InputState.ANSWERED: {},
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInput:
    """Something owed to the agent. (channel, account, delivery) is unique: a repeat changes nothing."""

    session: SessionKey
    address: ReturnAddress | None
    """None for the sinks that have no people, such as the cadence of `agent:main:main`."""
    kind: InputKind
    channel: ChannelName
    account: AccountName
    delivery: DeliveryId
    person: PersonId | None
    person_native: str | None
    person_name: str | None
    text: str
    execution_id: ExecutionId | None = None
    state: InputState = InputState.DUE


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    id: InputId
    session: SessionKey
    address: ReturnAddress | None
    kind: InputKind
    person: PersonId | None
    person_native: str | None
    person_name: str | None
    text: str
    execution_id: ExecutionId | None
    created_at: float
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One posted copy of a card, and how far it lags behind."""

    id: int
    execution_id: ExecutionId
    """The one that it shows, or the first of them."""
    address_id: AddressId
    address: ReturnAddress
    message_id: MessageId
    wanted_revision: int
    shown_revision: int
    attempt: int
    batch: BatchId | None = None
    """Of which it shows several; None where it is the card of one execution."""
    batch_card: int | None = None
