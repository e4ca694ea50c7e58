"""The wake hint between replicas on PostgreSQL: LISTEN and NOTIFY, without data. Losing it costs a poll interval."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg

log = logging.getLogger(__name__)

_CHANNEL = "homing_look"
_LOOK_UP_S = 5.0
"""How often a listener that hears nothing looks whether it is to end; it is rung for that, so this is the fallback."""
_REDIAL_S = 2.0
"""Pause before a broken connection is opened again: a server's restart takes about that long."""


class Bell:
    """Rings after commits, coalesced: one that waits to be sent stands for every later one."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._ringer = ThreadPoolExecutor(1, thread_name_prefix="store-bell")
        self._ringing: psycopg.Connection[tuple[object, ...]] | None = None
        self._own_pid = 0
        self._waiting = threading.Event()
        self._ending = threading.Event()
        self._listener: threading.Thread | None = None

    def ring(self) -> None:
        """Tell the other replicas to look. Returns at once."""
        if self._waiting.is_set() or self._ending.is_set():
            return
        self._waiting.set()
        self._ringer.submit(self._ring)

    def listen(self, loop: asyncio.AbstractEventLoop, heard: Callable[[], None]) -> None:
        """Call `heard` in `loop` when another replica rang, and whenever some of it may have been missed."""
        self._listener = threading.Thread(target=self._listen, args=(loop, heard), name="store-listener", daemon=True)
        self._listener.start()

    def close(self) -> None:
        self._ending.set()
        if self._listener is not None:
            self._ringer.submit(self._ring)
        self._ringer.shutdown()
        if self._listener is not None:
            self._listener.join()
        if self._ringing is not None:
            self._ringing.close()

    def _ring(self) -> None:
        # Cleared first: a commit after this moment rings again.
        self._waiting.clear()
        try:
            if self._ringing is None:
                self._ringing = psycopg.connect(self._conninfo, autocommit=True)
                self._own_pid = self._ringing.info.backend_pid
            self._ringing.execute(f"NOTIFY {_CHANNEL}".encode("ascii"))
        except psycopg.Error:
            log.warning("store.bell_silent")
            if self._ringing is not None:
                self._ringing.close()
                self._ringing = None

    def _listen(self, loop: asyncio.AbstractEventLoop, heard: Callable[[], None]) -> None:
        while not self._ending.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True) as connection:
                    connection.execute(f"LISTEN {_CHANNEL}".encode("ascii"))
                    # Whatever rang before this moment was not heard.
                    self._pass_on(loop, heard)
                    while not self._ending.is_set():
                        for rung in connection.notifies(timeout=_LOOK_UP_S, stop_after=1):
                            if rung.pid != self._own_pid:
                                self._pass_on(loop, heard)
            except psycopg.Error:
                log.warning("store.bell_deaf")
                self._ending.wait(_REDIAL_S)

    def _pass_on(self, loop: asyncio.AbstractEventLoop, heard: Callable[[], None]) -> None:
        # A loop that was closed meanwhile has nobody left to wake.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(heard)
