"""`homing run` on all three networks, against their servers on loopback, as an operator starts it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from bench.children import Child
from bench.programs import Program

PUBLIC_URL = "https://homing.example"
"""What stands in front of it by the config: signed webhooks go by this address."""
READY = "homing invite <name>"
"""The last line that a starting gateway says: it listens, and its accounts were tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    networks: Child
    program: Program
    url: str
    ready_s: float


def config_of(networks: Child | None, port: int) -> str:
    """All three networks, or none."""
    lines = [
        'owners = ["owner"]',
        "[gateway]",
        f"port = {port}",
        f'public_url = "{PUBLIC_URL}"',
        "[local_node]",
        "enabled = false",
    ]
    for name, section in (networks.greeting if networks is not None else {}).items():
        lines.append(f"[[{name}]]")
        lines += [f'{key} = "{value}"' for key, value in section.items()]
        lines += ['dm_policy = "open"'] + (
            [] if name == "whatsapp" else ['room_policy = "open"', "require_mention = false"]
        )
    lines += ["[[people]]", 'name = "owner"', 'ids = ["web:owner"]']
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def a_gateway(folder: Path, networks: Child | None) -> AsyncIterator[tuple[Program, str, float]]:
    """The program, its address, and the seconds until it was ready."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "config.toml"
    config.write_text(config_of(networks, port))
    config.chmod(0o600)
    log = folder / "log"
    log.write_text("")
    program = await Program.begin(("run", "--config", str(config)), folder, log)
    try:
        yield program, f"http://127.0.0.1:{port}", await program.until_said(READY)
    finally:
        await program.end()


@asynccontextmanager
async def a_gateway_on_networks(folder: Path) -> AsyncIterator[Started]:
    async with (
        await Child.begin("bench.networks") as networks,
        a_gateway(folder / "gateway", networks) as (program, url, ready_s),
    ):
        yield Started(networks=networks, program=program, url=url, ready_s=ready_s)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
