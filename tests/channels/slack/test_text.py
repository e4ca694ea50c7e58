"""Any text, split and posted, read back on Slack is that text; nothing in it pings, links or breaks its fence.

Every part goes into a room of its own, so that nothing here waits for a room's pace.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bot.domain.batch_card import batch_card, cut
from bot.domain.message import Block, Code, Facts, Heading, Instant, Nonce, Post, PostKind, Prose
from bot.domain.parts import split, visible
from bot.domain.render import parts_of, with_room_for_mark
from bot.domain.session import Peer
from tests.channels.contract import APPROVE, DENY, at
from tests.channels.slack.rig import SlackRig, running
from tests.domain.made import BATCH, several
from tests.platforms.driver import Seen
from tests.platforms.slack import SlackNetwork

_HOSTILE = st.sampled_from(
    [
        "<!channel>",
        "<!here|x>",
        "<@U0HOMING0002>",
        "<#C1|x>",
        "@here",
        "@channel",
        "```",
        "`",
        "*bold*",
        "_it_",
        "~no~",
        "> quote",
        "&amp;",
        "&lt;",
        "&",
        "<",
        ">",
        ":+1:",
        ":house:",
        "🏠",
        "https://example.org/?a=1&b=2",
        "<https://example.org|here>",
        "<!date^1^{date}|x>",
        "\n",
        "\n\n",
        "\t",
        "  ",
        "\u202e",
        "\x00",
        "\x1b[31m",
        "x" * 500,
        "- item\n",
    ]
)
_TEXT = st.lists(_HOSTILE | st.text(max_size=40), max_size=30).map("".join)
_LONG = st.builds(lambda text, times: (text * times)[:40_000], _TEXT, st.integers(1, 400))
_EXAMPLES = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
_NUMBERS = itertools.count()


def fresh(rig: SlackRig) -> tuple[Peer, Nonce]:
    number = next(_NUMBERS)
    return rig.network.peer(rig.network.room(f"room-{number}")), Nonce(f"n-{number}")


async def read_back(rig: SlackRig, *blocks: Block) -> list[Seen]:
    """Split as the core splits, posted part by part, and what people then see of it."""
    seen: list[Seen] = []
    for part in split(Post(kind=PostKind.RESULT, blocks=blocks), rig.channel.capabilities):
        room, nonce = fresh(rig)
        await rig.channel.send(at(room), part, nonce)
        seen += rig.network.seen(room)
    return seen


@pytest.fixture
async def rig(socket_network: SlackNetwork) -> AsyncIterator[SlackRig]:
    """Socket Mode alone: sending is the same in both."""
    async with running(socket_network) as rig:
        yield rig


@_EXAMPLES
@given(text=_TEXT | _LONG)
@example(text="```\n<!channel>\n```")
@example(text="x" * 4_000)
@example(text="&<>" * 4_000)
@example(text="🏠" * 9_000)
@example(text='\\"\n' * 4_000)
async def test_f116_any_output_is_read_back_to_the_letter_and_pings_nobody(rig: SlackRig, text: str) -> None:
    shown = visible(text)
    seen = await read_back(rig, Code(text=shown, label="Output"))
    assert "".join(code for each in seen for code in each.code) == shown
    assert [each.mentions for each in seen] == [()] * len(seen)


@_EXAMPLES
@given(text=_TEXT | _LONG)
@example(text="<!channel> *a* :house: &amp; @here")
@example(text="> not a quote")
async def test_f118_any_words_are_read_back_as_they_are_and_ping_nobody(rig: SlackRig, text: str) -> None:
    shown = visible(text)
    seen = await read_back(rig, Prose(spans=(shown,)))
    read = "".join(each.text for each in seen)
    assert (read if shown.strip() else "").replace("\n", "").strip() == shown.replace("\n", "").strip()
    assert [each.mentions for each in seen] == [()] * len(seen)
    rooms = rig.network.server.world.conversations.values()
    posted = [message for room in rooms for message in room.messages.values() if message.bot_id]
    assert all(message.unfurls == (False, False) for message in posted)


@_EXAMPLES
@given(text=_TEXT.filter(lambda text: text.strip() != ""))
async def test_a_card_with_any_command_shows_it_and_fits_one_message(rig: SlackRig, text: str) -> None:
    shown = visible(text)
    room = rig.channel.capabilities.text_chars - 600
    command = shown[:room]
    post = Post(
        kind=PostKind.CARD,
        blocks=(
            Heading(spans=("Approval needed · 7K3QHM",)),
            Prose(spans=("Expires ", Instant(1_800_000_000.0), ".")),
            Code(text=command, label="Command"),
            Facts(rows=(("Node", (shown[:100],)), ("Asked by", ("ana", ", ", Instant(1_800_000_000.0))))),
        ),
        buttons=(APPROVE, DENY),
        execution_id="7K3QHM",
        status="awaiting_approval",
    )
    place, nonce = fresh(rig)
    receipt = await rig.channel.send(at(place), post, nonce)
    await rig.channel.edit(place, receipt.message_id, post)
    await rig.channel.edit(place, receipt.message_id, replace(post, buttons=()))
    seen = rig.network.seen(place)[-1]
    assert seen.code == (command,)
    assert seen.mentions == ()
    assert "Approval needed · 7K3QHM" in seen.text


@pytest.mark.parametrize("text", ["", " ", "\n", "\n\n\n", "a\n", "\na", "   a", "a   "])
async def test_empty_output_and_bare_line_ends_are_shown_without_a_refusal(rig: SlackRig, text: str) -> None:
    seen = await read_back(rig, Prose(spans=("Ended.",)), Code(text=text, label="Output"))
    assert "Ended." in "".join(each.text for each in seen)
    assert "".join("".join(each.code) for each in seen).strip() == text.strip()


@pytest.mark.parametrize("character", ["a", "&", "<", "\n", '"', "\\", "🏠", "ü"])
async def test_f101_a_post_of_the_declared_size_fits_whatever_it_is_made_of(rig: SlackRig, character: str) -> None:
    limit = rig.channel.capabilities.text_chars
    text = character * (limit - 40)
    for block in (Code(text=text, label="Output"), Prose(spans=(text,)), Facts(rows=(("Node", (text[:-10],)),))):
        seen = await read_back(rig, block)
        assert len(seen) == 1
    longest = Code(text=character * rig.channel.capabilities.code_chars, label="Output")
    assert "".join(code for each in await read_back(rig, longest) for code in each.code) == longest.text


@pytest.mark.parametrize("sign", ['"', "\\", "x", "😀", "&"])
@pytest.mark.parametrize("length", [0, 60, 250])
async def test_f057_a_card_of_a_batch_stands_whole_with_all_its_buttons_whatever_it_is_made_of(
    rig: SlackRig, sign: str, length: int
) -> None:
    capabilities = rig.channel.capabilities
    texts = [f"echo '{sign * length}{number}'" for number in range(20)]
    for on_card in cut(several(*texts), [capabilities])[:2]:
        whole = batch_card(BATCH, on_card, with_room_for_mark(capabilities))
        (part,) = parts_of(whole, capabilities, mention=rig.ana.id, repeated=0)
        room, nonce = fresh(rig)
        await rig.channel.send(at(room), part, nonce)
        (seen,) = rig.network.seen(room)
        assert seen.code == tuple(one.request.text for one in on_card)
        offered = [token for _, token in seen.buttons]
        for one in on_card:
            assert [one.id in token for token in offered].count(True) == 2
        assert [BATCH in token for token in offered].count(True) == (3 if len(on_card) > 1 else 0)


async def test_many_small_blocks_fit_too(rig: SlackRig) -> None:
    rows = tuple((f"Label {number}", (f"value {number}",)) for number in range(120))
    seen = await read_back(rig, Facts(rows=rows))
    assert "value 119" in seen[-1].text
    seen = await read_back(rig, *(Prose(spans=(f"line {number}",)) for number in range(60)))
    assert "line 59" in seen[-1].text
