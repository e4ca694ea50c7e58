"""The machines as tables: every pair decided, every state reachable, nothing back to approved, finals final."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import pytest

from bot.domain.event import (
    BLOCKING,
    EVENT_TRANSITIONS,
    INPUT_TRANSITIONS,
    EventState,
    EventTrigger,
    InputState,
    InputTrigger,
    next_event_state,
)
from bot.domain.execution import (
    FINAL,
    HANDED_OVER,
    TRANSITIONS,
    UNDECIDED,
    WAITING,
    ExecutionState,
    Trigger,
    next_state,
)
from bot.domain.glass import GLASS_TRANSITIONS, UNREVIEWED, GlassState, GlassTrigger, next_glass_state
from bot.errors import IllegalTransition
from tests.domain.made import execution

Table = Mapping[Any, Mapping[Any, Any]]

EXECUTION = {
    "preparing": "ask awaiting_approval, allow approved, refuse refused, expire expired, cancel cancelled",
    "awaiting_approval": "approve approved, deny denied, expire expired, cancel cancelled",
    "approved": "dispatch dispatched, refuse refused, withdraw cancelled, expire expired, cancel cancelled",
    "dispatched": "start running, finish finished, refuse refused, lose lost",
    "running": "finish finished, lose lost",
    "lost": "start running, finish finished, refuse refused",
    "denied": "",
    "expired": "",
    "cancelled": "",
    "refused": "",
    "finished": "",
}
EVENT = {
    "due": "claim claimed",
    "claimed": "send sending, release due, bury dead",
    "sending": "tell told, accept posted, retry due, uncertain reconciling, hold held, bury dead",
    "reconciling": "tell told, retry due, bury dead",
    "posted": "confirm told, bounce due, hold held, bury dead",
    "held": "open due, age dead",
    "told": "",
    "dead": "retell due",
}
GLASS = {
    "open": "end ended, lapse ended, withdraw ended",
    "ended": "miss overdue, review reviewed",
    "overdue": "review reviewed",
    "reviewed": "",
}
INPUT = {"due": "claim claimed, answer answered", "claimed": "answer answered, release due", "answered": ""}


@dataclass(frozen=True)
class Machine:
    name: str
    table: Table
    states: type[StrEnum]
    triggers: type[StrEnum]
    written: Mapping[str, str]


machines = pytest.mark.parametrize(
    "machine",
    [
        Machine("execution", TRANSITIONS, ExecutionState, Trigger, EXECUTION),
        Machine("event", EVENT_TRANSITIONS, EventState, EventTrigger, EVENT),
        Machine("input", INPUT_TRANSITIONS, InputState, InputTrigger, INPUT),
        Machine("glass", GLASS_TRANSITIONS, GlassState, GlassTrigger, GLASS),
    ],
    ids=lambda machine: machine.name,
)


def reachable(table: Table, start: object) -> set[object]:
    found, ahead = {start}, [start]
    while ahead:
        for state in table[ahead.pop()].values():
            if state not in found:
                found.add(state)
                ahead.append(state)
    return found


@machines
def test_the_table_is_the_one_that_was_agreed_on(machine: Machine) -> None:
    """Written a second time, in words: a change of the product's promises needs two hands."""
    agreed = {state: dict(pair.split() for pair in ways.split(", ") if pair) for state, ways in machine.written.items()}
    assert machine.table == agreed


@machines
def test_every_pair_of_state_and_trigger_is_decided(machine: Machine) -> None:
    assert set(machine.table) == set(machine.states)
    for state in machine.states:
        for trigger in machine.triggers:
            assert machine.table[state].get(trigger) in {None, *machine.states}
    used = {trigger for ways in machine.table.values() for trigger in ways}
    assert used == set(machine.triggers), "no trigger without a use"


@machines
def test_every_state_is_reachable_from_the_first(machine: Machine) -> None:
    assert reachable(machine.table, next(iter(machine.states))) == set(machine.states)


@machines
def test_no_trigger_leaves_a_state_where_it_was(machine: Machine) -> None:
    ways = [(state, after) for state, ways in machine.table.items() for after in ways.values()]
    assert not [state for state, after in ways if after == state]


@machines
def test_a_table_cannot_be_changed_while_the_program_runs(machine: Machine) -> None:
    assert isinstance(machine.table, MappingProxyType)


def test_a_glass_moves_by_its_table_or_raises_and_never_back_to_open() -> None:
    for state in GlassState:
        for trigger in GlassTrigger:
            if trigger in GLASS_TRANSITIONS[state]:
                assert next_glass_state(state, trigger) is GLASS_TRANSITIONS[state][trigger] is not GlassState.OPEN
            else:
                with pytest.raises(IllegalTransition, match="glass"):
                    next_glass_state(state, trigger)
    assert {state for state, ways in GLASS_TRANSITIONS.items() if GlassTrigger.REVIEW in ways} == UNREVIEWED


# --- executions -----------------------------------------------------------------------------------


def test_an_execution_begins_preparing_and_every_state_is_reached_from_there() -> None:
    assert reachable(TRANSITIONS, ExecutionState.PREPARING) == set(ExecutionState)


def test_nothing_leads_back_to_approved() -> None:
    beyond = set[object]()
    for after in TRANSITIONS[ExecutionState.APPROVED].values():
        beyond |= reachable(TRANSITIONS, after)
    assert ExecutionState.APPROVED not in beyond
    assert not beyond & UNDECIDED, "and nothing that was approved is asked about again"


def test_only_people_or_a_rule_lead_to_approved_and_only_dispatch_hands_over() -> None:
    ways = [(state, trigger) for state, ways in TRANSITIONS.items() for trigger in ways]
    into = {(s, t) for s, t in ways if TRANSITIONS[s][t] is ExecutionState.APPROVED}
    assert into == {
        (ExecutionState.PREPARING, Trigger.ALLOW),
        (ExecutionState.AWAITING_APPROVAL, Trigger.APPROVE),
    }
    over = {(s, t) for s, t in ways if s not in HANDED_OVER and TRANSITIONS[s][t] in HANDED_OVER}
    assert over == {(ExecutionState.APPROVED, Trigger.DISPATCH)}


def test_finals_have_no_way_out_and_every_other_state_has_one() -> None:
    assert {
        ExecutionState.DENIED,
        ExecutionState.EXPIRED,
        ExecutionState.CANCELLED,
        ExecutionState.REFUSED,
        ExecutionState.FINISHED,
    } == FINAL
    assert all(bool(TRANSITIONS[state]) != (state in FINAL) for state in ExecutionState)


def test_a_state_waits_was_handed_over_or_is_final_and_only_one_of_these() -> None:
    assert set(ExecutionState) == WAITING | HANDED_OVER | FINAL
    assert len(WAITING) + len(HANDED_OVER) + len(FINAL) == len(ExecutionState)
    assert WAITING - {ExecutionState.APPROVED} == UNDECIDED


def test_whatever_waits_can_be_ended_without_the_node_and_what_was_handed_over_cannot() -> None:
    for state in WAITING:
        assert {Trigger.EXPIRE, Trigger.CANCEL} <= TRANSITIONS[state].keys()
    for state in HANDED_OVER:
        assert not {Trigger.EXPIRE, Trigger.CANCEL, Trigger.WITHDRAW, Trigger.DENY} & TRANSITIONS[state].keys()


def test_what_was_denied_or_expired_never_reaches_a_node() -> None:
    for state in FINAL:
        assert reachable(TRANSITIONS, state) == {state}


def test_only_a_finish_leads_to_finished_so_that_silence_never_counts_as_success() -> None:
    for ways in TRANSITIONS.values():
        for trigger, after in ways.items():
            assert (after is ExecutionState.FINISHED) == (trigger is Trigger.FINISH)


@pytest.mark.parametrize("state", list(ExecutionState))
@pytest.mark.parametrize("trigger", list(Trigger))
def test_an_execution_moves_by_its_table_or_raises(state: ExecutionState, trigger: Trigger) -> None:
    if trigger in TRANSITIONS[state]:
        assert next_state(state, trigger) is TRANSITIONS[state][trigger]
        return
    before = execution(state)
    with pytest.raises(IllegalTransition, match=f"execution: no transition for .*'{trigger}'.* from .*'{state}'"):
        next_state(before.state, trigger)
    assert before == execution(state), "and nothing has changed"


def test_an_execution_is_never_changed_in_place() -> None:
    one = execution(ExecutionState.APPROVED)
    with pytest.raises(FrozenInstanceError):
        one.state = ExecutionState.FINISHED  # type: ignore[misc]  # that it cannot be written is the point


# --- events and inputs ----------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(EventState))
@pytest.mark.parametrize("trigger", list(EventTrigger))
def test_an_event_moves_by_its_table_or_raises(state: EventState, trigger: EventTrigger) -> None:
    if trigger in EVENT_TRANSITIONS[state]:
        assert next_event_state(state, trigger) is EVENT_TRANSITIONS[state][trigger]
        return
    with pytest.raises(IllegalTransition, match=f"event: no transition for .*'{trigger}'.* from .*'{state}'"):
        next_event_state(state, trigger)


def test_an_event_ends_told_or_dead_and_a_dead_one_can_be_told_again() -> None:
    assert {state for state, ways in EVENT_TRANSITIONS.items() if not ways} == {EventState.TOLD}
    assert EVENT_TRANSITIONS[EventState.DEAD] == {EventTrigger.RETELL: EventState.DUE}
    for state in EventState:
        assert state is EventState.TOLD or EventState.DEAD in reachable(EVENT_TRANSITIONS, state), "nothing hangs"


def test_what_may_have_been_posted_is_never_due_again_but_by_a_retry() -> None:
    back = {(s, t) for s, ways in EVENT_TRANSITIONS.items() for t, after in ways.items() if after is EventState.DUE}
    assert {pair for pair in back if pair[0] in {EventState.SENDING, EventState.RECONCILING}} == {
        (EventState.SENDING, EventTrigger.RETRY),
        (EventState.RECONCILING, EventTrigger.RETRY),
    }
    assert EventTrigger.RELEASE not in EVENT_TRANSITIONS[EventState.SENDING], "a lease that is over reconciles"


def test_an_address_waits_for_what_is_on_its_way_and_not_for_what_is_settled() -> None:
    assert {EventState.DUE, EventState.CLAIMED, EventState.SENDING, EventState.RECONCILING} == BLOCKING


def test_an_input_is_answered_once() -> None:
    assert not INPUT_TRANSITIONS[InputState.ANSWERED]
    assert reachable(INPUT_TRANSITIONS, InputState.CLAIMED) == set(InputState), "a claim that lapsed is due again"
