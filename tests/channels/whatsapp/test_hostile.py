"""Ten thousand requests that Twilio never made: none is acted on, each is refused, memory stays, nothing is logged."""

from __future__ import annotations

import asyncio
import base64
import gc
import logging
import random
import tracemalloc
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
import pytest

from tests.channels.contract import APPROVE, until
from tests.channels.whatsapp.rig import WhatsAppRig, running
from tests.channels.whatsapp.test_wire import PRESS, TEXT
from tests.platforms.whatsapp import WhatsAppNetwork
from tests.platforms.whatsapp.carrier import sign

CANARY = "canaryword"
AT_ONCE = 40
ANSWER_S = 20.0
FORM = "application/x-www-form-urlencoded"
KINDS = (FORM, FORM, FORM, "application/json", "multipart/form-data; boundary=x", "text/plain", "", "x/y; z=ü")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """One request."""

    path: str
    body: bytes
    headers: dict[str, str]


def hostile(rig: WhatsAppRig, dice: random.Random, path: str, fields: dict[str, str]) -> Stranger:
    """A request that is not signed for what it holds and where it goes, or cannot be read."""
    fields = fields | {"To": f"whatsapp:{rig.twilio.number}", "Body": CANARY, "ProfileName": CANARY}
    url = rig.twilio.public_url + path
    good, body = sign(rig.twilio, url, fields), urllib.parse.urlencode(fields).encode()
    other = f"{rig.twilio.public_url}/whatsapp/default/{'status' if path.endswith('message') else 'message'}"
    signatures = (
        "",
        CANARY,
        "A" * 28,
        base64.b64encode(dice.randbytes(20)).decode(),
        sign(rig.twilio, url, fields, token=CANARY),
        sign(rig.twilio, other, fields),
        sign(rig.twilio, url.replace("https", "http"), fields),
        sign(rig.twilio, url, fields | {"Body": "something else"}),
        good[:-4] + "AAA=",
        "x" * dice.randrange(2_000),
    )
    bodies = (
        body,
        body[: dice.randrange(1, len(body))],
        body + b"&Extra=" + CANARY.encode(),
        body.replace(b"=", b"=%ff", 1),
        CANARY.encode("utf-16"),
        dice.randbytes(dice.randrange(2_000)),
        b"a=1&" * dice.randrange(1, 2_000),
        b"Body=" + b"x" * (dice.randrange(200_000) if dice.random() < 0.05 else 9),
        b"",
    )
    is_forged = dice.random() < 0.5
    wrong_body = dice.choice(bodies[1:])
    headers = {
        "Content-Type": dice.choice(KINDS),
        # A good signature stands beside a body that it does not fit only.
        "X-Twilio-Signature": dice.choice(signatures) if is_forged else good,
        "X-Forwarded-Proto": dice.choice(("https", "http", CANARY)),
        "X-Forwarded-Host": CANARY,
    }
    if dice.random() < 0.1:
        headers["X-Twilio-Webhooks-Signature-Settings"] = dice.choice(("algorithm=HMAC_SHA256", "algorithm=" + CANARY))
    if dice.random() < 0.1:
        del headers["X-Twilio-Signature"]
    return Stranger(path=path, body=dice.choice(bodies) if is_forged else wrong_body, headers=headers)


def _strangers(rig: WhatsAppRig, dice: random.Random, count: int) -> Iterator[Stranger]:
    status = {"MessageSid": TEXT["MessageSid"], "MessageStatus": "failed", "ErrorCode": "63016"}
    press = PRESS | {"ButtonPayload": APPROVE.token()}
    for _ in range(count):
        path, fields = dice.choice(
            (("message", TEXT), ("message", press), ("status", status), ("status?n=n-1", status))
        )
        yield hostile(rig, dice, f"/whatsapp/default/{path}", dict(fields))


async def _storm(rig: WhatsAppRig, client: aiohttp.ClientSession, strangers: Iterator[Stranger]) -> list[int]:
    seen: list[int] = []

    async def worker() -> None:
        for one in strangers:
            url = f"{rig.twilio.local_url}{one.path}"
            try:
                async with asyncio.timeout(ANSWER_S), client.post(url, data=one.body, headers=one.headers) as answer:
                    seen.append(answer.status)
            except (aiohttp.ClientError, ValueError):
                seen.append(400)  # refused before it was a request, or ended

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return seen


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.long)])
async def test_f112_no_request_by_a_stranger_is_acted_on(
    network: WhatsAppNetwork, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    caplog.set_level(logging.DEBUG)
    dice = random.Random(count)  # noqa: S311
    async with running(network) as rig, aiohttp.ClientSession() as client:
        await _storm(rig, client, _strangers(rig, dice, 200))
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            seen = await _storm(rig, client, _strangers(rig, dice, count))
            caplog_bytes = sum(len(record.getMessage()) + 2_000 for record in caplog.records)
            _, peak = tracemalloc.get_traced_memory()
            gc.collect()  # what only waits for its turn there is no leak
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(seen) == count
        assert all(400 <= status < 500 for status in seen), sorted(set(seen))
        assert {403, 413, 415} <= set(seen) or count < 1_000
        assert rig.inbox.calls == 0
        assert rig.inbox.reports == []
        assert after - before < 5_000_000 + caplog_bytes
        assert peak - before < 60_000_000 + caplog_bytes
        ours = [record for record in caplog.records if not record.name.startswith("asyncio")]
        assert not [record for record in ours if CANARY in str(record.__dict__)]
        assert sum(record.getMessage() == "whatsapp.unsigned" for record in ours) == 1
        # And one that Twilio did sign is heard all the same.
        await rig.write(rig.here, "run uptime")
        assert [message.text for message in rig.inbox.messages] == ["run uptime"]


async def test_a_replayed_request_has_one_effect(rig: WhatsAppRig) -> None:
    fields = TEXT | {"To": f"whatsapp:{rig.twilio.number}"}
    url = f"{rig.twilio.public_url}/whatsapp/default/message"
    headers = {"X-Twilio-Signature": sign(rig.twilio, url, fields)}
    async with aiohttp.ClientSession() as client:
        for _ in range(20):
            local = f"{rig.twilio.local_url}/whatsapp/default/message"
            async with client.post(local, data=fields, headers=headers) as answer:
                assert answer.status == 200
    assert len(rig.inbox.messages) == 1


async def test_a_signed_request_without_sense_is_refused(rig: WhatsAppRig) -> None:
    url = f"{rig.twilio.public_url}/whatsapp/default/message"
    async with aiohttp.ClientSession() as client:
        for fields in (
            {"To": f"whatsapp:{rig.twilio.number}"},
            TEXT | {"To": f"whatsapp:{rig.twilio.number}", "From": "whatsapp:me"},
        ):
            headers = {"X-Twilio-Signature": sign(rig.twilio, url, fields)}
            local = f"{rig.twilio.local_url}/whatsapp/default/message"
            async with client.post(local, data=fields, headers=headers) as answer:
                assert answer.status == 400
    assert rig.inbox.calls == 0


async def test_a_body_that_never_ends_is_cut_off_and_holds_up_nobody(
    network: WhatsAppNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.whatsapp.routes.READ_S", 0.3)
    async with running(network) as rig:
        port = int((rig.twilio.local_url or "").rpartition(":")[2])
        head = (
            f"POST /whatsapp/default/message HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nX-Twilio-Signature: x\r\n"
        )
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
        for _, writer in slow:
            writer.write(f"{head}Content-Length: 1000\r\n\r\nBody=".encode())
        await rig.write(rig.here, "run uptime")
        assert len(rig.inbox.messages) == 1
        for reader, writer in slow:
            async with asyncio.timeout(ANSWER_S):
                assert b" 408 " in await reader.readline()
            writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = f"{8192:x}\r\n".encode() + b"x" * 8_192 + b"\r\n"
        async with asyncio.timeout(ANSWER_S):
            for _ in range(10):
                writer.write(chunk)
            assert b" 413 " in await reader.readline()
        writer.close()
        await until(lambda: len(rig.inbox.messages) == 1, what="nothing else was taken")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_other_methods_and_accounts_lead_nowhere(rig: WhatsAppRig, method: str) -> None:
    async with aiohttp.ClientSession() as client:
        for path in ("/whatsapp/default/message", "/whatsapp/default/status"):
            async with client.request(method, f"{rig.twilio.local_url}{path}") as answer:
                assert answer.status == 405
        async with client.post(f"{rig.twilio.local_url}/whatsapp/other/message", data=TEXT) as answer:
            assert answer.status == 404
