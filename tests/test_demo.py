"""The demo is a claim about the product, so it is held to it: run whole, as a person runs it."""

from __future__ import annotations

import asyncio
import sys

import pytest


@pytest.mark.timeout(180)
async def test_every_claim_of_the_demo_holds() -> None:
    """`homing demo` ends with 0, names the rooms, and says that all its claims hold."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "demo", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    told = out.decode()

    assert process.returncode == 0, told + err.decode()
    assert "#ops" in told
    assert "kill -9" in told
    assert "FAILED" not in told
    assert "claims hold" in told
