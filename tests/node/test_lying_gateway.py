"""A gateway that was broken into, over a real connection: it has its key and lies in every field. Nothing starts."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.domain.command import Command, FileDigest, Limits, NodeFingerprint, Request, command_from_json, parse_request
from bot.node.identity import new_key
from bot.node.protocol import Close
from bot.node.settings import NodeSettings
from tests.node.lying import LyingGateway, lying_gateway
from tests.node.made import ID, OTHER, node, settings, until, with_rules

POLICY = """
commands = ["touch mark", "uptime"]
deny = ["rm **"]
[limits]
timeout = "10s"
memory = "1G"
processes = 4096
open_files = 256
"""


@pytest.fixture
def given(tmp_path: Path) -> NodeSettings:
    return with_rules(settings(tmp_path), POLICY)


@pytest.fixture
async def liar(given: NodeSettings) -> AsyncIterator[LyingGateway]:
    async with lying_gateway() as there, node(replace(given, gateway_url=there.url)):
        yield there
        assert given.work_dir is not None
        assert not (given.work_dir / "mark").exists()
        assert not [heard for heard in there.heard if heard["kind"] in {"started", "finished"}]


async def honest(there: LyingGateway, text: str = "touch mark") -> Command:
    answer = await there.inspect(parse_request(text))
    assert answer["kind"] == "inspected", answer
    return command_from_json(answer["command"])


async def test_f078_a_command_that_was_never_inspected_is_held_against_the_policy_too(liar: LyingGateway) -> None:
    command = replace(await honest(liar), argv=("id",), executable=os.path.realpath("/usr/bin/id"))
    answer = await liar.offer(command)
    assert answer["kind"] == "declined"
    assert "does not hold “id”; it runs “touch mark”, “uptime”" in answer["reason"]
    script = replace(command, argv=("/bin/sh", "-c", "id; id"), script="id; id")
    assert "runs no shell texts" in (await liar.offer(script))["reason"]
    hidden = replace(command, argv=("/bin/sh", "-c", "id; id"), script=None)
    assert "does not hold" in (await liar.offer(hidden))["reason"]


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "another user": ({"user": "toor"}, "and toor was approved"),
    "root": ({"user": "nobody" if os.geteuid() == 0 else "root"}, "commands run as"),
    "another directory": ({"cwd": "/"}, "the work directory is now"),
    "another inode": ({"cwd_id": "1:1"}, "is another directory now"),
    "a higher time limit": ({"limits": Limits(timeout_s=86_400.0)}, "limits are lower now: it gives 10 seconds"),
    "no limit of memory": ({"limits": Limits(timeout_s=10.0)}, "bytes of memory, and any number of were approved"),
    "no environment": ({"env": ()}, "the environment of commands on the node has changed"),
    "another program": ({"executable": "/bin/false"}, "and was /bin/false"),
    "no digests": ({"files": ()}, "is a file of this command only before or only after"),
    "another digest": (
        {"files": (FileDigest(path=os.path.realpath("/usr/bin/touch"), sha256="0" * 64),)},
        "has changed",
    ),
    "another node": ({"node": NodeFingerprint("AAAA")}, "approved for another node"),
    "another gateway": ({"gateway": "AAAA"}, "at a gateway of another key"),
    "no gateway": ({"gateway": ""}, "at a gateway of another key"),
    "other words": ({"argv": ("touch", "mark", "more")}, "does not hold “touch mark more”"),
    "a denied command": ({"argv": ("rm", "-rf", "x")}, "never runs “rm -rf x”"),
    "a script that is none": ({"script": "touch mark"}, "a shell script is run by /bin/sh -c and by nothing else"),
    "no words": ({"argv": ("",)}, "there is no program to run"),
    "a NUL": ({"argv": ("touch", "a\x00b")}, "holds a NUL character"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_f082_a_lie_in_any_field_is_refused_whatever_the_hash(liar: LyingGateway, lie: str) -> None:
    changes, words = LIES[lie]
    truth = await honest(liar)
    answer = await liar.offer(replace(truth, **changes))
    assert answer["kind"] == "declined"
    assert words in answer["reason"]
    assert answer["already_started"] is False


@pytest.mark.parametrize("name", ["LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "PYTHONSTARTUP", "X", "PATH"])
async def test_f086_a_variable_that_rides_along_is_refused(liar: LyingGateway, name: str) -> None:
    truth = await honest(liar)
    env = {**dict(truth.env), name: "/srv/evil"}
    answer = await liar.offer(replace(truth, env=tuple(sorted(env.items()))))
    assert answer["kind"] == "declined"
    assert name in answer["reason"]


async def test_f082_a_hash_of_another_command_is_refused(liar: LyingGateway) -> None:
    answer = await liar.offer(await honest(liar), "0" * 64)
    assert "not the one of its hash" in answer["reason"]


async def test_a_command_of_the_old_form_starts_nothing(liar: LyingGateway) -> None:
    truth = await honest(liar)
    old = replace(truth, user="", cwd_id="", gateway="", limits=Limits(timeout_s=10.0))
    assert "gateway of another key" in (await liar.offer(old))["reason"]


async def test_limits_that_are_asked_for_are_never_more_than_the_nodes_own(liar: LyingGateway) -> None:
    assert (await honest(liar)).limits == Limits(
        timeout_s=10.0, output_bytes=1_048_576, memory_bytes=2**30, processes=4_096, open_files=256
    )


async def test_what_is_refused_shows_nothing_of_the_nodes_files(liar: LyingGateway) -> None:
    for argv in (("sh", "/etc/shadow"), ("rm", "/etc/shadow"), ("/etc/shadow",)):
        answer = await liar.inspect(Request(text="", argv=argv, script=None))
        assert answer["kind"] == "declined"
        assert "sha256" not in str(answer)


async def test_f078_a_go_without_an_acceptance_or_with_the_one_of_another_starts_nothing(liar: LyingGateway) -> None:
    await liar.say({"kind": "go", "execution": ID, "token": "0" * 32})
    assert "without an offer" in (await liar.hear(lambda heard: heard["kind"] == "refused"))["reason"]
    accepted = await liar.offer(await honest(liar), execution=OTHER)
    assert accepted["kind"] == "accepted"
    third = "7K3QA4"
    await liar.say({"kind": "go", "execution": third, "token": accepted["token"]})
    refused = await liar.hear(lambda heard: heard["kind"] == "refused" and heard["execution"] == third)
    assert "without an offer" in refused["reason"]


async def test_the_truth_runs_once(given: NodeSettings) -> None:
    async with lying_gateway() as there, node(replace(given, gateway_url=there.url)):
        accepted = await there.offer(await honest(there))
        for _ in range(3):
            await there.say({"kind": "go", "execution": ID, "token": accepted["token"]})
        finished = await there.hear(lambda heard: heard["kind"] == "finished")
        assert finished["result"]["exit_code"] == 0
        assert given.work_dir is not None
        assert (given.work_dir / "mark").exists()


async def test_a_gateway_whose_key_the_policy_does_not_name_gets_no_proof(given: NodeSettings) -> None:
    ruled = with_rules(given, f'gateways = ["{new_key().fingerprint}", "{new_key().fingerprint}"]\n')
    lines: list[str] = []
    async with lying_gateway() as there, node(replace(ruled, gateway_url=there.url), lines):
        await until(lambda: there.closed_with is not None)
        assert there.closed_with == Close.UNTRUSTED
        assert {heard["kind"] for heard in there.heard} == {"hello"}
        await until(lambda: any("none of those that this node obeys" in line for line in lines))
    assert not (given.state_dir / "gateway.pin").exists()


async def test_one_of_the_keys_that_the_policy_names_is_enough_and_needs_no_first_contact(given: NodeSettings) -> None:
    old, new = new_key(), new_key()
    ruled = with_rules(given, f'gateways = ["{old.fingerprint}", "{new.fingerprint}"]\n')
    (given.state_dir / "gateway.pin").write_text(old.public_key.hex() + "\n")
    async with lying_gateway(new) as there, node(replace(ruled, gateway_url=there.url)):
        assert (await honest(there, "uptime")).gateway == new.fingerprint


async def test_f079_an_approval_of_one_gateway_is_not_handed_over_by_another(given: NodeSettings) -> None:
    one, other = new_key(), new_key()
    ruled = with_rules(given, f'gateways = ["{one.fingerprint}", "{other.fingerprint}"]\n')
    async with lying_gateway(one) as there, node(replace(ruled, gateway_url=there.url)):
        approved = await honest(there)
    async with lying_gateway(other) as there, node(replace(ruled, gateway_url=there.url)):
        assert "gateway of another key" in (await there.offer(approved))["reason"]
        claimed = await there.offer(replace(approved, gateway=other.fingerprint))
        # Its own inspection would give this: then its own people have approved it, under its own key.
        assert claimed["kind"] == "accepted"
