"""A real Chromium, one for the test run, and people who use the chat's page in it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.channels.web.site import Site, site_at

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_QUIET = (
    "--no-sandbox",  # a container has no user namespaces
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

Enter = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def chromium() -> AsyncIterator[Browser]:
    path = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.fail(f"no Chromium found: install one of {', '.join(_NAMES)}, or leave these out with -m 'not browser'")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(_QUIET))
        try:
            yield browser
        finally:
            await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_at(tmp_path) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def enter(chromium: Browser, site: Site) -> AsyncIterator[Enter]:
    """Opens an invitation in a browser of its own and presses Sign in. No fault may show on its console."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    async def one(
        native: str,
        name: str,
        *,
        at: str = "",
        width: int = 1180,
        height: int = 820,
        dark: bool = False,
        calm: bool = True,
    ) -> Page:
        context = await chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce" if calm else "no-preference",
            locale="en-GB",
            timezone_id="Europe/Berlin",
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = await context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        await page.goto(await site.invite(native, name))
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("heading", level=1, name="#general").wait_for()
        if at:
            await page.goto(f"{site.url}/{at}")
        await page.wait_for_function("document.querySelector('#rooms a')")
        return page

    yield one
    for context in contexts:
        await context.close()
    assert faults == []
