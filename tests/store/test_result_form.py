"""The form of a result, which the node's reports and the store's rows share: strict, and safe for both."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.execution import (
    Chunk,
    Ending,
    ExecutionResult,
    Output,
    Stream,
    result_from_json,
    result_to_json,
    storable,
)
from bot.errors import Malformed
from tests.store.made import result

chunks = st.lists(st.builds(Chunk, stream=st.sampled_from(Stream), text=st.text().map(storable)), max_size=4).map(tuple)
outputs = st.builds(Output, head=chunks, omitted_bytes=st.integers(0, 2**60), tail=chunks)
durations = st.floats(0, 1e9)
exited = st.builds(
    ExecutionResult,
    ending=st.sampled_from([Ending.EXITED, Ending.TIMED_OUT, Ending.STOPPED]),
    exit_code=st.integers(0, 255),
    signal=st.none(),
    duration_s=durations,
    output=outputs,
)
signalled = st.builds(
    ExecutionResult,
    ending=st.sampled_from([Ending.SIGNALLED, Ending.TIMED_OUT, Ending.STOPPED]),
    exit_code=st.none(),
    signal=st.sampled_from(["SIGKILL", "SIGTERM", "SIGRTMIN+3"]),
    duration_s=durations,
    output=outputs,
)


@given(exited | signalled)
def test_a_result_comes_back_from_its_form(one: ExecutionResult) -> None:
    assert result_from_json(json.loads(json.dumps(result_to_json(one)))) == one


@given(st.text(st.characters() | st.sampled_from("\x00\ud800\udfff")))
def test_all_text_of_a_form_can_be_sent_and_stored(text: str) -> None:
    for form in (result_to_json(result(text)), result_to_json(result_from_json({**FORM, "output": output(text)}))):
        sent = json.dumps(form, ensure_ascii=False)
        assert sent.encode("utf-8")
        assert "\\u0000" not in sent
    assert len(storable(text)) == len(text), "nothing is left out"


def output(text: str) -> dict[str, object]:
    return {"head": [["out", text]], "omitted_bytes": 0, "tail": []}


FORM: dict[str, object] = {
    "ending": "exited",
    "exit_code": 0,
    "signal": None,
    "duration_s": 1,
    "output": {"head": [["out", "x"]], "omitted_bytes": 0, "tail": [["err", "y"]]},
}


def test_the_form_itself_is_well_formed() -> None:
    assert result_from_json(FORM).output.tail == (Chunk(stream=Stream.ERR, text="y"),)


@pytest.mark.parametrize(
    "change",
    [
        {"ending": "gone"},
        {"ending": None},
        {"ending": ["exited"]},
        {"exit_code": None},
        {"exit_code": True},
        {"exit_code": "0"},
        {"exit_code": 2**32},
        {"exit_code": -(2**31) - 1},
        {"signal": "SIGKILL"},
        {"exit_code": None, "signal": "SIGKILL"},
        {"ending": "signalled"},
        {"ending": "signalled", "exit_code": None, "signal": "kill -9"},
        {"ending": "signalled", "exit_code": None, "signal": 9},
        {"duration_s": "1"},
        {"duration_s": True},
        {"duration_s": -0.1},
        {"duration_s": float("nan")},
        {"duration_s": float("inf")},
        {"surplus": 1},
        {"output": None},
        {"output": {"head": [], "omitted_bytes": 0}},
        {"output": {"head": [], "omitted_bytes": -1, "tail": []}},
        {"output": {"head": [], "omitted_bytes": False, "tail": []}},
        {"output": {"head": [], "omitted_bytes": 1.0, "tail": []}},
        {"output": {"head": "out", "omitted_bytes": 0, "tail": []}},
        {"output": {"head": [["log", "x"]], "omitted_bytes": 0, "tail": []}},
        {"output": {"head": [["out", 1]], "omitted_bytes": 0, "tail": []}},
        {"output": {"head": [["out", "x", "y"]], "omitted_bytes": 0, "tail": []}},
        {"output": {"head": [{"out": "x"}], "omitted_bytes": 0, "tail": []}},
    ],
    ids=repr,
)
def test_anything_else_is_malformed(change: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        result_from_json({**FORM, **change})


@pytest.mark.parametrize("form", [None, [], "x", 1, {}, {key: FORM[key] for key in FORM if key != "signal"}])
def test_what_is_no_form_at_all_is_malformed(form: object) -> None:
    with pytest.raises(Malformed):
        result_from_json(form)
