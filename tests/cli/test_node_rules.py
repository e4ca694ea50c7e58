"""A node's own policy at the terminal: every fault at once, what it would allow, and an example that can be used."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from bot.node.rules_file import read_rules
from tests.cli.terminal import Terminal


def written(folder: Path, text: str, name: str = "node.toml") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_without_a_policy_it_says_plainly_that_anything_runs(bare: Terminal) -> None:
    ended = bare.homing("node", "check")
    assert ended.code == 0
    assert "runs anything that the gateway approved" in ended.out
    assert "obeys the gateway that it meets first" in ended.out


def test_it_says_what_a_policy_would_allow(bare: Terminal) -> None:
    text = 'commands = ["df **"]\ndeny = ["df -x **"]\nscripts = true\n[limits]\nmemory = "1G"\ntimeout = "5m"\n'
    path = written(bare.folder, text)
    ended = bare.homing("node", "check", "--config", str(path), "--work-dir", str(bare.folder))
    assert (ended.code, ended.err) == (0, "")
    for line in ("runs df **", "runs these in shell texts too", "never runs df -x **", "within 300 s", "1073741824"):
        assert line in ended.out
    assert "anything" not in ended.out
    form = bare.homing("node", "check", "--config", str(path), "--json").json()
    assert (form["ok"], form["file"]) == (True, str(path))
    assert "runs df **" in form["says"]


def test_the_policy_in_the_state_folder_is_found_and_every_fault_named_at_once(bare: Terminal) -> None:
    text = 'comands = ["df"]\ncommands = ["* x"]\ndeny = ["a|b"]\nuser = "no-such-user-here"\n[limits]\nprocesses = 0\n'
    written(bare.folder / "state", text)
    for words in (
        ("node", "check", "--state-dir", "state"),
        ("node", "--gateway", "ws://127.0.0.1:1/node", "--state-dir", "state"),
    ):
        ended = bare.homing(*words)
        assert ended.code == 1
        lines = ended.err.splitlines()
        assert len(lines) == 5
        for key in ("comands", "commands[0]", "deny[0]", "user", "limits.processes"):
            assert any(line.startswith(f"homing: node.toml: {key}: ") for line in lines), key


def test_a_policy_that_was_named_and_is_not_there_is_no_permission(bare: Terminal) -> None:
    ended = bare.homing("node", "--gateway", "ws://127.0.0.1:1/node", "--config", "gone.toml")
    assert ended.code == 1
    assert "there is no such file; `homing node example` prints one" in ended.err


def test_a_policy_that_others_can_write_is_refused(bare: Terminal) -> None:
    path = written(bare.folder, "")
    path.chmod(0o666)
    ended = bare.homing("node", "check", "--config", str(path))
    assert ended.code == 1
    assert "chmod go-w" in ended.err


def test_the_example_holds_every_key_and_each_can_be_taken_out_of_its_comment(bare: Terminal) -> None:
    ended = bare.homing("node", "example")
    assert ended.code == 0
    assert bare.homing("node", "example", "--json").json() == {"ok": True, "toml": ended.out}
    assert tomllib.loads(ended.out) == {"limits": {}}
    keys = [line.removeprefix("# ") for line in ended.out.splitlines() if line.startswith("# ") and " = " in line]
    used = "\n".join(
        line if not line.startswith("# ") or line[2:] not in keys else line[2:] for line in ended.out.splitlines()
    )
    rules = read_rules(used.replace('user = "app"', f"user = {me()!r}").encode())
    assert rules.commands
    assert rules.limits.open_files == 1_024
    assert set(tomllib.loads(used)) == {
        "gateways", "commands", "deny", "scripts", "user", "dirs", "env_names", "limits",
    }  # fmt: skip


def me() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name
