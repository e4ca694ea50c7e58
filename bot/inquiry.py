"""What operators ask of the store: how things stand, and the whole chain of one execution. Facts, not words on a page.

Deliberately absent: rendering, and any change. Every function reads inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bot.domain.event import Event, EventId, EventState, Payload, Say, ShowBatch, ShowCard, ShowOutput, TellOutcome
from bot.domain.execution import FINAL, Execution, ExecutionId, ExecutionState
from bot.domain.glass import ANNOUNCED, Glass, GlassState
from bot.domain.node import Node, Pairing
from bot.domain.session import MessageId, SessionKey, format_key
from bot.domain.spending import DAY_S, Spending, Spent
from bot.ports import Paused, Tick, Tx

S = ExecutionState
MAX_COUNTED = 1_000
"""Up to so many rows of a state are counted; more is said as that many."""
MAX_TURNS_SHOWN = 20
"""The newest: whoever asks what the last answers took has them on one page."""
MAX_SESSIONS_SHOWN = 20
"""Of those that took the most of their models: who looks for what costs so much finds it among them."""
HEARD_WITHIN_S = 90.0
"""Thrice the time between two notes of a connection in the store: a node heard from within it counts as connected."""
OPEN = frozenset(S) - FINAL
UNTOLD = frozenset(EventState) - {EventState.TOLD}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How things stand at one moment."""

    now: float
    paused: Paused | None
    executions: dict[ExecutionState, int]
    """Open ones only, by state; at most MAX_COUNTED each."""
    events: dict[EventState, int]
    """Untold ones only."""
    oldest_untold_at: float | None
    nodes: Sequence[Node]
    spendings: Sequence[tuple[str, Spent]] = ()
    """What the models of each agent took within a day."""
    session_spendings: Sequence[tuple[str, SessionKey, Spent]] = ()
    """The sessions of which that is the most."""
    turn_spendings: Sequence[tuple[float, Spending]] = ()
    """When the newest turns ended, and what each took."""
    glasses: Sequence[Glass] = ()
    """Open, or not reviewed yet."""
    unheard: Sequence[EventId] = ()
    """Announcements of break-glass that nobody was told, or not yet because their channel is closed."""
    ticks: Sequence[Tick] = ()
    """When each cadence and schedule comes next, and what became of its last time."""


def standing(tx: Tx) -> Standing:
    events = {state: tx.events.listing(states={state}, limit=MAX_COUNTED) for state in UNTOLD}
    oldest = [event.created_at for listed in events.values() for event in listed if event.state is not EventState.DEAD]
    return Standing(
        now=tx.now,
        paused=tx.switches.paused(),
        executions={state: len(tx.executions.in_states({state}, limit=MAX_COUNTED)) for state in OPEN},
        events={state: len(listed) for state, listed in events.items()},
        oldest_untold_at=min(oldest, default=None),
        nodes=tx.nodes.listing(),
        spendings=[(agent, spent) for agent, _, spent in tx.memories.spendings(since=tx.now - DAY_S)],
        turn_spendings=tx.memories.latest(limit=MAX_TURNS_SHOWN),
        session_spendings=[
            (agent, session, spent)
            for agent, session, spent in tx.memories.spendings(
                since=tx.now - DAY_S, by_session=True, limit=MAX_SESSIONS_SHOWN
            )
            if session is not None
        ],
        glasses=tx.glasses.listing(frozenset(GlassState) - {GlassState.REVIEWED}, limit=MAX_COUNTED),
        unheard=[
            event.id
            for state in (EventState.DEAD, EventState.HELD)
            for event in events[state]
            if event.identity.startswith(ANNOUNCED)
        ],
        ticks=tx.ticks.listing(),
    )


def is_heard(node: Node, now: float) -> bool:
    """Whether it is, as far as the store knows, connected: heard from lately, and since it was paired."""
    if node.pairing is not Pairing.PAIRED or node.paired_at is None:
        return False
    return node.last_seen_at > node.paired_at and now - node.last_seen_at <= HEARD_WITHIN_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One step of the chain, in the order of time."""

    at: float
    what: str
    by: str | None
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """One event that was owed for it, and what the network said when it took it."""

    event_id: EventId
    what: str
    """`card`, `output`, `reply`, or the state whose outcome it tells."""
    state: EventState
    place: SessionKey
    """The conversation of the return address, written as a key."""
    answers: MessageId | None
    """The message that asked."""
    created_at: float
    not_before: float
    told_at: float | None
    attempt: int
    trouble: str | None
    receipts: tuple[tuple[int, MessageId], ...]
    """Part and the network's id of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """From the message that asked to the receipt of the message that told."""

    execution: Execution
    place: SessionKey
    """Where it was asked for; the result comes to exactly this conversation."""
    links: tuple[Link, ...]
    tellings: tuple[Telling, ...]
    open: tuple[str, ...]
    """What the chain still waits for, one line each; empty where it is closed."""
    now: float


def why(tx: Tx, execution_id: ExecutionId) -> Chain | None:
    """The whole chain of one execution; None where no such row is kept."""
    execution = tx.executions.get(execution_id)
    if execution is None:
        return None
    tellings = tuple(_telling(tx, event) for event in tx.events.of_execution(execution_id))
    steps = tx.executions.steps(execution_id)
    links = tuple(Link(at=step.at, what=step.what, by=step.by, detail=step.detail) for step in steps)
    waits = [*_awaited(tx, execution), *(line for told in tellings for line in _untold(told, tx.now))]
    if execution.state in FINAL and not tellings and not any(link.what == "told" for link in links):
        waits.append("nothing says that it was told, and no event of it is kept: look at the log of the gateway")
    return Chain(
        execution=execution,
        place=format_key(execution.origin.peer),
        links=links,
        tellings=tellings,
        open=tuple(waits),
        now=tx.now,
    )


def _telling(tx: Tx, event: Event) -> Telling:
    return Telling(
        event_id=event.id,
        what=told_by(event.payload),
        state=event.state,
        place=format_key(event.address.peer),
        answers=event.address.message_id,
        created_at=event.created_at,
        not_before=event.not_before,
        told_at=event.told_at,
        attempt=event.attempt,
        trouble=event.trouble,
        receipts=tuple((part, message_id) for part, _, message_id in tx.events.receipts(event.id)),
    )


def told_by(payload: Payload) -> str:
    """What an event tells, in a word."""
    match payload:
        case ShowCard() | ShowBatch():
            return "card"
        case TellOutcome():
            return payload.state.value
        case ShowOutput():
            return "output"
        case Say():
            return "reply"


def _awaited(tx: Tx, execution: Execution) -> list[str]:
    """What the execution itself waits for, and from whom."""
    node = tx.nodes.get(execution.node)
    named = f"the node {execution.node_name}"
    silent_s = None if node is None else tx.now - node.last_seen_at
    away = node is None or not is_heard(node, tx.now)
    seen = "never seen" if silent_s is None else f"last heard from {round(silent_s)} s ago"
    waits: list[str] = []
    match execution.state:
        case S.PREPARING:
            waits.append(f"{named} is to say what would really run" + (f"; it is away, {seen}" if away else ""))
        case S.AWAITING_APPROVAL:
            waits.append(f"one of {', '.join(execution.deciders) or 'nobody'} is to decide")
        case S.APPROVED:
            paused = tx.switches.paused()
            if paused is not None:
                waits.append(
                    f"dispatch is paused by {paused.by}: {paused.reason or 'no reason given'}; `homing resume`"
                )
            waits.append(f"{named} is to take it" + (f"; it is away, {seen}" if away else ""))
        case S.DISPATCHED | S.RUNNING:
            stop = f"; {execution.stop_wanted_by} asked to stop it" if execution.stop_wanted_by is not None else ""
            waits.append(f"{named} is to report the end{stop}" + (f"; it is away, {seen}" if away else ""))
        case S.LOST:
            waits.append(f"nobody knows whether it ran; a late report of {named} is still told")
        case _:
            return waits
    return waits


def _untold(telling: Telling, now: float) -> list[str]:
    named = f"event {telling.event_id} ({telling.what})"
    trouble = f"; last trouble: {telling.trouble}" if telling.trouble else ""
    match telling.state:
        case EventState.TOLD:
            return []
        case EventState.DEAD:
            return [f"{named} is dead and was not told{trouble}; `homing events retell {telling.event_id}`"]
        case EventState.HELD:
            return [f"{named} is held until its channel is open{trouble}"]
        case EventState.POSTED:
            return [f"{named} was taken by the network, which has not confirmed it yet"]
        case EventState.RECONCILING:
            return [f"{named} may have arrived; the network is asked before it is sent again{trouble}"]
        case EventState.DUE if telling.not_before > now:
            return [
                f"{named} is tried again in {round(telling.not_before - now)} s, attempt {telling.attempt + 1}{trouble}"
            ]
        case _:
            return [f"{named} is due and waits for the gateway to tell it{trouble}"]


def listed(tx: Tx, states: Collection[ExecutionState], *, limit: int) -> Sequence[Execution]:
    """Executions in these states, newest first."""
    return tx.executions.in_states(states, limit=limit, newest_first=True)
