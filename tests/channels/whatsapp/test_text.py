"""Whatever is to be shown, a phone shows it, to the letter and with no markup of its own, inside Twilio's limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bot.domain.batch_card import batch_card, cut
from bot.domain.command import CommandHash
from bot.domain.message import (
    OF_ALL,
    Action,
    Block,
    Button,
    Capabilities,
    Code,
    Facts,
    Heading,
    Nonce,
    Post,
    PostKind,
    Prose,
)
from bot.domain.parts import split, visible
from channels.whatsapp import form
from tests.channels.contract import APPROVE, DENY, at, card
from tests.channels.whatsapp.rig import WhatsAppRig
from tests.domain.made import BATCH, several
from tests.platforms.whatsapp.reading import read

CAPABILITIES = Capabilities(
    text_chars=form.TEXT_CHARS,
    code_chars=1_000,
    can_edit=False,
    batch_members=form.BATCH_MEMBERS,
    batch_chars=form.BATCH_CHARS,
)
MARKUP = "`*_~> -1.\n{}a \u2060"
TEXTS = st.text(st.one_of(st.sampled_from(MARKUP), st.characters(codec="utf-8")), max_size=3_000).map(visible)


def words(text: str) -> str:
    return "".join(read(each.body).text for each in form.shown(_prose(text)))


def _prose(text: str) -> Post:
    return Post(kind=PostKind.REPLY, blocks=(Prose(spans=(text,)),))


@pytest.mark.parametrize(
    "text",
    [
        "*bold* _it_ ~strike~ `code` ```fence```",
        "``` closes ``` and `````` more ````",
        "```",
        "`",
        "> quote",
        "- one\n- two",
        "* one",
        "1. one\n2. two",
        "a_b my_file_name __init__",
        "2*3*4",
        "ends with a tick `",
        "plain words, nothing else",
    ],
)
def test_f117_words_that_look_like_markup_are_shown_as_they_are(text: str) -> None:
    assert words(text) == text


@pytest.mark.parametrize("text", ["`", "``", "```", "ends with `", "` begins", "", "\n", " padded ", "a\n\n```\n"])
def test_code_stands_in_its_fence_to_the_letter(text: str) -> None:
    body = form.shown(Post(kind=PostKind.RESULT, blocks=(Code(text=text, label="Output"),)))[0].body
    assert read(body).code == (text,)
    assert body.count("```") == 2


def test_words_without_markup_are_not_fenced() -> None:
    assert form.shown(_prose("up 3 days, my_file at 10:00"))[0].body == "up 3 days, my_file at 10:00"


@pytest.mark.parametrize("text", ["`" * 1_300, "``\n" * 430, "*" * 1_300, "{{x}}" * 270, "𝔘" * 1_300, "😀`" * 650])
def test_what_grows_by_escaping_is_sent_in_two_and_nothing_is_lost(text: str) -> None:
    post = Post(kind=PostKind.RESULT, blocks=(Code(text=text, label=""),), buttons=(APPROVE,), execution_id="7K3QHM")
    shown = form.shown(post)
    assert all(0 < len(each.body.encode("utf-16-le")) // 2 <= 1_600 for each in shown)
    assert text in "".join(read(each.body).text for each in shown)
    assert "approve 7K3QHM" in shown[-1].body


def test_a_placeholder_in_a_command_is_no_variable_of_twilio() -> None:
    post = Post(
        kind=PostKind.CARD,
        blocks=(Code(text="docker ps --format '{{.Names}} {{{x}}}'", label="Command"),),
        buttons=(APPROVE, DENY),
    )
    shown = form.shown(post)[0]
    assert shown.buttons
    assert "{{" not in shown.body
    assert read(shown.body).code == ("docker ps --format '{{.Names}} {{{x}}}'",)


def test_every_button_has_its_word_and_no_more_than_three_are_shown() -> None:
    buttons = tuple(Button(action=action, execution_id="7K3QHM", shown=CommandHash("a" * 64)) for action in Action)
    shown = form.shown(card("Done", *buttons))[0]
    assert len(shown.buttons) == 3
    assert [button.action for button in shown.buttons] == [Action.APPROVE, Action.ALWAYS, Action.DENY]
    for action in set(Action) - OF_ALL.keys():
        assert ("approve 7K3QHM always" if action is Action.ALWAYS else f"{action.value} 7K3QHM") in shown.body
    assert all(len(label) <= 20 for label in form.LABELS.values())


@pytest.mark.parametrize(("sign", "length"), [("x", 0), ("x", 40), ("_", 40), ('"', 90), ("`", 60), ("😀", 40)])
def test_f057_a_card_of_a_batch_is_one_message_with_buttons_for_all_and_words_for_each(sign: str, length: int) -> None:
    on_card = cut(several(*(f"echo '{sign * length}{number}'" for number in range(20))), [CAPABILITIES])[0]
    assert len(on_card) > 1
    (shown,) = form.shown(batch_card(BATCH, on_card, CAPABILITIES))
    assert [button.action for button in shown.buttons] == [Action.APPROVE_ALL, Action.STOP_ALL, Action.DENY_ALL]
    assert f"approve {' '.join(one.id for one in on_card)}, or: deny {on_card[0].id} <reason>" in shown.body
    assert "approveall" not in shown.body


def test_a_card_of_a_batch_without_room_for_buttons_has_the_words() -> None:
    on_card = several(*["echo " + "😀" * 180] * 2)
    (shown,) = form.shown(batch_card(BATCH, on_card, replace(CAPABILITIES, batch_chars=0)))
    assert shown.buttons == ()
    assert f"approve {on_card[0].id} {on_card[1].id}" in shown.body


def test_a_card_too_long_for_buttons_has_the_words() -> None:
    post = Post(kind=PostKind.CARD, blocks=(Code(text="x" * 1_100, label="Command"),), buttons=(APPROVE, DENY))
    shown = form.shown(post)
    assert len(shown) == 1
    assert shown[0].buttons == ()
    assert "approve 7K3QHM, or: deny 7K3QHM <reason>" in shown[0].body


def _block(kind: str, text: str) -> Block:
    match kind:
        case "h":
            return Heading(spans=(text[:200],))
        case "p":
            return Prose(spans=(text, text[:9]))
        case "f":
            return Facts(rows=(("Node", (text,)), ("Why", (text[:50],))))
        case _:
            return Code(text=text, label="Output")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("hpfc"), TEXTS), min_size=1, max_size=4), st.booleans())
def test_f102_any_post_fits_and_is_inert(blocks: list[tuple[str, str]], has_buttons: bool) -> None:
    post = Post(
        kind=PostKind.RESULT,
        blocks=tuple(_block(kind, text) for kind, text in blocks),
        buttons=(APPROVE, DENY) if has_buttons else (),
    )
    capabilities = Capabilities(text_chars=form.TEXT_CHARS, code_chars=1_000)
    for part in split(post, capabilities):
        shown = form.shown(part)
        assert all(0 < len(each.body) <= 1_600 for each in shown)
        assert all(len(each.body) <= 1_024 for each in shown if each.buttons)
        whole = "".join(read(each.body).text for each in shown)
        for block in part.blocks:
            if isinstance(block, Code):
                assert block.text in whole


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS.filter(lambda text: text != ""))
@example("`" * 5_000)
@example("one line of output, {{.Names}} and *more*\n" * 200)
@example("``` `` ` " * 600)
async def test_any_output_split_and_posted_is_read_back_from_the_server_as_it_was(rig: WhatsAppRig, text: str) -> None:
    before = len(rig.twilio.messages)
    post = Post(kind=PostKind.RESULT, blocks=(Code(text=text, label=""),))
    for number, part in enumerate(split(post, rig.channel.capabilities)):
        await rig.channel.send(at(rig.here), part, Nonce(f"n-{before}-{number}"))
    standing = list(rig.twilio.messages.values())[before:]
    assert all(len(message.body) <= 1_600 for message in standing)
    assert "".join("".join(read(message.body).code) for message in standing) == text
