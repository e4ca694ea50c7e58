"""F-082 on a real node and connection: whatever changes between approval and start, nothing starts, and why."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from bot.node.identity import new_key
from bot.node.settings import NodeSettings
from bot.ports import Acceptance, NodeRefusal
from tests.node.made import ID, Gateway, gateway, node, settings, until, with_rules


@dataclass
class Machine:
    """The node's machine as a test changes it. What starts leaves a mark."""

    root: Path
    given: NodeSettings

    @property
    def work(self) -> Path:
        return self.root / "real"

    @property
    def mark(self) -> Path:
        return self.root / "mark"

    def program(self, path: Path, note: str = "hi") -> Path:
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(f"#!/bin/sh\necho {note} >> {self.mark}\n")
        path.chmod(0o755)
        return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("APP_ENV", "test")
    given = settings(
        tmp_path,
        work_dir=tmp_path / "link",
        path=f"{tmp_path}/bin:{tmp_path}/usr:/usr/bin:/bin",
        env_names=("APP_ENV",),
    )
    made = Machine(tmp_path, given)
    made.program(made.work / "deploy.sh")
    made.program(tmp_path / "usr" / "tool")
    (made.work / "current.sh").symlink_to(made.work / "deploy.sh")
    with_rules(given, "")
    return made


def swap_the_directory(machine: Machine) -> None:
    machine.work.rename(machine.root / "old")
    machine.program(machine.work / "deploy.sh")


def retarget_the_directory(machine: Machine) -> None:
    machine.program(machine.root / "elsewhere" / "deploy.sh")
    (machine.root / "link").unlink()
    (machine.root / "link").symlink_to(machine.root / "elsewhere")


def retarget_the_script(machine: Machine) -> None:
    (machine.work / "current.sh").unlink()
    (machine.work / "current.sh").symlink_to(machine.program(machine.work / "other.sh"))


def rewrite_the_script(machine: Machine) -> None:
    machine.program(machine.work / "deploy.sh", "evil")


def rewrite_the_program(machine: Machine) -> None:
    machine.program(machine.root / "usr" / "tool", "evil")


def shadow_the_program(machine: Machine) -> None:
    machine.program(machine.root / "bin" / "tool", "evil")


def remove_the_script(machine: Machine) -> None:
    (machine.work / "deploy.sh").unlink()


def change_the_environment(_machine: Machine) -> None:
    os.environ["APP_ENV"] = "live"


def rules(text: str) -> Callable[[Machine], None]:
    def write(machine: Machine) -> None:
        with_rules(machine.given, text.format(other=new_key().fingerprint))

    return write


Change = Callable[[Machine], None]
CHANGES: list[tuple[str, Change, str]] = [
    ("./deploy.sh", rewrite_the_script, "deploy.sh has changed since"),
    ("sh deploy.sh", rewrite_the_script, "deploy.sh has changed since"),
    ("true && sh deploy.sh | cat", rewrite_the_script, "deploy.sh has changed since"),
    ("env A=1 ./deploy.sh", rewrite_the_script, "deploy.sh has changed since"),
    ("tool", rewrite_the_program, "tool has changed since"),
    ("true; tool", rewrite_the_program, "tool has changed since"),
    ("tool", shadow_the_program, "/bin/tool, and was "),
    ("true; tool", shadow_the_program, "/bin/tool is a file of this command only before or only after"),
    ("./current.sh", retarget_the_script, "other.sh, and was "),
    ("sh current.sh", retarget_the_script, "is a file of this command only before or only after"),
    ("./deploy.sh", swap_the_directory, "is another directory now, put under the same path"),
    ("tool", swap_the_directory, "is another directory now, put under the same path"),
    ("tool", retarget_the_directory, "the work directory is now"),
    ("./deploy.sh", remove_the_script, "./deploy.sh is not there"),
    ("tool", change_the_environment, "the environment of commands on the node has changed (APP_ENV)"),
    ("tool", rules('[limits]\ntimeout = "5s"\n'), "it gives 5 seconds, and 30 were approved"),
    ("tool", rules('[limits]\nmemory = "1G"\n'), "1073741824 bytes of memory, and any number of were approved"),
    ("tool", rules("[limits]\nprocesses = 9\n"), "9 processes, and any number of were approved"),
    ("tool", rules('commands = ["uptime"]\n'), "does not hold “tool”; it runs “uptime”"),
    ("tool", rules('deny = ["tool **"]\n'), "never runs “tool”"),
    ("true; tool", rules("scripts = false\n"), "runs no shell texts"),
    ("tool", rules('dirs = ["/usr"]\n'), "starts commands only below /usr"),
    ("tool", rules('gateways = ["{other}"]\n'), "does not obey the gateway that asks"),
    ("tool", rules("env_names = []\n"), "the environment of commands on the node has changed (APP_ENV)"),
    ("tool", rules("[["), "policy cannot be read now"),
]
if os.geteuid() == 0:
    CHANGES.append(("tool", rules('user = "nobody"\n'), "commands run as nobody now, and root was approved"))


async def refusal_of_the_offer(there: Gateway, machine: Machine, text: str, change: Change) -> str:
    command = await there.prepared(text)
    change(machine)
    answer = await there.offered(command)
    assert isinstance(answer, NodeRefusal), answer
    return answer.reason


async def refusal_of_the_start(there: Gateway, machine: Machine, text: str, change: Change) -> str:
    accepted = await there.offered(await there.prepared(text))
    assert isinstance(accepted, Acceptance), accepted
    change(machine)
    await there.hub.go(await there.node(), ID, accepted)
    await until(lambda: "refused" in there.book.kinds(ID) or ID in there.book.results)
    return there.book.words.get(ID, "it ran")


@pytest.mark.parametrize("moment", [refusal_of_the_offer, refusal_of_the_start])
@pytest.mark.parametrize(("text", "change", "words"), CHANGES)
async def test_f082_what_changed_since_the_approval_is_refused_and_said(
    machine: Machine,
    text: str,
    change: Change,
    words: str,
    moment: Callable[[Gateway, Machine, str, Change], Awaitable[str]],
) -> None:
    async with gateway() as there, node(_at(machine, there)):
        said = await moment(there, machine, text, change)
        assert words in said
        assert not machine.mark.exists()
        assert "started" not in there.book.kinds(ID)


async def test_what_did_not_change_runs(machine: Machine) -> None:
    async with gateway() as there, node(_at(machine, there)):
        for number, text in enumerate(("./deploy.sh", "sh current.sh | cat", "tool; tool")):
            execution = type(ID)(f"7K3QA{number + 2}")
            await there.hand_over(text, execution)
            ran = partial(there.book.results.__contains__, execution)
            await until(ran)
        assert machine.mark.read_text() == "hi\n" * 4


def _at(machine: Machine, there: Gateway) -> NodeSettings:
    return replace(machine.given, gateway_url=there.url)
