"""The config of the attacked gateway, and `homing node` as a second process. Deliberately absent: people and blows."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bot.demo.chat import DemoError
from bot.demo.gateway import GatewayProcess
from bot.node.identity import load_or_create_key

CONFIG = """
owners = ["owner"]

[gateway]
port = PORT
data_dir = "DATA"

[web]
rooms = ["general", "ops", "lab", "free"]

[execution]
lost_after_s = 30

[[people]]
name = "owner"
ids = ["web:owner"]

[[rule]]
name = "nobody is asked in the room free"
where = ["web:channel:free"]
action = "allow"
"""


@dataclass(slots=True)
class SecondNode:
    """`homing node` as its own process."""

    home: Path
    gateway: GatewayProcess
    process: asyncio.subprocess.Process | None = None

    @property
    def state_dir(self) -> Path:
        return self.home / "second-node"

    async def start(self) -> None:
        with (self.home / "second.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bot",
                "node",
                f"--gateway=ws://127.0.0.1:{self.gateway.port}/node",
                "--name=second",
                f"--state-dir={self.state_dir}",
                f"--work-dir={self.home}",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def pair(self) -> None:
        """As an operator does it, as soon as the node has shown its key."""
        until = time.monotonic() + 30.0
        while True:
            with contextlib.suppress(DemoError):
                key = load_or_create_key(self.state_dir / "node.key")
                await self.gateway.homing("nodes", "pair", key.fingerprint)
                return
            if time.monotonic() > until:
                raise DemoError("the second node did not come to be paired")
            await asyncio.sleep(0.2)
