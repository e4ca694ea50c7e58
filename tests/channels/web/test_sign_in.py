"""Who comes into the web chat, and how: invitations, cookies, their ends. Nothing opens without one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bot.domain.message import Nonce
from channels.web import access
from tests.channels.contract import at, words
from tests.channels.web.site import Site, Visitor, room, site_at, visitor_of
from tests.channels.web.test_security import READS, WRITES


async def test_without_a_cookie_there_is_a_page_that_says_how_to_get_in_and_nothing_else(
    site: Site, stranger: Visitor
) -> None:
    await site.channel.send(at(room("ops")), words("secret of ops"), Nonce("n-1"))
    page = await stranger.get("/")
    assert page.status == 200
    assert b"homing invite" in page.body
    for path in READS:
        assert (await stranger.get(path)).status == 401
    for path in WRITES:
        assert (await stranger.post(path, {})).status == 401


@pytest.mark.parametrize("cookie", ["x", "a" * 43 + ".1", "", "ü", "a" * 4_000, "../../etc"])
async def test_a_made_up_cookie_is_nobody(stranger: Visitor, cookie: str) -> None:
    stranger.cookie = cookie
    assert (await stranger.get("/web/me")).status in {400, 401}


async def test_an_invitation_works_once_and_no_get_uses_it_up(site: Site, stranger: Visitor) -> None:
    link = await site.invite("ana", "Ana")
    secret = link.partition("#")[2]
    for path in ("/join", f"/join?secret={secret}", "/join/"):
        await stranger.get(path)
    first = await stranger.post("/web/join", {"secret": secret})
    assert first.status == 200
    assert (await stranger.post("/web/join", {"secret": secret})).status == 403


async def test_an_invitation_is_for_a_day(site: Site, stranger: Visitor) -> None:
    secret = (await site.invite("ana", "Ana")).partition("#")[2]
    site.clock.ahead_s = access.INVITATION_LIFETIME_S + 1
    assert (await stranger.post("/web/join", {"secret": secret})).status == 403


async def test_two_who_redeem_one_invitation_at_once_are_one_sign_in(site: Site, stranger: Visitor) -> None:
    secret = (await site.invite("ana", "Ana")).partition("#")[2]
    replies = await asyncio.gather(*(stranger.post("/web/join", {"secret": secret}) for _ in range(6)))
    assert sorted(reply.status for reply in replies) == [200, 403, 403, 403, 403, 403]


@pytest.mark.parametrize("secret", ["", "x", None, 5, "é" * 43, "a" * 43, "a" * 60_000])
async def test_a_made_up_invitation_is_refused(stranger: Visitor, secret: object) -> None:
    reply = await stranger.post("/web/join", {"secret": secret})
    assert reply.status == 403
    assert "Set-Cookie" not in reply.headers


async def test_the_cookie_is_for_our_pages_only_and_its_secret_is_kept_nowhere(site: Site, stranger: Visitor) -> None:
    link = await site.invite("ana", "Ana")
    secret = link.partition("#")[2]
    reply = await stranger.post("/web/join", {"secret": secret})
    set_cookie = reply.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in set_cookie.split(";")}
    cookie = set_cookie.split(";")[0].partition("=")[2]
    await site.stop()
    files = b"".join(path.read_bytes() for path in site.path.parent.iterdir() if path.is_file())
    assert cookie.split(".")[0].encode() not in files
    assert secret.encode() not in files
    await site.start()


async def test_a_cookie_over_https_is_never_sent_in_the_clear(tmp_path: Path) -> None:
    async with site_at(tmp_path, public_url="https://chat.example.org") as site, visitor_of(site) as one:
        secret = (await site.invite("ana", "Ana")).partition("#")[2]
        own = {"Host": "chat.example.org", "Origin": "https://chat.example.org"}
        reply = await one.post("/web/join", {"secret": secret}, own)
        assert reply.status == 200
        assert "Secure" in reply.headers["Set-Cookie"]


async def test_who_comes_again_stays_signed_in_and_who_stays_away_does_not(site: Site, ana: Visitor) -> None:
    first = ana.cookie
    day_s = 86_400.0
    site.clock.ahead_s = 14 * day_s
    assert "Set-Cookie" not in (await ana.get("/")).headers
    site.clock.ahead_s = 20 * day_s
    renewed = (await ana.get("/")).headers["Set-Cookie"].split(";")[0].partition("=")[2]
    assert renewed != first
    # The answer with the new one may be lost: the old one holds until its own end.
    assert (await ana.get("/web/me")).status == 200
    site.clock.ahead_s = 31 * day_s
    assert (await ana.get("/web/me")).status == 401
    ana.cookie = renewed
    assert (await ana.get("/web/me")).status == 200
    site.clock.ahead_s = 51 * day_s
    assert (await ana.get("/web/me")).status == 401


async def test_f115_sign_out_ends_that_cookie_for_good(ana: Visitor) -> None:
    assert (await ana.post("/web/sign-out", {})).status == 200
    assert (await ana.get("/web/me")).status == 401
    assert b"not signed in" in (await ana.get("/")).body
