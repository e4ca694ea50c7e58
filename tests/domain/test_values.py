"""Small values that travel: payloads, button tokens, results, the schedule of retries, what channels declare."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.command import CommandHash, NodeFingerprint
from bot.domain.event import (
    Payload,
    Say,
    ShowBatch,
    ShowCard,
    ShowOutput,
    TellOutcome,
    payload_from_json,
    payload_to_json,
)
from bot.domain.execution import (
    ID_ALPHABET,
    ID_CHARS,
    Chunk,
    Ending,
    ExecutionId,
    ExecutionResult,
    ExecutionState,
    Output,
    Stream,
    result_from_json,
    result_to_json,
    storable,
)
from bot.domain.message import (
    MIN_CODE_CHARS,
    MIN_TEXT_CHARS,
    Action,
    Answer,
    Button,
    Capabilities,
    FormField,
    Receipt,
    parse_button,
)
from bot.domain.node import Known, Node, Pairing
from bot.domain.retry import MAX_AGE_S, MAX_ATTEMPTS, delay_s, is_exhausted
from bot.domain.session import MessageId
from bot.errors import Malformed
from tests.domain.made import result, said

ids = st.text(st.sampled_from(ID_ALPHABET), min_size=ID_CHARS, max_size=ID_CHARS).map(ExecutionId)
texts = st.text(st.characters(codec="utf-8"), max_size=60)

# --- payloads of events ---------------------------------------------------------------------------

payloads: st.SearchStrategy[Payload] = (
    st.builds(Say, text=texts, code=st.none() | texts)
    | st.builds(ShowCard, execution_id=ids)
    | st.builds(ShowBatch, execution_id=ids, batch=st.text(), card=st.integers())
    | st.builds(TellOutcome, execution_id=ids, state=st.sampled_from(ExecutionState))
    | st.builds(ShowOutput, execution_id=ids)
)


@given(payloads)
def test_a_payload_comes_back_from_its_form(payload: Payload) -> None:
    assert payload_from_json(json.loads(json.dumps(payload_to_json(payload)))) == payload


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"kind": "shout", "text": "x"},
        {"kind": "batch", "execution": "7K3QAC", "batch": "T7K3QAC"},
        {"kind": "batch", "execution": "7K3QAC", "batch": "T7K3QAC", "card": True},
        {"kind": "batch", "execution": "7K3QAC", "batch": "T7K3QAC", "card": 1, "more": 1},
        {"kind": None},
        {"kind": ["say"]},
        {"kind": "say"},
        {"kind": "say", "text": "x"},
        {"kind": "say", "text": None, "code": None},
        {"kind": "say", "text": "x", "code": 1},
        {"kind": "say", "text": "x", "code": None, "to": "main"},
        {"kind": "card"},
        {"kind": "card", "execution": None},
        {"kind": "card", "execution": "7K3QAC", "state": "denied"},
        {"kind": "outcome", "execution": "7K3QAC"},
        {"kind": "outcome", "execution": "7K3QAC", "state": "done"},
        {"kind": "outcome", "execution": "7K3QAC", "state": None},
        {"kind": "outcome", "execution": 7, "state": "denied"},
        {"kind": "outcome", "execution": "7K3QAC", "state": "denied", "at": "main"},
        {"kind": "output"},
        {"kind": "output", "execution": "7K3QAC", "more": 1},
    ],
    ids=str,
)
def test_any_other_payload_is_malformed_and_never_told_as_none(form: Mapping[str, object]) -> None:
    with pytest.raises(Malformed, match="an event of kind"):
        payload_from_json(form)


# --- button tokens --------------------------------------------------------------------------------

hashes = st.text(st.sampled_from("0123456789abcdef"), min_size=64, max_size=64).map(CommandHash)


forms = st.sampled_from([(), (FormField.REASON,), (FormField.CODE,), (FormField.REASON, FormField.CODE)])


@given(st.sampled_from(Action), ids, hashes, forms)
def test_f057_every_button_comes_back_from_its_token_within_100_characters(
    action: Action, execution_id: ExecutionId, shown: CommandHash, asks: tuple[FormField, ...]
) -> None:
    button = Button(action=action, execution_id=execution_id, shown=shown, asks=asks)
    assert len(button.token()) <= 100
    assert button.token().isascii()
    assert parse_button(button.token()) == button


H = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "token",
    [
        "",
        "approve",
        f"h1:approve:7K3QAC:{H[:-1]}",
        f"h1:approve:7K3QAC:{H}0",
        f"h1:approve:7K3QAC:{H[:-1]}g",
        f"h1:approve:7K3QAC:{H.upper()}",
        f"h1:approve:7K3QAC:{H}\n",
        f"h1:approve:7K3QAC:{H}:more",
        f"h1:approve::{H}",
        f"h1:approve:{'7' * 21}:{H}",
        f"h1:approve:7K3\x00AC:{H}",
        f"h1:approve:７K3QAC:{H}",
        f"h1:Approve:7K3QAC:{H}",
        f"h1:ever:7K3QAC:{H}",
        f"h1:approve:7K3QAC:{H}:",
        f"h1:approve:7K3QAC:{H}:x",
        f"h1:approve:7K3QAC:{H}:cr",
        f"h2:approve:7K3QAC:{H}",
        f"approve:7K3QAC:{H}",
        f" h1:approve:7K3QAC:{H}",
        "h1:approve:7K3QAC:" + "é" * 64,
    ],
)
def test_f057_what_we_did_not_make_is_no_button(token: str) -> None:
    assert parse_button(token) is None


@given(st.text(max_size=110))
def test_f057_a_token_that_is_read_is_the_one_that_we_would_have_made(token: str) -> None:
    button = parse_button(token)
    assert button is None or button.token() == token


# --- results --------------------------------------------------------------------------------------

chunks = st.lists(st.builds(Chunk, stream=st.sampled_from(Stream), text=texts.map(storable)), max_size=4).map(tuple)
outputs = st.builds(Output, head=chunks, omitted_bytes=st.integers(0, 2**60), tail=chunks)
endings = st.one_of(
    st.tuples(st.sampled_from([Ending.EXITED, Ending.TIMED_OUT, Ending.STOPPED]), st.integers(0, 255), st.none()),
    st.tuples(
        st.sampled_from([Ending.SIGNALLED, Ending.TIMED_OUT, Ending.STOPPED]),
        st.none(),
        st.sampled_from(["SIGKILL", "SIGTERM", "SIGRTMIN+3"]),
    ),
)
results = st.builds(
    lambda end, duration_s, output: ExecutionResult(
        ending=end[0], exit_code=end[1], signal=end[2], duration_s=duration_s, output=output
    ),
    endings,
    st.floats(0, 1e9),
    outputs,
)


@given(results)
def test_a_result_comes_back_from_its_form(one: ExecutionResult) -> None:
    assert result_from_json(json.loads(json.dumps(result_to_json(one)))) == one


@given(results)
def test_f093_only_a_clean_exit_of_zero_is_a_success(one: ExecutionResult) -> None:
    assert one.succeeded == (one.ending is Ending.EXITED and one.exit_code == 0 and one.signal is None)


FORM = result_to_json(result(said(("out", "x"), ("err", "y"))))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"exit_code": None}, "either an exit code or a signal"),
        ({"signal": "SIGKILL"}, "either an exit code or a signal"),
        ({"exit_code": True}, "exit_code is not an exit code"),
        ({"exit_code": 2**32}, "exit_code is not an exit code"),
        ({"exit_code": -(2**31) - 1}, "exit_code is not an exit code"),
        ({"exit_code": 0.0}, "exit_code is not an exit code"),
        ({"ending": "signalled"}, "names the signal"),
        ({"exit_code": None, "signal": "SIGKILL"}, "has an exit code"),
        ({"ending": "signalled", "exit_code": None, "signal": 9}, "not a signal's name"),
        ({"ending": "signalled", "exit_code": None, "signal": "kill"}, "not a signal's name"),
        ({"ending": "lost"}, "ending is none that we know"),
        ({"ending": None}, "ending is none that we know"),
        ({"duration_s": "1"}, "duration_s is not a number"),
        ({"duration_s": True}, "duration_s is not a number"),
        ({"duration_s": -1}, "not a length of time"),
        ({"duration_s": float("nan")}, "not a length of time"),
        ({"duration_s": float("inf")}, "not a length of time"),
        ({"duration_s": 10**400}, "not a length of time"),
        ({"surplus": 1}, "result is not an object of"),
        ({"output": []}, "output is not an object of"),
        ({"output": {"head": [], "omitted_bytes": -1, "tail": []}}, "omitted_bytes is not a count"),
        ({"output": {"head": [], "omitted_bytes": True, "tail": []}}, "omitted_bytes is not a count"),
        ({"output": {"head": "x", "omitted_bytes": 0, "tail": []}}, "output.head is not a list"),
        ({"output": {"head": [], "omitted_bytes": 0, "tail": [["log", "x"]]}}, "output.tail holds something"),
        ({"output": {"head": [["out", 1]], "omitted_bytes": 0, "tail": []}}, "output.head holds something"),
    ],
    ids=str,
)
def test_f093_an_ending_that_is_not_known_is_malformed_and_never_a_success(
    change: Mapping[str, object], fault: str
) -> None:
    with pytest.raises(Malformed, match=fault):
        result_from_json({**FORM, **change})


def test_output_says_how_much_was_left_out_and_where() -> None:
    head, tail = (Chunk(stream=Stream.OUT, text="a\n"),), (Chunk(stream=Stream.ERR, text="z\n"),)
    assert Output(head=head, tail=tail).text() == "a\nz\n"
    assert Output(head=head, omitted_bytes=5, tail=tail).text() == "a\n\n[5 bytes omitted]\nz\n"
    assert Output(omitted_bytes=5).text() == "\n[5 bytes omitted]\n"
    assert Output().text() == ""


@given(st.text(st.characters() | st.sampled_from("\x00\ud800\udfff")))
def test_what_is_storable_has_a_form_everywhere_and_is_not_shorter(text: str) -> None:
    kept = storable(text)
    assert kept.encode("utf-8").decode("utf-8") == kept, "no half pair is left"
    assert "\x00" not in kept
    assert len(kept) == len(text)
    assert storable(kept) == kept


# --- retries --------------------------------------------------------------------------------------

jitters = st.floats(0, 1)


@given(st.integers(1, 10_000), jitters, st.floats(0, 86_400))
def test_f098_a_delay_is_bounded_and_never_undercuts_what_the_network_asked_for(
    attempt: int, jitter: float, at_least_s: float
) -> None:
    delay = delay_s(attempt, jitter=jitter, at_least_s=at_least_s)
    assert delay >= at_least_s
    assert 0.375 <= delay <= max(at_least_s, 375.0)


@given(st.integers(1, 40), jitters)
def test_delays_grow_with_each_attempt(attempt: int, jitter: float) -> None:
    assert delay_s(attempt, jitter=jitter) <= delay_s(attempt + 1, jitter=jitter)


def test_delays_double_from_half_a_second_to_five_minutes() -> None:
    delays = [delay_s(attempt, jitter=0.5) for attempt in range(1, 13)]
    assert delays == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert (delay_s(1, jitter=0.0), delay_s(1, jitter=1.0)) == (0.375, 0.625)


def test_all_attempts_together_outlast_an_outage_of_an_hour_and_end_within_a_day() -> None:
    together_s = sum(delay_s(attempt, jitter=0.5) for attempt in range(1, MAX_ATTEMPTS))
    assert 3_600 < together_s < MAX_AGE_S


@pytest.mark.parametrize(
    ("attempt", "age_s", "exhausted"),
    [
        (1, 0.0, False),
        (MAX_ATTEMPTS - 1, MAX_AGE_S - 1, False),
        (MAX_ATTEMPTS, 0.0, True),
        (MAX_ATTEMPTS + 1, 0.0, True),
        (3, MAX_AGE_S - 1, False),
        (3, MAX_AGE_S, True),
        (2, MAX_AGE_S * 9, False),
    ],
)
def test_a_send_is_given_up_after_so_many_attempts_or_a_day_but_always_tried_three_times(
    attempt: int, age_s: float, exhausted: bool
) -> None:
    assert is_exhausted(attempt, age_s=age_s) == exhausted


# --- what channels and nodes are known by ---------------------------------------------------------


def test_a_channel_that_could_not_show_a_card_is_refused_when_it_is_declared() -> None:
    Capabilities(text_chars=MIN_TEXT_CHARS, code_chars=MIN_CODE_CHARS)
    for text_chars, code_chars in ((MIN_TEXT_CHARS - 1, MIN_CODE_CHARS), (MIN_TEXT_CHARS, MIN_CODE_CHARS - 1), (0, 0)):
        with pytest.raises(ValueError, match="at least 400 characters, 200 of them code"):
            Capabilities(text_chars=text_chars, code_chars=code_chars)


def test_the_defaults_promise_nothing_that_was_not_said() -> None:
    assert Answer().note is None
    assert Receipt(message_id=MessageId("m1")).confirmed
    node = Node(
        fingerprint=NodeFingerprint("f00d"),
        public_key=b"k",
        name="web-1",
        pairing=Pairing.PENDING,
        first_seen_at=1.0,
        last_seen_at=2.0,
    )
    assert (node.paired_at, node.revoked_at) == (None, None), "a node that was only seen is not paired"


def test_words_that_cross_the_wire_or_stand_in_rows_do_not_change() -> None:
    assert [word.value for word in Known] == ["unseen", "never_started", "running", "finished", "unknown"]
    assert [word.value for word in Pairing] == ["pending", "paired", "revoked"]
    assert [word.value for word in Action] == [
        "approve",
        "always",
        "deny",
        "stop",
        "again",
        "output",
        "approveall",
        "denyall",
        "stopall",
    ]
    assert [word.value for word in FormField] == ["r", "c"]
    assert [word.value for word in Ending] == ["exited", "signalled", "timed_out", "stopped"]
    assert [word.value for word in Stream] == ["out", "err"]
