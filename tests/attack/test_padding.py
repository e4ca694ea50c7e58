"""A command with so many empty lines that what it does lies below the edge of its block, beside the buttons."""

from __future__ import annotations

import pytest

from bot.domain.message import Nonce
from tests.channels.contract import at
from tests.channels.web.browser.conftest import Enter, chromium, enter, site
from tests.channels.web.browser.hands import ask_in
from tests.channels.web.browser.scenes import asked_post, execution, finished, result_post
from tests.channels.web.site import Site, room

__all__ = ["chromium", "enter", "site"]
pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
PADDED = "echo hello\n" + "\n" * 60 + "rm -rf /srv\n" + "\n" * 60 + "echo bye"
HIDDEN_PX = "found => found.scrollHeight - found.clientHeight"


async def test_f083_no_line_of_a_command_that_is_asked_about_is_behind_a_scroll_bar_of_its_own(
    site: Site, enter: Enter
) -> None:
    page = await enter("ana", "Ana Sol", at="#/room/ops")
    one, caps = execution(room("ops"), text=PADDED), site.channel.capabilities
    address, _ = await ask_in(site, room("ops"), page, "run it")
    shown = await site.channel.send(address, asked_post(one, caps), Nonce("padded-card"))
    command = page.locator(f"#m{shown.message_id} pre").first
    await command.wait_for()
    assert await command.evaluate(HIDDEN_PX) == 0

    told = await site.channel.send(at(room("ops")), result_post(finished(one, PADDED), caps), Nonce("padded-end"))
    output = page.locator(f"#m{told.message_id} pre").last
    await output.wait_for()
    assert await output.evaluate(HIDDEN_PX) > 0
