"""What goes wrong between the messages of one post, and signatures of others: nothing doubles, nothing is lost."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from urllib.parse import quote, urlsplit

import aiohttp
import pytest

from bot.domain.message import Attachment, Code, Nonce, Post, PostKind, Receipt
from bot.errors import ChannelError, ChannelThrottled, ChannelUnavailable, ChannelUncertain
from channels.whatsapp import form
from tests.channels.contract import at, until, words
from tests.channels.whatsapp.rig import WhatsAppRig, running
from tests.platforms.faults import Fault
from tests.platforms.whatsapp import WhatsAppNetwork
from tests.platforms.whatsapp.carrier import sign
from tests.platforms.whatsapp.world import Message

N = Nonce("n-1")
LONG = Post(
    kind=PostKind.RESULT,
    blocks=(Code(text="`" * 1_300, label="Output"),),
    execution_id="7K3QHM",
)
"""It grows by its escapes, and is sent in pieces."""
RESULT = Post(
    kind=PostKind.RESULT,
    blocks=(Code(text="the end of it", label="Output"),),
    execution_id="7K3QHM",
    attachment=Attachment(name="7K3QHM.txt", text="all of it"),
)


def ours(rig: WhatsAppRig) -> list[Message]:
    return [each for each in rig.twilio.messages.values() if each.author is None]


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.THROTTLED])
async def test_a_post_in_pieces_goes_on_where_it_was_refused(rig: WhatsAppRig, fault: Fault) -> None:
    pieces = [each.body for each in form.shown(LONG)]
    assert len(pieces) == 2
    rig.network.server.order(fault, fits=lambda sent: sent.get("Body") == pieces[1])
    with pytest.raises((ChannelUnavailable, ChannelThrottled)):
        await rig.channel.send(at(rig.here), LONG, N)
    await rig.channel.send(at(rig.here), LONG, N)
    assert [each.body for each in ours(rig)] == pieces


async def test_a_piece_that_did_not_arrive_is_sent_again_with_the_rest(rig: WhatsAppRig) -> None:
    pieces = [each.body for each in form.shown(LONG)]
    rig.twilio.heard.clear()  # the window is closed: Twilio takes all of it and says so later
    await rig.channel.send(at(rig.here), LONG, N)
    await until(lambda: len(rig.inbox.reports) == 1, what="the last piece is held")
    await until(lambda: all(each.status in {"failed", "undelivered"} for each in ours(rig)), what="both have failed")
    rig.twilio.hears(str(rig.here.id))
    await rig.channel.send(at(rig.here), LONG, N)
    await until(lambda: [each.body for each in ours(rig) if each.status == "delivered"] == pieces, what="all is there")


@pytest.mark.parametrize("is_quiet", [False, True])
async def test_a_file_follows_words_whose_answer_was_lost(rig: WhatsAppRig, is_quiet: bool) -> None:
    rig.network.server.carrier.is_quiet = is_quiet
    rig.inbox.outputs["7K3QHM"] = RESULT.attachment or Attachment(name="", text="")
    rig.network.server.order(Fault.LOST_ANSWER)
    with pytest.raises(ChannelUncertain):
        await rig.channel.send(at(rig.here), RESULT, N)
    async with asyncio.timeout(10):
        while not isinstance(await rig.channel.find(at(rig.here), N), Receipt):
            await asyncio.sleep(0.05)
    await until(lambda: any(each.media_url for each in ours(rig)), what="the file")
    await rig.channel.find(at(rig.here), N)
    await rig.channel.send(at(rig.here), RESULT, N)
    assert [bool(each.media_url) for each in ours(rig)] == [False, True]


async def test_a_close_under_a_send_is_over_soon_and_leaves_no_task(network: WhatsAppNetwork) -> None:
    async with running(network) as rig:
        order = network.server.order(Fault.GATED)
        sending = asyncio.create_task(rig.channel.send(at(rig.here), words("x"), N))
        await until(lambda: order.met == 1, what="it is under way")
        async with asyncio.timeout(5.0):
            await rig.channel.close()
        with pytest.raises(ChannelError):
            await asyncio.wait_for(sending, 7.0)
        order.lift()


@pytest.mark.parametrize("seconds", [0.0, -5.0, 86_400.0, math.nan, math.inf])
async def test_any_limit_ends_within_the_hour(rig: WhatsAppRig, seconds: float) -> None:
    rig.network.server.order(Fault.THROTTLED, seconds=seconds)
    with pytest.raises(ChannelThrottled) as found:
        await rig.channel.send(at(rig.here), words("x"), N)
    assert 1.0 <= found.value.retry_after_s <= 3_600.0


# --- signatures ----------------------------------------------------------------------------------------------

FIELDS = {
    "MessageSid": "SM" + "1" * 32,
    "To": "whatsapp:+15550001111",
    "From": "whatsapp:+15550002222",
    "Body": "run uptime",
}


async def test_what_is_signed_for_one_address_is_taken_at_no_other(rig: WhatsAppRig) -> None:
    """A callback's body at the address for messages, one account's at the other's, a query that was put behind it."""
    fields = FIELDS | {"To": f"whatsapp:{rig.twilio.number}", "From": f"whatsapp:{rig.here.id}"}
    base = f"{rig.twilio.public_url}/whatsapp/default/"
    signed = [f"{base}status", f"{base}message?a=1", f"{base}message/", f"{base}MESSAGE", f"{base}message%20"]
    sent = ["message", "message?", "message?a=1&b", "message#a", "./message"]
    body = "&".join(f"{name}={quote(value)}" for name, value in fields.items())
    async with aiohttp.ClientSession() as client:
        for url, path in itertools.product(signed, sent):
            headers = {
                "X-Twilio-Signature": sign(rig.twilio, url, fields),
                "Content-Type": "application/x-www-form-urlencoded",
            }
            where = f"{rig.twilio.local_url}/whatsapp/default/{path}"
            async with client.post(where, data=body, headers=headers) as answer:
                assert answer.status in {403, 404}, (url, path)
    assert rig.inbox.calls == 0


async def test_a_name_that_is_given_twice_is_no_way_around_a_signature(rig: WhatsAppRig) -> None:
    fields = FIELDS | {"To": f"whatsapp:{rig.twilio.number}", "From": f"whatsapp:{rig.here.id}"}
    url = f"{rig.twilio.public_url}/whatsapp/default/message"
    good = "&".join(f"{name}={quote(value)}" for name, value in fields.items())
    async with aiohttp.ClientSession() as client:
        for extra in ("Body=stop", "From=whatsapp%3A%2B15550009999", "ButtonPayload=x", "body=stop", "Body[]=x"):
            for body in (f"{extra}&{good}", f"{good}&{extra}"):
                headers = {
                    "X-Twilio-Signature": sign(rig.twilio, url, fields),
                    "Content-Type": "application/x-www-form-urlencoded",
                }
                where = f"{rig.twilio.local_url}/whatsapp/default/message"
                async with client.post(where, data=body, headers=headers) as answer:
                    assert answer.status in {400, 403}
    assert rig.inbox.calls == 0


async def test_a_stranger_who_leaves_in_the_middle_is_no_error_of_ours(
    rig: WhatsAppRig, caplog: pytest.LogCaptureFixture
) -> None:
    """The server would write a trace for each of them."""
    where = urlsplit(str(rig.twilio.local_url))
    for _ in range(5):
        _, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(
            b"POST /whatsapp/default/message HTTP/1.1\r\nHost: x\r\nX-Twilio-Signature: x\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\na"
        )
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()
    await rig.write(rig.here, "run uptime")
    assert [message.text for message in rig.inbox.messages] == ["run uptime"]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
async def test_a_signature_over_a_digest_of_the_body_is_none_here(rig: WhatsAppRig, kind: str) -> None:
    """Twilio signs JSON by `bodySHA256` in the query: what the form says is not covered by it then."""
    url = f"{rig.twilio.public_url}/whatsapp/default/message?bodySHA256={'0' * 64}"
    headers = {"X-Twilio-Signature": sign(rig.twilio, url, {}), "Content-Type": kind}
    where = f"{rig.twilio.local_url}/whatsapp/default/message?bodySHA256={'0' * 64}"
    async with aiohttp.ClientSession() as client:
        for body in ("Body=run", '{"Body":"run"}'):
            async with client.post(where, data=body, headers=headers) as answer:
                assert 400 <= answer.status < 500
    assert rig.inbox.calls == 0
