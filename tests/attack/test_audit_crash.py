"""A gateway is killed while it writes: what was acknowledged stands in the audit, and the chain has no gap."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from bot.domain.audit_check import Sound, check, redactions
from bot.store import open_store
from tests.clock import ManualClock

ROOT = Path(__file__).resolve().parents[2]
ACKNOWLEDGED = 40
WAIT_S = 60.0
WRITER = """
import asyncio, sys
from bot.store import open_store
from tests.clock import ManualClock

async def main():
    store = open_store(sys.argv[1], clock=ManualClock(), gateway=True)
    async def writer(name):
        for number in range(100_000):
            def write(tx):
                tx.audit.note("first", name, {"number": number})
                tx.switches.pause(by=name, reason=str(number))
            await store.write(write)
            print(flush=True)
    await asyncio.gather(*(writer(str(name)) for name in range(8)))

asyncio.run(main())
"""


async def test_a_kill_in_the_middle_of_writing_leaves_a_whole_chain(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'homing.db'}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, url, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    acknowledged = 0
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            while acknowledged < ACKNOWLEDGED and await process.stdout.readline():
                acknowledged += 1
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    assert acknowledged == ACKNOWLEDGED
    store = open_store(url, clock=ManualClock(), gateway=True)
    try:
        before = await store.read(lambda tx: tx.audit.lines(limit=1_000_000))
        await store.write(lambda tx: tx.audit.note("after", None, {}))
        lines = await store.read(lambda tx: tx.audit.lines(limit=1_000_000))
    finally:
        await store.close()
    assert lines[:-1] == before
    assert isinstance(check(lines, redactions(lines)), Sound)
    kinds = [line.kind for line in before]
    assert kinds == ["first", "paused"] * (len(before) // 2), "a transaction is there whole, or not at all"
    assert len(before) >= 2 * acknowledged
