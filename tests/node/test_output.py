"""Output: bytes become text without a broken character or a control sequence; what is kept is bounded and says so."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.execution import Chunk, Output, Stream
from bot.node.capture import TAIL_CHARS, TAIL_LINES, Capture
from bot.node.plain import Plain

OUT, ERR = Stream.OUT, Stream.ERR


def shown(*blocks: bytes, bound_bytes: int = 100_000) -> str:
    capture = Capture(bound_bytes)
    for block in blocks:
        capture.feed(OUT, block)
    capture.end(OUT)
    capture.end(ERR)
    return capture.output().text()


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x1b[1;31mred\x1b[0m plain", "red plain"),
        (b"\x1b]0;a title\x07after", "after"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1b(B\x1b7\x1b[?25lhidden cursor\x1b8", "hidden cursor"),
        (b"\x1bPq#0;2\x1b\\sixel", "sixel"),
        (b"bell\x07 null\x00", "bell null"),
        (b"a\r\nb\r\r\nc\n", "a\nb\nc\n"),
        (b" 10%\r 50%\r100%\ndone\n", "100%\ndone\n"),
        (b"wait...\r", "wait..."),
        (b"\tcolumn\n", "\tcolumn\n"),
        ("Grüße 🚀\n".encode(), "Grüße 🚀\n"),
        (b"latin \xe9\n", "latin \ufffd\n"),
        ("c1 \x9b31m\n".encode(), "c1 31m\n"),
        (b"unfinished \x1b[31", "unfinished [31"),
    ],
)
def test_f095_a_chat_gets_text_however_the_bytes_are_cut(raw: bytes, text: str) -> None:
    assert shown(raw) == text
    assert shown(*(raw[at : at + 1] for at in range(len(raw)))) == text
    for at in range(len(raw)):
        assert shown(raw[:at], raw[at:]) == text


def test_overstruck_letters_are_shown_once() -> None:
    assert shown(b"_\x08b_\x08o_\x08l_\x08d") == "bold"


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=5))
@settings(max_examples=300, deadline=None)
def test_no_control_character_is_left_whatever_the_bytes_are(raw: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(raw)]
    text = shown(*(raw[first:last] for first, last in pairwise(edges)))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    text.encode()


def test_an_endless_sequence_is_not_held_back_for_ever() -> None:
    plain = Plain()
    kept = [plain.feed(b"\x1b]" + b"x" * 1_000)[1] for _ in range(10)]
    assert "x" * 100 in "".join(kept)


def test_both_streams_stay_apart_and_in_order() -> None:
    capture = Capture(10_000)
    for stream, raw in ((OUT, b"one\n"), (ERR, b"two\n"), (OUT, b"three\n"), (OUT, b"four\n")):
        capture.feed(stream, raw)
    assert capture.output() == Output(
        head=(
            Chunk(stream=OUT, text="one\n"),
            Chunk(stream=ERR, text="two\n"),
            Chunk(stream=OUT, text="three\nfour\n"),
        )
    )


def test_a_bar_of_one_stream_leaves_the_other_alone() -> None:
    capture = Capture(10_000)
    capture.feed(OUT, b"10%")
    capture.feed(ERR, b"warning\n")
    capture.feed(OUT, b"\r20%\n")
    assert capture.output().text() == "10%warning\n20%\n"


def test_f094_the_head_and_the_tail_are_kept_and_the_cut_is_said() -> None:
    capture = Capture(2_000)
    lines = [f"line {number}\n" for number in range(10_000)]
    for line in lines:
        capture.feed(OUT, line.encode())
    output = capture.output()
    head, tail = output.head[0].text, output.tail[0].text
    whole = "".join(lines)
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert len(head) + output.omitted_bytes + len(tail) == len(whole)
    assert f"[{output.omitted_bytes} bytes omitted]" in output.text()
    assert len(head) > 900
    assert len(tail) > 900


@given(
    st.lists(st.tuples(st.sampled_from(Stream), st.text("aé🚀\n", max_size=40)), max_size=80),
    st.integers(100, 800),
)
@settings(max_examples=300, deadline=None)
def test_what_is_kept_is_bounded_and_what_is_not_is_counted(wrote: list[tuple[Stream, str]], bound: int) -> None:
    capture = Capture(bound)
    for stream, text in wrote:
        capture.feed(stream, text.encode())
    output = capture.output()
    chunks = [*output.head, *output.tail]
    kept = sum(len(chunk.text.encode()) for chunk in chunks)
    assert kept + output.omitted_bytes == sum(len(text.encode()) for _, text in wrote)
    assert kept <= bound
    if not output.omitted_bytes:
        assert output.text() == "".join(text for _, text in wrote)


def test_two_streams_that_take_turns_stay_within_a_frame() -> None:
    capture = Capture(100_000)
    for _ in range(50_000):
        capture.feed(OUT, b"o")
        capture.feed(ERR, b"e")
    output = capture.output()
    assert len(output.head) + len(output.tail) < 100_000 / 16 + 2
    assert output.omitted_bytes > 0


def test_the_live_tail_is_the_last_lines_and_short() -> None:
    capture = Capture(10_000)
    for number in range(100):
        capture.feed(OUT, f"line {number}\n".encode())
    assert capture.live_tail().splitlines() == [f"line {number}" for number in range(100 - TAIL_LINES, 100)]
    capture.feed(OUT, b"x" * 50_000)
    assert len(capture.live_tail()) <= TAIL_CHARS
    assert capture.live_tail().endswith("xxx")
