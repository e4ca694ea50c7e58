"""What people do on the page, in the words of the tests. Deliberately absent: what they then expect."""

from __future__ import annotations

from playwright.async_api import Locator, Page, expect

from bot.domain.message import Nonce, Receipt
from bot.domain.session import Peer, ReturnAddress
from tests.channels.contract import until
from tests.channels.web.browser.scenes import asked_post, execution
from tests.channels.web.site import Site


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
