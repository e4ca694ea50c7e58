"""The command line itself: help with an example, one JSON document, faults as one line, the nearest word."""

from __future__ import annotations

import json

import pytest

from bot import __version__
from tests.cli.terminal import Terminal

COMMANDS = (
    "run",
    "node",
    "node check",
    "node example",
    "demo",
    "status",
    "why",
    "executions",
    "events list",
    "events retell",
    "nodes list",
    "nodes pair",
    "nodes revoke",
    "pairing list",
    "pairing approve",
    "pairing revoke",
    "approvals pending",
    "invite",
    "doctor",
    "pause",
    "resume",
    "backup",
    "audit show",
    "audit verify",
    "audit export",
    "audit redact",
    "config check",
    "config schema",
    "config example",
)
ASKING_THE_STORE = (
    "status",
    "why 7K3Q9A",
    "executions",
    "events list",
    "events retell 1",
    "nodes list",
    "nodes pair x",
    "nodes revoke x",
    "pairing list",
    "pairing approve 7K3Q9A2C",
    "pairing revoke slack:U1",
    "approvals pending",
    "pause",
    "resume",
    "backup copy.db",
    "audit show",
    "audit verify",
    "audit export --out audit.jsonl",
    "audit redact 7K3Q9A --why x",
    "config check",
    "invite ann",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example(bare: Terminal, command: str) -> None:
    ended = bare.homing(*command.split(), "--help")
    assert (ended.code, ended.err) == (0, "")
    assert f"Example: homing {command}" in " ".join(ended.out.split())
    assert "--json" in ended.out


def test_alone_it_lists_the_commands(bare: Terminal) -> None:
    ended = bare.homing()
    assert ended.code == 0
    assert all(f"\n  {command.split()[0]} " in ended.out for command in COMMANDS)


def test_it_says_its_version(bare: Terminal) -> None:
    assert bare.homing("--version").out == f"homing {__version__}\n"


@pytest.mark.parametrize("command", ASKING_THE_STORE)
def test_a_fault_is_one_line_and_with_json_one_document(bare: Terminal, command: str) -> None:
    said = "config.toml: there is no such file; `homing run` writes one at its first start"
    ended = bare.homing(*command.split(), "--json")
    assert ended.code == 1
    assert ended.json() == {"ok": False, "error": said}
    assert ended.err == f"homing: {said}\n"


def test_without_json_a_fault_leaves_standard_output_empty(bare: Terminal) -> None:
    assert bare.homing("status").out == ""


@pytest.mark.parametrize("command", [one for one in ASKING_THE_STORE if one != "config check"])
def test_before_the_first_start_each_says_that_there_is_no_database(terminal: Terminal, command: str) -> None:
    ended = terminal.homing(*command.split())
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    assert "there is no database at" in ended.err
    assert "`homing run`" in ended.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("stats", "No such command 'stats'; did you mean status?"),
        ("xyzzy", "No such command 'xyzzy'; there are: approvals, audit, backup"),
        ("nodes par x", "No such command 'par'; did you mean pair?"),
        ("status --jsn", "No such option: --jsn; did you mean --json?"),
        ("why", "Missing argument 'execution'; `homing why --help` says what it takes"),
        ("why 7K3Q9A B", "`homing why --help` says what it takes"),
        ("events retell many", "`homing events retell --help` says what it takes"),
        ("executions --state runing", "`homing executions --help` says what it takes"),
        ("executions --limit 0", "`homing executions --help` says what it takes"),
        ("node", "Missing option '--gateway'"),
    ],
)
def test_a_wrong_word_is_one_line_with_the_nearest(bare: Terminal, words: str, said: str) -> None:
    ended = bare.homing(*words.split())
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("homing: ")
    assert ended.err.count("\n") == 1
    assert said in ended.err


def test_a_wrong_word_with_json_is_one_document(bare: Terminal) -> None:
    ended = bare.homing("stats", "--json")
    assert ended.code == 2
    assert ended.json() == {"ok": False, "error": "No such command 'stats'; did you mean status?"}


def test_all_faults_of_a_config_are_lines_of_their_own(bare: Terminal) -> None:
    (bare.folder / "config.toml").write_text("[gatway]\n[gateway]\nport = -1\n")
    ended = bare.homing("config", "check")
    assert ended.code == 1
    *faults, last = ended.err.splitlines()
    assert len(faults) == 2
    assert all(line.startswith("homing: config.toml: ") for line in faults)
    # Warnings are not told of a config with faults: that there may be some is.
    assert "check again" in last


def test_the_config_is_found_by_option_or_by_environment(terminal: Terminal) -> None:
    elsewhere = terminal.folder / "elsewhere.toml"
    (terminal.folder / "config.toml").rename(elsewhere)
    assert terminal.homing("config", "check", "--config", str(elsewhere)).code == 0
    assert terminal.homing("config", "check", HOMING_CONFIG=str(elsewhere)).code == 0


def test_config_check_warns_without_failing(bare: Terminal) -> None:
    (bare.folder / "config.toml").write_text('[[rule]]\nname = "r"\naction = "ask"\ndeciders = []\n')
    ended = bare.homing("config", "check")
    assert ended.code == 0
    assert "homing reload" in ended.out.splitlines()[-1]
    assert "warning: rule[0].deciders is empty: nobody may approve" in ended.out
    assert len(bare.homing("config", "check", "--json").json()["warnings"]) == 2


def test_the_example_is_a_config_and_the_schema_is_json(bare: Terminal) -> None:
    (bare.folder / "config.toml").write_text(bare.homing("config", "example").out)
    assert bare.homing("config", "check").code == 0
    assert bare.homing("config", "example", "--json").json()["toml"].startswith("# Homing")
    assert json.loads(bare.homing("config", "schema").out)["properties"]["gateway"]


_BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
sys.argv = ["homing", *{words!r}]
from bot.cli import main
main()
"""
GATEWAY_ONLY = (
    "alembic",
    "discord",
    "jinja2",
    "psycopg",
    "psycopg_pool",
    "pydantic_settings",
    "slack_bolt",
    "slack_sdk",
    "sqlalchemy",
    "twilio",
    "tzdata",
)


def with_the_base_only(terminal: Terminal, *words: str) -> tuple[int, str, str]:
    """`homing` on a machine where the extra `gateway` is not installed."""
    script = terminal.folder / "blocked.py"
    script.write_text(_BLOCKED.format(blocked=set(GATEWAY_ONLY), words=words))
    ended = terminal.python(str(script))
    return ended.code, ended.out, ended.err


def test_the_node_needs_none_of_the_gateways_packages(bare: Terminal) -> None:
    code, out, err = with_the_base_only(bare, "node", "--help")
    assert (code, err) == (0, "")
    assert "--gateway-key" in out
    code, _, err = with_the_base_only(bare, "node", "--gateway", "this is no address", "--state-dir", "state")
    assert code == 1
    assert "pip install" not in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["status", "run", "doctor", "config check", "demo"])
def test_what_needs_the_gateways_packages_says_how_to_install_them(terminal: Terminal, command: str) -> None:
    code, out, err = with_the_base_only(terminal, *command.split())
    assert code == 1
    assert out == ""
    assert "in Homing's checkout: pip install '.[gateway]'" in err
    assert err.count("\n") == 1


def test_an_unforeseen_fault_is_one_line_too(terminal: Terminal) -> None:
    script = terminal.folder / "broken.py"
    script.write_text(
        "import sys\nimport bot.cli.opened as opened\n"
        "def broken(config): raise ZeroDivisionError('secret words')\n"
        "opened.settings_of = broken\nsys.argv = ['homing', 'status']\nfrom bot.cli import main\nmain()\n"
    )
    ended = terminal.python(str(script))
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    assert "an unforeseen fault, ZeroDivisionError; run it again with HOMING_TRACEBACK=1" in ended.err
    assert "secret words" not in ended.err
    assert "Traceback" in terminal.python(str(script), HOMING_TRACEBACK="1").err
