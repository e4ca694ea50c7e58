"""The chat's page in a real Chromium: people, rooms, cards, restarts, keys, looks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from bot.domain.message import Action, Nonce, Receipt
from bot.domain.session import Peer, ReturnAddress
from channels.web.access import COOKIE_NAME
from tests.channels.contract import APPROVE, DENY, at, card, until, words
from tests.channels.web.browser.conftest import Enter
from tests.channels.web.browser.scenes import (
    approved,
    asked_post,
    card_of,
    denied,
    execution,
    finished,
    result_post,
    running,
)
from tests.channels.web.site import Site, direct, room
from tests.channels.web.test_security import HOSTILE

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def write(page: Page, text: str) -> None:
    box = page.locator("#composer-text")
    await box.fill(text)
    await box.press("Enter")
    await expect(box).to_have_value("")


async def ask_in(site: Site, peer: Peer, page: Page, text: str, number: int = 1) -> tuple[ReturnAddress, Receipt]:
    """Somebody asks, and the core posts the card."""
    await write(page, text)
    await until(lambda: any(each.text == text for each in site.inbox.messages), what="the question is recorded")
    asked = next(each for each in site.inbox.messages if each.text == text)
    address = ReturnAddress(peer=peer, message_id=asked.message_id)
    one = execution(peer, text=text.removeprefix("run "))
    return address, await site.channel.send(
        address, asked_post(one, site.channel.capabilities), Nonce(f"card-{number}")
    )


def texts(page: Page) -> Locator:
    return page.locator("#messages .message .text, #messages .message .block-prose")


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


async def test_a_card_goes_through_its_life_by_edits(site: Site, enter: Enter) -> None:
    page = await enter("ana", "Ana Sol", at="#/room/ops")
    address, receipt = await ask_in(site, room("ops"), page, "run df -h /srv")
    shown = page.locator(f"#m{receipt.message_id}")
    one, caps = execution(room("ops"), text="df -h /srv"), site.channel.capabilities
    await expect(shown.locator(".state")).to_have_text("Approval needed")
    await expect(shown.locator("pre")).to_have_text("df -h /srv")
    await expect(shown.locator("time").first).to_have_attribute("datetime", re.compile(r"^20\d\d-.*Z$"))
    await expect(shown.locator(".actions .button")).to_have_text(["Allow once", "Stop", "Deny"])
    await expect(shown.get_by_text("@Ana Sol")).to_be_visible()
    await expect(page).to_have_title(re.compile(r"^\(1\) #ops"))

    site.inbox.note = "Your approval counts."
    await shown.get_by_role("button", name="Allow once: 7K3QHM").click()
    await expect(shown.get_by_role("status")).to_have_text("Your approval counts.")
    await expect(shown.get_by_role("button", name="Allow once: 7K3QHM")).to_be_disabled()
    assert [press.button.action for press in site.inbox.presses] == [Action.APPROVE]

    await site.channel.edit(room("ops"), receipt.message_id, card_of(approved(one), caps))
    await expect(shown.locator(".state")).to_have_text("Approved, waiting for the node")
    await expect(shown.get_by_text("Approved by ben")).to_be_visible()
    await site.channel.edit(room("ops"), receipt.message_id, card_of(running(one, "line 1\n", for_s=3), caps))
    await expect(shown.locator(".state")).to_have_text("Running")
    await expect(shown.locator(".elapsed")).to_have_text(re.compile(r"^[3-9] s$"))
    before = await shown.locator(".elapsed").text_content()
    await expect(shown.locator(".elapsed")).not_to_have_text(str(before))
    await site.channel.edit(room("ops"), receipt.message_id, card_of(running(one, "line 1\nline 2\n"), caps))
    await expect(shown.locator("pre").nth(1)).to_have_text("line 1\nline 2\n")
    done = finished(one, "/dev/sda1 48%\n")
    await site.channel.edit(room("ops"), receipt.message_id, card_of(done, caps))
    await site.channel.send(address, result_post(done, caps), Nonce("result-1"))
    await expect(shown.locator(".state")).to_have_text("Finished, exit 0")
    await expect(shown.locator(".actions .button")).to_have_count(0)
    result = page.locator(".message.result")
    await expect(result.locator("pre").nth(1)).to_have_text("/dev/sda1 48%\n")
    await expect(result.locator(".answers")).to_contain_text("run df -h /srv")
    await expect(page).to_have_title("#ops · Homing")
    await result.locator(".answers").click()
    await expect(page.locator(f"#m{address.message_id} article")).to_be_focused()


async def test_a_denial_with_its_reason(site: Site, enter: Enter) -> None:
    page = await enter("ben", "Ben Ito", at="#/room/ops")
    _, receipt = await ask_in(site, room("ops"), page, "run reboot")
    shown = page.locator(f"#m{receipt.message_id}")
    await shown.get_by_role("button", name="Deny: 7K3QHM").click()
    reason = shown.get_by_label("Why not?")
    await expect(reason).to_be_focused()
    assert site.inbox.presses == []
    await reason.fill("not during the freeze")
    await reason.press("Enter")
    await until(lambda: len(site.inbox.presses) == 1, what="the denial is recorded")
    assert (site.inbox.presses[0].button.action, site.inbox.presses[0].reason) == (
        Action.DENY,
        "not during the freeze",
    )
    one = denied(execution(room("ops"), text="reboot"), "not during the freeze")
    await site.channel.edit(room("ops"), receipt.message_id, card_of(one, site.channel.capabilities))
    await expect(shown.locator(".state")).to_have_text("Denied, nothing ran")
    await expect(shown.get_by_text("not during the freeze")).to_be_visible()


async def test_an_edit_elsewhere_takes_neither_focus_nor_a_half_written_reason(site: Site, enter: Enter) -> None:
    page = await enter("ben", "Ben Ito", at="#/room/ops")
    _, receipt = await ask_in(site, room("ops"), page, "run reboot")
    shown = page.locator(f"#m{receipt.message_id}")
    await shown.get_by_role("button", name="Deny: 7K3QHM").click()
    await shown.get_by_label("Why not?").fill("half a rea")
    other = await site.channel.send(at(room("ops")), words("something else"), Nonce("n-5"))
    await site.channel.edit(
        room("ops"),
        receipt.message_id,
        asked_post(execution(room("ops"), text="reboot", asker="ana"), site.channel.capabilities),
    )
    await expect(shown.get_by_text("Ana Sol (ana)")).to_be_visible()
    await expect(page.locator(f"#m{other.message_id}")).to_be_visible()
    await expect(shown.get_by_label("Why not?")).to_have_value("half a rea")
    await expect(shown.get_by_label("Why not?")).to_be_focused()
    # Decided elsewhere meanwhile: what had the focus is gone, and no key may fall on another button.
    await site.channel.edit(
        room("ops"), receipt.message_id, card_of(running(execution(room("ops"))), site.channel.capabilities)
    )
    await expect(shown.locator("article")).to_be_focused()
    await page.keyboard.press("Enter")
    assert site.inbox.presses == []


async def test_a_failed_press_says_so_and_can_be_repeated_as_the_same(site: Site, enter: Enter) -> None:
    page = await enter("ben", "Ben Ito", at="#/room/ops")
    _, receipt = await ask_in(site, room("ops"), page, "run reboot")
    allow = page.locator(f"#m{receipt.message_id}").get_by_role("button", name="Allow once: 7K3QHM")
    site.inbox.is_down = True
    await allow.click()
    await expect(page.locator(f"#m{receipt.message_id} .note")).to_contain_text("try again")
    await expect(allow).to_be_enabled()
    site.inbox.is_down = False
    await allow.click()
    await until(lambda: len(site.inbox.presses) == 1, what="the press is recorded")


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


async def test_everything_is_reached_by_keys_alone(site: Site, enter: Enter) -> None:
    page = await enter("ben", "Ben Ito", at="#/room/ops")
    await page.keyboard.press("Tab")
    await expect(page.locator(":focus")).to_have_count(1)
    await page.locator("#skip").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#composer-text")).to_be_focused()
    await page.keyboard.type("run one")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("two")
    await page.keyboard.press("Enter")
    await until(lambda: len(site.inbox.messages) == 1, what="the message is recorded")
    assert site.inbox.messages[0].text == "run one\ntwo"
    receipt = await site.channel.send(at(room("ops")), card("Approval needed", APPROVE, DENY), Nonce("n-1"))
    shown = page.locator(f"#m{receipt.message_id}")
    await expect(shown).to_be_visible()
    # F-075: a card that comes in takes no focus, so the Enter that was on its way presses nothing.
    await expect(page.locator("#composer-text")).to_be_focused()
    await page.keyboard.press("Enter")
    assert site.inbox.presses == []
    seen: list[str] = []
    for _ in range(12):
        await page.keyboard.press("Shift+Tab")
        seen.append(str(await page.evaluate("document.activeElement.getAttribute('aria-label') || ''")))
        if seen[-1].startswith("Allow once"):
            break
    assert seen.index("Deny: 7K3QHM") < seen.index("Allow once: 7K3QHM")
    ring = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert ring == "solid"
    await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    await expect(shown.get_by_label("Why not?")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(shown.get_by_role("button", name="Deny: 7K3QHM")).to_be_focused()
    assert site.inbox.presses == []


async def test_what_is_new_is_announced_and_a_tail_is_not(site: Site, enter: Enter) -> None:
    page = await enter("ben", "Ben Ito", at="#/room/ops")
    one, caps = execution(room("ops")), site.channel.capabilities
    receipt = await site.channel.send(at(room("ops")), asked_post(one, caps), Nonce("n-1"))
    announced = page.locator("#announcer p")
    await expect(announced).to_have_text(["Homing: Approval needed · 7K3QHM"])
    for tail in ("a\n", "a\nb\n", "a\nb\nc\n"):
        await site.channel.edit(room("ops"), receipt.message_id, card_of(running(one, tail), caps))
        await expect(page.locator(f"#m{receipt.message_id} pre").nth(1)).to_have_text(tail)
    await expect(announced).to_have_text(["Homing: Approval needed · 7K3QHM", "Homing: Running · 7K3QHM"])


async def test_everything_that_can_be_operated_has_a_name_and_a_size(site: Site, enter: Enter) -> None:
    page = await enter("ben", "Ben Ito", at="#/room/ops", width=390, height=844)
    _, receipt = await ask_in(site, room("ops"), page, "run reboot")
    await expect(page.locator(f"#m{receipt.message_id}")).to_be_visible()
    faults = await page.evaluate(
        """() => [...document.querySelectorAll('a, button, input, textarea, [role]')].filter((e) => e.checkVisibility())
        .flatMap((e) => {
          const label = e.labels?.[0]?.textContent || e.getAttribute('aria-label') || e.textContent
            || document.getElementById(e.getAttribute('aria-labelledby'))?.textContent || '';
          const box = e.getBoundingClientRect();
          const isControl = e.matches('button, input, textarea');
          return [label.trim() || e.matches('[role=alert], [role=status], [role=log]') ? null : 'no name: ' + e.outerHTML.slice(0, 90),
                  isControl && box.width > 0 && (box.width < 24 || box.height < 24) ? 'small: ' + e.outerHTML.slice(0, 90) : null];
        }).filter(Boolean)"""
    )
    assert faults == []
    for landmark in ("main", "nav[aria-label]", "h1", "html[lang]"):
        await expect(page.locator(landmark)).to_have_count(1)
    doubled = await page.evaluate(
        "[...document.querySelectorAll('[id]')].map((e) => e.id).filter((id, at, all) => all.indexOf(id) !== at)"
    )
    assert doubled == []


@pytest.mark.parametrize("dark", [False, True])
async def test_every_text_stands_out_from_its_ground(site: Site, enter: Enter, dark: bool) -> None:
    page = await enter("ben", "Ben Ito", at="#/room/ops", dark=dark)
    one, caps = execution(room("ops")), site.channel.capabilities
    address, _ = await ask_in(site, room("ops"), page, "run uptime")
    for number, state in enumerate((running(one, "tail"), denied(one, "no"), finished(one, "out"))):
        await site.channel.send(address, card_of(state, caps), Nonce(f"c-{number}"))
    last = await site.channel.send(address, result_post(finished(one, "oops", code=3), caps), Nonce("r-1"))
    await expect(page.locator(f"#m{last.message_id}")).to_be_visible()
    faint = await page.evaluate(CONTRAST)
    assert faint == []


CONTRAST = """() => {
  const canvas = document.createElement('canvas'); canvas.width = canvas.height = 1;
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => { pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] > 250) return c; }
    return rgba(getComputedStyle(document.body).backgroundColor); };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    const e = node.parentElement;
    if (!node.data.trim() || !e.checkVisibility({ opacityProperty: true }) || e.closest('.hidden, .skip, noscript, script')) continue;
    const [a, b] = [light(rgba(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(node.data.trim().slice(0, 40) + ' ' + ratio.toFixed(2));
  }
  return found;
}"""
"""Texts below 4.5 : 1 (WCAG 2.2, 1.4.3)."""


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_stays_text(site: Site, enter: Enter, text: str) -> None:
    page = await enter("ana", "<b>Ana</b>", at="#/room/ops")
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    await write(page, text)
    one = execution(room("ops"), text="echo x", asker=text[:60] or "x")
    await site.channel.send(at(room("ops")), asked_post(one, site.channel.capabilities), Nonce("n-1"))
    await site.channel.send(at(room("ops")), words(text), Nonce("n-2"))
    await expect(page.locator("#messages .message")).to_have_count(3)
    await expect(page.locator("#messages .text")).to_have_text(text)
    assert (
        await page.locator("#messages script, #messages img[onerror], #messages svg[onload], #messages b > b").count()
        == 0
    )
    await expect(page.locator("#my-name")).to_have_text("<b>Ana</b>")


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


async def test_a_sign_in_elsewhere_in_the_browser_shows_the_cards_anew(site: Site, enter: Enter) -> None:
    page = await enter("ana", "Ana Sol", at="#/room/ops")
    await site.channel.send(at(room("ops")), card("Approval needed", APPROVE, DENY), Nonce("n-1"))
    await expect(page.locator(".state")).to_be_visible()
    tab = await page.context.new_page()
    await tab.goto(await site.invite("ana", "Ana Sol"))
    await tab.get_by_role("button", name="Sign in").click()
    await tab.get_by_role("heading", level=1, name="#general").wait_for()
    allow = page.get_by_role("button", name="Allow once: 7K3QHM")
    await allow.click()
    await expect(page.locator(".note")).to_contain_text("look again")
    assert site.inbox.presses == []
    await expect(allow).to_be_enabled()
    await page.wait_for_load_state("networkidle")
    await allow.click()
    await until(lambda: len(site.inbox.presses) == 1, what="the press is recorded")


@pytest.mark.parametrize(
    ("name", "width", "height", "dark"),
    [("light", 1180, 820, False), ("dark", 1180, 820, True), ("narrow", 390, 844, False), ("small", 360, 740, True)],
)
async def test_the_page_fits_and_is_kept_as_a_picture(
    site: Site, enter: Enter, tmp_path: Path, name: str, width: int, height: int, dark: bool
) -> None:
    page = await enter("ana", "Ana Sol", at="#/room/ops", width=width, height=height, dark=dark)
    address, receipt = await ask_in(site, room("ops"), page, "run df -h /srv")
    caps = site.channel.capabilities
    done = finished(execution(room("ops"), id="4CWQ2M", text="df -h /srv"), "x" * 400 + "\n/dev/sda1 48%\n")
    await site.channel.send(address, result_post(done, caps), Nonce("r-1"))
    await expect(page.locator(".message.result")).to_be_visible()
    await page.screenshot(path=tmp_path / f"{name}.png")
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    for control in ("#composer-text", "#send", f"#m{receipt.message_id}"):
        box = await page.locator(control).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    if width < 800:
        await page.get_by_role("button", name="Conversations").click()
        await expect(page.locator("#rooms a", has_text="general")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.locator("#rooms a", has_text="general")).to_be_hidden()
