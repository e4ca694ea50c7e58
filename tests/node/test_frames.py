"""Frames: what is encoded comes back, and nothing but a frame does."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.command import Command, CommandHash, FileDigest, Limits, NodeFingerprint, Request
from bot.domain.execution import Chunk, Ending, ExecutionId, ExecutionResult, Output, Stream
from bot.domain.node import Known, Pairing
from bot.errors import MalformedFrame
from bot.node.codec import decode, encode, frame_to_json
from bot.node.frames import (
    MAX_FRAME_BYTES,
    REPORTS,
    Accepted,
    Ack,
    Answers,
    Ask,
    Busy,
    Challenge,
    Declined,
    Finished,
    Frame,
    Go,
    Hello,
    Inspect,
    Inspected,
    NotKnown,
    Offer,
    Progress,
    Proof,
    Refused,
    Started,
    Stop,
    Welcome,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)
IDS = st.text("2345679ACFHKMQRWXY", min_size=6, max_size=6).map(ExecutionId)
NUMBERS = st.integers(0, 2**53 - 1)
TIMES = st.floats(0, 4e9, allow_nan=False)
KEYS = st.binary(min_size=32, max_size=32)
SIGNATURES = st.binary(min_size=64, max_size=64)
TOKENS = st.text("0123456789abcdef", min_size=32, max_size=32)
HASHES = st.text("0123456789abcdef", min_size=64, max_size=64).map(CommandHash)
MANY = st.none() | st.integers(1, 2**53 - 1)
LIMITS = st.builds(
    Limits,
    timeout_s=st.floats(0.1, 1e6),
    output_bytes=NUMBERS,
    memory_bytes=MANY,
    processes=MANY,
    open_files=MANY,
)
COMMANDS = st.builds(
    Command,
    node=TEXT.map(NodeFingerprint),
    argv=st.lists(TEXT, min_size=1, max_size=4).map(tuple),
    script=st.none() | TEXT,
    executable=TEXT,
    cwd=TEXT,
    cwd_id=st.builds("{}:{}".format, NUMBERS, NUMBERS),
    user=TEXT.filter(bool),
    gateway=TEXT,
    env=st.dictionaries(TEXT, TEXT, max_size=3).map(lambda env: tuple(sorted(env.items()))),
    limits=LIMITS,
    files=st.lists(st.builds(FileDigest, path=TEXT, sha256=TEXT), max_size=2).map(tuple),
)
CHUNKS = st.lists(st.builds(Chunk, stream=st.sampled_from(Stream), text=TEXT), max_size=3).map(tuple)
RESULTS = st.builds(
    ExecutionResult,
    ending=st.sampled_from([Ending.EXITED, Ending.TIMED_OUT, Ending.STOPPED]),
    exit_code=st.integers(0, 255),
    signal=st.none(),
    duration_s=TIMES,
    output=st.builds(Output, head=CHUNKS, omitted_bytes=NUMBERS, tail=CHUNKS),
)
REQUESTS = st.builds(
    Request, text=TEXT, argv=st.lists(TEXT, min_size=1, max_size=4).map(tuple), script=st.none() | TEXT
)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
FRAMES: st.SearchStrategy[Frame] = st.one_of(
    st.builds(
        Hello,
        versions=st.lists(NUMBERS, min_size=1, max_size=16).map(tuple),
        public_key=KEYS,
        nonce=KEYS,
        name=NAMES,
    ),
    st.builds(Challenge, version=NUMBERS, public_key=KEYS, nonce=KEYS, signature=SIGNATURES),
    st.builds(Proof, signature=SIGNATURES),
    st.builds(Welcome, pairing=st.sampled_from([Pairing.PENDING, Pairing.PAIRED])),
    st.builds(Inspect, number=NUMBERS, execution=IDS, request=REQUESTS, limits=LIMITS),
    st.builds(Inspected, number=NUMBERS, command=COMMANDS),
    st.builds(Offer, number=NUMBERS, execution=IDS, command=COMMANDS, hash=HASHES),
    st.builds(Accepted, number=NUMBERS, token=TOKENS),
    st.builds(Declined, number=NUMBERS, reason=TEXT, already_started=st.booleans()),
    st.builds(Busy, number=NUMBERS),
    st.builds(Go, execution=IDS, token=TOKENS),
    st.builds(Stop, execution=IDS),
    st.builds(Ask, executions=st.lists(st.tuples(IDS, st.booleans()), max_size=5).map(tuple)),
    st.builds(Answers, answers=st.lists(st.tuples(IDS, st.sampled_from(Known)), max_size=5).map(tuple)),
    st.builds(Started, execution=IDS, started_at=TIMES),
    st.builds(Progress, execution=IDS, live_tail=TEXT),
    st.builds(Finished, execution=IDS, result=RESULTS, started_at=TIMES, ended_at=TIMES),
    st.builds(Refused, execution=IDS, reason=TEXT),
    st.builds(NotKnown, execution=IDS, detail=TEXT),
    st.builds(Ack, execution=IDS, report=st.sampled_from(REPORTS)),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(FRAMES)
@settings(max_examples=300, deadline=None)
def test_every_frame_comes_back_as_it_was(frame: Frame) -> None:
    assert decode(encode(frame)) == frame


@given(st.text(max_size=200) | JSON.map(json.dumps))
@settings(max_examples=300, deadline=None)
def test_garbage_is_refused_and_never_anything_worse(text: str) -> None:
    with pytest.raises(MalformedFrame):
        decode(text)


@given(FRAMES, st.data())
@settings(max_examples=300, deadline=None)
def test_a_frame_with_one_field_changed_is_a_frame_or_refused(frame: Frame, data: st.DataObject) -> None:
    form = frame_to_json(frame)
    name = data.draw(st.sampled_from(sorted(form)))
    form[name] = data.draw(JSON)
    text = json.dumps(form)
    try:
        again = decode(text)
    except MalformedFrame:
        return
    assert decode(encode(again)) == again


@given(FRAMES, st.integers(0, 10_000))
@settings(max_examples=200, deadline=None)
def test_a_torn_frame_is_refused(frame: Frame, cut: int) -> None:
    whole = encode(frame)
    with pytest.raises(MalformedFrame):
        decode(whole[: cut % len(whole)])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"kind":"stop","execution":"7K3QA2","more":1}', "holds exactly execution"),
        ('{"kind":"stop"}', "holds exactly execution"),
        ('{"kind":"stop","kind":"stop","execution":"7K3QA2"}', "doubled names"),
        ('{"kind":"stop","execution":"../../etc"}', "stop.execution: is not an execution's id"),
        ('{"kind":"stop","execution":"7K3QA2\\n"}', "stop.execution"),
        ('{"kind":"format_disk"}', "no kind that this side knows"),
        ('{"kind":["stop"]}', "no kind that this side knows"),
        ("[1]", "JSON object"),
        ('{"kind":"busy","number":true}', "busy.number: is not a count"),
        ('{"kind":"busy","number":1.0}', "busy.number: is not a count"),
        ('{"kind":"started","execution":"7K3QA2","started_at":NaN}', "one JSON object"),
        ('{"kind":"started","execution":"7K3QA2","started_at":1e400}', "started_at"),
        ('{"kind":"started","execution":"7K3QA2","started_at":' + "9" * 400 + "}", "started_at"),
        ('{"kind":"refused","execution":"7K3QA2","reason":"\\ud800"}', "UTF-8"),
        ('{"kind":"welcome","pairing":"revoked"}', "welcome.pairing"),
        ("[" * 100_000, "one JSON object"),
        ('{"kind":"busy","number":' + "1" * 5_000 + "}", "one JSON object"),
    ],
)
def test_a_fault_is_named_by_its_place(text: str, fault: str) -> None:
    with pytest.raises(MalformedFrame, match=fault):
        decode(text)


def test_f097_a_frame_over_the_bound_is_refused_on_both_ends() -> None:
    chunks = (Chunk(stream=Stream.OUT, text="x" * MAX_FRAME_BYTES),)
    result = ExecutionResult(ending=Ending.EXITED, exit_code=0, signal=None, duration_s=1.0, output=Output(head=chunks))
    with pytest.raises(MalformedFrame, match="bytes"):
        encode(Finished(execution=ExecutionId("7K3QA2"), result=result, started_at=1.0, ended_at=2.0))
    with pytest.raises(MalformedFrame, match="bytes"):
        decode('{"kind":"' + "é" * (MAX_FRAME_BYTES // 2) + '"}')


def test_text_that_utf8_cannot_carry_is_not_sent() -> None:
    with pytest.raises(MalformedFrame, match="surrogate"):
        encode(Refused(execution=ExecutionId("7K3QA2"), reason="\udcff"))
