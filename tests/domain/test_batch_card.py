"""The card of several: every command whole while somebody is asked, the newest of each, and never any output."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.batch import batch_hash
from bot.domain.batch_card import batch_card, batch_lines, cut, fits, is_settled, kin, revision_of, shown_hash
from bot.domain.command import CommandHash, FileDigest, command_hash, parse_request
from bot.domain.execution import Ending, ExecutionId, ExecutionState
from bot.domain.mask import Masker
from bot.domain.message import Action, Button, Capabilities, Code, Facts, FormField, Heading, Instant, Post, Prose
from bot.domain.parts import size
from bot.domain.render import with_room_for_mark
from bot.domain.results import shown_command
from bot.domain.session import NativeId, PersonId
from bot.domain.terms import Terms
from tests.domain.made import BATCH, IDS, PEER, command_of, execution, result, several
from tests.platforms.forms import buttons_of, text_of

S = ExecutionState
ROOM = Capabilities(text_chars=2_600, code_chars=1_800, batch_members=7)
ELSEWHERE = replace(PEER, id=NativeId("elsewhere"))


def codes(post: Post) -> list[Code]:
    return [block for block in post.blocks if isinstance(block, Code)]


def actions(buttons: Sequence[Button]) -> list[Action]:
    return [button.action for button in buttons]


def rows(post: Post) -> dict[str, str]:
    (facts,) = [block for block in post.blocks if isinstance(block, Facts)]
    return {label: "".join(span for span in spans if isinstance(span, str)) for label, spans in facts.rows}


# --- what a button for all binds to --------------------------------------------------------------------------


def test_f080_the_hash_of_a_card_is_of_all_of_it_in_its_order() -> None:
    first, second = several("df -h", "uptime")
    known = shown_hash([first, second])
    assert known == shown_hash([first, second])
    others = [
        shown_hash([second, first]),
        shown_hash([first]),
        shown_hash([first, replace(second, command_hash=first.command_hash)]),
        shown_hash([first, replace(second, id=ExecutionId("999999"))]),
        shown_hash([]),
    ]
    assert len({known, *others}) == 6
    assert len(known) == 64


@given(st.lists(st.tuples(st.text(max_size=4), st.none() | st.text(max_size=4)), max_size=4), st.data())
def test_no_two_lists_have_one_hash(pairs: list[tuple[str, str | None]], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.tuples(st.text(max_size=4), st.none() | st.text(max_size=4)), max_size=4))
    assert (batch_hash(pairs) == batch_hash(other)) == (pairs == other)  # type: ignore[arg-type]


# --- while people are asked ----------------------------------------------------------------------------------


def test_f082_each_stands_there_whole_with_its_id_and_its_own_buttons() -> None:
    waiting = several("df -h", "uptime", "echo one\necho two")
    post = batch_card(BATCH, waiting, ROOM)

    assert [block.text for block in codes(post)] == [shown_command(one) for one in waiting]
    for number, (one, block) in enumerate(zip(waiting, codes(post), strict=True), start=1):
        assert block.label.startswith(f"{number} · {one.id}")
        assert actions(block.buttons) == [Action.APPROVE, Action.DENY]
        assert {(button.execution_id, button.shown) for button in block.buttons} == {(one.id, one.command_hash)}
    assert actions(post.buttons) == [Action.APPROVE_ALL, Action.STOP_ALL, Action.DENY_ALL]
    assert {(button.execution_id, button.shown) for button in post.buttons} == {(BATCH, shown_hash(waiting))}
    assert text_of(post).startswith(
        f"⚠️ Approval needed for 3 commands · {BATCH}\nOne of these decides each: bob, cleo."
    )
    assert text_of(post).endswith(f"Or type: approve {IDS[0]} {IDS[1]} {IDS[2]}, or: deny {IDS[0]} <reason>")
    assert (post.execution_id, post.status) == (BATCH, "awaiting_approval")


def test_f083_what_hides_is_made_visible_there_too() -> None:
    post = batch_card(BATCH, several("echo \u202egpj", "echo а"), ROOM)
    assert [block.text for block in codes(post)] == ["echo ⟨U+202E⟩gpj", "echo ⟨U+0430⟩"]


def test_f065_what_is_secret_is_masked_there_too() -> None:
    masker = Masker()
    one, other = several("curl -u ops:hunter2secret https://x.example", "df -h")
    post = batch_card(BATCH, [replace(one, masked=masker.request(one.request)), other], ROOM)
    assert "hunter2secret" not in text_of(post)
    assert "Masked" in codes(post)[0].label


def test_what_all_have_in_common_is_said_once_and_what_differs_beside_each() -> None:
    first, second = several("df -h", "df -i")
    assert second.command is not None
    elsewhere = replace(
        second.command, cwd="/srv/db", files=(*second.command.files, FileDigest(path="/x.sh", sha256="c" * 64))
    )
    post = batch_card(BATCH, [first, replace(second, command=elsewhere, node_name="db-1")], ROOM)

    assert rows(post)["Runs"] == "without a shell: /usr/bin/df"
    assert rows(post)["Limits"] == "1 min 30 s"
    assert not {"Node", "Directory", "Script"} & rows(post).keys()
    assert [block.label for block in codes(post)] == [
        f"1 · {IDS[0]} · Node: web-1 · Directory: /srv/app",
        f"2 · {IDS[1]} · Node: db-1 · Directory: /srv/db · Script: /x.sh (SHA-256 cccccccccccc…)",
    ]


def test_it_says_what_a_yes_takes_and_who_has_said_one() -> None:
    terms = Terms(quorum=2, four_eyes=True, needs_reason=True)
    waiting = [replace(one, terms=terms) for one in several("df -h", "uptime")]
    waiting[0] = replace(waiting[0], approved_by=(PersonId("bob"),), deciders=(PersonId("bob"), PersonId("dee")))
    post = batch_card(BATCH, waiting, ROOM)

    assert "2 of these decide each: bob, dee, cleo. Whoever asked may not approve. A yes needs a reason." in text_of(
        post
    )
    assert [("1 of 2 said yes" in block.label) for block in codes(post)] == [True, False]
    assert {button.asks for button in buttons_of(post) if button.action in {Action.APPROVE, Action.APPROVE_ALL}} == {
        (FormField.REASON,)
    }
    assert {button.asks for button in buttons_of(post) if button.action in {Action.DENY, Action.DENY_ALL}} == {()}


def test_the_first_to_expire_is_named() -> None:
    first, second = several("df -h", "uptime")
    post = batch_card(BATCH, [replace(first, expires_at=20.0), replace(second, expires_at=10.0)], ROOM)
    (status,) = [block for block in post.blocks[:2] if isinstance(block, Prose)]
    assert Instant(10.0) in status.spans


def test_a_button_for_all_is_for_two_and_more() -> None:
    first, second, third = several("df -h", "uptime", "free -m")
    post = batch_card(BATCH, [first, replace(second, state=S.DENIED), replace(third, state=S.EXPIRED)], ROOM)
    assert post.buttons == ()
    assert actions(codes(post)[0].buttons) == [Action.APPROVE, Action.DENY]
    assert "⚠️ Approval needed for 1 of 3 commands" in text_of(post)

    running = replace(second, state=S.RUNNING)
    post = batch_card(BATCH, [first, running, replace(third, state=S.FINISHED, result=result())], ROOM)
    assert actions(post.buttons) == [Action.STOP_ALL]
    assert [actions(block.buttons) for block in codes(post)] == [[Action.APPROVE, Action.DENY], [Action.STOP], []]
    stopping = replace(running, stop_wanted_by=PersonId("bob"))
    assert batch_card(BATCH, [first, stopping], ROOM).buttons == ()


def test_without_a_hash_there_is_no_button() -> None:
    unseen = [replace(one, command_hash=None) for one in several("df -h", "uptime")]
    assert [block.buttons for block in codes(batch_card(BATCH, unseen, ROOM))] == [(), ()]


# --- afterwards ----------------------------------------------------------------------------------------------


def test_it_shows_how_each_stands_and_no_output() -> None:
    ended = several("df -h", "uptime", state=S.FINISHED)
    ended[1] = replace(ended[1], result=result(exit_code=3), live_tail="tail")
    post = batch_card(BATCH, [*ended, replace(several(*"abc")[2], state=S.DENIED)], ROOM)

    assert text_of(post).startswith(f"🏁 All 3 commands are settled · {BATCH}")
    assert "1 × ✅ Finished, exit 0; 1 × ❌ Failed, exit 3; 1 × ❌ Denied, nothing ran." in text_of(post)
    assert "all is well" not in text_of(post)
    assert "tail" not in text_of(post)
    assert (buttons_of(post), post.status) == ([], "finished")


def test_what_is_under_way_is_counted() -> None:
    first, second = several("df -h", "uptime", state=S.RUNNING)
    post = batch_card(BATCH, [first, replace(second, state=S.FINISHED, result=result())], ROOM)
    assert text_of(post).startswith(f"⏳ 1 of 2 commands are under way · {BATCH}")
    assert post.status == "dispatched"


def test_a_copy_says_where_it_was_asked() -> None:
    waiting = several("df -h", "uptime")
    assert "Asked in" not in rows(batch_card(BATCH, waiting, ROOM, here=PEER))
    assert rows(batch_card(BATCH, waiting, ROOM, here=ELSEWHERE))["Asked in"].startswith("discord channel")


def test_what_is_of_one_kind_shares_a_card_whatever_may_always_be_allowed() -> None:
    first, second = several("df -h", "uptime")
    assert kin(first) == kin(replace(second, terms=Terms(grant_for_s=60.0)))
    assert kin(first) != kin(replace(second, terms=Terms(quorum=2)))
    assert kin(first) != kin(replace(second, deciders=(PersonId("bob"),)))


def test_a_view_is_as_new_as_all_of_it() -> None:
    first, second = several("df -h", "uptime")
    assert revision_of([replace(first, revision=3), replace(second, revision=4)]) == 7
    assert not is_settled([first, replace(second, state=S.DENIED)])
    assert is_settled([replace(first, state=S.EXPIRED), replace(second, state=S.DENIED)])


# --- lines where nothing can be edited -----------------------------------------------------------------------


def test_no_line_comes_before_all_is_decided_and_at_a_copy_a_second_one_when_all_ended() -> None:
    first, second, third = several("df -h", "uptime", "free -m")
    approved = replace(execution(S.APPROVED), id=IDS[0], approved_by=(PersonId("bob"), PersonId("cleo")))
    alone = replace(execution(S.RUNNING), id=IDS[1])
    denied = replace(execution(S.DENIED), id=IDS[2])
    assert batch_lines(BATCH, [approved, alone, third], here=PEER) == ()
    (line,) = batch_lines(BATCH, [approved, alone, denied], here=ELSEWHERE)
    assert line.text == f"✅ {IDS[0]}, {IDS[1]}: approved by bob, cleo."
    ended = [replace(one, state=S.FINISHED, result=result()) for one in (first, second)]
    assert batch_lines(BATCH, [*ended, denied], here=PEER) == ()
    (line,) = batch_lines(BATCH, [*ended, denied], here=ELSEWHERE)
    assert line.text == (
        f"{BATCH}: {IDS[0]} ✅ Finished, exit 0; {IDS[1]} ✅ Finished, exit 0; {IDS[2]} ❌ Denied, nothing ran."
    )


# --- how many fit --------------------------------------------------------------------------------------------


def test_a_card_holds_as_many_as_the_network_has_buttons_for() -> None:
    assert [len(card) for card in cut(several(*["df -h"] * 17), [ROOM])] == [7, 7, 3]
    assert [len(card) for card in cut(several(*["df -h"] * 17), [ROOM, replace(ROOM, batch_members=5)])] == [5, 5, 5, 2]
    assert [len(card) for card in cut(several("df -h", "uptime"), [replace(ROOM, batch_members=0)])] == [1, 1]


def test_a_card_holds_as_many_as_it_can_show_whole() -> None:
    waiting = several(*["echo " + "x" * 400] * 6)
    assert [len(card) for card in cut(waiting, [ROOM])] == [3, 3]
    assert [len(card) for card in cut(waiting, [replace(ROOM, batch_chars=1_500)])] == [1] * 6


def test_what_is_too_long_stands_alone_and_ends_no_card_of_others() -> None:
    waiting = several("df -h", "echo " + "x" * 2_500, "uptime")
    assert [[one.id for one in card] for card in cut(waiting, [ROOM])] == [[IDS[0], IDS[2]], [IDS[1]]]


commands = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=300).map(
        lambda text: f"echo {text}"
    ),
    min_size=1,
    max_size=12,
)
LONGEST = result(ending=Ending.TIMED_OUT, exit_code=None, signal="SIGKILL")


@given(commands, st.data())
def test_f062_whatever_becomes_of_them_a_card_fits_and_who_is_asked_sees_all_of_it(
    texts: list[str], data: st.DataObject
) -> None:
    for card in cut(several(*texts), [ROOM]):
        lived = []
        for one in card:
            state = data.draw(st.sampled_from([S.AWAITING_APPROVAL, S.AWAITING_APPROVAL, *ExecutionState]))
            one = replace(one, state=state, result=LONGEST if state is S.FINISHED else None)
            if state is S.AWAITING_APPROVAL and data.draw(st.booleans()):
                one = replace(one, approved_by=(PersonId("bob"),), terms=Terms(quorum=2))
            lived.append(one)
        if len(lived) == 1 and not fits(card, ROOM):
            continue  # it has a card of its own
        for here in (PEER, ELSEWHERE):
            post = batch_card(BATCH, lived, with_room_for_mark(ROOM), here=here)
            assert size(post) <= with_room_for_mark(ROOM).text_chars
            for one, block in zip(lived, codes(post), strict=True):
                if one.state is S.AWAITING_APPROVAL:
                    assert block.text == shown_command(one)


@pytest.mark.parametrize("length", range(120, 400, 3))
def test_f062_a_card_that_is_full_has_room_for_a_vote_on_each_of_it(length: int) -> None:
    """The fullest that there is for some of these lengths, as a copy, which says more."""
    for card in cut(several(*["echo " + "x" * length] * 14), [ROOM]):
        voted = [replace(one, approved_by=(PersonId("bob"),), terms=Terms(quorum=12)) for one in card]
        post = batch_card(BATCH, voted, with_room_for_mark(ROOM), here=ELSEWHERE)
        assert len(card) == 1 or size(post) <= with_room_for_mark(ROOM).text_chars


def test_what_is_settled_is_cut_before_anything_else_where_a_card_has_grown_too_long() -> None:
    """A rule names many more people than it did when the card was made."""
    crowd = tuple(PersonId(f"a-person-with-a-long-name-{number}") for number in range(30))
    card = several("echo " + "x" * 700, "echo " + "y" * 700)
    grown = [replace(card[0], deciders=crowd), replace(card[1], state=S.DENIED, decided_by=PersonId("bob"))]
    post = batch_card(BATCH, grown, ROOM)

    assert codes(post)[0].text == shown_command(grown[0])
    assert "characters left out here" in codes(post)[1].text
    settled = [replace(one, state=S.EXPIRED) for one in several(*["echo " + "z" * 2_000] * 7)]
    assert size(batch_card(BATCH, settled, ROOM)) <= ROOM.text_chars


def test_a_heading_is_what_it_begins_with() -> None:
    assert isinstance(batch_card(BATCH, several("df -h", "uptime"), ROOM).blocks[0], Heading)


@pytest.mark.parametrize("text", ["df -h", "echo one\necho two"])
def test_the_hash_of_one_is_the_one_that_its_own_card_would_have(text: str) -> None:
    (one,) = several(text)
    assert one.command_hash == command_hash(command_of(text))
    assert one.request == parse_request(text)


def test_a_hash_has_one_form_so_that_a_card_that_is_shown_outlives_an_upgrade() -> None:
    shown = [(ExecutionId("7K3QAC"), CommandHash("a" * 64)), (ExecutionId("7K3QAF"), None)]
    form = f'["homing/batch/1",[["7K3QAC","{"a" * 64}"],["7K3QAF",null]]]'
    assert batch_hash(shown) == hashlib.sha256(form.encode()).hexdigest()
