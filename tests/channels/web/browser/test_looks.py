"""The page for every eye, hand and ear: keys, names, sizes, contrast, widths; and text that stays text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import expect

from bot.domain.message import Code, Heading, Nonce
from tests.channels.contract import APPROVE, DENY, at, card, until, words
from tests.channels.web.browser.conftest import Enter
from tests.channels.web.browser.hands import ask_in, write
from tests.channels.web.browser.looks import CONTRAST, NAMELESS_OR_SMALL
from tests.channels.web.browser.scenes import (
    asked_post,
    card_of,
    denied,
    execution,
    finished,
    result_post,
    running,
)
from tests.channels.web.site import Site, room
from tests.channels.web.test_security import HOSTILE

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


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
    faults = await page.evaluate(NAMELESS_OR_SMALL)
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


async def test_hostile_text_stays_text(site: Site, enter: Enter) -> None:
    page = await enter("ana", "<b>Ana</b>", at="#/room/ops")
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    one = execution(room("ops"), text="echo x", asker="<i>x</i>")
    await site.channel.send(at(room("ops")), asked_post(one, site.channel.capabilities), Nonce("card"))
    for number, text in enumerate(HOSTILE):
        await write(page, text)
        post = replace(words(text), execution_id=text, status="running")
        heading = replace(post, blocks=(Heading(spans=(text,)), Code(text=text, label=text)))
        await site.channel.send(at(room("ops")), post, Nonce(f"prose-{number}"))
        await site.channel.send(at(room("ops")), heading, Nonce(f"code-{number}"))
    await expect(page.locator("#messages .text")).to_have_text(list(HOSTILE))
    await expect(page.locator("#messages .framed .block-code code")).to_have_count(len(HOSTILE) + 1)
    foreign = page.locator("#messages").locator("script, [onerror], [onload], i, article b b, [href^=javascript]")
    await expect(foreign).to_have_count(0)
    await expect(page.locator("#my-name")).to_have_text("<b>Ana</b>")


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
