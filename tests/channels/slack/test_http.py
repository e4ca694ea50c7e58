"""Over HTTP only what Slack signed, lately and for this account, is acted on; all else is refused within bounds."""

from __future__ import annotations

import json
import logging
import time
import urllib.parse

import aiohttp
import pytest

from bot.domain.message import Nonce
from tests.channels.contract import APPROVE, DENY, at, card, until
from tests.channels.slack.rig import SlackRig, running
from tests.platforms.slack import SlackNetwork
from tests.platforms.slack.payloads import event_callback, message_event, press_payload
from tests.platforms.slack.world import Form


async def event(rig: SlackRig, text: str = "run uptime") -> Form:
    message = await rig.network.people.write(rig.app, rig.room, rig.ana, text, deliver=False)
    return event_callback(rig.app, message_event(message, rig.room, rig.network.server.world), rig.network.server.world)


async def post(rig: SlackRig, raw: bytes, **more: object) -> int:
    status, _ = await rig.network.server.postman.http(rig.app, raw, **more)  # type: ignore[arg-type]
    return status


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "another-secret"},
        {"signature": ""},
        {"signature": "v0="},
        {"signature": "v0=" + "0" * 64},
        {"signature": "v1=" + "0" * 64},
        {"signature": "v0=ü"},
        {"signed_at": -400},
        {"signed_at": 400},
        {"headers": {"X-Slack-Request-Timestamp": ""}},
        {"headers": {"X-Slack-Request-Timestamp": "yesterday"}},
        {"headers": {"X-Slack-Request-Timestamp": "9" * 400}},
        {"headers": {"X-Slack-Request-Timestamp": "nan"}},
    ],
)
async def test_f112_what_is_not_signed_lately_with_our_secret_is_refused(
    http_network: SlackNetwork, wrong: Form, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with running(http_network) as rig:
        more = dict(wrong)
        if "signed_at" in more:
            more["signed_at"] += time.time()
        body = json.dumps(await event(rig, "run secretword")).encode()
        assert 400 <= await post(rig, body, **more) < 500
        assert rig.inbox.calls == 0
        assert "secretword" not in caplog.text
        assert await post(rig, body) == 200
        await until(lambda: len(rig.inbox.messages) == 1, what="the same, signed, is heard")


async def test_f113_what_is_replayed_has_no_second_effect(http_network: SlackNetwork) -> None:
    async with running(http_network) as rig:
        body = json.dumps(await event(rig)).encode()
        signed_at = time.time()
        for _ in range(3):
            await post(rig, body, signed_at=signed_at)
        assert len(rig.inbox.messages) == 1
        sent = await rig.channel.send(at(rig.here), card("Ask", APPROVE, DENY), Nonce("n-1"))
        message = rig.network.message(rig.here, sent.message_id)
        shown = next(each for each in message.blocks if each["type"] == "actions")["elements"][0]
        world = rig.network.server.world
        trigger, link = rig.network.server.trigger(), rig.network.server.response_url(rig.app, rig.room.id, rig.ana.id)
        pressing = press_payload(
            rig.app, rig.ana, message, shown | {"block_id": "b"}, world, trigger=trigger, response_url=link
        )
        raw = urllib.parse.urlencode({"payload": json.dumps(pressing)}).encode()
        for _ in range(3):
            await post(rig, raw, kind="application/x-www-form-urlencoded", signed_at=signed_at)
        assert len(rig.inbox.presses) == 1


async def test_the_address_is_verified_only_when_it_is_signed(http_network: SlackNetwork) -> None:
    async with running(http_network) as rig:
        body = json.dumps({"type": "url_verification", "token": "t", "challenge": "c0ffee"}).encode()
        status, text = await http_network.server.postman.http(rig.app, body)
        assert (status, "c0ffee" in text) == (200, True)
        status, text = await http_network.server.postman.http(rig.app, body, secret="another")
        assert 400 <= status < 500
        assert "c0ffee" not in text


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"", "application/json"),
        (b"not json", "application/json"),
        (b"[]", "application/json"),
        (b"null", "application/json"),
        (b"\xff\xfe\x00", "application/json"),
        (b"{" * 100_000, "application/json"),
        (b"payload=", "application/x-www-form-urlencoded"),
        (b"payload=%7B", "application/x-www-form-urlencoded"),
        (b"payload=[]", "application/x-www-form-urlencoded"),
        (b"payload=%ff%fe", "application/x-www-form-urlencoded"),
        (b"a=1&" * 5_000, "application/x-www-form-urlencoded"),
        (b"x" * 3_000_000, "application/json"),
        (b"{}", "text/plain"),
        (b"{}", "multipart/form-data; boundary=x"),
        (b"{}", "application/json; charset=no-such-charset"),
    ],
)
@pytest.mark.parametrize("secret", [None, "another-secret"])
async def test_a_body_that_makes_no_sense_is_acted_on_by_nobody(
    http_network: SlackNetwork, raw: bytes, kind: str, secret: str | None
) -> None:
    async with running(http_network) as rig:
        try:
            status = await post(rig, raw, kind=kind, secret=secret)
        except aiohttp.ClientError:
            # Cut off while it was still sending too much.
            status = 413
        assert status < 500
        assert secret is None or status >= 400
        assert rig.inbox.calls == 0
        assert await post(rig, json.dumps(await event(rig)).encode()) == 200
        await until(lambda: len(rig.inbox.messages) == 1, what="the next one is heard")


async def test_f012_a_request_signed_for_one_account_is_none_of_another(http_network: SlackNetwork) -> None:
    second_app = http_network.account("second")
    async with running(http_network) as first, running(http_network, account="second") as second:
        body = json.dumps(await event(first)).encode()
        status, _ = await http_network.server.postman.http(second_app, body, secret=first.app.signing_secret)
        assert 400 <= status < 500
        # Signed for the second, but it tells of the first one's app.
        await http_network.server.postman.http(second_app, body)
        assert second.inbox.calls == 0


async def test_only_posts_to_the_one_path_are_answered(http_network: SlackNetwork) -> None:
    async with running(http_network) as rig, aiohttp.ClientSession() as session:
        url = str(rig.app.request_url)
        for method in ("GET", "PUT", "DELETE"):
            async with session.request(method, url) as answer:
                assert answer.status in {404, 405}
        for path in ("/slack/other/events", "/slack/default", "/slack/default/events/x"):
            base = url.partition("/slack")[0]
            async with session.post(base + path, data=b"{}") as answer:
                assert answer.status in {404, 405}
