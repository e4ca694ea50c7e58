"""What people read of an execution: a card in every state, a told text for every way out, nothing cut unsaid."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.domain.command import FileDigest, Limits, command_hash, parse_request
from bot.domain.event import Payload, Say, ShowCard, ShowOutput, TellOutcome
from bot.domain.execution import (
    FINAL,
    Chunk,
    Ending,
    Execution,
    ExecutionResult,
    ExecutionState,
    Output,
    Stream,
)
from bot.domain.message import (
    Action,
    Capabilities,
    Code,
    Facts,
    FormField,
    Heading,
    Instant,
    Post,
    PostKind,
    Prose,
    Span,
)
from bot.domain.parts import MAX_PARTS, size, visible
from bot.domain.render import Line, card, card_line, fits_one_message, render
from bot.domain.results import ending_words, outcome, title
from bot.domain.session import AccountName, NativeId, Peer, PersonId, ThreadId
from bot.domain.terms import Terms
from tests.domain.made import CHAT, PEER, command_of, execution, result, said

S = ExecutionState
ENDS = [*sorted(FINAL), S.LOST]
SMALL = Capabilities(text_chars=1_000, code_chars=800)
TIGHTEST = Capabilities(text_chars=500, code_chars=200)
HOSTILE = "echo \u202ecod\u202c \u200b\x1b[2J ⟨U+0041⟩ \u3164"


def words(*posts: Post) -> str:
    """All that stands in the messages, in order, as a person reads it."""
    lines: list[str] = []
    for post in posts:
        for block in post.blocks:
            if isinstance(block, (Heading, Prose)):
                lines.append(_text(block.spans))
            elif isinstance(block, Facts):
                lines += [f"{label}: {_text(spans)}" for label, spans in block.rows]
            else:
                lines += [f"{block.label}:", block.text]
    return "\n".join(lines)


def _text(spans: tuple[Span, ...]) -> str:
    return "".join(f"<{span.at:.0f}>" if isinstance(span, Instant) else span for span in spans)


def code(*posts: Post, label: str | None = None) -> str:
    return "".join(
        block.text
        for post in posts
        for block in post.blocks
        if isinstance(block, Code) and label in (None, block.label)
    )


def told(one: Execution, state: ExecutionState | None = None, capabilities: Capabilities = CHAT) -> tuple[Post, ...]:
    return render(TellOutcome(execution_id=one.id, state=state or one.state), one, capabilities)


def actions(post: Post) -> list[Action]:
    return [button.action for button in post.buttons]


# --- the card -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "sign", "also", "buttons"),
    [
        (S.PREPARING, "⏳ Being prepared", ["Expires: <1700001800>"], []),
        (
            S.AWAITING_APPROVAL,
            "⚠️ Approval needed",
            [
                "Waiting for one of: bob, cleo. Expires <1700001800>.",
                "Rule: ask sre",
                "Or type: approve 7K3QAC, or: deny 7K3QAC <reason>",
            ],
            [Action.APPROVE, Action.STOP, Action.DENY],
        ),
        (
            S.APPROVED,
            "✅ Approved, waiting for the node",
            ["Approved by bob, <1700000100>.", "Expires: <1700001800>"],
            [Action.STOP],
        ),
        (S.DISPATCHED, "⏳ Handed to the node", ["Approved by bob, <1700000100>."], [Action.STOP]),
        (S.RUNNING, "⏳ Running", ["Running since <1700000200>.", "Decided by: bob"], [Action.STOP]),
        (S.LOST, "❓ Not known whether it ran", ["never started a second time by itself", "Decided by: bob"], []),
        (S.DENIED, "❌ Denied, nothing ran", ["not now", "Decided by: bob"], []),
        (S.EXPIRED, "⏱ Expired, nothing ran", ["not now"], []),
        (S.CANCELLED, "⏹ Cancelled, nothing ran", ["not now"], []),
        (S.REFUSED, "🚫 Refused, nothing ran", ["not now"], []),
        (S.FINISHED, "✅ Finished, exit 0", ["Ended after 1.2 s. The result is a message of its own."], []),
    ],
)
def test_an_execution_has_a_card_in_every_state(
    state: ExecutionState, sign: str, also: list[str], buttons: list[Action]
) -> None:
    one = execution(state, "df -h | tail", reason="not now" if state in FINAL else None)
    post = card(one, CHAT)
    text = words(post)
    assert text.startswith(f"{sign} · 7K3QAC\n")
    assert code(post, label="Command") == "df -h | tail"
    for line in ["Node: web-1", "Asked by: Ada (discord:77), <1700000000>", *also]:
        assert line in text
    if state is not S.PREPARING:
        assert (
            "Runs: as a shell script, by /usr/bin/dash\nDirectory: /srv/app\nRuns as: homing\nLimits: 1 min 30 s"
            in text
        )
    assert actions(post) == buttons
    assert {button.shown for button in post.buttons} <= {one.command_hash}
    assert (post.kind, post.status, post.execution_id) == (PostKind.CARD, state.value, "7K3QAC")


def test_every_state_stands_on_a_card_in_a_sign_and_a_word_of_its_own() -> None:
    titles = {title(execution(state)) for state in ExecutionState}
    assert len(titles) == len(ExecutionState)
    assert all(any(letter.isalpha() for letter in one) for one in titles), "never told by a sign alone"


def test_what_was_refused_before_it_was_inspected_is_one_line() -> None:
    one = replace(execution(S.REFUSED, reason="the node web-1 is not connected"), command=None, command_hash=None)
    post = card(one, CHAT)
    assert words(post) == "🚫 Refused, nothing ran · 7K3QAC: the node web-1 is not connected"
    assert (post.kind, post.buttons) == (PostKind.NOTICE, ())
    assert words(card(replace(one, reason=None), CHAT)) == "🚫 Refused, nothing ran · 7K3QAC"


def test_a_way_out_without_a_reason_says_that_none_was_given() -> None:
    assert "No reason was given." in words(card(execution(S.DENIED), CHAT))


def test_what_a_rule_allowed_says_which_and_names_no_decider() -> None:
    one = replace(execution(S.APPROVED), decided_by=None, decided_at=None)
    assert "Allowed by the rule “ask sre”." in words(card(one, CHAT))
    assert "Approved by bob." in words(card(replace(execution(S.APPROVED), decided_at=None), CHAT))


def test_a_stop_that_was_asked_for_is_not_offered_again() -> None:
    one = replace(execution(S.RUNNING), stop_wanted_by=PersonId("bob"), started_at=None)
    assert actions(card(one, CHAT)) == []
    assert "Running." in words(card(one, CHAT))


def test_a_command_without_a_shell_says_so_and_script_files_are_named_with_their_digests() -> None:
    command = command_of("python3 x.py", files=(FileDigest(path="/srv/app/x.py", sha256="b" * 64),))
    one = replace(execution(S.AWAITING_APPROVAL, "python3 x.py"), command=command, command_hash=command_hash(command))
    text = words(card(one, CHAT))
    assert "Runs: without a shell: /usr/bin/python3" in text
    assert "Script: /srv/app/x.py (SHA-256 bbbbbbbbbbbb…)" in text
    assert "/usr/bin/python3 (SHA-256" not in text, "the program itself is named above"


def test_f083_no_path_on_a_card_looks_like_another() -> None:
    command = command_of("python3 x.py", files=(FileDigest(path="/srv/\u0430pp/x.py", sha256="b" * 64),))
    command = replace(command, executable="/opt/\u0440ython3", cwd="/srv/\u0430pp")
    one = replace(execution(S.AWAITING_APPROVAL, "python3 x.py"), command=command, command_hash=command_hash(command))
    text = words(card(one, CHAT))
    assert "Runs: without a shell: /opt/⟨U+0440⟩ython3" in text
    assert "Directory: /srv/⟨U+0430⟩pp" in text
    assert "Script: /srv/⟨U+0430⟩pp/x.py" in text


@pytest.mark.parametrize("state", [S.AWAITING_APPROVAL, S.DENIED, S.REFUSED])
def test_f116_no_name_and_no_reason_begins_what_looks_like_the_next_line_of_ours(state: ExecutionState) -> None:
    forged = "x\nDecided by: cleo\tApproved"
    one = replace(execution(state, reason=forged), asker_name=forged)
    bare = replace(one, command=None, command_hash=None)
    posts = [
        card(one, CHAT),
        *([outcome(one, state, CHAT), card(bare, CHAT)] if state is not S.AWAITING_APPROVAL else []),
    ]
    for post in posts:
        text = words(post)
        assert "x ⏎ Decided by: cleo⟨U+0009⟩Approved" in text
        assert "\nDecided by: cleo" not in text


def test_f116_the_card_says_which_agent_worded_it_and_what_that_had_read() -> None:
    one = replace(execution(S.AWAITING_APPROVAL), worded_by="main\u202e")
    assert "Worded by: the agent main⟨U+202E⟩\n" in words(card(one, CHAT))
    read = replace(one, read_untrusted=True)
    assert "the agent main⟨U+202E⟩, which had read output or other words of unknown origin" in words(card(read, CHAT))
    assert "Worded by" not in words(card(execution(S.AWAITING_APPROVAL), CHAT))


def test_an_asker_who_is_called_what_they_are_is_named_once() -> None:
    one = replace(execution(S.RUNNING), asker=PersonId("Ada"))
    assert "Asked by: Ada, <1700000000>" in words(card(one, CHAT))


@pytest.mark.parametrize("state", [S.DISPATCHED, S.RUNNING, S.LOST])
def test_the_newest_output_stands_on_the_card_while_it_runs(state: ExecutionState) -> None:
    tail = "".join(f"{number}\n" for number in range(1_000))
    post = card(replace(execution(state), live_tail=tail), CHAT)
    shown = code(post, label="Output so far")
    assert shown
    assert tail.endswith(shown)
    assert size(post) <= CHAT.text_chars


def test_a_tail_is_gone_with_the_end() -> None:
    assert code(card(replace(execution(S.FINISHED), live_tail="old"), CHAT), label="Output so far") == ""


def test_a_tail_that_has_no_room_beside_the_command_is_left_out() -> None:
    one = replace(execution(S.RUNNING, "echo " + "x" * 5_000), live_tail="so far")
    post = card(one, CHAT)
    assert size(post) <= CHAT.text_chars
    assert "left out here" in code(post, label="Command")


# --- copies of the card, and the line below one that cannot be edited -----------------------------

ELSEWHERE = replace(PEER, id=NativeId("9\u202e9"))
NOT_ITS_OWN = [ELSEWHERE, replace(PEER, thread=ThreadId("17")), replace(PEER, account=AccountName("second"))]
ASKED_IN = "Asked in: discord channel 1469129735133932162"


@pytest.mark.parametrize("here", NOT_ITS_OWN)
@pytest.mark.parametrize("state", ExecutionState)
def test_a_copy_of_the_card_names_where_it_was_asked_and_shows_no_output_in_any_state(
    state: ExecutionState, here: Peer
) -> None:
    secret = "the secret word"
    one = replace(execution(state, ended=result(said(("out", secret), ("err", secret)))), live_tail=secret)
    own, copy = card(one, CHAT), card(one, CHAT, here=here)
    assert ASKED_IN in words(copy)
    assert "Asked in" not in words(own)
    assert secret not in words(copy)
    assert code(copy) == code(copy, label="Command") == "df -h", "no block but the command's shows code"
    assert (copy.buttons, copy.status, copy.execution_id) == (own.buttons, own.status, own.execution_id)
    assert words(copy).startswith(title(one))


@pytest.mark.parametrize("state", ExecutionState)
def test_where_it_was_asked_the_card_is_the_same_whether_the_place_is_said_or_not(state: ExecutionState) -> None:
    one = replace(execution(state), live_tail="so far")
    assert card(one, CHAT, here=PEER) == card(one, CHAT)
    assert render(ShowCard(execution_id=one.id), one, CHAT, here=PEER) == (card(one, CHAT),)
    assert render(ShowCard(execution_id=one.id), one, CHAT, here=ELSEWHERE) == (card(one, CHAT, here=ELSEWHERE),)


def test_f083_the_place_that_a_copy_names_hides_nothing() -> None:
    one = execution(S.AWAITING_APPROVAL)
    one = replace(one, origin=replace(one.origin, peer=ELSEWHERE))
    assert "Asked in: discord channel 9⟨U+202E⟩9" in words(card(one, CHAT, here=PEER))


def test_f083_people_at_a_copy_are_asked_only_if_the_command_fits_beside_where_it_was_asked() -> None:
    commands = [execution(S.AWAITING_APPROVAL, "echo " + "x" * length) for length in range(3_000, 4_000)]
    at_home = sum(fits_one_message(one, CHAT) for one in commands)
    at_copy = sum(fits_one_message(one, CHAT, here=ELSEWHERE) for one in commands)
    row = len("Asked in") + 4 + len("discord channel 1469129735133932162")
    assert 0 < at_copy == at_home - row
    assert at_home == sum(fits_one_message(one, CHAT, here=PEER) for one in commands)


@given(st.integers(1, 8_000), st.integers(400, 4_000), st.integers(200, 4_000))
def test_f083_with_a_file_the_card_fits_and_the_file_holds_the_whole(length: int, text: int, code_chars: int) -> None:
    capabilities = Capabilities(text_chars=text, code_chars=code_chars, file_bytes=20_000, card_files=True)
    one = execution(S.AWAITING_APPROVAL, "x" * length)
    shown = card(one, capabilities)
    if shown.attachment is None:
        assert code(shown, label="Command") == "x" * length
    else:
        assert shown.attachment.text == "x" * length
        assert "the whole is in the file" in code(shown, label="Command")
        assert size(shown) <= text


def test_f083_the_card_says_as_whom_it_runs_what_it_may_take_and_what_is_masked() -> None:
    one = execution(S.AWAITING_APPROVAL)
    assert one.command is not None
    limits = Limits(timeout_s=60.0, memory_bytes=512 * 1_048_576, processes=20, open_files=64)
    one = replace(one, command=replace(one.command, limits=limits), masked=parse_request("login ‹secret›"))
    shown = words(card(one, CHAT))
    assert "Runs as: homing" in shown
    said = "1 min, 512 MiB of memory for each process, 20 processes of that account, 64 open files"
    assert f"Limits: {said}" in shown
    assert "Masked: ‹secret› stands for a value that is part of what is decided and run" in shown
    assert "login ‹secret›" in shown


def test_f051_a_card_that_nobody_is_left_to_approve_says_so_and_names_no_empty_list() -> None:
    one = replace(execution(S.AWAITING_APPROVAL), terms=Terms(quorum=2, four_eyes=True))
    alone = replace(one, deciders=(PersonId("bob"),))
    assert "Waiting for 2, and only bob may say it. Whoever asked may not approve." in words(card(alone, CHAT))
    said = replace(alone, approved_by=(PersonId("bob"),))
    assert "Waiting for one more, and nobody is left who may say it. Whoever" in words(card(said, CHAT))


def test_the_card_says_what_a_yes_takes_before_anybody_presses() -> None:
    terms = Terms(quorum=2, four_eyes=True, needs_reason=True, second_factor=True)
    one = replace(execution(S.AWAITING_APPROVAL), terms=terms)
    assert (
        "Waiting for 2 of: bob, cleo. Whoever asked may not approve. A yes needs a reason. "
        "A yes needs a code of one's own device. Expires"
    ) in words(card(one, CHAT))
    half = replace(one, terms=Terms(quorum=3), approved_by=(PersonId("bob"),))
    assert "1 of 3 approved: bob. Waiting for 2 more, and only cleo may say it. Expires" in words(card(half, CHAT))
    asks = {button.action: button.asks for button in card(one, CHAT).buttons}
    assert asks[Action.APPROVE] == (FormField.REASON, FormField.CODE)
    assert asks[Action.DENY] == asks[Action.STOP] == ()


def test_f083_scripts_are_named_with_their_digests_and_what_else_is_bound_is_counted() -> None:
    scripts = [FileDigest(path=f"/srv/app/{number}.sh", sha256="b" * 64) for number in range(10)]
    programs = [FileDigest(path="/usr/bin/sort", sha256="c" * 64)]
    one = execution(S.AWAITING_APPROVAL)
    one = replace(one, command=command_of("df -h | tail", files=(*scripts, *programs)))
    shown = words(card(one, CHAT))
    assert shown.count("Script: ") == 8
    assert "Script: /srv/app/0.sh (SHA-256 bbbbbbbbbbbb…)" in shown
    assert "Also bound: 3 more files that it names" in shown
    assert "/usr/bin/sort" not in shown


GOING_ON = {S.APPROVED, S.DISPATCHED, S.RUNNING}


@pytest.mark.parametrize("state", ExecutionState)
def test_below_a_card_that_cannot_be_edited_the_approval_is_told_everywhere_and_the_end_only_at_copies(
    state: ExecutionState,
) -> None:
    one = execution(state, ended=result(exit_code=3))
    at_home, at_copy = card_line(one, here=PEER), card_line(one, here=ELSEWHERE)
    if state in GOING_ON:
        assert at_home == at_copy == Line("approved", "✅ 7K3QAC was approved by bob.")
    elif state in ENDS:
        assert at_home is None, "the end is told there in a message of its own"
        assert at_copy == Line(state.value, f"7K3QAC: {title(one)}.")
    else:
        assert at_home is at_copy is None


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (S.DENIED, "7K3QAC: ❌ Denied, nothing ran."),
        (S.EXPIRED, "7K3QAC: ⏱ Expired, nothing ran."),
        (S.LOST, "7K3QAC: ❓ Not known whether it ran."),
        (S.FINISHED, "7K3QAC: ✅ Finished, exit 0."),
    ],
)
def test_the_line_at_a_copy_says_in_a_word_how_it_was_settled(state: ExecutionState, text: str) -> None:
    for here in NOT_ITS_OWN:
        line = card_line(execution(state), here=here)
        assert line is not None
        assert line.text == text


@pytest.mark.parametrize("state", sorted(GOING_ON))
def test_what_a_rule_allowed_needs_no_line_and_who_decided_hides_nothing_in_it(state: ExecutionState) -> None:
    one = execution(state)
    for here in (PEER, ELSEWHERE):
        assert card_line(replace(one, decided_by=None), here=here) is None
        line = card_line(replace(one, decided_by=PersonId("b\u202eob")), here=here)
        assert line is not None
        assert line.text == "✅ 7K3QAC was approved by b⟨U+202E⟩ob."


def test_an_approval_is_told_once_through_all_that_follows_it_and_every_end_has_a_mark_of_its_own() -> None:
    marks = {state: card_line(execution(state), here=ELSEWHERE) for state in ExecutionState}
    assert {line.mark for state, line in marks.items() if line is not None and state in GOING_ON} == {"approved"}
    ends = [line.mark for state, line in marks.items() if line is not None and state not in GOING_ON]
    assert len(set(ends)) == len(ends) == len(ENDS)
    assert "approved" not in ends


# --- the whole command, or nobody is asked --------------------------------------------------------


@given(st.integers(1, 4_000), st.sampled_from([SMALL, CHAT]))
def test_f083_people_are_asked_only_about_a_command_that_they_see_whole_in_one_message(
    length: int, capabilities: Capabilities
) -> None:
    one = execution(S.AWAITING_APPROVAL, "x" * length)
    if fits_one_message(one, capabilities):
        for maybe_repeat in (False, True):
            [post] = render(ShowCard(execution_id=one.id), one, capabilities, maybe_repeat=maybe_repeat)
            assert code(post, label="Command") == "x" * length
            assert actions(post) == [Action.APPROVE, Action.STOP, Action.DENY]
    else:
        assert size(card(one, capabilities)) > capabilities.text_chars - 100
    assert code(card(one, capabilities), label="Command") == "x" * length, "and it is never cut"


def test_f083_what_hides_in_a_command_stands_on_the_card() -> None:
    text = words(card(execution(S.AWAITING_APPROVAL, HOSTILE), CHAT))
    for mark in ("⟨U+202E⟩cod⟨U+202C⟩", "⟨U+200B⟩", "⟨U+001B⟩[2J", "⟨U+27E8⟩U+0041⟩", "⟨U+3164⟩"):
        assert mark in text
    assert not set("\u202e\u202c\u200b\x1b\u3164") & set(text)


def test_f083_a_script_whose_end_is_pushed_out_of_sight_says_how_long_it_is() -> None:
    padded = "echo harmless" + "\n" * 40 + "echo harmful"
    assert "Runs: as a shell script of 41 lines, by" in words(card(execution(S.AWAITING_APPROVAL, padded), CHAT))


def test_f083_nothing_that_others_named_hides_on_a_card_or_in_what_is_told() -> None:
    evil = "x\u202ey\u200b"
    for state in ExecutionState:
        one = execution(state, HOSTILE, reason=evil, ended=result(said(("out", evil), ("err", evil))))
        one = replace(one, node_name=evil, asker_name=evil, live_tail=evil)
        posts = [card(one, CHAT), *told(one), *render(ShowOutput(execution_id=one.id), one, CHAT)]
        assert not set("\u202e\u200b\x1b") & set(words(*posts))


# --- every way out is told ------------------------------------------------------------------------


@pytest.mark.parametrize("state", ENDS)
@pytest.mark.parametrize("capabilities", [TIGHTEST, SMALL, CHAT])
def test_f033_every_way_out_is_told_with_id_command_and_node(state: ExecutionState, capabilities: Capabilities) -> None:
    one = execution(state, "df -h | tail", reason="not now")
    posts = told(one, capabilities=capabilities)
    text = words(*posts)
    assert text.startswith(title(one))
    for said_ in ("· 7K3QAC", "df -h | tail", "Node: web-1"):
        assert said_ in text
    assert actions(posts[-1])[0] is Action.AGAIN
    assert ("Reason: not now" in text) == (state is not S.FINISHED)
    assert {post.kind for post in posts} == {PostKind.RESULT if state is S.FINISHED else PostKind.NOTICE}


@pytest.mark.parametrize(
    ("ended", "heading", "status"),
    [
        (result(), "✅ Finished, exit 0", "succeeded"),
        (result(exit_code=3), "❌ Failed, exit 3", "failed"),
        (result(exit_code=-1), "❌ Failed, exit -1", "failed"),
        (result(ending=Ending.SIGNALLED, exit_code=None, signal="SIGKILL"), "❌ Killed by SIGKILL", "failed"),
        (
            result(ending=Ending.TIMED_OUT, exit_code=None, signal="SIGTERM"),
            "⏱ Ended at its time limit, by SIGTERM",
            "failed",
        ),
        (result(ending=Ending.TIMED_OUT, exit_code=0), "⏱ Ended at its time limit, exit 0", "failed"),
        (result(ending=Ending.STOPPED, exit_code=None, signal="SIGTERM"), "⏹ Stopped, by SIGTERM", "failed"),
        (result(ending=Ending.STOPPED, exit_code=0), "⏹ Stopped, exit 0", "failed"),
    ],
)
def test_f093_a_result_says_how_it_ended_and_only_a_clean_exit_is_a_success(
    ended: ExecutionResult, heading: str, status: str
) -> None:
    one = execution(S.FINISHED, ended=ended)
    [post] = told(one)
    assert words(post).startswith(f"{heading} · 7K3QAC\n")
    assert "Took: 1.2 s" in words(post)
    assert "Started: <1700000200>" in words(post)
    assert code(post, label="Output") == "all is well\n"
    assert post.status == status
    assert ending_words(ended) == title(one) == heading


def test_f093_finished_without_a_result_is_no_success() -> None:
    """No flow leaves it so; if one did, nothing may look well."""
    one = replace(execution(S.FINISHED), result=None)
    for post in (card(one, CHAT), *told(one)):
        assert "✅" not in words(post)
        assert post.status != "succeeded"


@pytest.mark.parametrize(
    "nothing", [Output(), said(("out", "")), said(("out", ""), ("err", "")), Output(tail=said(("err", "")).head)]
)
def test_f033_no_output_is_said(nothing: Output) -> None:
    one = execution(S.FINISHED, ended=result(nothing))
    assert "It wrote no output." in words(*told(one))
    assert "It wrote no output." in words(*render(ShowOutput(execution_id=one.id), one, CHAT))


def test_output_of_both_streams_is_shown_apart_and_in_order() -> None:
    output = said(("out", "a\n"), ("out", "b\n"), ("err", ""), ("err", "oh\n"), ("out", "c\n"))
    [post] = told(execution(S.FINISHED, ended=result(output)))
    shown = [(block.label, block.text) for block in post.blocks if isinstance(block, Code)][1:]
    assert shown == [("Output", "a\nb\n"), ("Errors (stderr)", "oh\n"), ("Output", "c\n")]


def test_output_that_changes_stream_all_the_time_is_shown_as_one() -> None:
    output = said(*[("out" if number % 2 else "err", f"{number}\n") for number in range(7)])
    [post] = told(execution(S.FINISHED, ended=result(output)))
    assert code(post, label="Output") == "0\n1\n2\n3\n4\n5\n6\n"
    assert code(post, label="Errors (stderr)") == ""


def test_output_that_the_node_cut_says_where() -> None:
    output = Output(
        head=(Chunk(stream=Stream.OUT, text="first\n"),),
        omitted_bytes=777,
        tail=(Chunk(stream=Stream.OUT, text="last\n"),),
    )
    assert "first\n\n[777 bytes omitted]\nlast\n" in words(*told(execution(S.FINISHED, ended=result(output))))


def test_long_output_is_cut_in_the_middle_and_the_whole_is_offered() -> None:
    text = "".join(f"line {number}\n" for number in range(3_000))
    one = execution(S.FINISHED, ended=result(said(("out", text))))
    [post] = told(one)
    shown = code(post, label="Output")
    assert shown.startswith("line 0\n")
    assert shown.endswith("line 2999\n")
    assert "characters left out here; the whole is behind: output 7K3QAC]" in shown
    assert actions(post) == [Action.AGAIN, Action.OUTPUT]


def test_short_output_offers_no_whole() -> None:
    [post] = told(execution(S.FINISHED))
    assert actions(post) == [Action.AGAIN]


def test_an_execution_without_a_hash_has_nothing_to_press() -> None:
    for state in ENDS:
        for post in told(replace(execution(state), command_hash=None)):
            assert post.buttons == ()


def test_a_result_whose_start_nobody_reported_says_no_start() -> None:
    assert "Started:" not in words(*told(replace(execution(S.FINISHED), started_at=None)))


def test_a_loss_asks_people_to_look_before_they_run_it_again() -> None:
    assert "Look on the node before you run it again: it may have run." in words(*told(execution(S.LOST)))


def test_a_loss_that_was_resolved_meanwhile_is_still_told_as_the_loss_and_not_with_a_later_reason() -> None:
    text = words(*told(execution(S.REFUSED, reason="the node never started it"), S.LOST))
    assert text.startswith("❓ Not known whether it ran · 7K3QAC")
    assert "the node never started it" not in text


# --- the whole output, words, what is gone --------------------------------------------------------

kept = st.one_of(
    st.text(st.sampled_from("ab\n\t 🦆\u202e"), max_size=3_000),
    st.integers(0, 3_000).map(lambda count: "".join(f"line {number}\n" for number in range(count))),
)


@given(kept, st.sampled_from([TIGHTEST, SMALL, CHAT]))
@example("".join(f"line {number}\n" for number in range(2_257)), TIGHTEST).via("exactly as many parts as are posted")
def test_the_whole_output_is_all_of_it_in_parts_that_fit_or_says_what_is_left_out(
    text: str, capabilities: Capabilities
) -> None:
    one = execution(S.FINISHED, ended=result(said(("out", text))))
    posts = render(ShowOutput(execution_id=one.id), one, capabilities)
    assert all(size(post) <= capabilities.text_chars for post in posts)
    if "further messages are left out" in words(posts[-1]):
        assert len(posts) == MAX_PARTS
    else:
        assert code(*posts) == visible(text)
    assert "Output of 7K3QAC" in words(posts[0])


@pytest.mark.parametrize("state", [state for state in ExecutionState if state is not S.FINISHED])
def test_what_has_no_output_says_so(state: ExecutionState) -> None:
    one = execution(state)
    assert words(*render(ShowOutput(execution_id=one.id), one, CHAT)) == "7K3QAC has no output yet."


payloads: list[Payload] = [
    ShowCard(execution_id=execution(S.DENIED).id),
    TellOutcome(execution_id=execution(S.DENIED).id, state=S.DENIED),
    ShowOutput(execution_id=execution(S.DENIED).id),
]


@pytest.mark.parametrize("payload", payloads, ids=lambda payload: type(payload).__name__)
def test_what_was_pruned_is_told_as_gone(payload: Payload) -> None:
    [post] = render(payload, None, CHAT)
    assert words(post) == "7K3QAC was pruned after its retention time; its details are no longer kept."


def test_words_are_said_with_their_mention_and_code_apart() -> None:
    [post] = render(Say(text="Hello\u202e.", code="a\u200bb"), None, CHAT, mention="77")
    assert words(post) == "Hello⟨U+202E⟩.\nDetails:\na⟨U+200B⟩b"
    assert (post.mention, post.kind) == ("77", PostKind.REPLY)
    assert code(*render(Say(text="Hello"), None, CHAT)) == ""


@pytest.mark.parametrize("payload", [Say(text="Hello"), *payloads], ids=lambda payload: type(payload).__name__)
def test_f098_what_may_be_a_repeat_says_so_first(payload: Payload) -> None:
    one = execution(S.DENIED)
    text = words(*render(payload, one, CHAT, maybe_repeat=True))
    assert text.startswith("♻️ This may be a repeat")
    assert "repeat" not in words(*render(payload, one, CHAT))


# --- whatever the input, whatever the limit -------------------------------------------------------

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)
long_texts = texts | st.integers(1, 7_900).map(lambda count: "x" * count) | st.just("\u200b" * 2_000)
limits = st.integers(500, 5_000).map(lambda chars: Capabilities(text_chars=chars, code_chars=max(200, chars // 2)))
chunks = st.lists(st.builds(Chunk, stream=st.sampled_from(Stream), text=long_texts), max_size=9).map(tuple)
ends = st.builds(
    lambda head, omitted_bytes, tail: result(Output(head=head, omitted_bytes=omitted_bytes, tail=tail)),
    chunks,
    st.integers(0, 10**9),
    chunks,
)
executions = st.builds(
    lambda state, text, reason, ended, tail, name: replace(
        execution(state, f"echo {text}", reason=reason, ended=ended), live_tail=tail, asker_name=name
    ),
    st.sampled_from(ExecutionState),
    long_texts,
    st.none() | long_texts,
    ends,
    long_texts,
    texts,
)


@given(executions, limits, st.booleans())
def test_every_message_fits_its_channel_and_every_card_is_one_message(
    one: Execution, capabilities: Capabilities, maybe_repeat: bool
) -> None:
    events: list[Payload] = [ShowCard(execution_id=one.id), ShowOutput(execution_id=one.id)]
    events += [TellOutcome(execution_id=one.id, state=state) for state in (one.state, S.LOST)]
    for payload in events:
        for post in render(payload, one, capabilities, maybe_repeat=maybe_repeat):
            assert size(post) <= capabilities.text_chars
    if one.state is not S.AWAITING_APPROVAL:
        assert size(card(one, capabilities)) <= capabilities.text_chars


@given(executions, limits)
def test_f033_every_result_names_id_node_ending_time_and_output_or_that_there_was_none(
    one: Execution, capabilities: Capabilities
) -> None:
    if one.result is None:
        return
    posts = told(one, capabilities=capabilities)
    text = words(*posts)
    for told_ in ("7K3QAC", "Node: web-1", "exit 0", "Took: 1.2 s", "Command:"):
        assert told_ in text
    whole = visible(one.result.output.text())
    if not whole:
        assert "It wrote no output." in text
    elif "left out" not in text:
        assert code(*posts).endswith(whole) or code(*posts).replace("Errors (stderr)", "").endswith(whole)


def test_output_is_shown_nowhere_but_in_the_result_and_on_request() -> None:
    one = execution(S.FINISHED, ended=result(said(("out", "the secret word"))))
    assert "the secret word" not in words(card(one, CHAT))
    assert "the secret word" in words(*told(one))
