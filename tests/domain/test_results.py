"""The output as a file beside a message: whole where the network takes it, told apart from what is only inline.

Deliberately absent: how every way out is worded, which is in `test_render`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.domain.event import ShowOutput
from bot.domain.execution import Chunk, Execution, ExecutionState, Output, Stream
from bot.domain.message import Action, Attachment, Button, Capabilities, Code, Heading, Post, PostKind
from bot.domain.parts import MAX_PARTS, size, split, visible
from bot.domain.render import render
from bot.domain.results import output_file, whole_output
from tests.domain.made import CHAT, execution, result, said
from tests.domain.test_render import SMALL, TIGHTEST, actions, code, told, words

S = ExecutionState
FILE_BYTES = 1_000_000
LONG = "".join(f"line {number} 🦆\u202e\n" for number in range(3_000))
EVERY = [TIGHTEST, SMALL, CHAT]


def with_files(capabilities: Capabilities, file_bytes: int = FILE_BYTES) -> Capabilities:
    return replace(capabilities, file_bytes=file_bytes)


def ended(text: str, *, omitted_bytes: int = 0) -> Execution:
    return execution(S.FINISHED, ended=result(said(("out", text), omitted_bytes=omitted_bytes)))


# --- the result -----------------------------------------------------------------------------------


@pytest.mark.parametrize("capabilities", EVERY)
def test_a_cut_result_carries_the_whole_output_as_a_file_and_offers_no_second_way_to_it(
    capabilities: Capabilities,
) -> None:
    posts = told(ended(LONG), capabilities=with_files(capabilities))
    assert posts[-1].attachment == Attachment(name="7K3QAC.txt", text=visible(LONG))
    assert "characters left out here; the whole is in the file]" in words(*posts)
    assert "behind: output" not in words(*posts)
    assert actions(posts[-1]) == [Action.AGAIN]


@pytest.mark.parametrize("capabilities", EVERY)
def test_where_no_files_are_taken_a_cut_result_has_a_button_and_no_file(capabilities: Capabilities) -> None:
    posts = told(ended(LONG), capabilities=capabilities)
    assert all(post.attachment is None for post in posts)
    assert "the whole is behind: output 7K3QAC]" in words(*posts)
    assert "in the file" not in words(*posts)
    assert actions(posts[-1]) == [Action.AGAIN, Action.OUTPUT]


@pytest.mark.parametrize("text", ["", "all is well\n", "x" * 1_000])
def test_a_result_that_is_shown_whole_is_the_same_with_files_and_without(text: str) -> None:
    assert told(ended(text), capabilities=with_files(CHAT)) == told(ended(text))
    assert told(ended(text))[-1].attachment is None


def test_output_that_changes_stream_all_the_time_but_is_shown_whole_has_no_file() -> None:
    chunks = [("out" if number % 2 else "err", f"{number}\n") for number in range(7)]
    one = execution(S.FINISHED, ended=result(said(*chunks)))
    assert told(one, capabilities=with_files(CHAT)) == told(one)
    assert told(one)[-1].attachment is None


def test_what_the_node_cut_is_a_file_even_if_the_rest_fits_and_the_file_says_what_is_missing() -> None:
    output = Output(
        head=(Chunk(stream=Stream.OUT, text="first\n"),),
        omitted_bytes=777,
        tail=(Chunk(stream=Stream.ERR, text="last\n"),),
    )
    [post] = told(execution(S.FINISHED, ended=result(output)), capabilities=with_files(CHAT))
    assert post.attachment == Attachment(name="7K3QAC.txt", text="first\n\n[777 bytes omitted]\nlast\n")
    assert actions(post) == [Action.AGAIN]


@pytest.mark.parametrize("state", [state for state in ExecutionState if state is not S.FINISHED])
def test_a_way_out_without_output_has_no_file(state: ExecutionState) -> None:
    one = replace(execution(state), live_tail=LONG)
    assert all(post.attachment is None for post in told(one, capabilities=with_files(TIGHTEST)))


# --- the whole output on request ------------------------------------------------------------------


@given(st.integers(0, 2_000), st.sampled_from(EVERY))
@example(SMALL.text_chars - 80, SMALL)
def test_the_whole_output_is_a_file_only_when_one_message_cannot_hold_it(
    length: int, capabilities: Capabilities
) -> None:
    one = ended("x" * length)
    inline, post = whole_output(one, capabilities), whole_output(one, with_files(capabilities))
    if size(inline) <= capabilities.text_chars:
        assert post == inline
        assert post.attachment is None
    else:
        assert post.attachment == Attachment(name="7K3QAC.txt", text="x" * length)
        assert words(post) == "Output of 7K3QAC\nIt is in the file."
        assert size(post) <= capabilities.text_chars


def test_the_whole_output_that_fits_to_the_character_is_no_file_and_one_more_makes_it_one() -> None:
    room = SMALL.text_chars - size(whole_output(ended("x"), SMALL)) + 1
    assert whole_output(ended("x" * room), with_files(SMALL)).attachment is None
    assert whole_output(ended("x" * (room + 1)), with_files(SMALL)).attachment is not None


def test_the_whole_output_is_one_message_with_a_file_and_many_without() -> None:
    one = ended(LONG)
    [post] = render(ShowOutput(execution_id=one.id), one, with_files(SMALL))
    assert post.attachment == Attachment(name="7K3QAC.txt", text=visible(LONG))
    assert code(post) == ""
    many = render(ShowOutput(execution_id=one.id), one, SMALL)
    assert len(many) > 1
    assert all(post.attachment is None for post in many)


# --- the file -------------------------------------------------------------------------------------

characters = st.text(st.sampled_from("ab\n\t é€🦆\u202e\u200b⟨\ud800"), max_size=100)
texts = characters | st.text(max_size=300) | st.tuples(characters, st.integers(0, 100)).map(lambda two: two[0] * two[1])


@given(texts, st.integers(200, 5_000))
@example("🦆" * 51, 203).via("one byte too many, of four-byte characters only")
@example("🦆" * 10_000, 200)
@example("\u200b" * 3_000, 200)
def test_a_file_never_exceeds_its_limit_in_bytes_and_is_the_whole_output_when_that_fits(
    text: str, limit_bytes: int
) -> None:
    found = output_file(ended(text), limit_bytes)
    whole = visible(text)
    if not whole:
        assert found is None
        return
    assert found is not None
    assert found.name == "7K3QAC.txt"
    assert len(found.text.encode("utf-8")) <= limit_bytes
    if len(whole.encode("utf-8")) <= limit_bytes:
        assert found.text == whole
    else:
        assert "characters left out here]" in found.text


def test_a_file_that_is_cut_keeps_the_beginning_and_the_end_and_says_so() -> None:
    found = output_file(ended("".join(f"line {number}\n" for number in range(3_000))), 2_000)
    assert found is not None
    assert found.text.startswith("line 0\n")
    assert found.text.endswith("line 2999\n")
    assert len(found.text) > 1_500, "no more is taken off than has to be"


@pytest.mark.parametrize("state", [state for state in ExecutionState if state is not S.FINISHED])
def test_what_has_no_result_has_no_file(state: ExecutionState) -> None:
    assert output_file(replace(execution(state), live_tail="so far"), FILE_BYTES) is None


def test_an_end_without_output_has_no_file() -> None:
    assert output_file(ended(""), FILE_BYTES) is None
    assert output_file(execution(S.FINISHED, ended=result(said(("out", ""), ("err", "")))), FILE_BYTES) is None


# --- parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [10, 5_000, 100_000])
def test_of_a_post_in_parts_only_the_last_carries_the_file(length: int) -> None:
    attachment = Attachment(name="7K3QAC.txt", text="all of it")
    one = execution(S.FINISHED)
    assert one.command_hash is not None
    button = Button(action=Action.AGAIN, execution_id=one.id, shown=one.command_hash)
    blocks = (Heading(spans=("Ended",)), Code(text="x" * length, label="Output"))
    post = Post(kind=PostKind.RESULT, blocks=blocks, buttons=(button,), mention="77", attachment=attachment)
    *others, last = split(post, SMALL)
    assert (last.attachment, last.buttons) == (attachment, (button,))
    assert all(part.attachment is None for part in others)
    assert len(others) < MAX_PARTS
    assert bool(others) == (length > SMALL.text_chars)


@pytest.mark.parametrize("file_bytes", [1, 999])
def test_a_channel_takes_no_files_or_ones_that_can_say_that_they_are_cut(file_bytes: int) -> None:
    with pytest.raises(ValueError, match="at least 1000 bytes"):
        Capabilities(text_chars=500, code_chars=200, file_bytes=file_bytes)
