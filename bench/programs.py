"""The real programs, `homing run` and `homing node`, started as an operator starts them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bench.children import Usage, usage_of
from bot.node.client import KEY_FILE
from bot.node.identity import load_or_create_key

READY_S = 60.0
_END_S = 15.0


class Program:
    def __init__(self, process: asyncio.subprocess.Process, log: Path, began: float) -> None:
        self._process = process
        self._log = log
        self._began = began

    @classmethod
    async def begin(cls, words: Sequence[str], folder: Path, log: Path, **environ: str) -> Program:
        began = time.monotonic()
        with log.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bot", *words),
                cwd=folder,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[1]), **environ},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        return cls(process, log, began)

    async def until_said(self, words: str) -> float:
        """Seconds from its start until its log holds this."""
        async with asyncio.timeout(READY_S):
            while words not in (said := self._log.read_text(errors="replace")):
                if self._process.returncode is not None:
                    raise RuntimeError(f"it ended: {said[-500:]}")
                await asyncio.sleep(0.005)
        return time.monotonic() - self._began

    def usage(self) -> Usage:
        return usage_of(self._process.pid)

    def most_mib(self) -> float:
        """The peak of its resident set, as `/usr/bin/time -v` reports it at the end."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1_024
        return float("nan")

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_END_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def node_key(folder: Path) -> str:
    """The public key of the node whose state is there, made if need be, so that it can be paired beforehand."""
    folder.mkdir(parents=True, exist_ok=True)
    return load_or_create_key(folder / KEY_FILE).public_key.hex()


@asynccontextmanager
async def real_nodes(gateway: str, folders: Sequence[Path]) -> AsyncIterator[list[Program]]:
    """One node for each folder, connected and served."""
    async with contextlib.AsyncExitStack() as ending:
        nodes = []
        for number, folder in enumerate(folders):
            words = ("node", "--gateway", gateway, "--name", f"real-{number}", "--state-dir", str(folder))
            node = await Program.begin(words, folder, folder / "log")
            ending.push_async_callback(node.end)
            nodes.append(node)
        for node in nodes:
            await node.until_said("node.paired")
        yield nodes
