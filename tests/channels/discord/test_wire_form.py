"""What stands on Discord is what was to be said: to the letter, inside its limits, and nothing in it acts."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.domain.batch_card import batch_card, cut
from bot.domain.command import CommandHash
from bot.domain.message import (
    Action,
    Attachment,
    Block,
    Button,
    Capabilities,
    Code,
    Facts,
    Heading,
    Instant,
    Post,
    PostKind,
    Prose,
)
from bot.domain.parts import size, split, visible
from bot.domain.render import parts_of, with_room_for_mark
from channels.discord import commands, form
from tests.domain.made import BATCH, several

FENCE = re.compile(r"```\n(.*?)\n```", re.DOTALL)
CAPABILITIES = Capabilities(text_chars=2_600, code_chars=1_800, batch_members=form.BATCH_MEMBERS)
HOSTILE: st.SearchStrategy[str] = st.text(
    alphabet=st.one_of(st.sampled_from("`*_~|<>@#[]()\\-+.:/1 \n"), st.characters(codec="utf-8")), max_size=2_600
).map(visible)


def post(*blocks: Block, **fields: object) -> Post:
    return Post(kind=PostKind.RESULT, blocks=blocks, **fields)  # type: ignore[arg-type]


def shown(text: str) -> str:
    """One text as a person reads it: Discord takes a backslash before a sign as the sign, but not inside a fence."""
    fence = FENCE.fullmatch(text)
    return inside(text) if fence else re.sub(r"\\([^0-9A-Za-z\s])", r"\1", text)


def inside(text: str) -> str:
    """What stands in the first fence, as Discord finds its end, without the step that shows nothing."""
    found = FENCE.search(text)
    assert found is not None
    return found[1].replace("\u200b", "")


@given(HOSTILE.filter(lambda text: bool(text)))
@example("```")
@example("a\n```\nb")
@example("``````` `````` ````")
@example("\n\na\n\n")
@example("`")
def test_f117_code_is_read_back_to_the_letter_and_cannot_close_its_fence(text: str) -> None:
    whole = form.fenced(text)
    assert inside(whole) == text
    assert whole.count("```") == 2
    # Discord drops empty lines at both ends of a block.
    assert not whole.removeprefix("```\n").startswith("\n")
    assert not whole.removesuffix("\n```").endswith("\n")


@given(HOSTILE)
def test_words_are_read_back_to_the_letter(text: str) -> None:
    assert shown(form.escaped(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "@everyone",
        "<@600000000000000001>",
        "<t:0:R>",
        "**b**",
        "[a](https://example.org)",
        "# big",
        "- list",
        "> quote",
    ],
)
def test_f117_no_markup_is_left_in_words(text: str) -> None:
    escaped = form.escaped(text)
    assert re.search(r"(?<!\\)([@<*\[\]]|://)|^[#>-]", escaped) is None


@given(
    st.lists(st.builds(Code, text=HOSTILE, label=st.just("Output")) | st.builds(lambda t: Prose(spans=(t,)), HOSTILE))
)
def test_f100_every_part_of_every_output_fits_into_one_message(blocks: list[Block]) -> None:
    whole = post(*blocks, mention="600000000000000001")
    for part in split(whole, CAPABILITIES):
        assert size(part) <= CAPABILITIES.text_chars
        shape = form.form_of(part, "n-1")
        assert 0 < shape.chars <= form.TEXTS_CHARS
        assert 0 < len(shape.texts) <= form.MAX_TEXTS + 1
        assert all(text.strip() for text in shape.texts)


def test_many_blocks_are_still_one_message() -> None:
    shape = form.form_of(post(*(Prose(spans=(f"line {at}",)) for at in range(60))), "n-1")
    assert len(shape.texts) == form.MAX_TEXTS
    assert "\n".join(shape.texts) == "\n".join(f"line {at}" for at in range(60))


@given(HOSTILE, HOSTILE)
def test_facts_and_headings_fit_too_whatever_they_hold(first: str, second: str) -> None:
    rows = (("Node", (first[:1_200],)), ("`Working` directory", (second[:1_200],)))
    whole = post(Heading(spans=(first[:100],)), Facts(rows=rows))
    for part in split(whole, CAPABILITIES):
        assert form.form_of(part, "n-1").chars <= form.TEXTS_CHARS


def test_a_moment_is_shown_in_the_time_of_who_reads() -> None:
    shape = form.form_of(post(Prose(spans=("Expires ", Instant(1_800_000_000.5), "."))), "n-1")
    assert shape.texts == ("Expires <t:1800000000:f>.",)


def test_words_that_are_nearly_all_signs_stand_in_a_fence_with_the_moment_in_words() -> None:
    shape = form.form_of(post(Prose(spans=("*" * 100, Instant(1_800_000_000.0)))), "n-1")
    assert shape.texts == ("```\n" + "*" * 100 + "2027-01-15 08:00 UTC\n```",)


def test_only_the_one_who_is_to_be_told_is_mentioned() -> None:
    told = form.form_of(post(Prose(spans=("<@700000000000000002> done",)), mention="600000000000000001"), "n-1")
    assert told.mention == 600000000000000001
    assert told.texts == ("<@600000000000000001>", "\\<\\@700000000000000002\\> done")
    assert form.form_of(post(Prose(spans=("done",)), mention="@everyone"), "n-1").mention is None


def test_f057_every_button_carries_its_whole_token_under_its_name() -> None:
    buttons = tuple(Button(action=action, execution_id="WWWWWW", shown=CommandHash("f" * 64)) for action in Action)
    shape = form.form_of(post(Prose(spans=("x",)), buttons=buttons), "n-1")
    assert [token for token, _, _ in shape.buttons] == [button.token() for button in buttons]
    labels = ["Allow once", "Always allow", "Deny", "Stop", "Run again", "Whole output"]
    labels += ["Allow all", "Deny all", "Stop all"]
    assert [label for _, label, _ in shape.buttons] == labels
    assert all(len(token) <= 100 and len(label) <= 80 for token, label, _ in shape.buttons)


COMPONENTS = 40
"""https://discord.com/developers/docs/components/reference#what-is-a-component"""


@pytest.mark.parametrize("sign", ['"', "`", "_", "x", "😀"])
@pytest.mark.parametrize("length", [0, 60, 250, 2_000])
def test_f057_a_card_of_a_batch_stays_within_the_components_and_the_letters_of_a_message(
    sign: str, length: int
) -> None:
    texts = [f"echo '{sign * length}{number}'" for number in range(20)]
    for on_card in cut(several(*texts), [CAPABILITIES]):
        if len(on_card) == 1:
            continue  # it has a card of its own
        whole = batch_card(BATCH, on_card, with_room_for_mark(CAPABILITIES))
        (part,) = parts_of(whole, CAPABILITIES, mention="600000000000000001", repeated=0)
        shape = form.form_of(part, "n-1")
        rows = [*shape.rows.values(), shape.buttons]
        assert len(shape.texts) + sum(1 + len(row) for row in rows if row) <= COMPONENTS
        assert len(shape.rows) == len(on_card)
        assert shape.chars <= form.TEXTS_CHARS
        for at, row in shape.rows.items():
            (one,) = [one for one in on_card if one.id in shape.texts[at].splitlines()[0]]
            assert all(one.id in token for token, _, _ in row)


def test_a_label_that_is_nearly_all_signs_stands_in_a_fence() -> None:
    shape = form.form_of(post(Code(text="df", label="/srv/" + "_" * 200)), "n-1")
    assert shape.texts == ("```\n/srv/" + "_" * 200 + "\n```\n```\ndf\n```",)


def test_a_file_has_a_name_that_discord_keeps() -> None:
    given_name = Attachment(name="../über output (1).txt", text="x")
    shape = form.form_of(post(Prose(spans=("x",)), attachment=given_name), "n-1")
    assert shape.file is not None
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", shape.file.name)
    assert shape.file.text == "x"


@given(st.text(min_size=1, max_size=25), st.text(min_size=1, max_size=25))
def test_a_mark_is_of_its_nonce_and_an_id_that_discord_takes(first: str, second: str) -> None:
    assert form.marker_of(first) == form.marker_of(first)
    assert 2**30 <= form.marker_of(first) < 2**31
    assert first == second or form.marker_of(first) != form.marker_of(second)


# --- slash commands --------------------------------------------------------------------------------


def test_commands_that_discord_has_are_not_written_again() -> None:
    theirs = [
        {**command, "id": "730000000000000001", "version": "1", "default_permission": True, "nsfw": False}
        for command in reversed(commands.COMMANDS)
    ]
    assert not commands.differ(theirs)


OPTIONAL = [{**option, "required": False} for option in commands.COMMANDS[0]["options"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "change", [{"description": "Another"}, {"options": []}, {"name": "walk"}, {"contexts": [0]}, {"options": OPTIONAL}]
)
def test_commands_that_changed_are_written(change: dict[str, object]) -> None:
    assert commands.differ([{**commands.COMMANDS[0], **change}, *commands.COMMANDS[1:]])
    assert commands.differ(commands.COMMANDS[1:])
    assert commands.differ([])
