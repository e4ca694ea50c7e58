"""The card of several on the page: each decided beside its command, all together at the end, and nothing moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from bot.domain.batch import BatchId
from bot.domain.batch_card import batch_card
from bot.domain.command import CommandHash
from bot.domain.execution import Execution, ExecutionId
from bot.domain.message import Action, Nonce, Post, Receipt
from tests.channels.contract import at, until
from tests.channels.web.browser.conftest import Enter
from tests.channels.web.browser.looks import CONTRAST, NAMELESS_OR_SMALL
from tests.channels.web.browser.scenes import approved, denied, execution, finished, running
from tests.channels.web.site import Site, room

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

BATCH = BatchId("T4CWQ2")
COMMANDS = ("systemctl restart shop", "systemctl restart basket", "df -h /srv", "journalctl -u shop -n 50", "uptime")
IDS = ("7K3QHM", "4CWQ2M", "H29KAR", "WX36MC", "QY79FA")


def several(count: int = 5) -> list[Execution]:
    return [
        replace(
            execution(room("ops"), id=id_, text=text),
            id=ExecutionId(id_),
            command_hash=CommandHash(f"{number}c" * 32),
        )
        for number, (id_, text) in enumerate(zip(IDS[:count], COMMANDS, strict=False))
    ]


def post_of(site: Site, members: Sequence[Execution]) -> Post:
    return batch_card(BATCH, members, site.channel.capabilities)


async def shown(site: Site, page: Page, members: Sequence[Execution]) -> tuple[Locator, Receipt]:
    receipt = await site.channel.send(at(room("ops")), post_of(site, members), Nonce("card"))
    card = page.locator(f"#m{receipt.message_id}")
    await expect(card).to_be_visible()
    return card, receipt


async def test_f082_each_command_stands_whole_with_its_own_buttons_beside_it(site: Site, enter: Enter) -> None:
    page = await enter("ben", "Ben Ito", at="#/room/ops")
    card, _ = await shown(site, page, several())
    await expect(card.locator(".state")).to_have_text("Approval needed for 5 commands")
    await expect(card.locator(".execution")).to_have_text(BATCH)
    await expect(card.locator("pre")).to_have_text(list(COMMANDS))
    await expect(card.locator(".actions .button")).to_have_text(["Allow all", "Stop all", "Deny all"])
    for number, id_ in enumerate(IDS):
        row = card.locator("figure").nth(number).locator(".member .button")
        await expect(row).to_have_text(["Allow once", "Deny"])
        await expect(row.first).to_have_attribute("aria-label", f"Allow once: {id_}")


async def test_f048_a_press_is_for_the_one_beside_it_and_is_answered_there(site: Site, enter: Enter) -> None:
    page = await enter("ben", "Ben Ito", at="#/room/ops")
    members = several()
    card, receipt = await shown(site, page, members)
    site.inbox.note = "You may not decide H29KAR."
    await card.get_by_role("button", name="Allow once: H29KAR").click()
    await expect(card.locator("figure").nth(2).get_by_role("status")).to_have_text("You may not decide H29KAR.")
    await expect(card.locator("article > .note")).to_have_text("")
    (press,) = site.inbox.presses
    assert (press.button.action, press.button.execution_id) == (Action.APPROVE, "H29KAR")
    assert press.button.shown == members[2].command_hash
    # The others are still to be decided.
    await card.get_by_role("button", name="Allow once: 7K3QHM").click()
    await until(lambda: len(site.inbox.presses) == 2, what="the second press is recorded")
    # What was said there stays where another of the card moves on.
    await site.channel.edit(room("ops"), receipt.message_id, post_of(site, [approved(members[0]), *members[1:]]))
    await expect(card.locator("figcaption").first).to_contain_text("Approved, waiting for the node")
    await expect(card.locator("figure").nth(2).get_by_role("status")).to_have_text("You may not decide H29KAR.")


async def test_f048_what_is_decided_moves_nothing_under_a_finger_that_is_on_the_next(site: Site, enter: Enter) -> None:
    page = await enter("ben", "Ben Ito", at="#/room/ops", height=2_000)
    members = several()
    card, receipt = await shown(site, page, members)
    last = card.get_by_role("button", name="Allow once: QY79FA")
    before = await last.bounding_box()
    done = [finished(members[0], "x"), denied(members[1], "no"), *members[2:]]
    await site.channel.edit(room("ops"), receipt.message_id, post_of(site, done))
    await expect(card.locator("figcaption").first).to_contain_text("Finished, exit 0")
    first = card.locator("figure").first
    await expect(first.locator(".button")).to_have_count(0)
    after, top = await last.bounding_box(), await first.bounding_box()
    assert before is not None
    assert after is not None
    assert top is not None
    assert after["height"] == before["height"]
    figures = [await card.locator("figure").nth(number).bounding_box() for number in range(5)]
    heights = [figure["height"] for figure in figures if figure is not None]
    assert max(heights) - min(heights) < 1.0, "a row is as high without its buttons as with them"


async def test_a_denial_of_one_with_its_reason_survives_what_becomes_of_another(site: Site, enter: Enter) -> None:
    page = await enter("ben", "Ben Ito", at="#/room/ops")
    members = several()
    card, receipt = await shown(site, page, members)
    await card.get_by_role("button", name="Deny: 4CWQ2M").click()
    reason = card.locator("figure").nth(1).get_by_label("Why not?")
    await expect(reason).to_be_focused()
    await reason.fill("not during ")
    await site.channel.edit(room("ops"), receipt.message_id, post_of(site, [running(members[0]), *members[1:]]))
    await expect(card.locator("figcaption").first).to_contain_text("Running")
    await expect(reason).to_have_value("not during ")
    await expect(reason).to_be_focused()
    await reason.press("End")
    await reason.press_sequentially("the freeze")
    await reason.press("Enter")
    await until(lambda: len(site.inbox.presses) == 1, what="the denial is recorded")
    (press,) = site.inbox.presses
    assert (press.button.action, press.button.execution_id) == (Action.DENY, "4CWQ2M")
    assert press.reason == "not during the freeze"
    await expect(card.locator(".reason")).to_have_count(0)


async def test_only_one_reason_is_asked_for_at_a_time(site: Site, enter: Enter) -> None:
    page = await enter("ben", "Ben Ito", at="#/room/ops")
    card, _ = await shown(site, page, several())
    await card.get_by_role("button", name="Deny: 4CWQ2M").click()
    await card.get_by_role("button", name="Deny: H29KAR").click()
    await expect(card.locator(".reason")).to_have_count(1)
    await expect(card.locator("figure").nth(2).locator(".reason")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(card.get_by_role("button", name="Deny: H29KAR")).to_be_focused()


async def test_f048_all_of_it_is_decided_by_the_buttons_at_its_end(site: Site, enter: Enter) -> None:
    page = await enter("ben", "Ben Ito", at="#/room/ops")
    members = several()
    card, _ = await shown(site, page, members)
    site.inbox.note = "✅ You approved 7K3QHM, 4CWQ2M.\nH29KAR is already settled."
    await card.get_by_role("button", name=f"Allow all: {BATCH}").click()
    await expect(card.locator("article > .note")).to_contain_text("You approved 7K3QHM, 4CWQ2M.")
    await card.get_by_role("button", name=f"Deny all: {BATCH}").click()
    await card.get_by_label("Why not?").fill("no")
    await card.get_by_role("button", name="Deny all", exact=True).click()
    await until(lambda: len(site.inbox.presses) == 2, what="both presses are recorded")
    assert [press.button.action for press in site.inbox.presses] == [Action.APPROVE_ALL, Action.DENY_ALL]
    assert [press.button.execution_id for press in site.inbox.presses] == [BATCH, BATCH]
    assert site.inbox.presses[1].reason == "no"


async def test_f075_a_key_that_was_meant_for_a_button_that_is_gone_presses_no_other(site: Site, enter: Enter) -> None:
    page = await enter("ben", "Ben Ito", at="#/room/ops")
    members = several()
    card, receipt = await shown(site, page, members)
    await card.get_by_role("button", name="Allow once: 7K3QHM").focus()
    await site.channel.edit(room("ops"), receipt.message_id, post_of(site, [denied(members[0], "no"), *members[1:]]))
    await expect(card.locator("figcaption").first).to_contain_text("Denied")
    await expect(card.locator("article")).to_be_focused()
    await page.keyboard.press("Enter")
    assert site.inbox.presses == []


@pytest.mark.parametrize(
    ("name", "width", "height", "dark"),
    [("light", 1180, 1_500, False), ("dark", 1180, 1_500, True), ("narrow", 390, 2_000, False)],
)
async def test_it_fits_reads_well_and_is_kept_as_a_picture(
    site: Site, enter: Enter, tmp_path: Path, name: str, width: int, height: int, dark: bool
) -> None:
    page = await enter("ben", "Ben Ito", at="#/room/ops", width=width, height=height, dark=dark)
    members = several()
    card, receipt = await shown(site, page, members)
    lived = [finished(members[0], "x"), denied(members[1], "not now"), running(members[2]), *members[3:]]
    await site.channel.edit(room("ops"), receipt.message_id, post_of(site, lived))
    await expect(card.locator("figcaption").nth(2)).to_contain_text("Running")
    site.inbox.note = "You may not decide WX36MC. Who may: cleo."
    await card.get_by_role("button", name="Allow once: WX36MC").click()
    await expect(card.locator("figure").nth(3).get_by_role("status")).to_have_text(site.inbox.note)
    await page.screenshot(path=tmp_path / f"{name}.png")
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    assert await page.evaluate(CONTRAST) == []
    assert await page.evaluate(NAMELESS_OR_SMALL) == []
