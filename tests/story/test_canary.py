"""A canary (F-119): secrets that a real command prints, and that stand in one, are nowhere once it has ended.

Nowhere is the database file with its log, the gateway's log, and the network. Deliberately absent: the node's own
spool, which holds what was printed until the gateway has it, on the machine that printed it.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.execution import ExecutionState
from bot.domain.mask import Masker
from bot.log import set_up
from tests.platforms.forms import code_of
from tests.platforms.loopback import LoopbackPlatform
from tests.story.cast import a_peer, a_settings
from tests.story.puppet import Puppets
from tests.story.real_world import RealWorld
from tests.story.shifted import ShiftedClock
from tests.story.world import Asked

OPS = a_peer("ops")
CONFIGURED = "MTAx.canary-of-the-bot.Zx9-Qw8_Er7"
SHAPED = "ghp_" + "C4n4ryC4n4ry" * 3
PIECES = (CONFIGURED, CONFIGURED[:16], CONFIGURED[16:], SHAPED, SHAPED[:16], SHAPED[16:])


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level, stream = list(root.handlers), root.level, io.StringIO()
    set_up(as_json=True, secrets=[CONFIGURED], level=logging.DEBUG, stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
async def real(tmp_path: Path, migrated: Path) -> AsyncIterator[RealWorld]:
    (tmp_path / "homing.db").write_bytes(migrated.read_bytes())
    async with LoopbackPlatform() as platform:
        world = RealWorld(
            platform=platform,
            url=f"sqlite:///{tmp_path}/homing.db",
            clock=ShiftedClock(),
            settings=replace(a_settings(), masker=Masker([CONFIGURED])),
            accounts=(("discord", "default"),),
            puppets=Puppets(names=()),
            home=tmp_path,
        )
        await world.open()
        world.start_node()
        try:
            await world.until_connected()
            yield world
        finally:
            assert world.node is not None
            await world.node.stop()
            await world.close()


def a_leaky_program(home: Path) -> Path:
    """Writes both secrets to both streams, in pieces, with the other stream in between and time for a live tail."""
    program = home / "leaky.py"
    steps = []
    for secret in (CONFIGURED, SHAPED):
        half = len(secret) // 2 - 1
        steps += [
            f"put(1, 'begin ' + {secret[:half]!r})",
            f"put(2, 'oh ' + {secret[:half]!r})",
            "time.sleep(0.4)",
            f"put(1, {secret[half:]!r} + ' end\\n')",
            f"put(2, {secret[half:]!r} + ' no\\n')",
            "time.sleep(0.4)",
        ]
    lines = ["import os, time", "def put(stream, text): os.write(stream, text.encode())", *steps]
    program.write_text("\n".join(lines) + "\n")
    return program


async def kept(world: RealWorld) -> bytes:
    """Every byte of the database once the execution has ended, its log too."""
    return b"".join(path.read_bytes() for path in world.home.glob("homing.db*"))


def shown(world: RealWorld) -> str:
    """All forms in which every message of ours ever stood."""
    return json.dumps([one.forms for one in world.platform.by_bot()], ensure_ascii=False)


async def run_to_its_end(world: RealWorld, command: str) -> Asked:
    asked = await world.ask(OPS, "ada", command)
    await world.approve(asked)
    await world.wait_told(asked)
    await world.until_state(asked.id, ExecutionState.FINISHED)
    await world.settled()
    return asked


async def test_f119_what_a_command_prints_in_pieces_is_nowhere_but_on_its_node(
    log: io.StringIO, real: RealWorld
) -> None:
    asked = await run_to_its_end(real, f"python3 {a_leaky_program(real.home)}")

    (told,) = real.told(asked)
    assert (code_of(told.post, "Output") or "").count("‹secret") >= 2
    everything = shown(real) + log.getvalue()
    database = await kept(real)
    for piece in PIECES:
        assert piece not in everything
        assert piece.encode() not in database
    assert b"leaky.py" in database
    assert asked.id in everything


@pytest.mark.parametrize("padding", [0, 2_500], ids=["short", "over pages of its own"])
async def test_f119_what_stands_in_a_command_is_nowhere_after_its_end(
    log: io.StringIO, real: RealWorld, padding: int
) -> None:
    """A long one is kept on pages that are free again once it is wiped, and are overwritten."""
    asked = await run_to_its_end(real, f"printf '%s %s\\n' x{'x' * padding} {CONFIGURED} {SHAPED} {SHAPED}")

    result = (await real.execution(asked.id)).result
    assert result is not None
    assert result.exit_code == 0
    assert "printf" in asked.card.text
    assert "‹secret›" in asked.card.text
    everything = shown(real) + log.getvalue()
    for piece in PIECES:
        assert piece not in everything
    await real.close()
    database = await kept(real)
    await real.open()
    for piece in PIECES:
        assert piece.encode() not in database
