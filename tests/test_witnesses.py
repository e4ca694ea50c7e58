"""The places that keep heads: a real file and a real webhook on this machine, and what the doctor says of them."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from bot.config import load_settings
from bot.doctor import Level, examine
from bot.domain.audit import Head
from bot.domain.audit_check import heads_from_texts
from bot.errors import ConfigError, HomingError
from bot.store import OpenStore, open_store
from bot.witnesses import HeadsFile, HeadsUrl, auditing
from tests.clock import START, ManualClock

HEAD = Head(seq=7, at="2027-01-15T08:00:00.000Z", hash="ab" * 32)
WAIT_S = 20.0


@asynccontextmanager
async def webhook(*statuses: int) -> AsyncIterator[tuple[str, list[tuple[str | None, str]]]]:
    """Answers with these, then with 204; keeps what it was told, and with which token."""
    told: list[tuple[str | None, str]] = []
    answers = list(statuses)

    async def take(request: web.Request) -> web.Response:
        told.append((request.headers.get("Authorization"), await request.text()))
        status = answers.pop(0) if answers else 204
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})

    server = web.Application()
    server.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}/heads", told
    finally:
        await runner.cleanup()


async def test_a_file_gets_a_line_for_each_head_and_keeps_what_it_had(tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    for number in (7, 8):
        place = HeadsFile(path)
        await place.keep(Head(seq=number, at=HEAD.at, hash=HEAD.hash))
    assert [head.seq for head in heads_from_texts(path.read_text().splitlines())] == [7, 8]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_file_that_cannot_be_written_is_said_with_its_remedy(tmp_path: Path) -> None:
    place = HeadsFile(tmp_path / "gone" / "heads.jsonl")
    with pytest.raises(HomingError, match=r"cannot be written .*look at its owner"):
        await place.keep(HEAD)


async def test_a_file_on_a_disk_that_hangs_holds_up_itself_alone(tmp_path: Path) -> None:
    import os

    pipe = tmp_path / "heads.jsonl"
    os.mkfifo(pipe)
    place = HeadsFile(pipe)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await place.keep(HEAD)
    with pytest.raises(HomingError, match="has not taken the last head yet"):
        await place.keep(HEAD)
    hung = place._thread
    assert hung is not None
    assert hung.daemon, "it does not keep the process from ending"
    # Somebody reads: the thread gets on, and the next head is taken.
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    await asyncio.to_thread(hung.join, WAIT_S)
    with pytest.raises(HomingError, match="cannot be written"):
        await place.keep(HEAD)  # a pipe cannot be synced: a real disk that is back can
    os.close(reader)


async def test_a_webhook_gets_the_head_with_its_token_and_is_believed_by_its_answer() -> None:
    async with webhook(500, 302) as (url, told):
        place = HeadsUrl(url, "fake-token")
        for status in (500, 302):
            with pytest.raises(HomingError, match=f"answered {status}"):
                await place.keep(HEAD)
        await place.keep(HEAD)
        await HeadsUrl(url, None).keep(HEAD)
    assert [token for token, _ in told] == ["Bearer fake-token"] * 3 + [None]
    assert json.loads(told[-1][1]) == {"seq": 7, "at": HEAD.at, "hash": HEAD.hash}
    with pytest.raises(HomingError, match="cannot be reached"):
        await place.keep(HEAD)


@asynccontextmanager
async def opened(folder: Path, keys: str) -> AsyncIterator[tuple[OpenStore, Path]]:
    config = folder / "config.toml"
    config.write_text(f"[audit]\n{keys}\n")
    config.chmod(0o600)
    store = open_store(f"sqlite:///{folder / 'data' / 'homing.db'}", clock=ManualClock(), gateway=True)
    try:
        await store.write(lambda tx: tx.audit.note("paused", "ann", {}))
        yield store, config
    finally:
        await store.close()


async def until(store: OpenStore, count: int) -> None:
    """Until so many places were tried."""
    async with asyncio.timeout(WAIT_S):
        while len(await store.read(lambda tx: tx.audit.witnesses())) < count:
            await asyncio.sleep(0.01)


async def said(config: Path) -> list[tuple[Level, str, str]]:
    found = await examine(config, {}, ManualClock())
    return [(one.level, one.what, one.said) for one in found if one.what.startswith("audit")]


async def test_a_gateway_tells_file_and_webhook_and_the_doctor_says_how_it_goes(tmp_path: Path) -> None:
    async with webhook(503) as (url, told):
        keys = f'heads_file = "heads.jsonl"\nheads_url = "{url}"\nheads_token = "fake-token"\nkeep_days = 30'
        async with opened(tmp_path, keys) as (store, config):
            assert await said(config) == [
                (Level.NOTE, "audit heads (file)", "none was told yet"),
                (Level.NOTE, "audit heads (url)", "none was told yet"),
            ]
            async with auditing(load_settings(config, {}), store, ManualClock()):
                await until(store, 2)
            file, hook = await said(config)
            assert file == (Level.OK, "audit heads (file)", "told 0.0 s ago, up to line 1")
            assert hook[:2] == (Level.FAULT, "audit heads (url)")
            assert "the webhook answered 503" in hook[2]
            async with auditing(load_settings(config, {}), store, ManualClock()):
                async with asyncio.timeout(WAIT_S):
                    while (await said(config))[1][0] is not Level.OK:
                        await asyncio.sleep(0.01)
    assert told[-1][0] == "Bearer fake-token"
    (line, again) = (tmp_path / "heads.jsonl").read_text().splitlines()
    assert line == again == told[-1][1]


async def test_a_head_that_a_running_gateway_does_not_tell_is_a_warning(tmp_path: Path) -> None:
    async with opened(tmp_path, 'heads_file = "heads.jsonl"') as (store, config):
        head = await store.read(lambda tx: tx.audit.head())
        assert head is not None
        await store.write(lambda tx: tx.audit.told("file", head))
        for later_s, level in ((7_200, Level.OK), (7_400, Level.WARNING)):
            found = await examine(config, {}, ManualClock(START + later_s))
            assert [one.level for one in found if one.what.startswith("audit")] == [level]


async def test_by_default_nobody_is_told_and_nothing_is_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path, "") as (store, config):
        before = len(asyncio.all_tasks())
        async with auditing(load_settings(config, {}), store, ManualClock()):
            assert len(asyncio.all_tasks()) == before
        assert await said(config) == []


def test_a_webhook_is_reached_by_https_or_on_this_machine(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    (tmp_path / "token").write_text("fake-token\n")
    for url, fault in (
        ("https://collector.example.org/homing", None),
        ("http://127.0.0.1:9000/", None),
        ("http://collector.example.org/", "unencrypted"),
        ("wss://collector.example.org/", "no address of a webhook"),
        ("collector", "no address"),
    ):
        config.write_text(f'[audit]\nheads_url = "{url}"\nheads_token_file = "token"\n')
        if fault is None:
            assert "fake-token" in load_settings(config, {}).secrets()
        else:
            with pytest.raises(ConfigError, match=fault):
                load_settings(config, {})
