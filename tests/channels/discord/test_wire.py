"""Every kind of event that Discord sends, from payloads made by hand after its documents, as the core takes it."""

from __future__ import annotations

import discord
import pytest

from bot.domain.message import Action, InboundMessage, Suggest
from bot.domain.session import NativeId, Peer, PeerKind, ThreadId
from bot.errors import Malformed
from channels.discord import wire
from tests.channels.discord.reading import (
    ANA,
    FORUM,
    GUILD,
    HERE,
    IN_THREADS,
    ME,
    OPS,
    THREAD,
    interaction,
    message,
    reaction,
    samples,
)

ROLE = 700000000000000009


def heard(sample: str, identity: wire.Identity = HERE) -> InboundMessage:
    came = message(sample)
    assert wire.is_said_by_a_person(came, ME)
    peer = wire.peer_of(came.channel, came.author.id, identity)
    assert peer is not None
    return wire.message_of(came, peer=peer, me=ME, roles=(ROLE,), identity=identity)


def place(native: str, thread: str | None = None, kind: PeerKind = PeerKind.CHANNEL) -> Peer:
    return Peer(
        agent=HERE.agent,
        channel=wire.DISCORD,
        account=HERE.account,
        kind=kind,
        id=NativeId(native),
        thread=None if thread is None else ThreadId(thread),
    )


def peer_of_interaction(came: discord.Interaction) -> Peer | None:
    return wire.peer_of(came.channel, came.user.id, HERE, is_direct=came.guild_id is None)


# --- messages --------------------------------------------------------------------------------------


def test_a_message_in_a_channel_comes_to_the_letter_with_all_that_the_gate_asks() -> None:
    found = heard("message_in_channel")
    assert found.peer == place(OPS)
    assert found.text == "run df -h <&\"'> ümläut 🏠"
    assert (found.message_id, found.delivery) == ("1574290000000000001", "1574290000000000001")
    assert (found.sender.native, found.sender.name) == (ANA, "Ana of ops")
    assert (found.space, found.is_addressed) == (GUILD, False)
    assert found.sent_at == wire.time_of(1574290000000000001)


@pytest.mark.parametrize("sample", ["message_with_mention", "message_with_role_mention"])
def test_a_message_that_names_us_first_is_addressed_and_comes_without_our_name(sample: str) -> None:
    found = heard(sample)
    assert found.is_addressed
    assert found.text == "run df -h"


def test_an_answer_to_a_message_of_ours_is_addressed() -> None:
    assert heard("message_that_answers_us").is_addressed


@pytest.mark.parametrize(
    ("sample", "peer"),
    [
        ("message_in_thread", place(OPS, THREAD)),
        ("message_in_new_thread", place(OPS, "810000000000000007")),
        ("forum_post", place(FORUM, "810000000000000008")),
    ],
)
def test_f007_a_thread_is_itself_under_its_parent(sample: str, peer: Peer) -> None:
    assert heard(sample).peer == peer
    assert heard(sample, IN_THREADS).peer == peer


def test_a_message_in_a_place_that_is_not_known_has_no_peer_until_discord_is_asked() -> None:
    came = message("message_in_unknown_place")
    assert wire.peer_of(came.channel, came.author.id, HERE) is None


def test_a_direct_message_is_the_persons_own_conversation() -> None:
    for identity in (HERE, IN_THREADS):
        found = heard("direct_message", identity)
        assert found.peer == place(ANA, kind=PeerKind.DIRECT)
        assert (found.is_addressed, found.space) == (True, None)


def test_a_question_at_the_top_is_asked_in_a_thread_of_its_own_where_that_is_wished() -> None:
    assert heard("message_in_channel", IN_THREADS).peer == place(OPS, "1574290000000000001")


@pytest.mark.parametrize(
    "sample",
    [
        "message_by_us",
        "message_by_bot",
        "message_by_webhook",
        "message_that_tells_of_a_thread",
        "message_with_file_only",
    ],
)
def test_what_no_person_has_said_is_not_heard(sample: str) -> None:
    assert not wire.is_said_by_a_person(message(sample), ME)


def test_we_are_known_by_our_id_and_not_only_as_a_bot() -> None:
    assert not wire.is_said_by_a_person(message("message_in_channel"), int(ANA))


def test_our_name_inside_the_words_stays() -> None:
    came = message("message_with_mention")
    came.content = f"run echo <@{ME}>"
    peer = wire.peer_of(came.channel, came.author.id, HERE)
    assert peer is not None
    assert wire.message_of(came, peer=peer, me=ME, roles=(), identity=HERE).text == f"run echo <@{ME}>"


# --- reactions -------------------------------------------------------------------------------------


def test_a_reaction_names_the_message_and_the_emoji_as_it_stands() -> None:
    came = reaction("reaction")
    sender = wire.sender_of(came.member or discord.Object(came.user_id))
    found = wire.reaction_of(peer=place(OPS), message=came.message_id, sender=sender, emoji=wire.emoji_of(came.emoji))
    assert (found.emoji, found.message_id, found.sender.native) == ("👍🏽", "1574280000000000001", ANA)


def test_a_picture_of_somebodys_own_is_never_taken_for_the_emoji_of_its_name() -> None:
    assert wire.emoji_of(reaction("reaction_with_custom_emoji").emoji) == "white_check_mark:720000000000000001"


def test_a_reaction_that_is_read_again_is_the_same_delivery() -> None:
    sender = wire.sender_of(discord.Object(int(ANA)))
    first, again = (
        wire.reaction_of(peer=place(OPS), message=1574280000000000001, sender=sender, emoji="✅") for _ in range(2)
    )
    assert first.delivery == again.delivery
    assert (
        first.delivery
        != wire.reaction_of(peer=place(OPS), message=1574280000000000001, sender=sender, emoji="❌").delivery
    )


def test_a_reaction_of_somebody_alone_with_us_carries_no_member() -> None:
    came = reaction("direct_reaction")
    assert (came.guild_id, came.member, str(came.user_id)) == (None, None, ANA)
    assert wire.peer_of(None, came.user_id, HERE, is_direct=True) == place(ANA, kind=PeerKind.DIRECT)


def test_a_reaction_in_a_thread_names_the_thread() -> None:
    assert str(reaction("reaction_in_thread").channel_id) == THREAD


# --- presses, forms --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sample", "peer", "space"),
    [
        ("press", place(OPS), GUILD),
        ("press_in_thread", place(OPS, THREAD), GUILD),
        ("press_alone", place(ANA, kind=PeerKind.DIRECT), None),
    ],
)
def test_a_press_names_its_card_its_button_and_its_place(sample: str, peer: Peer, space: str | None) -> None:
    came = interaction(sample)
    button = wire.button_of(came)
    assert button is not None
    assert peer_of_interaction(came) == peer
    press = wire.press_of(came, button=button, peer=peer)
    assert (press.button.action, press.button.execution_id) == (Action.APPROVE, "7K3QHM")
    assert (press.message_id, press.space, press.reason) == ("1574280000000000002", space, "")
    assert (press.sender.native, press.delivery) == (ANA, str(came.id))


def test_a_button_that_is_none_of_ours_is_none() -> None:
    assert wire.button_of(interaction("press_of_foreign_button")) is None


@pytest.mark.parametrize(
    ("sample", "reason"), [("form_sent_in", "not during the freeze"), ("form_with_row_sent_in", "too late")]
)
def test_a_form_carries_the_button_that_opened_it_and_the_reason(sample: str, reason: str) -> None:
    came = interaction(sample)
    button = wire.button_of(came)
    assert button is not None
    press = wire.press_of(came, button=button, peer=place(OPS))
    assert (press.button.action, press.reason, press.message_id) == (Action.DENY, reason, "1574280000000000002")


# --- slash commands --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sample", "typed"),
    [
        ("command_run", "run df -h | grep /srv"),
        ("command_run_on_node", "run on web-1: df -h"),
        ("command_approve", "approve 7K3QHM"),
        ("command_deny", "deny 7K3QHM not now"),
        ("command_executions", "executions"),
        ("command_nodes", "nodes"),
        ("command_why", "why 7K3QHM"),
        ("command_of_another_time", None),
    ],
)
def test_a_slash_command_is_the_words_that_somebody_types(sample: str, typed: str | None) -> None:
    assert wire.typed_of(interaction(sample)) == typed


@pytest.mark.parametrize(
    ("sample", "peer"),
    [
        ("command_run", place(OPS)),
        ("command_run_on_node", place(OPS, THREAD)),
        ("command_approve", place(ANA, kind=PeerKind.DIRECT)),
    ],
)
def test_a_slash_command_has_no_message_and_is_said_to_us(sample: str, peer: Peer) -> None:
    came = interaction(sample)
    assert peer_of_interaction(came) == peer
    found = wire.command_of(came, typed="run df", peer=peer)
    assert (found.message_id, found.is_addressed, found.delivery) == (None, True, str(came.id))
    assert found.space == (None if peer.kind is PeerKind.DIRECT else GUILD)


@pytest.mark.parametrize(
    ("sample", "asked"),
    [
        ("typing_node", (Suggest.NODE, "we")),
        ("typing_pending", (Suggest.PENDING, "7K")),
        ("typing_execution", (Suggest.EXECUTION, "7K")),
        ("typing_reason", None),
        ("command_run", None),
    ],
)
def test_a_field_that_is_being_typed_into_says_what_it_holds(sample: str, asked: object) -> None:
    assert wire.asked_of(interaction(sample)) == asked


# --- ids -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1",
        "abc",
        "-12345",
        "channel:12345",
        "0123456",
        "1" * 21,
        "\uff19" * 6,
        "1\uff19\uff19\uff19\uff19",
        str(2**64),
    ],
)
def test_f006_what_is_no_id_of_discord_is_refused(value: str) -> None:
    with pytest.raises(Malformed):
        wire.snowflake(value)


def test_an_id_of_a_moment_is_older_than_all_that_came_after() -> None:
    assert wire.time_of(wire.id_at(1_795_412_058.5)) == 1_795_412_058.5
    assert wire.id_at(1_795_412_058.0) < wire.id_at(1_795_412_058.001)


def test_every_sample_is_read_by_the_library() -> None:
    assert len(samples()) == 37
