"""The connection comes back by itself, loses nothing on the way, and one account's trouble is no other's."""

from __future__ import annotations

import asyncio
import logging

import pytest

from bot.domain.message import Standing
from bot.domain.session import MessageId
from tests.channels.contract import RecordingInbox, until
from tests.channels.slack.rig import BACK_S, SlackRig, behind_its_back, heard, running
from tests.platforms.faults import Fault
from tests.platforms.slack import SlackNetwork


async def test_a_connection_that_slack_takes_back_is_made_again_and_loses_nothing(socket_network: SlackNetwork) -> None:
    server = socket_network.server
    async with running(socket_network) as rig:
        for number, reason in enumerate(("warning", "refresh_requested")):
            before = list(server.postman.sockets)
            await server.disconnect(reason=reason)
            await until(
                lambda: any(each not in before for each in server.postman.open_sockets()),  # noqa: B023
                what="it is connected anew",
                within_s=BACK_S,
            )
            await rig.write(rig.here, f"run {number}")
            await heard(rig, f"run {number}")


async def test_a_dropped_socket_is_made_again_and_what_came_meanwhile_is_read(socket_network: SlackNetwork) -> None:
    async with running(socket_network) as rig:
        seen = await rig.write(rig.here, "run before")
        rig.inbox.newest = [Standing(peer=rig.here, message_id=seen)]
        socket_network.server.drop()
        await behind_its_back(rig, rig.here, "run meanwhile")
        await until(lambda: socket_network.is_connected(), what="it is connected again", within_s=BACK_S)
        await heard(rig, "run meanwhile")
        assert [each.text for each in rig.inbox.messages] == ["run before", "run meanwhile"]


async def test_f107_after_many_breaks_exactly_one_socket_is_open(socket_network: SlackNetwork) -> None:
    server = socket_network.server
    async with running(socket_network) as rig:
        for _ in range(3):
            await until(lambda: socket_network.is_connected(), what="it is connected", within_s=BACK_S)
            await server.disconnect()
        await until(lambda: socket_network.is_connected(), what="it is connected", within_s=BACK_S)
        await rig.write(rig.here, "run uptime")
        await heard(rig, "run uptime")
        assert len(server.postman.open_sockets()) == 1
    await until(lambda: not server.postman.sockets, what="no socket is left after close")


async def test_f044_an_account_with_a_wrong_token_ends_no_other_and_says_so(
    network: SlackNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for error in ("invalid_auth", "token_revoked", "account_inactive"):
        network.account("second").error = error
        caplog.clear()
        broken = network.channel("second")
        await broken.start(RecordingInbox())
        async with running(network) as rig:
            await until(
                lambda: any(record.message == "slack.rejected" for record in caplog.records),
                what="the refusal is logged",
            )
            await rig.write(rig.here, "run uptime")
            await heard(rig, "run uptime")
        async with asyncio.timeout(5):
            await broken.close()
    assert "fake" not in caplog.text, "no token is logged"


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.LOST_ANSWER, Fault.THROTTLED])
async def test_a_network_that_is_away_at_the_start_is_tried_again(socket_network: SlackNetwork, fault: Fault) -> None:
    for method in ("apps.connections.open", "auth.test"):
        socket_network.server.order(fault, method)
    async with running(socket_network) as rig:
        await rig.write(rig.here, "run uptime")
        await heard(rig, "run uptime")


async def test_a_channel_can_be_closed_before_it_ever_reached_its_network() -> None:
    async with SlackNetwork() as network:
        channel = network.channel()
    await channel.start(RecordingInbox())
    async with asyncio.timeout(5):
        await channel.close()


@pytest.mark.parametrize("method", ["auth.test", "apps.connections.open", "conversations.history"])
async def test_a_slack_that_never_answers_does_not_keep_it_from_closing(
    socket_network: SlackNetwork, method: str
) -> None:
    gate = socket_network.server.order(Fault.GATED, method, times=100)
    rig = SlackRig(socket_network, socket_network.channel(), RecordingInbox())
    rig.inbox.newest = [Standing(peer=rig.here, message_id=MessageId("1700000000.000100"))]
    await rig.channel.start(rig.inbox)
    await until(lambda: gate.met > 0, what="it waits for Slack")
    async with asyncio.timeout(5):
        await rig.channel.close()
