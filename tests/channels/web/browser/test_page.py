"""The chat's page in a real Chromium: people, rooms, threads, reloads, restarts, sign-in."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Route, expect

from bot.domain.message import Nonce
from bot.domain.session import ReturnAddress
from channels.web.access import COOKIE_NAME
from tests.channels.contract import at, until, words
from tests.channels.web.browser.conftest import Enter
from tests.channels.web.browser.hands import ask_in, texts, write
from tests.channels.web.site import Site, direct, room

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_two_people_in_two_rooms_and_nothing_crosses(site: Site, enter: Enter) -> None:
    ana = await enter("ana", "Ana Sol", at="#/room/ops")
    ben = await enter("ben", "Ben Ito", at="#/room/general")
    await write(ana, "run uptime")
    await write(ben, "run who")
    await expect(texts(ana)).to_have_text(["run uptime"])
    await expect(texts(ben)).to_have_text(["run who"])
    await site.channel.send(at(room("ops")), words("up 3 days"), Nonce("n-1"))
    await site.channel.send(at(room("general")), words("ana ben"), Nonce("n-2"))
    await expect(texts(ana)).to_have_text(["run uptime", "up 3 days"])
    await expect(texts(ben)).to_have_text(["run who", "ana ben"])
    # What is new elsewhere is marked, in words, until it is opened.
    link = ana.locator("#rooms a", has_text="general")
    await expect(link).to_contain_text("new")
    await link.click()
    await expect(texts(ana)).to_have_text(["run who", "ana ben"])
    await expect(link).not_to_contain_text("new")


async def test_a_reload_shows_every_message_once(site: Site, enter: Enter) -> None:
    page = await enter("ana", "Ana Sol", at="#/room/ops")
    for number in range(8):
        await write(page, f"run {number}")
    await site.channel.send(at(room("ops")), words("answer"), Nonce("n-1"))
    expected = [*(f"run {number}" for number in range(8)), "answer"]
    await expect(texts(page)).to_have_text(expected)
    await page.reload()
    await expect(texts(page)).to_have_text(expected)
    await site.channel.send(at(room("ops")), words("after"), Nonce("n-2"))
    await expect(texts(page)).to_have_text([*expected, "after"])


async def test_a_restart_of_the_gateway_loses_and_doubles_nothing(site: Site, enter: Enter) -> None:
    page = await enter("ana", "Ana Sol", at="#/room/ops")
    _, receipt = await ask_in(site, room("ops"), page, "run reboot")
    await expect(page.locator(f"#m{receipt.message_id}")).to_be_visible()
    await site.stop()
    await expect(page.get_by_text("The connection is lost. Reconnecting…")).to_be_visible()
    box = page.locator("#composer-text")
    await box.fill("run while away")
    await box.press("Enter")
    await expect(page.get_by_role("alert").filter(has_text="Not sent")).to_be_visible()
    await expect(box).to_have_value("run while away")
    await site.start()
    await site.channel.send(at(room("ops")), words("written at the start"), Nonce("n-8"))
    await expect(page.get_by_text("The connection is lost")).to_be_hidden()
    await expect(page.locator("#messages").get_by_text("written at the start")).to_have_count(1)
    await box.press("Enter")
    await expect(box).to_have_value("")
    await expect(page.locator("#messages .text", has_text="run while away")).to_have_count(1)
    # The card of before the restart still takes a press.
    await page.get_by_role("button", name="Allow once: 7K3QHM").click()
    await until(lambda: len(site.inbox.presses) == 1, what="the press is recorded")


async def test_a_stream_that_was_refused_is_asked_for_again(site: Site, enter: Enter) -> None:
    """A server that is just starting answers 503, on which a browser's EventSource gives up for good."""
    page = await enter("ana", "Ana Sol", at="#/room/ops")
    refusals = 0

    async def refuse_twice(route: Route) -> None:
        nonlocal refusals
        refusals += 1
        await (route.fulfill(status=503, json={}) if refusals <= 2 else route.continue_())

    await page.route("**/web/stream*", refuse_twice)
    await page.reload()
    await expect(page.get_by_text("The connection is lost. Reconnecting…")).to_be_visible()
    await site.channel.send(at(room("ops")), words("while it was away"), Nonce("n-1"))
    await expect(texts(page)).to_have_text(["while it was away"])
    await expect(page.get_by_text("The connection is lost")).to_be_hidden()
    assert refusals == 3


async def test_a_send_that_the_core_refused_keeps_the_words_and_is_one_message_in_the_end(
    site: Site, enter: Enter
) -> None:
    page = await enter("ana", "Ana Sol", at="#/room/ops")
    site.inbox.is_down = True
    box = page.locator("#composer-text")
    await box.fill("run uptime")
    await box.press("Enter")
    await expect(page.get_by_role("alert").filter(has_text="Not sent")).to_be_visible()
    await expect(box).to_have_value("run uptime")
    site.inbox.is_down = False
    await box.press("Enter")
    await expect(box).to_have_value("")
    await expect(texts(page)).to_have_text(["run uptime"])
    assert len(site.inbox.messages) == 1


async def test_a_thread_is_answered_in_the_thread(site: Site, enter: Enter) -> None:
    page = await enter("ana", "Ana Sol", at="#/room/ops")
    await write(page, "run uptime")
    await page.locator("#messages .message").hover()
    await page.get_by_role("link", name="Reply in thread").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Thread")
    await write(page, "run who")
    await until(lambda: len(site.inbox.messages) == 2, what="the reply is recorded")
    root = site.inbox.messages[0].message_id
    assert site.inbox.messages[1].peer == room("ops", root)
    address = ReturnAddress(peer=room("ops", root), message_id=site.inbox.messages[1].message_id)
    await site.channel.send(address, words("ana tty1"), Nonce("n-1"))
    await expect(texts(page)).to_have_text(["run uptime", "run who", "ana tty1"])
    await page.get_by_role("link", name="Back to #ops").click()
    await expect(texts(page)).to_have_text(["run uptime"])
    await expect(page.get_by_role("link", name=re.compile("Open thread, last reply"))).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("link", name=re.compile("Open thread, last reply"))).to_be_visible()


async def test_a_direct_conversation_is_seen_by_its_person_only(site: Site, enter: Enter) -> None:
    ana = await enter("ana", "Ana Sol", at="#/direct")
    ben = await enter("ben", "Ben Ito", at="#/direct")
    await write(ana, "run private")
    await site.channel.send(at(direct("ana")), words("just for ana"), Nonce("n-1"))
    await site.channel.send(at(direct("ben")), words("just for ben"), Nonce("n-2"))
    await expect(texts(ana)).to_have_text(["run private", "just for ana"])
    await expect(texts(ben)).to_have_text(["just for ben"])


async def test_a_new_room_is_opened_and_used(site: Site, enter: Enter) -> None:
    page = await enter("ana", "Ana Sol")
    await page.get_by_role("button", name="+ Open a room").click()
    await page.get_by_label("Name of the room").fill("Not This")
    await page.get_by_role("button", name="Open", exact=True).click()
    await expect(page.locator("#room-fault")).to_contain_text("a-z, 0-9")
    await page.get_by_label("Name of the room").fill("deploys")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("#deploys")
    await expect(page.get_by_text("Nothing here yet")).to_be_visible()
    await page.get_by_role("button", name="run uptime").click()
    await expect(page.locator("#composer-text")).to_be_focused()
    await page.keyboard.press("Enter")
    await until(lambda: len(site.inbox.messages) == 1, what="the message is recorded")
    assert site.inbox.messages[0].peer == room("deploys")


async def test_the_invitation_leaves_no_trace_and_the_page_says_how_to_get_in(site: Site, enter: Enter) -> None:
    page = await enter("ana", "Ana Sol")
    assert "#/room/general" in page.url
    cookies = {each.get("name"): each for each in await page.context.cookies()}
    assert cookies[COOKIE_NAME].get("httpOnly") is True
    assert await page.evaluate("document.cookie") == ""
    await page.go_back()
    assert re.search(r"#[A-Za-z0-9_-]{43}", page.url) is None
    await page.goto(site.url)
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("You are not signed in here")
    await page.goto(f"{site.url}/join#{'a' * 43}")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("was used before")
