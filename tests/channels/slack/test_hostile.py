"""Ten thousand requests by strangers: none is acted on, each is refused, memory stays, nothing of theirs is logged."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import random
import time
import tracemalloc
import urllib.parse
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.channels.contract import until
from tests.channels.slack.rig import SlackRig, running
from tests.channels.slack.test_http import event
from tests.platforms.slack import SlackNetwork

CANARY = "canaryword"
AT_ONCE = 40
ANSWER_S = 20.0
KINDS = ("application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "", "x/y; z=ü")


def _hostile(dice: random.Random, good: bytes) -> tuple[bytes, dict[str, Any]]:
    """One request that no Slack ever sent, or that it sent long ago."""
    bodies = (
        good,
        good[: dice.randrange(len(good))],
        good.replace(b'"', b"'"),
        urllib.parse.urlencode({"payload": good.decode()}).encode(),
        json.dumps({"type": "url_verification", "challenge": CANARY}).encode(),
        CANARY.encode("utf-16"),
        dice.randbytes(dice.randrange(2_000)),
        b'{"a":' * dice.randrange(2_000),
        b"x" * dice.randrange(200_000) if dice.random() < 0.05 else b"x",
    )
    wrongs: tuple[dict[str, Any], ...] = (
        {"signature": ""},
        {"signature": "v0=" + "0" * 64},
        {"signature": CANARY},
        {"secret": CANARY},
        {"signed_at": time.time() - dice.randrange(301, 10**6)},
        {"signed_at": time.time() + dice.randrange(400, 10**6)},
        {"headers": {"X-Slack-Request-Timestamp": ""}},
        {"headers": {"X-Slack-Request-Timestamp": dice.choice(("-1", "nan", "inf", "1e9", "٣", "9" * 300))}},
        {"headers": {"X-Slack-Signature": "v0=" + CANARY}},
    )
    return dice.choice(bodies), {"kind": dice.choice(KINDS)} | dice.choice(wrongs)


async def _storm(rig: SlackRig, count: int, dice: random.Random) -> list[int]:
    good = json.dumps(await event(rig, f"run {CANARY}")).encode()
    gate, seen = asyncio.Semaphore(AT_ONCE), []

    async def one() -> None:
        raw, how = _hostile(dice, good)
        async with gate, asyncio.timeout(ANSWER_S):
            try:
                seen.append((await rig.network.server.postman.http(rig.app, raw, **how))[0])
            except (aiohttp.ClientError, ValueError):
                seen.append(400)

    await asyncio.gather(*(one() for _ in range(count)))
    return seen


async def test_many_large_bodies_that_never_end_take_neither_memory_nor_way(http_network: SlackNetwork) -> None:
    async with running(http_network) as rig, aiohttp.ClientSession() as client:
        headers = {
            "Content-Type": "application/json",
            "X-Slack-Request-Timestamp": str(int(time.time())),
            "X-Slack-Signature": "v0=" + "0" * 64,
        }
        url, over, seen = rig.app.request_url or "", asyncio.Event(), list[int]()

        async def body() -> AsyncIterator[bytes]:
            yield b"x" * 900_000
            await over.wait()

        async def stranger() -> None:
            with contextlib.suppress(aiohttp.ClientError):
                async with client.post(url, data=body(), headers=headers) as answer:
                    seen.append(answer.status)

        strangers = [asyncio.create_task(stranger()) for _ in range(80)]
        # 32 MiB are 40 of them.
        await until(lambda: len(seen) >= 40, what="the rest is sent away", within_s=9.0)
        assert set(seen) == {503}
        await rig.write(rig.here, "run uptime")
        await until(lambda: len(rig.inbox.messages) == 1, what="the signed one is heard")
        over.set()
        for task in strangers:
            task.cancel()
        await asyncio.gather(*strangers, return_exceptions=True)


async def test_a_stranger_who_leaves_in_the_middle_is_no_error_of_ours(
    http_network: SlackNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    """The server would write a trace for each of them."""
    async with running(http_network) as rig:
        host, port = urllib.parse.urlsplit(rig.app.request_url or "").netloc.split(":")
        for _ in range(5):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(
                b"POST /slack/default/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"X-Slack-Request-Timestamp: %d\r\nX-Slack-Signature: v0=0\r\nContent-Length: 1000\r\n\r\n{"
                % time.time()
            )
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.transport.abort()
        await rig.write(rig.here, "run uptime")
        await until(lambda: len(rig.inbox.messages) == 1, what="the signed one is heard")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=pytest.mark.long)])
async def test_f112_no_request_by_a_stranger_is_acted_on(
    http_network: SlackNetwork, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    caplog.set_level(logging.DEBUG)
    dice = random.Random(count)  # noqa: S311
    http_network.server.postman.ack_s = ANSWER_S
    async with running(http_network) as rig:
        await _storm(rig, 200, dice)
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            seen = await _storm(rig, count, dice)
            gc.collect()  # what only waits for its turn there is no leak
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(seen) == count
        assert all(400 <= status < 500 for status in seen), sorted(set(seen))
        assert rig.inbox.calls == 0
        assert after - before < 20_000_000
        ours = [record.getMessage() for record in caplog.records if not record.name.startswith("asyncio")]
        assert not [line for line in ours if CANARY in line]
        assert ours.count("slack.unsigned") == 1
        # And one that Slack did sign is heard all the same.
        await rig.write(rig.here, "run uptime")
        await until(lambda: len(rig.inbox.messages) == 1, what="the signed one is heard")
