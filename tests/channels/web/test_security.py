"""What the web chat refuses: strangers, foreign pages, rebound names, forged presses, floods, markup."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from bot.domain.message import Code, Heading, Nonce, Post, PostKind, Prose
from bot.domain.session import Peer
from bot.errors import ConfigError
from channels.web import access
from channels.web.gate import WebLimits
from tests.channels.contract import APPROVE, DENY, at, card, words
from tests.channels.web.site import Reply, Site, Visitor, direct, listening, room, site_at, visitor_of

PAGES = ("/", "/join")
READS = ("/web/me", "/web/messages?kind=channel&room=ops", "/web/stream?after=0")
WRITES = ("/web/messages", "/web/presses", "/web/rooms", "/web/sign-out")
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "javascript:alert(1)",
    '"><svg/onload=alert(1)>',
    "{{ 7 * 7 }}",
    "${7*7}",
    "]]><!--",
    "&lt;b&gt;",
    "\u202egnp.exe",
    "data: 1\n\nid: 999999\nevent: reset\ndata: x",
)


# --- whose page asks -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
        # Another port of this host shares our cookies, and is not us.
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
async def test_a_foreign_page_changes_and_reads_nothing(site: Site, ana: Visitor, headers: Mapping[str, str]) -> None:
    for path in WRITES:
        assert (await ana.post(path, {"kind": "channel"}, headers)).status == 403
    for path in READS:
        assert (await ana.get(path, headers=headers)).status == 403
    assert site.inbox.calls == 0


async def test_a_change_says_where_it_comes_from(site: Site, ana: Visitor) -> None:
    fields = {"kind": "channel", "room": "ops", "text": "run x", "nonce": "nonce-0001"}
    silent = {"Cookie": ana.headers()["Cookie"]}
    async with ana.session.post(site.url + "/web/messages", json=fields, headers=silent) as response:
        assert response.status == 403
    async with ana.session.post(
        site.url + "/web/messages", json=fields, headers={**silent, "Sec-Fetch-Site": "same-origin"}
    ) as response:
        assert response.status == 200


async def test_a_form_of_another_page_is_no_request_of_ours(site: Site, ana: Visitor) -> None:
    body = json.dumps({"kind": "channel", "room": "ops", "text": "run x", "nonce": "nonce-0001"})
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        async with ana.session.post(
            site.url + "/web/messages",
            data=body.encode(),
            headers={**ana.headers(changes=True), "Content-Type": content_type},
        ) as response:
            assert response.status == 415
    assert site.inbox.calls == 0


async def test_a_link_from_elsewhere_opens_the_page(ana: Visitor) -> None:
    for path in PAGES:
        reply = await ana.get(path, headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})
        assert reply.status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1:1",
        "127.0.0.1",
        "127.0.0.1.evil.example:{port}",
        "",
        "[::]:{port}",
    ],
)
async def test_a_name_that_was_rebound_to_us_gets_nothing_not_even_a_page(site: Site, ana: Visitor, host: str) -> None:
    name = host.format(port=site.port)
    for path in (*PAGES, *READS, "/web/static/chat.js"):
        assert (await ana.get(path, headers={"Host": name})).status in {400, 421}
    for path in WRITES:
        assert (await ana.post(path, {}, {"Host": name, "Origin": f"http://{name}"})).status in {400, 421}


async def test_our_own_names_are_answered(site: Site, ana: Visitor) -> None:
    for name in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
        assert (await ana.get("/", headers={"Host": f"{name}:{site.port}"})).status == 200


async def test_the_public_name_is_ours_where_it_is_configured(tmp_path: Path) -> None:
    async with site_at(tmp_path, public_url="https://chat.example.org") as site, visitor_of(site) as one:
        assert (await one.get("/", headers={"Host": "chat.example.org"})).status == 200
        assert (await one.get("/", headers={"Host": "chat.example.org.evil.example"})).status == 421
        # Over the wrong scheme, or from the loopback page to the public name, it is another origin.
        for origin in ("http://chat.example.org", site.url):
            sent = {"Host": "chat.example.org", "Origin": origin}
            assert (await one.post("/web/join", {"secret": "x"}, sent)).status == 403


@pytest.mark.parametrize("url", ["chat.example.org", "ftp://x", "https://", "https://x/path", "https://x/?q=1"])
def test_a_public_address_that_is_none_is_a_fault_of_the_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match=r"web\.public_url"):
        access.Origins(url)


async def test_every_answer_carries_the_headers_that_bind_the_browser(site: Site, ana: Visitor) -> None:
    replies = [
        await ana.get("/"),
        await ana.get("/join"),
        await ana.get("/web/me"),
        await ana.get("/web/static/chat.js"),
        await ana.get("/", headers={"Host": "evil.example"}),
        await ana.post("/web/messages", {}),
    ]
    async with listening(ana, 0) as stream:
        replies.append(Reply(200, stream.response.headers.copy(), b""))
    for reply in replies:
        for name, value in access.HEADERS.items():
            assert reply.headers[name] == value
        assert "unsafe" not in reply.headers["Content-Security-Policy"]
        assert reply.headers["Content-Type"].partition(";")[0] in {
            "text/html",
            "text/javascript",
            "application/json",
            "text/event-stream",
        }
    assert site.port


async def test_pages_hold_no_script_and_no_style_of_their_own_and_name_no_other_host(ana: Visitor) -> None:
    for path in PAGES:
        page = (await ana.get(path)).body.decode()
        assert "<style" not in page
        assert " style=" not in page
        assert " onclick=" not in page
        assert page.count("<script") == page.count('<script type="module" src="/web/static/')
        assert "http://" not in page
        assert "https://" not in page
    for name in ("chat.css", "colours.css", "door.css", "chat.js", "message.js", "blocks.js", "dom.js"):
        text = (await ana.get(f"/web/static/{name}")).body.decode()
        assert "innerHTML" not in text
        assert "https://" not in text


@pytest.mark.parametrize("name", ["../wire.py", "..%2fwire.py", "%2e%2e/adapter.py", "wire.py", "chat.html", "", "%00"])
async def test_no_file_but_ours_is_served(ana: Visitor, name: str) -> None:
    assert (await ana.get(f"/web/static/{name}")).status == 404


# --- other people's conversations ------------------------------------------------------------------


async def test_nobody_reads_or_writes_in_another_persons_direct_conversation(
    site: Site, ana: Visitor, ben: Visitor
) -> None:
    root = (await ana.write(direct("ana"), "run private")).json["message"]
    assert isinstance(root, dict)
    mine = str(root["id"])
    for peer in (direct("ana"), direct("ana", mine)):
        assert (await ben.write(peer, "run x")).status == 400
    for query in (
        {"kind": "direct", "room": "ana"},
        {"kind": "direct", "room": "ana", "thread": mine},
        # By the id of a message of it, as a thread of one's own conversation or of a room.
        {"kind": "direct", "thread": mine},
        {"kind": "channel", "room": "ops", "thread": mine},
        {"kind": "channel", "room": "ana"},
    ):
        reply = await ben.get("/web/messages", query)
        assert reply.status in {400, 404}
        assert b"private" not in reply.body
    assert [message.text for message in site.inbox.messages] == ["run private"]


async def test_a_stream_never_shows_another_persons_direct_conversation(site: Site, ana: Visitor, ben: Visitor) -> None:
    """Neither what is caught up with, nor what is live, nor what is edited, nor what hangs in a thread."""
    before = await site.channel.send(at(direct("ana")), words("private before"), Nonce("n-1"))
    async with listening(ben, 0) as stream:
        await ana.write(direct("ana"), "run private")
        await ana.write(direct("ana", before.message_id), "run private thread")
        await site.channel.edit(direct("ana"), before.message_id, words("private edit"))
        await site.channel.send(at(room("ops")), words("for everybody"), Nonce("n-2"))
        entry = await stream.entry()
        assert "for everybody" in json.dumps(entry)


async def test_a_card_in_anothers_direct_conversation_cannot_be_pressed(site: Site, ana: Visitor, ben: Visitor) -> None:
    receipt = await site.channel.send(at(direct("ana")), card("Approval needed", APPROVE), Nonce("n-1"))
    fields = await ana.press_fields(direct("ana"), receipt.message_id, APPROVE)
    # Ben's own proof, which he could compute from his cookie.
    proof = access.proof_of(ben.cookie, receipt.message_id, APPROVE.token())
    for changes in (
        {"kind": "direct", "room": "ana"},
        {"kind": "direct", "room": "ben"},
        {"kind": "channel", "room": "ops"},
    ):
        assert (await ben.post("/web/presses", {**fields, **changes, "proof": proof})).status in {400, 404}
    assert site.inbox.presses == []


# --- presses ---------------------------------------------------------------------------------------


async def test_a_press_needs_the_proof_of_its_own_card_button_and_sign_in(
    site: Site, ana: Visitor, ben: Visitor
) -> None:
    one = await site.channel.send(at(room("ops")), card("Approval needed", APPROVE, DENY), Nonce("n-1"))
    two = await site.channel.send(at(room("ops")), card("Approval needed", APPROVE, DENY), Nonce("n-2"))
    good = await ana.press_fields(room("ops"), one.message_id, APPROVE)
    deny = await ana.press_fields(room("ops"), one.message_id, DENY)
    other_card = await ana.press_fields(room("ops"), two.message_id, APPROVE)
    bens = await ben.press_fields(room("ops"), one.message_id, APPROVE)
    forged = {
        "missing": "",
        "made up": "0" * 64,
        "another button's": deny["proof"],
        "another card's": other_card["proof"],
        "another person's": bens["proof"],
        "no text": 5,
        "not ascii": "é" * 64,
    }
    for name, proof in forged.items():
        reply = await ana.post("/web/presses", {**good, "proof": proof})
        assert reply.status in {400, 403}, name
    assert (await ana.post("/web/presses", {**good, "message": other_card["message"]})).status == 403
    assert (await ana.post("/web/presses", {**good, "room": "general"})).status == 404
    assert site.inbox.presses == []
    assert (await ana.post("/web/presses", good)).status == 200
    assert [(press.sender.native, press.message_id) for press in site.inbox.presses] == [("ana", one.message_id)]


async def test_a_proof_dies_with_its_sign_in(site: Site, ana: Visitor) -> None:
    receipt = await site.channel.send(at(room("ops")), card("Approval needed", APPROVE), Nonce("n-1"))
    fields = await ana.press_fields(room("ops"), receipt.message_id, APPROVE)
    await ana.sign_in("ana", "Ana Sol")
    assert (await ana.post("/web/presses", fields)).json["error"] == "unproven"
    assert site.inbox.presses == []


async def test_f075_words_that_sound_like_a_yes_press_nothing(site: Site, ana: Visitor) -> None:
    await site.channel.send(at(room("ops")), card("Approval needed", APPROVE), Nonce("n-1"))
    for text in ("ok", "yes", "approve it", APPROVE.token()):
        await ana.write(room("ops"), text)
    assert site.inbox.presses == []


# --- floods ----------------------------------------------------------------------------------------


async def test_f112_a_body_of_ten_megabytes_is_refused_before_it_is_read(site: Site, ana: Visitor) -> None:

    async def flood() -> AsyncIterator[bytes]:
        """The same without a declared length."""
        for _ in range(160):
            yield b"x" * 65_536

    headers = {**ana.headers(changes=True), "Content-Type": "application/json"}
    for data in (io.BytesIO(b"x" * 10_485_760), flood()):
        # The server ends the connection: the client may learn that before it reads the answer.
        with contextlib.suppress(OSError):
            async with ana.session.post(site.url + "/web/messages", data=data, headers=headers) as response:
                assert response.status == 413
    assert site.inbox.calls == 0
    assert (await ana.write(room("ops"), "run uptime")).status == 200


async def test_f112_a_body_that_trickles_is_cut_off(tmp_path: Path) -> None:
    async with site_at(tmp_path, limits=WebLimits(body_timeout_s=0.2)) as site, visitor_of(site) as ana:
        await ana.sign_in("ana", "Ana")
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        headers = {
            **ana.headers(changes=True),
            "Host": f"127.0.0.1:{site.port}",
            "Content-Type": "application/json",
            "Content-Length": "100",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"POST /web/messages HTTP/1.1\r\n{lines}\r\n{{".encode())
        status = await asyncio.wait_for(reader.readline(), 5)
        assert b" 408 " in status
        writer.close()
        await writer.wait_closed()


async def test_an_overlong_message_is_refused_with_a_clear_word(site: Site, ana: Visitor) -> None:
    reply = await ana.write(room("ops"), "x" * 8_501)
    assert reply.status == 400
    assert "at most 8,500 characters" in str(reply.json["words"])
    assert site.inbox.calls == 0


# --- markup ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_is_data_in_every_answer(site: Site, ana: Visitor, text: str) -> None:
    peer: Peer = room("ops")
    after = (await ana.get("/web/me")).json["head"]
    post = Post(
        kind=PostKind.REPLY,
        blocks=(Heading(spans=(text,)), Prose(spans=(text,)), Code(text=text, label=text)),
        execution_id="7K3QHM",
    )
    assert (await ana.write(peer, text)).status == 200
    await site.channel.send(at(peer), post, Nonce("n-1"))
    asked, shown = await ana.read(peer)
    assert asked["text"] == text
    assert isinstance(shown["post"], dict)
    assert [block.get("text", block.get("spans")) for block in shown["post"]["blocks"]] == [[text], [text], text]
    async with listening(ana, int(str(after))) as stream:
        assert (await stream.entry())["text"] == text
        assert json.dumps((await stream.entry())["post"]).count(json.dumps(text)[1:-1]) == 4
