"""Places outside that keep heads of the audit, a file and a webhook; and the loops of the audit for `homing run`.

Deliberately absent: when they are told (see `bot.flow.audit`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from bot.config import Settings
from bot.domain.audit import Head
from bot.domain.audit_check import head_to_text
from bot.errors import HomingError
from bot.flow.audit import DAY_S, Forgetting, Witnessing
from bot.loop import Wake, forever
from bot.ports import Clock, Store, Witness

POLL_S = 60.0
"""The most that a head is late. What could not be told is tried again as often."""
ANSWER_TIMEOUT_S = 10.0


class HeadsFile:
    """Appends a line for each head, and leaves what stands there."""

    name = "file"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread: threading.Thread | None = None

    async def keep(self, head: Head) -> None:
        if self._thread is not None and self._thread.is_alive():
            raise HomingError(f"{self._path} has not taken the last head yet; look at the disk that it is on")
        loop, line = asyncio.get_running_loop(), f"{head_to_text(head)}\n".encode()
        written: asyncio.Future[OSError | None] = loop.create_future()

        def write() -> None:
            fault = self._append(line)
            # Nobody waits any more where the pass was given up, or the loop is closed.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_answer, written, fault)

        # A file on a network's disk may hang: then this thread does, and neither a pass nor the process's end.
        self._thread = threading.Thread(target=write, name="audit-heads", daemon=True)
        self._thread.start()
        fault = await written
        if fault is not None:
            said = fault.strerror or type(fault).__name__
            raise HomingError(f"{self._path} cannot be written ({said}); look at its owner, mode and disk") from fault

    def _append(self, line: bytes) -> OSError | None:
        try:
            self._put(line)
        except OSError as fault:
            return fault
        return None

    def _put(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _answer(written: asyncio.Future[OSError | None], fault: OSError | None) -> None:
    if not written.done():
        written.set_result(fault)


class HeadsUrl:
    """Posts each head as JSON, the same line that a file of heads holds."""

    name = "url"

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    async def keep(self, head: Head) -> None:
        patience = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=patience) as session,
                # Wherever it was led, the token would go along.
                session.post(
                    self._url, data=head_to_text(head).encode(), headers=self._headers, allow_redirects=False
                ) as answer,
            ):
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            raise HomingError(f"the webhook cannot be reached ({type(fault).__name__}); look at heads_url") from fault
        if not 200 <= status < 300:
            raise HomingError(f"the webhook answered {status}; look at heads_url and heads_token")


@asynccontextmanager
async def auditing(settings: Settings, store: Store, clock: Clock) -> AsyncIterator[None]:
    """The loops that the config asks for; none by default."""
    audit = settings.audit
    places: list[Witness] = []
    if audit.heads_file is not None:
        places.append(HeadsFile(audit.heads_file))
    if audit.heads_url is not None:
        token = None if audit.heads_token is None else audit.heads_token.get_secret_value()
        places.append(HeadsUrl(audit.heads_url, token))
    loops = []
    if places:
        telling = Witnessing(store, clock, places, audit.heads_every)
        poll_s = min(POLL_S, audit.heads_every)
        loops.append(asyncio.create_task(forever("audit-heads", telling.step, Wake(), poll_s=poll_s)))
    if audit.keep_days is not None:
        forgetting = Forgetting(store, clock, audit.keep_days * DAY_S)
        loops.append(asyncio.create_task(forever("audit-forgets", forgetting.step, Wake(), poll_s=POLL_S)))
    try:
        yield
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
