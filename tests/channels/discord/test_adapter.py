"""The Discord adapter over real sockets: once, whole, inert, private, in its own place, back again after a gap."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest
from discord.gateway import KeepAliveHandler
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.domain.message import (
    Answer,
    Attachment,
    ButtonPress,
    Code,
    Nonce,
    NotPosted,
    Post,
    PostKind,
    Prose,
    Standing,
    Suggestion,
)
from bot.domain.parts import split, visible
from bot.domain.session import NativeId, ReturnAddress, ThreadId
from bot.errors import ChannelHeld, ChannelRejected, ChannelUnavailable, ChannelUncertain
from tests.channels.contract import APPROVE, DENY, RecordingInbox, at, card, until, words
from tests.channels.discord.rig import DiscordRig, heard, running
from tests.platforms.discord import DiscordNetwork
from tests.platforms.discord.world import V2_CHARS, all_of
from tests.platforms.driver import Order

N = Nonce("n-1")


# --- what comes in -------------------------------------------------------------------------------------------


async def test_f109_a_message_seen_twice_has_one_delivery_id(rig: DiscordRig) -> None:
    await rig.write(rig.here, "run uptime", repeats=2)

    assert len(rig.inbox.messages) == 1


async def test_our_own_and_other_bots_messages_do_not_loop(rig: DiscordRig) -> None:
    place = rig.network.place(rig.here)
    other = replace(rig.ana, id=rig.network.world.id(), is_bot=True)
    await rig.channel.send(at(rig.here), words("by us"), N)
    await rig.network.write(place, other, "run uptime")
    await rig.network.write(place, rig.ana, "run uptime", webhook_id="123456")
    await rig.write(rig.here, "by ana")

    assert [message.text for message in rig.inbox.messages] == ["by ana"]


async def test_what_is_said_to_us_is_told_from_talk(rig: DiscordRig) -> None:
    place = rig.network.place(rig.here)
    await rig.network.write(place, rig.ana, "what a day")
    await heard(rig, "what a day")
    await rig.write(rig.here, "run uptime")

    assert [message.is_addressed for message in rig.inbox.messages] == [False, True]
    assert {message.space for message in rig.inbox.messages} == {rig.app.guild.id}


async def test_a_thread_is_a_peer_with_its_parent(rig: DiscordRig) -> None:
    thread = rig.network.thread
    assert thread is not None
    await rig.write(thread, "run uptime")

    (message,) = rig.inbox.messages
    assert message.peer == thread
    assert (message.peer.id, message.peer.thread is not None) == (rig.here.id, True)


async def test_in_thread_mode_a_question_is_answered_in_a_thread_of_its_own(network: DiscordNetwork) -> None:
    network.reply_mode = "thread"
    async with running(network) as rig:
        asked = await rig.write(rig.here, "run uptime")
        (message,) = rig.inbox.messages
        assert message.peer.thread == ThreadId(asked)
        address = ReturnAddress(peer=message.peer, message_id=asked)
        for number in range(2):
            await rig.channel.send(address, words(f"answer {number}"), Nonce(f"n-{number}"))

        assert [seen.text for seen in network.seen(message.peer)] == ["answer 0", "answer 1"]
        assert [seen.id for seen in network.seen(rig.here)] == [asked]


async def test_a_store_that_is_away_for_a_moment_loses_no_message(rig: DiscordRig) -> None:
    rig.inbox.is_down = True
    await rig.write(rig.here, "run uptime")
    assert rig.inbox.messages == []
    rig.inbox.is_down = False

    await heard(rig, "run uptime")


@pytest.mark.parametrize("emoji", ["✅", "👍🏽", "x:9000000000000001"])
async def test_a_reaction_is_given_as_it_is_and_anybodys_own_picture_with_its_id(rig: DiscordRig, emoji: str) -> None:
    receipt = await rig.channel.send(at(rig.here), card("Ask", APPROVE, DENY), N)
    await rig.network.react(rig.here, receipt.message_id, rig.ana.id, emoji)

    await until(lambda: len(rig.inbox.reactions) == 1, what="the reaction is heard")
    reaction = rig.inbox.reactions[0]
    assert (reaction.emoji, reaction.message_id, reaction.peer) == (emoji, receipt.message_id, rig.here)


# --- presses -------------------------------------------------------------------------------------------------


class SlowInbox(RecordingInbox):
    async def press(self, press: ButtonPress) -> Answer:
        await asyncio.sleep(2.5)
        return await RecordingInbox.press(self, press)


async def test_a_press_is_answered_in_private_also_when_the_store_is_slow(network: DiscordNetwork) -> None:
    inbox = SlowInbox(note="✅ You approved 7K3QHM.")
    async with running(network, inbox) as rig:
        receipt = await rig.channel.send(at(rig.here), card("Ask", APPROVE, DENY), N)
        await rig.pressed(rig.here, receipt.message_id, APPROVE)

        await until(lambda: len(inbox.presses) == 1, what="the press is recorded")
        made = list(network.rest.interactions.values())[-1]
        await until(lambda: bool(made.followups), what="the note followed")
        assert made.callback is not None
        assert made.callback["type"] == 6
        assert made.followups[0]["content"] == "✅ You approved 7K3QHM."
        assert made.followups[0]["flags"] & 64


async def test_a_press_that_was_not_recorded_says_so(rig: DiscordRig) -> None:
    receipt = await rig.channel.send(at(rig.here), card("Ask", APPROVE, DENY), N)
    rig.inbox.is_down = True

    assert await rig.pressed(rig.here, receipt.message_id, APPROVE) == "Not recorded, press again."


async def test_f056_a_card_of_an_earlier_process_works(network: DiscordNetwork) -> None:
    async with running(network) as rig:
        receipt = await rig.channel.send(at(rig.here), card("Ask", APPROVE, DENY), N)
    async with running(network) as rig:
        await rig.pressed(rig.here, receipt.message_id, DENY, reason="not now")

        (press,) = rig.inbox.presses
        assert (press.button, press.reason, press.message_id) == (DENY, "not now", receipt.message_id)
        assert press.space == rig.app.guild.id


async def test_a_button_that_is_none_of_ours_does_nothing_and_is_answered(rig: DiscordRig) -> None:
    receipt = await rig.channel.send(at(rig.here), card("Ask", APPROVE), N)
    message = rig.message(rig.here, receipt.message_id)
    body = {"component_type": 2, "custom_id": "h1:approve:7K3QHM:" + "g" * 64}
    made = await rig.network.interact(rig.app, message.channel, rig.ana, 3, body, message)

    assert "none of my buttons" in await rig.network.private_words(made)
    assert rig.inbox.presses == []


async def test_slash_commands_are_words_and_their_fields_are_completed(rig: DiscordRig) -> None:
    place = rig.network.place(rig.here)
    options = [{"name": "command", "type": 3, "value": "df -h"}, {"name": "node", "type": 3, "value": "web-1"}]
    body = {"id": "123456", "name": "run", "type": 1, "options": options}
    made = await rig.network.interact(rig.app, place, rig.ana, 2, body)
    assert (await rig.network.private_words(made)).startswith("Noted: run on web-1: df -h")
    (message,) = rig.inbox.messages
    assert (message.text, message.message_id, message.is_addressed) == ("run on web-1: df -h", None, True)

    rig.inbox.suggestions = [Suggestion(value="web-1", shown="web-1")]
    body = {**body, "options": [{"name": "node", "type": 3, "value": "we", "focused": True}]}
    made = await rig.network.interact(rig.app, place, rig.ana, 4, body)
    assert made.callback is not None
    assert [one["value"] for one in made.callback["data"]["choices"]] == ["web-1"]
    assert rig.inbox.suggested[0][3] == "we"


async def test_commands_are_written_only_when_they_changed(network: DiscordNetwork) -> None:
    for _ in range(2):
        async with running(network, slash_commands=True):
            assert network.app.commands_written == 1
    assert {one["name"] for one in network.app.commands} == {"run", "approve", "deny", "executions", "nodes", "why"}


# --- what goes out -------------------------------------------------------------------------------------------


async def test_f098_a_lost_answer_is_found_and_a_repeat_posts_nothing_twice(rig: DiscordRig) -> None:
    rig.network.order(Order.LOST_ANSWER)
    with pytest.raises(ChannelUncertain):
        await rig.channel.send(at(rig.here), words("once"), N)

    found = await rig.channel.find(at(rig.here), N)
    assert not isinstance(found, NotPosted)
    assert [seen.id for seen in rig.network.seen(rig.here)] == [found.message_id]
    assert (await rig.channel.send(at(rig.here), words("once"), N)).message_id == found.message_id
    assert len(rig.network.seen(rig.here)) == 1


async def test_a_lost_answer_is_found_by_another_process_too(network: DiscordNetwork) -> None:
    async with running(network) as rig:
        network.order(Order.LOST_ANSWER)
        with pytest.raises(ChannelUncertain):
            await rig.channel.send(at(rig.here), words("once"), N)
    async with running(network) as rig:
        assert not isinstance(await rig.channel.find(at(rig.here), N), NotPosted)
        assert await rig.channel.find(at(rig.here), Nonce("n-2")) is NotPosted.SURELY


async def test_what_surely_was_not_posted_says_so(rig: DiscordRig) -> None:
    rig.network.order(Order.UNAVAILABLE)
    with pytest.raises(ChannelUnavailable):
        await rig.channel.send(at(rig.here), words("once"), N)
    assert rig.network.seen(rig.here) == []


async def test_a_short_limit_is_waited_out(rig: DiscordRig) -> None:
    rig.network.order(Order.THROTTLED)
    await rig.channel.send(at(rig.here), words("once"), N)

    assert len(rig.network.seen(rig.here)) == 1


async def test_a_thread_that_is_gone_is_never_its_parent(rig: DiscordRig) -> None:
    thread = rig.network.thread
    assert thread is not None
    rig.network.place(thread).is_gone = True
    before = len(rig.network.seen(rig.here))
    with pytest.raises(ChannelRejected):
        await rig.channel.send(at(thread), words("astray"), N)

    assert len(rig.network.seen(rig.here)) == before


async def test_an_archived_thread_is_waited_for(rig: DiscordRig) -> None:
    thread = rig.network.thread
    assert thread is not None
    rig.network.place(thread).is_archived = True
    with pytest.raises(ChannelHeld):
        await rig.channel.send(at(thread), words("later"), N)


@pytest.mark.parametrize("native", ["ops", "discord:channel:1", "12", "1" * 25, "８００００００００００００００００１"])
async def test_f006_an_id_that_is_none_of_discords_reaches_no_api(rig: DiscordRig, native: str) -> None:
    before = len(rig.network.rest.calls)
    peer = replace(rig.here, id=NativeId(native))
    with pytest.raises(ChannelRejected):
        await rig.channel.send(at(peer), words("astray"), N)
    with pytest.raises(ChannelRejected):
        await rig.channel.send(at(replace(rig.here, thread=ThreadId(native))), words("astray"), N)

    assert rig.network.rest.calls[before:] == []


async def test_only_the_one_who_is_meant_is_pinged(rig: DiscordRig) -> None:
    post = replace(words(f"@everyone <@{rig.app.bot.id}> <@&1> @here"), mention=rig.ana.id)
    await rig.channel.send(at(rig.here), post, N)

    (seen,) = rig.network.seen(rig.here)
    assert seen.mentions == (rig.ana.id,)
    assert "@everyone" in seen.text


async def test_a_file_hangs_on_its_message(rig: DiscordRig) -> None:
    post = replace(words("cut here"), attachment=Attachment(name="7K3QHM.txt", text="all\n" * 5_000))
    await rig.channel.send(at(rig.here), post, N)

    (seen,) = rig.network.seen(rig.here)
    assert seen.file == "all\n" * 5_000


hostile = st.lists(
    st.sampled_from(
        ["```", "`", "@everyone", "<@123456789>", "https://example.org/", "\n", "* ", "# x", "\\", "_a_", "||", "> "]
    )
    | st.text(max_size=20),
    max_size=400,
).map("".join)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(text=hostile)
async def test_f117_any_output_is_read_back_to_the_letter_and_pings_nobody(rig: DiscordRig, text: str) -> None:
    shown = visible(text)
    said = shown[:300] or "x"
    post = Post(kind=PostKind.RESULT, blocks=(Prose(spans=(said,)), Code(text=shown, label="Output")))
    number = rig.network.world.id()
    parts = [
        await rig.channel.send(at(rig.here), part, Nonce(f"{number}-{at_}"[-25:]))
        for at_, part in enumerate(split(post, rig.channel.capabilities))
    ]
    seen = {one.id: one for one in rig.network.seen(rig.here)}

    # The words may stand in a fence of their own, before the output.
    assert "".join(code for part in parts for code in seen[part.message_id].code).endswith(shown)
    assert said in "\n".join(seen[part.message_id].text for part in parts)
    assert all(seen[part.message_id].mentions == () for part in parts)
    for part in parts:
        texts = all_of(rig.message(rig.here, part.message_id).components)
        assert sum(len(str(one.get("content", ""))) for one in texts) <= V2_CHARS


# --- the connection ------------------------------------------------------------------------------------------


async def test_a_dropped_socket_is_resumed_and_nothing_is_missed(rig: DiscordRig) -> None:
    await rig.network.gateway.drop()
    await rig.network.write(rig.network.place(rig.here), rig.ana, "said meanwhile")

    await heard(rig, "said meanwhile")
    assert rig.network.gateway.resumed == 1


@pytest.mark.parametrize("session", ["resumed", "unknown"])
async def test_f106_a_connection_that_looks_alive_and_is_deaf_is_left_and_nothing_is_missed(
    network: DiscordNetwork, session: str
) -> None:
    network.gateway.heartbeat_ms = 100
    async with running(network) as rig:
        await until(lambda: "root" in [one.text for one in rig.inbox.messages], what="the first reading", within_s=25.0)
        for beating in keeping_alive():
            # A minute, of which nobody waits for here.
            beating.heartbeat_timeout = 0.5
        network.gateway.deafen(forget=session == "unknown")
        message = network.world.post(network.place(rig.here), rig.ana, {"content": "into a deaf ear"}, [])
        await network.gateway.tell(rig.app, "MESSAGE_CREATE", message.form(), guild=rig.app.guild.id)
        assert network.gateway.greeted == 1

        await until(lambda: network.gateway.greeted >= 2, what="it is left", within_s=25.0)
        await until(
            lambda: "into a deaf ear" in [one.text for one in rig.inbox.messages], what="nothing missed", within_s=25.0
        )
        assert len(network.gateway.listening("default")) == 1
        # And the process is as alive as before.
        await network.say(rig.here, rig.ana.id, "and now?")
        await heard(rig, "and now?")


def keeping_alive() -> list[KeepAliveHandler]:
    return [one for one in threading.enumerate() if isinstance(one, KeepAliveHandler)]


@pytest.mark.parametrize("session", ["resumed", "invalidated", "unknown"])
async def test_f113_what_was_missed_in_a_gap_is_read_from_history(rig: DiscordRig, session: str) -> None:
    """What is written here is replayed in no case: it stands on Discord, and no dispatch tells of it."""
    receipt = await rig.channel.send(at(rig.here), card("Ask", APPROVE, DENY), N)
    # The reading after the first connection is over.
    await until(lambda: "root" in [one.text for one in rig.inbox.messages], what="the first reading", within_s=25.0)
    await asyncio.sleep(0.3)
    rig.inbox.cards = [Standing(peer=rig.here, message_id=receipt.message_id)]
    gateway = rig.network.gateway
    gateway.invalidate_resumes = session == "invalidated"
    await gateway.drop(forget=session == "unknown")
    message = rig.network.world.post(rig.network.place(rig.here), rig.ana, {"content": "missed"}, [])
    rig.message(rig.here, receipt.message_id).reactions["✅"] = [rig.ana.id]

    await until(lambda: "missed" in [one.text for one in rig.inbox.messages], what="read on", within_s=25.0)
    await until(lambda: len(rig.inbox.reactions) == 1, what="reactions are read again", within_s=25.0)
    assert [one.message_id for one in rig.inbox.messages if one.text == "missed"] == [message.id]
    assert rig.inbox.reactions[0].message_id == receipt.message_id
    assert (gateway.resumed, gateway.identified) == ((1, 1) if session == "resumed" else (0, 2))


async def test_a_close_in_the_middle_of_coming_back_leaves_no_thread_behind(network: DiscordNetwork) -> None:
    """The library waits five seconds before it identifies anew, with a socket open and its thread running."""
    async with running(network):
        opened = network.gateway.greeted
        await network.gateway.drop(forget=True)
        # One to resume, which is refused, and one to identify anew.
        await until(lambda: network.gateway.greeted >= opened + 2, what="it comes back", within_s=25.0)
        await asyncio.sleep(0.2)

    def beats() -> list[str]:
        return [one.name for one in threading.enumerate() if one.name.startswith("keep-alive-handler")]

    await until(lambda: not beats(), what="the thread ends")


@pytest.mark.parametrize("code", [4000, 4009, 1001])
async def test_a_close_that_is_no_refusal_is_come_back_from(rig: DiscordRig, code: int) -> None:
    await rig.network.gateway.drop(code=code)
    await rig.network.write(rig.network.place(rig.here), rig.ana, "still here")

    await until(lambda: "still here" in [one.text for one in rig.inbox.messages], what="heard", within_s=25.0)


async def test_a_missing_intent_is_named_in_the_log_and_ends_nothing(
    network: DiscordNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    network.app.may_read_content = False
    async with running(network, listens=False) as rig:
        await until(lambda: "discord.rejected" in caplog.messages, what="it is said")
        await rig.channel.send(at(rig.here), words("still told"), N)

        assert [seen.text for seen in network.seen(rig.here)] == ["still told"]


async def test_one_account_with_a_wrong_token_ends_no_other(network: DiscordNetwork) -> None:
    network.account("other")
    async with (
        running(network, account="other", token="wrong", listens=False) as broken,
        running(network) as rig,
    ):
        await rig.write(rig.here, "run uptime")
        peer = network.peer(next(iter(broken.app.guild.channels.values())), account="other")
        with pytest.raises(ChannelUnavailable):
            await broken.channel.send(at(peer), words("x"), N)
        await heard(rig, "run uptime")


async def test_two_accounts_keep_apart(network: DiscordNetwork) -> None:
    other = network.account("other")
    peer = network.peer(next(iter(other.guild.channels.values())), account="other")
    async with running(network) as ours, running(network, account="other") as theirs:
        await network.say(peer, network.world.person("ben", other.guild).id, "in the other guild")
        await heard(theirs, "in the other guild")
        await theirs.channel.send(at(peer), words("answer"), N)
        with pytest.raises(ChannelRejected):
            await ours.channel.send(at(peer), words("astray"), N)
        with pytest.raises(ChannelRejected):
            await ours.channel.send(at(replace(peer, account=ours.here.account)), words("astray"), N)

    assert ours.inbox.messages == []
    assert [seen.text for seen in network.seen(peer) if seen.author is None] == ["answer"]


async def test_a_malformed_dispatch_ends_nothing(rig: DiscordRig) -> None:
    await rig.network.gateway.tell(rig.app, "MESSAGE_CREATE", {"id": "no"}, guild=None)
    await rig.network.listens(rig.app)
    await rig.network.write(rig.network.place(rig.here), rig.ana, "still here")

    await until(lambda: "still here" in [one.text for one in rig.inbox.messages], what="heard", within_s=25.0)


# --- the doctor ----------------------------------------------------------------------------------------------


async def test_a_sound_account_has_no_fault(network: DiscordNetwork) -> None:
    assert all(check.is_ok for check in await network.channel().check())


async def test_the_doctor_names_a_wrong_token_and_a_missing_intent_with_the_remedy(network: DiscordNetwork) -> None:
    wrong = network.channel(token="wrong")
    (refused,) = await wrong.check()
    await wrong.close()
    assert "DISCORD_BOT_TOKEN" in refused.remedy
    network.app.may_read_content = False
    faults = [check for check in await network.channel().check() if not check.is_ok]

    assert ["Message Content Intent" in check.remedy for check in faults] == [True]


async def test_a_network_that_cannot_be_reached_is_a_finding() -> None:
    async with DiscordNetwork() as network:
        channel = network.channel()
    (found,) = await channel.check()

    assert not found.is_ok
    assert "api_base" in found.remedy
