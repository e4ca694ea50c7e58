"""Nobody pays for what they do not use: what a node and a gateway load at their start, by what Python has loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = {"discord", "slack_bolt", "slack_sdk", "twilio"}
GATEWAY_ONLY = {"sqlalchemy", "alembic", "psycopg", "pydantic", "pydantic_settings", "jinja2"}
STARTS_A_NODE = (
    "from bot.cli.main import answer\n"
    "import bot.node.client\n"
    "assert answer(['node', '--gateway', 'no address', '--state-dir', '/nonexistent']) == 1\n"
)


def loaded(code: str) -> set[str]:
    """Every module that is there after this code ran in a Python of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize("code", ["import bot.node.client", "from bot.cli.tree import app", STARTS_A_NODE])
def test_a_node_loads_nothing_of_a_gateway(code: str) -> None:
    modules = loaded(code)
    assert not packages(modules) & (NETWORKS | GATEWAY_ONLY | {"channels"})
    ours = {name for name in modules if name.startswith(("bot.store", "bot.app", "bot.config"))}
    assert ours == set()


def test_a_node_that_is_started_loads_none_of_the_tree_of_commands() -> None:
    """The tree's library brings a validation library along, for each process that runs for months."""
    modules = loaded(STARTS_A_NODE)
    assert not packages(modules) & {"typer", "rich", "pydantic_core"}
    assert "bot.cli.tree" not in modules


def test_a_node_loads_no_flow() -> None:
    assert {name for name in loaded("import bot.node.client") if name.startswith(("bot.flow", "bot.agent"))} == set()


def test_a_gateway_loads_no_templates_before_somebody_opens_a_page() -> None:
    code = "import bot.app\nfrom channels.web.pages import Pages\npages = Pages()"
    assert not packages(loaded(code)) & {"jinja2", "markupsafe"}
    assert "jinja2" in packages(loaded(f"{code}\nassert '</html>' in pages.chat()"))


def test_a_gateway_loads_no_network_before_an_account_needs_it() -> None:
    modules = loaded("import bot.app")
    assert not packages(modules) & NETWORKS
    assert not {"channels.discord", "channels.slack", "channels.whatsapp"} & modules


def test_a_gateway_on_sqlite_loads_no_driver_of_postgresql_and_no_migrations_once_its_schema_is_there() -> None:
    code = (
        "import tempfile, asyncio, sys, subprocess\n"
        "from bot.store import open_store\n"
        "from bot.app import SystemClock\n"
        "path = tempfile.mkdtemp() + '/homing.db'\n"
        "make = 'from bot.store import migrate; migrate(\"sqlite:///' + path + '\")'\n"
        "subprocess.run([sys.executable, '-c', make], check=True)\n"
        "asyncio.run(open_store('sqlite:///' + path, clock=SystemClock(), gateway=True).close())\n"
    )
    assert not packages(loaded(code)) & {"psycopg", "alembic", "mako"}
