"""A whole node, started as root, whose policy names a user and limits: what its commands are then.

Without root it is left out, and says so.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.execution import ExecutionId
from bot.errors import ConfigError
from bot.node.client import run_node
from bot.node.settings import NodeSettings
from tests.node.made import ID, OTHER, gateway, node, settings, until, with_rules

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start commands as another user")
POLICY = """
user = "nobody"
[limits]
memory = "512M"
processes = 4000
open_files = 99
"""


@pytest.fixture
def given(tmp_path: Path) -> Iterator[NodeSettings]:
    with tempfile.TemporaryDirectory(prefix="homing-test-") as work:
        # pytest's own folders belong to who runs it.
        Path(work).chmod(0o755)
        yield with_rules(settings(tmp_path, work_dir=Path(work).resolve()), POLICY)


async def test_commands_run_as_the_user_under_the_limits_and_the_card_can_say_so(given: NodeSettings) -> None:
    async with gateway() as there, node(replace(given, gateway_url=there.url)):
        approved = await there.hand_over("id -un; id -Gn; ulimit -n; ulimit -v; pwd; echo $HOME; echo $USER")
        assert (approved.user, approved.limits.open_files, approved.limits.memory_bytes) == ("nobody", 99, 2**29)
        await until(lambda: ID in there.book.results)
        said = there.book.results[ID].output.text().split()
        assert said == ["nobody", "nogroup", "99", str(2**19), str(given.work_dir), "/nonexistent", "nobody"]


async def test_what_the_user_cannot_reach_is_refused_or_fails_and_never_helped(given: NodeSettings) -> None:
    key = given.state_dir / "node.key"
    async with gateway() as there, node(replace(given, gateway_url=there.url)):
        await there.hand_over(f"cat {key}; echo x > {given.state_dir}/node.toml; kill -9 {os.getpid()}")
        await until(lambda: ID in there.book.results)
        assert (
            there.book.results[ID].output.text().lower().count("denied")
            + there.book.results[ID].output.text().lower().count("not permitted")
            == 3
        )
        assert given.work_dir is not None
        given.work_dir.chmod(0o700)
        await there.hand_over("true", OTHER)
        await until(lambda: OTHER in there.book.words)
        assert there.book.words[OTHER].endswith(f"as nobody in {given.work_dir}: Permission denied")


async def test_a_user_that_is_not_there_starts_no_node(given: NodeSettings) -> None:
    with pytest.raises(ConfigError, match="this machine has no user"):
        await run_node(with_rules(given, 'user = "nobody-of-that-name"\n'))
    assert not (given.state_dir / "node.key").exists()


async def test_a_work_directory_outside_of_the_dirs_starts_no_node(given: NodeSettings) -> None:
    with pytest.raises(ConfigError, match="which is in none of them"):
        await run_node(with_rules(given, 'dirs = ["/srv/somewhere-else"]\n'))


async def test_a_command_under_limits_is_stopped_and_timed_as_any_other(given: NodeSettings) -> None:
    third = ExecutionId("7K3QA4")
    async with gateway() as there, node(replace(given, gateway_url=there.url)):
        await there.hand_over("sleep 30 & sleep 30", third)
        await until(lambda: there.book.kinds(third) == ["started"])
        await there.hub.stop(await there.node(), third)
        await until(lambda: third in there.book.results)
        assert there.book.results[third].ending.value == "stopped"
