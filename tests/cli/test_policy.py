"""`homing policy`: the verdict of one command with its rule and line, a file of expectations, and a backtest."""

from __future__ import annotations

import pytest

from tests.cli.terminal import FINISHED, Terminal

RULES = """
[[node_group]]
name = "web"
nodes = ["web-1", "web-2"]

[[rule]]
name = "disk"
command = ["df **", "/usr/bin/uptime"]
action = "allow"

[[rule]]
name = "restarts"
where = ["slack:channel:C0OPS"]
node = ["@web"]
command = "systemctl restart *"
action = "ask"
deciders = ["owner", "ann"]
quorum = 2
four_eyes = false
needs_reason = true
expires_after = "10m"
escalate_after = "5m"
escalate_to = ["web:lead"]

[[rule]]
name = "no shutdown"
command = "shutdown **"
action = "deny"
"""
ASKED = ("--from", "slack:channel:C0OPS", "--person", "ann", "--node", "web-1")


@pytest.fixture
def ruled(terminal: Terminal) -> Terminal:
    with (terminal.folder / "config.toml").open("a") as file:
        file.write(RULES)
    return terminal


def test_a_command_is_explained_with_the_rule_its_line_and_who_would_decide(ruled: Terminal) -> None:
    ended = ruled.homing("policy", "explain", *ASKED, "--", "systemctl", "restart", "app")
    assert ended.code == 0, ended.err
    text = (ruled.folder / "config.toml").read_text()
    line = text[: text.index('name = "restarts"')].count("\n")
    assert ended.out.splitlines() == [
        "verdict    ask",
        f"rule       “restarts” (config.toml line {line})",
        "decides    2 of owner, ann",
        "demands    a yes needs a reason",
        "waits      10 min, then it expires",
        "escalates  after 5 min: web:lead",
        "note       some rule names a path: the node's own file decides; say it with --executable",
    ]


def test_a_script_is_explained_command_by_command(ruled: Terminal) -> None:
    found = ruled.homing("policy", "explain", *ASKED, "--json", "--", "df -h; shutdown now").json()
    assert found["verdict"] == "deny"
    assert [(one["words"], one["verdict"], one["rule"]) for one in found["commands"]] == [
        (["df", "-h"], "ask", "default: ask the owners"),
        (["shutdown", "now"], "deny", "no shutdown"),
    ]


def test_the_file_that_the_node_would_find_counts(ruled: Terminal) -> None:
    asked = ("policy", "explain", *ASKED, "--json")
    assert ruled.homing(*asked, "--", "uptime").json()["verdict"] == "ask"
    assert ruled.homing(*asked, "--executable", "/usr/bin/uptime", "--", "uptime").json()["verdict"] == "allow"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "ops", "--person", "ann", "--node", "n"), "a place names no single conversation"),
        (("--from", "web:channel:ops", "--person", "an", "--node", "n"), "did you mean ann?"),
    ],
)
def test_what_cannot_be_asked_is_named(ruled: Terminal, words: tuple[str, ...], said: str) -> None:
    ended = ruled.homing("policy", "explain", *words, "--", "df")
    assert ended.code == 1
    assert said in ended.err


CASE = """
[[case]]
from = "slack:channel:C0OPS"
person = "ann"
node = "web-1"
command = "{command}"
expect = "{expect}"
"""


def test_expectations_are_checked_and_those_that_fail_are_named(ruled: Terminal) -> None:
    good = CASE.format(command="df -h", expect="allow") + 'rule = "disk"\n'
    good += CASE.format(command="systemctl restart app", expect="ask") + 'deciders = ["owner", "ann"]\nquorum = 2\n'
    (ruled.folder / "cases.toml").write_text(good)
    ended = ruled.homing("policy", "test", "cases.toml")
    assert (ended.code, ended.out) == (0, "2 of 2 cases are as expected\n")

    bad = good + CASE.format(command="df | sh", expect="allow") + 'rule = "disk"\ndeciders = ["ann"]\nquorum = 3\n'
    (ruled.folder / "cases.toml").write_text(bad)
    ended = ruled.homing("policy", "test", "cases.toml")
    assert ended.code == 1
    why = "who may decide is owner; it takes 1 of them, not 3"
    assert ended.out.splitlines() == [
        "case 3 (ann: df | sh): it says ask, not allow; the rule is “default: ask the owners”, not “disk”; " + why,
        "2 of 3 cases are as expected",
    ]
    assert ruled.homing("policy", "test", "cases.toml", "--json").json()["failed"][0]["case"] == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "case"),
        ("[[case]]\nperson = 1\n", "case.0.from"),
        ("= 3", "cannot be read as TOML"),
        (CASE.format(command="df", expect="maybe"), "case.0.expect"),
        (CASE.format(command="df", expect="ask") + "persn = 3\n", "case.0.persn: unknown key; did you mean person?"),
        ("[[cases]]\nperson = 1\n", "cases: unknown key; did you mean case?"),
        (None, "cases.toml: there is no such file"),
    ],
)
def test_a_faulty_file_of_expectations_is_named_fault_by_fault(ruled: Terminal, text: str | None, said: str) -> None:
    if text is not None:
        (ruled.folder / "cases.toml").write_text(text)
    ended = ruled.homing("policy", "test", "cases.toml")
    assert ended.code == 1
    assert said in ended.err
    assert "Tuple" not in ended.err


def test_a_backtest_names_what_would_be_treated_in_another_way(filled: Terminal, ruled: Terminal) -> None:
    assert filled == ruled
    ended = ruled.homing("policy", "backtest", "--since", "9999d", "--json")
    found = ended.json()
    assert found["asked"] > 0
    changed = {one["id"]: one for one in found["changed"]}
    # The story's store has “df -h”, which these rules allow unasked, decided by people.
    assert changed[FINISHED]["would_be"] == "allow by “disk”"
    assert "by “owners decide”" in changed[FINISHED]["was"]
    assert FINISHED in ruled.homing("policy", "backtest", "--since", "9999d").out
