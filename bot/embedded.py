"""The local node of `homing run`: a process of its own, watched, started again, and ended with the gateway.

It survives a kill of the gateway on purpose: its commands go on, and it reports to the next one, which finds
it by its lock and adopts it. Deliberately absent: any secret of the gateway in its environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from bot.domain.retry import delay_s
from bot.node.files import running_node

log = logging.getLogger(__name__)

_PASSED_ON = (
    *("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME", "SHELL", "TMPDIR", "VIRTUAL_ENV"),
    "HOMING_LOG",
)
"""What a program needs to start, and the form of the log, which goes where the gateway's goes. Everything else of the
gateway's environment may be a secret."""
_STOP_S = 10.0
"""The node ends its commands with TERM and five seconds of grace."""
_STEADY_S = 60.0
"""A node that lived so long did not fail at its start: the next wait is short again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedNode:
    gateway_url: str
    gateway_key: str
    """The fingerprint that the node is to insist on."""
    name: str
    state_dir: Path
    work_dir: Path

    async def run(self) -> None:
        """Keep one alive until cancelled; then end it."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            adopted = self.running()
            if adopted is not None:
                log.info("local_node.adopted", extra={"pid": adopted.pid})
                await self._watch_adopted(adopted)
            else:
                await self._run_one()
            lived_s = asyncio.get_running_loop().time() - began
            failures = 0 if lived_s > _STEADY_S else failures + 1
            log.warning("local_node.ended", extra={"failures": failures})
            await asyncio.sleep(delay_s(max(1, failures), jitter=0.5))

    def running(self) -> psutil.Process | None:
        """The node of an earlier gateway that still holds this state directory."""
        pid = running_node(self.state_dir)
        try:
            return None if pid is None else psutil.Process(pid)
        except psutil.Error:
            return None

    async def _run_one(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *self.argv(),
            env=clean_environment(os.environ),
            stdin=asyncio.subprocess.DEVNULL,
            # Ctrl-C in the terminal is for the gateway, which ends the node in its own order.
            start_new_session=True,
        )
        log.info("local_node.started", extra={"pid": process.pid})
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
                try:
                    async with asyncio.timeout(_STOP_S):
                        await process.wait()
                except TimeoutError:
                    process.kill()

    async def _watch_adopted(self, process: psutil.Process) -> None:
        try:
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110 - it is no child of ours: no event tells its end
                await asyncio.sleep(1.0)
        except psutil.NoSuchProcess:
            return
        except asyncio.CancelledError:
            with contextlib.suppress(psutil.Error):
                process.terminate()
                _, alive = await asyncio.to_thread(psutil.wait_procs, [process], _STOP_S)
                for left in alive:
                    left.kill()
            raise

    def argv(self) -> tuple[str, ...]:
        return (
            sys.executable,
            "-m",
            "bot",
            "node",
            f"--gateway={self.gateway_url}",
            f"--gateway-key={self.gateway_key}",
            f"--name={self.name}",
            f"--state-dir={self.state_dir}",
            f"--work-dir={self.work_dir}",
        )


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: environment[name] for name in _PASSED_ON if name in environment}
