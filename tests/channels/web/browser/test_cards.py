"""Cards on the page: their life by edits, presses, denials, what an edit may not disturb."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from bot.domain.message import Action, Nonce
from tests.channels.contract import APPROVE, DENY, WITH_BOTH, at, card, until, words
from tests.channels.web.browser.conftest import Enter
from tests.channels.web.browser.hands import ask_in
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
from tests.channels.web.site import Site, room

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


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


async def test_what_a_yes_needs_is_asked_in_one_form_and_a_wrong_code_can_be_followed_by_another(
    site: Site, enter: Enter
) -> None:
    page = await enter("ben", "Ben Ito", at="#/room/ops")
    await site.channel.send(at(room("ops")), card("Approval needed", WITH_BOTH, DENY), Nonce("n-1"))
    await page.get_by_role("button", name="Always allow: 7K3QHM").click()
    form = page.get_by_role("form", name="Always allow: 7K3QHM")
    reason, code = form.get_by_label("Why?"), form.get_by_label("Code of your own device")
    await expect(reason).to_be_focused()
    await expect(code).to_have_accessible_description("Six digits, or a recovery code. Nobody else sees it.")
    await form.get_by_role("button", name="Allow it always").click()
    assert site.inbox.presses == []
    # Another button's form takes its place; Escape gives the focus back.
    await page.get_by_role("button", name="Deny: 7K3QHM").click()
    await expect(page.locator("form.reason")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Deny: 7K3QHM")).to_be_focused()

    site.inbox.note = "That code is wrong."
    for typed in ("111111", "222222"):
        await page.get_by_role("button", name="Always allow: 7K3QHM").click()
        await reason.fill("the disk is full")
        await code.fill(typed)
        await code.press("Enter")
        await expect(page.locator(".note")).to_have_text("That code is wrong.")
        await expect(form).to_have_count(0)
    assert [(press.reason, press.code) for press in site.inbox.presses] == [
        ("the disk is full", "111111"),
        ("the disk is full", "222222"),
    ]
    assert len({press.delivery for press in site.inbox.presses}) == 2
