"""Masking of output: over the borders of chunks, streams and of the cut, and of what still runs (F-119)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.execution import Chunk, Output, Stream
from bot.domain.mask import Masker
from tests.domain.test_mask import BESIDE, DRAWN, KEY_BODY, TOKENS, VALUE, key

SECRET = "correct-Horse-ßtaple"
MASKER = Masker([SECRET])
OUT, ERR = Stream.OUT, Stream.ERR


def chunks(*some: tuple[Stream, str]) -> tuple[Chunk, ...]:
    return tuple(Chunk(stream=stream, text=text) for stream, text in some)


def text_of(some: Sequence[Chunk], stream: Stream | None = None) -> str:
    return "".join(chunk.text for chunk in some if stream in (None, chunk.stream))


pieces = st.lists(
    st.sampled_from(
        [
            SECRET,
            *(token for tokens in TOKENS.values() for token in tokens),
            *(line.format(VALUE) for line, _ in BESIDE),
            key(), "an ordinary line", "grüße 🦆", "‹secret›", "\n", " ", "=",
        ]
    ),
    max_size=6,
).map("\n".join)  # fmt: skip


def bare(text: str) -> str:
    """What is left beside the marks: two that stand side by side hide no less than one."""
    return re.sub(r"‹secret(?:: [^›]*)?›", "", text)


def cut_up(text: str, at: Sequence[int], stream: Stream) -> list[Chunk]:
    places = sorted({0, len(text), *(place % (len(text) + 1) for place in at)})
    return [Chunk(stream=stream, text=text[one:other]) for one, other in itertools.pairwise(places)]


@given(pieces, st.lists(st.integers(0, 10_000), max_size=8))
def test_f119_however_a_stream_is_cut_into_chunks_it_is_masked_as_its_whole(text: str, at: list[int]) -> None:
    masked = MASKER.output(Output(head=tuple(cut_up(text, at, OUT))))
    assert masked.text() == MASKER.text(text)
    assert MASKER.output(masked) == masked


@given(pieces, pieces, st.lists(st.integers(0, 10_000), max_size=6), st.data())
def test_f119_in_whatever_order_two_streams_come_neither_shows_a_secret(
    out: str, err: str, at: list[int], data: st.DataObject
) -> None:
    left = {OUT: cut_up(out, at, OUT), ERR: cut_up(err, at[::-1], ERR)}
    came: list[Chunk] = []
    while left[OUT] or left[ERR]:
        stream = data.draw(st.sampled_from([stream for stream in Stream if left[stream]]))
        came.append(left[stream].pop(0))
    masked = MASKER.output(Output(head=tuple(came)))
    assert [chunk.stream for chunk in masked.head] == [chunk.stream for chunk in came]
    for stream in Stream:
        shown = text_of(masked.head, stream)
        assert bare(MASKER.text(shown)) == bare(shown)
        assert SECRET not in shown
    assert bare(MASKER.text(text_of(masked.head))) == bare(text_of(masked.head))
    # Where neighbours are put together the whole is the same.
    joined: list[Chunk] = []
    for chunk in came:
        if joined and joined[-1].stream is chunk.stream:
            joined[-1] = replace(chunk, text=joined[-1].text + chunk.text)
        else:
            joined.append(chunk)
    assert bare(MASKER.output(Output(head=tuple(joined))).text()) == bare(masked.text())


def test_f119_a_secret_with_the_other_stream_in_between_is_masked_in_both_its_pieces() -> None:
    masked = MASKER.output(Output(head=chunks((OUT, f"a {SECRET[:7]}"), (ERR, "oh"), (OUT, f"{SECRET[7:]} b"))))
    assert masked.head == chunks((OUT, "a ‹secret›"), (ERR, "oh"), (OUT, " b"))


def test_f119_a_secret_that_two_streams_write_together_is_masked() -> None:
    masked = MASKER.output(Output(head=chunks((OUT, f"a {SECRET[:7]}"), (ERR, f"{SECRET[7:]} b"))))
    assert masked.text() == "a ‹secret› b"


def test_an_output_without_a_secret_is_itself() -> None:
    output = Output(head=chunks((OUT, "a\n"), (ERR, ""), (ERR, "b")), omitted_bytes=5, tail=chunks((OUT, "c")))
    assert MASKER.output(output) == output
    assert MASKER.output(Output()) == Output()


# --- the cut ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", range(4, len(SECRET) - 3))
def test_f119_a_configured_secret_that_the_cut_tore_apart_shows_neither_piece(at: int) -> None:
    output = Output(
        head=chunks((OUT, f"begin {SECRET[:at]}")), omitted_bytes=9, tail=chunks((OUT, f"{SECRET[at:]} end"))
    )
    masked = MASKER.output(output)
    assert text_of(masked.head) == "begin ‹secret›"
    assert text_of(masked.tail) == "‹secret› end"
    assert masked.omitted_bytes == 9
    assert MASKER.output(masked) == masked


def test_f119_the_rest_of_a_token_behind_the_cut_is_masked_and_so_is_its_begin() -> None:
    token = f"ghp_{DRAWN}"
    output = Output(head=chunks((OUT, f"begin {token[:17]}")), omitted_bytes=9, tail=chunks((ERR, f"{token[17:]} end")))
    masked = MASKER.output(output)
    assert (text_of(masked.head), text_of(masked.tail)) == ("begin ‹secret›", "‹secret› end")


def test_f119_lines_of_a_private_key_behind_the_cut_are_masked_with_and_without_its_end() -> None:
    torn = KEY_BODY[40:]
    for end in ("", "-----END RSA PRIVATE KEY-----\n"):
        masked = MASKER.output(Output(omitted_bytes=9, tail=chunks((OUT, f"{torn}\n{end}it is done\n"))))
        assert "it is done" in text_of(masked.tail)
        for line in torn.splitlines():
            assert line not in text_of(masked.tail)


def test_where_nothing_was_cut_the_ends_are_left_as_they_are() -> None:
    output = Output(head=chunks((OUT, f"{DRAWN} and {SECRET[:9]}")))
    assert MASKER.output(output) == output


def test_the_cut_masks_no_words_no_digests_and_nothing_shorter_than_a_piece() -> None:
    digest = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
    output = Output(
        head=chunks((OUT, f"commit {digest}")), omitted_bytes=9, tail=chunks((OUT, f"{digest[9:]} is the commit"))
    )
    assert MASKER.output(output) == output
    short = Output(head=chunks((OUT, f"x {SECRET[:3]}")), omitted_bytes=9, tail=chunks((OUT, f"{SECRET[-3:]} y")))
    assert MASKER.output(short) == short
    repeated = Output(head=chunks((OUT, "corr corr correct")), omitted_bytes=9)
    assert text_of(MASKER.output(repeated).head) == "corr corr ‹secret›"
    alike = Output(head=chunks((OUT, "correct-correct!")), omitted_bytes=9)
    assert MASKER.output(alike) == alike


def test_f119_the_live_tail_may_begin_and_end_within_a_secret() -> None:
    assert MASKER.tail(f"{SECRET[9:]} x {SECRET[:9]}") == "‹secret› x ‹secret›"
    assert MASKER.tail(f"{DRAWN} x\n{SECRET}\nnow {DRAWN[:16]}") == "‹secret› x\n‹secret›\nnow ‹secret›"
    assert MASKER.tail("50 % of /usr/lib/x86_64") == "50 % of /usr/lib/x86_64"
    assert Masker().tail("") == ""


def test_f119_what_the_other_stream_tore_apart_in_the_live_tail_is_masked_in_its_pieces() -> None:
    token = f"ghp_{DRAWN}"
    assert MASKER.tail(f"a {SECRET[:9]}, oh no\n{SECRET[9:]} b\n") == "a ‹secret›, oh no\n‹secret› b\n"
    assert MASKER.tail(f"a {token[:9]}, oh no\n{token[9:]} b\n") == "a ‹secret›, oh no\n‹secret› b\n"
    plain = "commit da39a3ee5e6b4b0d3255bfef95601890afd80709 of averylongwordwithout digits\n"
    assert MASKER.tail(plain) == plain
    url = "postgresql://homing:sesame-open@db/homing"
    assert Masker([url]).tail("postgresql is up\n") == "postgresql is up\n"
