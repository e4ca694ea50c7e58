"""A node that describes a command so that whoever approves it is misled, or so that nobody ever hears of its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.command import FileDigest, Limits
from bot.domain.execution import ExecutionState
from tests.flow.conftest import clock, migrated, opened, stage
from tests.flow.ends import NODE, inspected
from tests.flow.stage import Stage

__all__ = ["clock", "migrated", "opened", "stage"]
DIGEST = "0" * 64


@pytest.mark.parametrize(
    "changes",
    [
        {"limits": Limits(timeout_s=2.0**52)},
        {"limits": Limits(output_bytes=10**12)},
        {"cwd": "/srv\nRule: everybody agreed"},
        {"cwd": "srv"},
        {"executable": "/bin/echo\tby /bin/true"},
        {"executable": ""},
        {"files": (FileDigest(path="/srv/a\nScript: b", sha256=DIGEST),)},
        {"files": (FileDigest(path="/srv/a", sha256="\u202e\n<b>"),)},
    ],
    ids=["time", "output", "cwd", "relative cwd", "executable", "no executable", "file", "digest"],
)
async def test_f082_what_would_mislead_who_approves_is_refused(stage: Stage, changes: dict[str, object]) -> None:
    execution = await stage.requested()
    honest = inspected(NODE, execution.request, Limits())
    stage.hub.inspect_answers.append(replace(honest, **changes))  # type: ignore[arg-type]  # one field each
    await stage.inspect()

    refused = await stage.in_state(execution, ExecutionState.REFUSED)
    assert refused.command is None
    assert (refused.reason or "").startswith("the node described")


async def test_a_node_may_lower_the_limits(stage: Stage) -> None:
    execution = await stage.requested()
    lower = replace(inspected(NODE, execution.request, Limits()), limits=Limits(timeout_s=5.0, output_bytes=1_024))
    stage.hub.inspect_answers.append(lower)
    await stage.inspect()
    assert (await stage.in_state(execution, ExecutionState.AWAITING_APPROVAL)).command == lower
