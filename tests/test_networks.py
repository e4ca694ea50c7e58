"""The accounts' life: one that cannot start, hangs or cannot close ends nobody else; and what the doctor asks."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from bot import doctor, networks
from bot.config import load_settings
from bot.domain.message import Capabilities, Delivery, Nonce, NotPosted, Post, Receipt
from bot.domain.session import AccountName, ChannelName, MessageId, Peer, ReturnAddress
from bot.networks import Accounts, build_channels, mount
from bot.ports import Check, Inbox
from bot.store import open_store
from tests.channels.contract import RecordingInbox
from tests.clock import ManualClock

SLACK = ChannelName("slack")
BOTH_SLACKS = """
[[slack]]
bot_token = "xoxb-fake"
signing_secret = "fake"
[[slack]]
account = "socket"
bot_token = "xoxb-other"
app_token = "xapp-fake"
"""


@dataclass
class Scripted:
    """A `Channel` whose start, close and check do what the test has laid ready."""

    account: AccountName
    name: ChannelName = SLACK
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(text_chars=4_000, code_chars=3_000))
    on_start: Callable[[], Awaitable[None]] | None = None
    on_close: Callable[[], Awaitable[None]] | None = None
    checks: Sequence[Check] | None = ()
    """None: it never answers."""
    starts: int = 0
    is_started: bool = False
    is_closed: bool = False

    async def start(self, inbox: Inbox) -> None:
        assert inbox is not None
        self.starts += 1
        if self.on_start is not None:
            await self.on_start()
        self.is_started = True

    async def close(self) -> None:
        if self.on_close is not None:
            await self.on_close()
        self.is_closed = True

    async def check(self) -> Sequence[Check]:
        if self.checks is None:
            await asyncio.Event().wait()
        return self.checks or ()

    async def send(self, address: ReturnAddress, post: Post, nonce: Nonce) -> Receipt:
        raise AssertionError(address, post, nonce)

    async def edit(self, peer: Peer, message_id: MessageId, post: Post) -> None:
        raise AssertionError(peer, message_id, post)

    async def find(self, address: ReturnAddress, nonce: Nonce) -> Receipt | NotPosted:
        raise AssertionError(address, nonce)

    async def delivery(self, peer: Peer, message_id: MessageId) -> Delivery:
        raise AssertionError(peer, message_id)


def accounts(*channels: Scripted) -> Accounts:
    return Accounts({(one.name, one.account): one for one in channels}, RecordingInbox())


async def hang() -> None:
    await asyncio.Event().wait()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not is_so():
            await asyncio.sleep(0.01)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds themselves, in less time."""
    for module, name in ((networks, "START_S"), (networks, "CLOSE_S"), (doctor, "CHECK_S"), (doctor, "ANSWER_S")):
        monkeypatch.setattr(module, name, 0.2)
    monkeypatch.setattr(networks, "delay_s", lambda attempt, *, jitter: 0.01 * attempt * jitter)


@pytest.mark.usefixtures("brief")
async def test_an_account_that_cannot_start_is_tried_again_and_ends_no_other(caplog: pytest.LogCaptureFixture) -> None:
    faults = [RuntimeError("secret"), OSError(), None]

    async def fail_twice() -> None:
        fault = faults.pop(0)
        if fault is not None:
            raise fault

    bad, good = Scripted(AccountName("bad"), on_start=fail_twice), Scripted(AccountName("good"))
    life = accounts(bad, good)
    await life.start()
    assert good.is_started
    await until(lambda: bad.is_started)
    await life.close()

    assert (bad.starts, good.starts) == (3, 1)
    assert bad.is_closed
    assert good.is_closed
    logged = [record for record in caplog.records if record.message == "channel.start_failed"]
    assert [(record.levelno, getattr(record, "account", "")) for record in logged] == [(logging.ERROR, "bad")] * 2


@pytest.mark.usefixtures("brief")
async def test_an_account_that_hangs_holds_up_neither_the_start_nor_the_end() -> None:
    async def fail() -> None:
        raise OSError

    stuck = Scripted(AccountName("stuck"), on_start=hang, on_close=hang)
    broken = Scripted(AccountName("broken"), on_close=fail)
    good = Scripted(AccountName("good"))
    life = accounts(stuck, broken, good)
    async with asyncio.timeout(5.0):
        await life.start()
        assert (stuck.is_started, broken.is_started, good.is_started) == (False, True, True)
        await life.close()
    assert good.is_closed


async def test_what_is_tried_again_ends_with_the_gateway() -> None:
    async def fail() -> None:
        raise OSError

    bad = Scripted(AccountName("bad"), on_start=fail)
    life = accounts(bad)
    await life.start()
    async with asyncio.timeout(5.0):
        await life.close()
    assert bad.starts == 1
    assert bad.is_closed


@pytest.mark.parametrize(
    ("text", "accounts", "paths"),
    [
        (
            '[[discord]]\ntoken = "fake"\n[[discord]]\naccount = "second"\ntoken = "fake2"\nreply_mode = "thread"\n',
            {("discord", "default"), ("discord", "second")},
            set(),
        ),
        (
            BOTH_SLACKS,
            {("slack", "default"), ("slack", "socket")},
            {"/slack/default/events"},
        ),
        (
            f'[[whatsapp]]\naccount_sid = "AC{"0" * 32}"\nauth_token = "fake"\nsender = "+15551230001"\n',
            {("whatsapp", "default")},
            {"/whatsapp/default/message", "/whatsapp/default/status", "/whatsapp/default/file/{}"},
        ),
    ],
    ids=["discord", "slack", "whatsapp"],
)
async def test_every_configured_account_is_built_and_mounted(
    tmp_path: Path, text: str, accounts: set[tuple[str, str]], paths: set[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'[gateway]\npublic_url = "https://homing.example.org"\n{text}', encoding="utf-8")
    settings, clock = load_settings(path, {}), ManualClock()
    (tmp_path / "data").mkdir()
    store = open_store(settings.store_url, clock=clock, gateway=True)
    try:
        built = build_channels(settings, store, clock)
        assert set(built) == {*accounts, ("web", "default")}
        assert all((channel.name, channel.account) == key for key, channel in built.items())
        server = web.Application()
        mount(built, server)
        mounted = {re.sub(r"{.*}", "{}", resource.canonical) for resource in server.router.resources()}
        assert {one for one in mounted if one.startswith(("/slack/", "/whatsapp/", "/discord/"))} == paths
        for channel in built.values():
            await channel.close()
    finally:
        await store.close()


# --- the doctor --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("brief")
async def test_the_doctor_asks_all_accounts_at_once_and_waits_for_none_for_long() -> None:
    fine = Scripted(AccountName("fine"), checks=(Check(is_ok=True, said="the token is good"),))
    wrong = Scripted(AccountName("wrong"), checks=(Check(is_ok=False, said="invalid_auth", remedy="make a new token"),))
    silent = [Scripted(AccountName(f"silent{number}"), checks=None, on_close=hang) for number in range(20)]
    async with asyncio.timeout(3.0):
        found = await doctor.accounts([fine, wrong, *silent])

    assert [(one.level.value, one.what, one.said, one.remedy) for one in found[:2]] == [
        ("ok", "slack (fine)", "the token is good", ""),
        ("fault", "slack (wrong)", "invalid_auth", "make a new token"),
    ]
    assert {one.level for one in found[2:]} == {doctor.Level.FAULT}
    assert len(found) == 22
    assert "did not answer within" in found[2].said
    assert fine.is_closed
