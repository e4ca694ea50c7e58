"""The gateway as a process of its own that can be killed and started again on the same data.

Deliberately absent: any hook in the gateway. What the demo knows of its inside it reads from the database file.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from bot.demo.chat import DemoError

_START_S = 30.0
_STOP_S = 20.0


class GatewayProcess:
    def __init__(self, home: Path, config: str) -> None:
        self.port = _free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._home = home
        self._config = home / "config.toml"
        self._config.write_text(config.replace("PORT", str(self.port)).replace("DATA", str(home / "data")))
        self._config.chmod(0o600)
        self._process: asyncio.subprocess.Process | None = None
        self.log = home / "gateway.log"

    @property
    def database(self) -> Path:
        return self._home / "data" / "homing.db"

    async def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *_homing("run", "--config", str(self._config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            if self._process.returncode is not None:
                raise DemoError(f"the gateway ended at its start; its words are in {self.log}")
            if await self._is_ready():
                return
            await asyncio.sleep(0.1)
        raise DemoError(f"the gateway was not ready within {_START_S:.0f} s; its words are in {self.log}")

    async def kill(self) -> None:
        """kill -9: no word, no clean-up."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    async def stop(self) -> None:
        """End it in order; its node ends with it."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_S):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    async def homing(self, *words: str) -> dict[str, object]:
        """One command of the command line, beside the running gateway, as JSON."""
        process = await asyncio.create_subprocess_exec(
            *_homing(*words, "--config", str(self._config), "--json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        if process.returncode != 0:
            raise DemoError(f"homing {' '.join(words)}: {(err or out).decode(errors='replace').strip()[-300:]}")
        answer: dict[str, object] = json.loads(out)
        return answer

    async def kill_between_finish_and_relay(self, execution_id: str, *, within_s: float = 20.0) -> str:
        """Wait until its result is owed, stop the gateway in that moment, kill it; the event's state at its death."""
        until = time.monotonic() + within_s
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=5.0)) as database:
            while time.monotonic() < until:
                if self._state(database, execution_id) is None:
                    # No pause: the moment lasts some milliseconds.
                    continue
                if self._process is not None:
                    self._process.send_signal(signal.SIGSTOP)
                state = self._state(database, execution_id)
                await self.kill()
                return str(state)
        raise DemoError(f"{execution_id} did not finish within {within_s:.0f} s")

    def _state(self, database: sqlite3.Connection, execution_id: str) -> str | None:
        identity = f"outcome:{execution_id}:finished"
        row = database.execute("SELECT state FROM events WHERE identity = ?", (identity,)).fetchone()
        return None if row is None else str(row[0])

    async def _is_ready(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True


def _homing(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "bot", *words)


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
