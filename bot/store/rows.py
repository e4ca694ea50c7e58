"""Values of the domain <-> what stands in rows. Pure; deliberately absent: SQL.

Everything that is not a column of its own is JSON with ASCII only, so that no character of it can be one
that a database refuses, and what was approved comes back to the letter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Row

from bot.domain.batch import BatchId, InBatch
from bot.domain.command import (
    CommandHash,
    NodeFingerprint,
    command_from_json,
    command_to_json,
    request_from_json,
    request_to_json,
)
from bot.domain.event import (
    AddressId,
    Event,
    EventId,
    EventState,
    Input,
    InputId,
    InputKind,
    payload_from_json,
)
from bot.domain.execution import Execution, ExecutionId, ExecutionState, result_from_json, result_to_json
from bot.domain.message import Action, Button, ButtonPress, Nonce, Reaction, Sender
from bot.domain.session import (
    AccountName,
    AgentName,
    ChannelName,
    DeliveryId,
    MessageId,
    NativeId,
    Peer,
    PeerKind,
    PersonId,
    ReturnAddress,
    SessionKey,
    ThreadId,
)
from bot.domain.terms import terms_from_json, terms_to_json
from bot.store.schema import digest


def dumps(form: object) -> str:
    return json.dumps(form, separators=(",", ":"), ensure_ascii=True)


def peer_to_json(peer: Peer) -> dict[str, object]:
    return {
        "agent": peer.agent,
        "channel": peer.channel,
        "account": peer.account,
        "kind": peer.kind.value,
        "id": peer.id,
        "thread": peer.thread,
    }


def peer_from_json(form: Mapping[str, Any]) -> Peer:
    thread = form["thread"]
    return Peer(
        agent=AgentName(form["agent"]),
        channel=ChannelName(form["channel"]),
        account=AccountName(form["account"]),
        kind=PeerKind(form["kind"]),
        id=NativeId(form["id"]),
        thread=None if thread is None else ThreadId(thread),
    )


def address_text(address: ReturnAddress | None) -> str | None:
    if address is None:
        return None
    return dumps({"peer": peer_to_json(address.peer), "message": address.message_id})


def address_of(text: str) -> ReturnAddress:
    form = json.loads(text)
    return ReturnAddress(peer=peer_from_json(form["peer"]), message_id=_message(form["message"]))


def _message(value: str | None) -> MessageId | None:
    return None if value is None else MessageId(value)


def peer_digest(peer: Peer) -> str:
    return digest(peer.agent, peer.channel, peer.account, peer.kind.value, peer.id, peer.thread)


def conversation_digest(peer: Peer) -> str:
    """The conversation as the network knows it: without our agent, and without the thread.

    A reaction does not say which thread its message stands in on every network (Slack's `reaction_added`).
    """
    return digest(peer.channel, peer.account, peer.kind.value, peer.id)


def peer_of_row(row: Row[Any]) -> Peer:
    """From a row that holds the columns of `addresses`."""
    return Peer(
        agent=AgentName(row.agent),
        channel=ChannelName(row.channel),
        account=AccountName(row.account),
        kind=PeerKind(row.kind),
        id=NativeId(row.native),
        thread=None if row.thread is None else ThreadId(row.thread),
    )


def _json_or_none(value: object, form: Callable[[Any], object]) -> str | None:
    return None if value is None else dumps(form(value))


_PLAIN = (
    *(
        "session",
        "asker",
        "asker_native",
        "asker_name",
        "node",
        "node_name",
        "created_at",
        "expires_at",
        "rule",
    ),
    *("escalates_at", "command_hash", "reason", "decided_by", "decided_at", "started_at", "ended_at", "stop_wanted_by"),
    *("live_tail", "worded_by"),
)
_MADE: Mapping[str, tuple[str, Callable[[Any], object]]] = {
    "session_digest": ("session", digest),
    "origin": ("origin", lambda origin: address_text(origin)),
    "request": ("request", lambda request: dumps(request_to_json(request))),
    "deciders": ("deciders", lambda deciders: dumps(list(deciders))),
    "terms": ("terms", lambda terms: dumps(terms_to_json(terms))),
    "approved_by": ("approved_by", lambda approved_by: dumps(list(approved_by))),
    "is_escalated": ("is_escalated", int),
    "masked": ("masked", lambda masked: _json_or_none(masked, request_to_json)),
    "grant_id": ("grant", lambda grant: grant),
    "glass_id": ("glass", lambda glass: glass),
    "batch": ("batch", lambda batch: None if batch is None else batch.id),
    "batch_at": ("batch", lambda batch: None if batch is None else batch.at),
    "batch_card": ("batch", lambda batch: None if batch is None else batch.card),
    "read_untrusted": ("read_untrusted", int),
    "command": ("command", lambda command: _json_or_none(command, command_to_json)),
    "result": ("result", lambda result: _json_or_none(result, result_to_json)),
}
"""Column -> the field that it holds, and how."""


def execution_values(execution: Execution, *, unlike: Execution | None = None) -> dict[str, object]:
    """Every column but id, state and revision, which have their own ways to be written; or what differs alone."""
    values = {
        name: getattr(execution, name)
        for name in _PLAIN
        if unlike is None or getattr(execution, name) != getattr(unlike, name)
    }
    for name, (field, made) in _MADE.items():
        value = getattr(execution, field)
        if unlike is None or value != getattr(unlike, field):
            values[name] = made(value)
    return values


def execution_of(row: Row[Any]) -> Execution:
    return Execution(
        id=ExecutionId(row.id),
        state=ExecutionState(row.state),
        session=SessionKey(row.session),
        origin=address_of(row.origin),
        asker=PersonId(row.asker),
        asker_native=row.asker_native,
        asker_name=row.asker_name,
        request=request_from_json(json.loads(row.request)),
        node=NodeFingerprint(row.node),
        node_name=row.node_name,
        created_at=row.created_at,
        expires_at=row.expires_at,
        rule=row.rule,
        deciders=tuple(PersonId(person) for person in json.loads(row.deciders)),
        terms=terms_from_json(json.loads(row.terms)),
        approved_by=tuple(PersonId(person) for person in json.loads(row.approved_by)),
        escalates_at=row.escalates_at,
        is_escalated=bool(row.is_escalated),
        masked=None if row.masked is None else request_from_json(json.loads(row.masked)),
        grant=row.grant_id,
        glass=row.glass_id,
        batch=None if row.batch is None else InBatch(id=BatchId(row.batch), at=row.batch_at, card=row.batch_card),
        worded_by=row.worded_by,
        read_untrusted=bool(row.read_untrusted),
        command=None if row.command is None else command_from_json(json.loads(row.command)),
        command_hash=None if row.command_hash is None else CommandHash(row.command_hash),
        reason=row.reason,
        decided_by=None if row.decided_by is None else PersonId(row.decided_by),
        decided_at=row.decided_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        stop_wanted_by=None if row.stop_wanted_by is None else PersonId(row.stop_wanted_by),
        live_tail=row.live_tail,
        result=None if row.result is None else result_from_json(json.loads(row.result)),
        revision=row.revision,
    )


def event_of(row: Row[Any]) -> Event:
    """From a row that holds the columns of `events` and of its `addresses`."""
    return Event(
        id=EventId(row.id),
        identity=row.identity,
        session=SessionKey(row.session),
        address_id=AddressId(row.address_id),
        address=ReturnAddress(peer=peer_of_row(row), message_id=_message(row.anchor)),
        sequence=row.sequence,
        payload=payload_from_json(json.loads(row.payload)),
        mention=row.mention,
        state=EventState(row.state),
        attempt=row.attempt,
        not_before=row.not_before,
        maybe_repeat=bool(row.maybe_repeat),
        created_at=row.created_at,
        part=row.part,
        nonce=None if row.nonce is None else Nonce(row.nonce),
        told_at=row.told_at,
        trouble=row.trouble,
    )


def input_of(row: Row[Any]) -> Input:
    return Input(
        id=InputId(row.id),
        session=SessionKey(row.session),
        address=None if row.address is None else address_of(row.address),
        kind=InputKind(row.kind),
        person=None if row.person is None else PersonId(row.person),
        person_native=row.person_native,
        person_name=row.person_name,
        text=row.text,
        execution_id=None if row.execution_id is None else ExecutionId(row.execution_id),
        created_at=row.created_at,
        attempt=row.attempt,
    )


def early_text(early: ButtonPress | Reaction) -> str:
    form: dict[str, object] = {
        "peer": peer_to_json(early.peer),
        "sender": {"native": early.sender.native, "name": early.sender.name},
        "delivery": early.delivery,
        "message": early.message_id,
    }
    match early:
        case ButtonPress():
            button = early.button
            form |= {"action": button.action.value, "execution": button.execution_id, "shown": button.shown}
            form |= {"reason": early.reason}
        case Reaction():
            form |= {"emoji": early.emoji}
    return dumps(form)


def early_of(text: str) -> ButtonPress | Reaction:
    form = json.loads(text)
    peer, message_id = peer_from_json(form["peer"]), MessageId(form["message"])
    sender = Sender(native=form["sender"]["native"], name=form["sender"]["name"])
    delivery = DeliveryId(form["delivery"])
    if "emoji" in form:
        return Reaction(peer=peer, sender=sender, delivery=delivery, message_id=message_id, emoji=form["emoji"])
    button = Button(action=Action(form["action"]), execution_id=form["execution"], shown=CommandHash(form["shown"]))
    return ButtonPress(
        peer=peer, sender=sender, delivery=delivery, message_id=message_id, button=button, reason=form["reason"]
    )
