"""The node's eyes: what will really run, and whether it is still that."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.command import Command, Limits, canonical, parse_request
from bot.errors import ConfigError
from bot.node.settings import NodeSettings
from bot.ports import NodeRefusal
from tests.node.made import NODE, inspector, settings


@pytest.fixture
def given(tmp_path: Path) -> NodeSettings:
    return settings(tmp_path, path=f"{tmp_path}/bin:/usr/bin:/bin")


def look(given: NodeSettings, text: str, limits: Limits | None = None) -> Command | NodeRefusal:
    request = parse_request(text)
    return inspector(given).inspect(request.argv, request.script, limits or Limits())


def seen(given: NodeSettings, text: str, limits: Limits | None = None) -> Command:
    found = look(given, text, limits)
    assert isinstance(found, Command), found
    return found


def refusal(given: NodeSettings, text: str) -> str:
    found = look(given, text)
    assert isinstance(found, NodeRefusal)
    return found.reason


def write(path: Path, text: str = "#!/bin/sh\necho hi\n") -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_f086_the_program_is_found_on_the_node_and_shown_whole(given: NodeSettings, tmp_path: Path) -> None:
    write(tmp_path / "real" / "tool-2")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tool").symlink_to(tmp_path / "real" / "tool-2")
    found = seen(given, "tool -v")
    assert found.executable == str(tmp_path / "real" / "tool-2")
    assert found.argv == ("tool", "-v")
    assert [file.path for file in found.files] == [found.executable, os.path.realpath("/bin/sh")]


def test_f086_the_environment_is_listed_and_holds_nothing_else(
    given: NodeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOMING_SLACK_TOKEN", "xoxb-secret")
    monkeypatch.setenv("LD_PRELOAD", "/srv/evil.so")
    monkeypatch.setenv("APP_REGION", "eu")
    env = dict(seen(replace(given, env_names=("APP_REGION", "APP_ABSENT")), "true").env)
    assert set(env) <= {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME", "SHELL", "APP_REGION"}
    assert env["APP_REGION"] == "eu"
    assert env["PATH"] == given.path


@pytest.mark.parametrize(
    "name",
    [
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "BASH_ENV",
        "ENV",
        "IFS",
        "PATH",
        "NODE_OPTIONS",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PERL5OPT",
        "RUBYOPT",
        "GIT_SSH_COMMAND",
        "HOMING_STORE__URL",
        "BASH_FUNC_x%%",
        "A=B",
    ],
)
def test_f086_dangerous_variables_are_refused_loudly(given: NodeSettings, name: str) -> None:
    with pytest.raises(ConfigError, match="environment variable"):
        replace(given, env_names=(name,))


def test_f083_a_shell_script_is_run_by_the_shell_and_nothing_else(given: NodeSettings) -> None:
    found = seen(given, "echo $HOME | wc -c")
    assert found.argv == ("/bin/sh", "-c", "echo $HOME | wc -c")
    eyes = inspector(given)
    assert isinstance(eyes.inspect(("/bin/bash", "-c", "x"), "x", Limits()), NodeRefusal)
    assert isinstance(eyes.inspect(("/bin/sh", "-c", "y"), "x", Limits()), NodeRefusal)


@pytest.mark.parametrize("line", ["{python} deploy.py now", "env A=1 {python} -I deploy.py", "timeout 5 ./deploy.py"])
def test_f082_the_script_that_an_interpreter_is_given_is_bound(given: NodeSettings, tmp_path: Path, line: str) -> None:
    script = write(tmp_path / "work" / "deploy.py", f"#!{sys.executable}\nprint(1)\n")
    found = seen(given, line.format(python=sys.executable))
    assert str(script) in {file.path for file in found.files}


def test_data_that_a_program_reads_is_not_bound(given: NodeSettings, tmp_path: Path) -> None:
    log = tmp_path / "work" / "app.log"
    log.write_text("old")
    for line in (f"tail {log}", f"timeout 5 tail {log}"):
        found = seen(given, line)
        assert str(log) not in {file.path for file in found.files}


def test_the_interpreter_of_a_first_line_is_bound_through_env_too(given: NodeSettings, tmp_path: Path) -> None:
    inner = write(tmp_path / "bin" / "myint")
    script = write(tmp_path / "work" / "run", "#!/usr/bin/env myint\nx\n")
    paths = [file.path for file in seen(given, "./run").files]
    assert paths[0] == str(script)
    assert {str(inner), os.path.realpath("/usr/bin/env"), os.path.realpath("/bin/sh")} < set(paths)


def test_f082_every_drift_is_found_and_named(given: NodeSettings, tmp_path: Path) -> None:
    work = tmp_path / "work"
    script = write(work / "deploy.sh")
    link = tmp_path / "link"
    link.symlink_to(work)
    here = replace(given, work_dir=link)
    approved = seen(here, "./deploy.sh")
    assert inspector(here).differences(approved) is None

    script.write_text("#!/bin/sh\nrm -rf /\n")
    assert f"{script} has changed" in str(inspector(here).differences(approved))
    script.write_text("#!/bin/sh\necho hi\n")
    assert inspector(here).differences(approved) is None

    link.unlink()
    write(tmp_path / "elsewhere" / "deploy.sh")
    link.symlink_to(tmp_path / "elsewhere")
    assert "is now" in str(inspector(here).differences(approved))
    link.unlink()
    link.symlink_to(work)

    changes = {
        "environment": replace(approved, env=(("PATH", "/evil"),)),
        "limits are lower": replace(approved, limits=Limits(timeout_s=10**9)),
        "another node": replace(approved, node=type(NODE)("ZZZZ")),
        "only before or only after": replace(approved, files=approved.files[:1]),
        "work directory is now": replace(approved, cwd="/"),
        "put under the same path": replace(approved, cwd_id="1:1"),
        "and nobody else was approved": replace(approved, user="nobody else"),
        "before the node bound its user": replace(approved, user="", cwd_id=""),
    }
    for words, changed in changes.items():
        executable = replace(changed, argv=(str(script),)) if changed.cwd == "/" else changed
        assert words in str(inspector(here).differences(executable))

    script.unlink()
    assert "is not there" in str(inspector(here).differences(approved))


def test_the_nodes_own_limits_win_where_they_are_lower(given: NodeSettings) -> None:
    strict = replace(given, limits=Limits(timeout_s=5.0, output_bytes=2_000))
    assert seen(strict, "true").limits == Limits(timeout_s=5.0, output_bytes=2_000)
    assert seen(strict, "true", Limits(timeout_s=1.0, output_bytes=1_500)).limits.timeout_s == 1.0


def test_two_looks_at_the_same_things_give_the_same_bytes(given: NodeSettings) -> None:
    assert canonical(seen(given, "ls -l")) == canonical(seen(given, "ls -l"))


def test_f087_a_refusal_says_what_is_missing_and_the_remedy(given: NodeSettings, tmp_path: Path) -> None:
    assert "install it" in refusal(given, "no-such-program")
    assert "is not there" in refusal(given, "./gone")
    plain = tmp_path / "work" / "plain"
    plain.write_text("x")
    if os.getuid() == 0:
        plain.chmod(0o644)
    assert "chmod +x" in refusal(given, "./plain")
    assert "no file that can be run" in refusal(given, "/usr")
    assert "--work-dir" in refusal(replace(given, work_dir=tmp_path / "gone"), "true")
    assert "--work-dir" in refusal(replace(given, work_dir=plain), "true")
    big = replace(given, digest_bytes=1_048_576)
    write(tmp_path / "work" / "big", "#!/bin/sh\n" + "#" * 1_100_000)
    assert "larger than the 1 MiB" in refusal(big, "./big")


def test_a_fifo_that_nobody_writes_to_holds_no_inspection_up(given: NodeSettings, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "work" / "pipe")
    assert isinstance(look(given, "sh pipe"), Command)
    os.mkfifo(tmp_path / "work" / "run", 0o755)
    assert "no file that can be run" in refusal(given, "./run")


def test_f087_a_name_that_is_too_long_for_a_path_is_answered_as_well(given: NodeSettings) -> None:
    long = "x" * 300
    assert "is not found on the node" in refusal(given, long)
    assert "is not there" in refusal(given, f"./{long}")
    assert seen(given, f"{long}; ./{long}; sh {long}; . ./{long}")
    assert seen(given, f"sh {long} {'y/' * 3_000}")


def test_a_name_that_is_no_utf8_is_refused(given: NodeSettings, tmp_path: Path) -> None:
    strange = os.fsencode(tmp_path / "work") + b"/\xff"
    Path(os.fsdecode(strange)).write_text("#!/bin/sh\n")
    Path(os.fsdecode(strange)).chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tool").symlink_to(os.fsdecode(strange))
    assert "UTF-8" in refusal(given, "tool")


def test_f087_twenty_ordinary_commands_are_seen(given: NodeSettings, tmp_path: Path) -> None:
    write(tmp_path / "work" / "deploy.sh")
    (tmp_path / "work" / "notes.txt").write_text("x")
    for line in [
        "uptime", "df -h", "ls -la /", "cat notes.txt", "echo 'a b' | wc -l", "sh deploy.sh", "./deploy.sh --now",
        "sh -c 'echo `date`'", f"{sys.executable} -c 'print(1)'", f"{sys.executable} -m json.tool notes.txt",
        "grep -rn 'x' .", "tail -n 5 notes.txt", "env", "date +%s", "id -u", "head -c 10 notes.txt", "find . -name x",
        "true && false", "cd / && ls", "for i in 1 2; do echo $i; done",
    ]:  # fmt: skip
        assert seen(given, line)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"url": "http://x/node"}, "ws://host:port/node"),
        ({"url": "ws://gateway.example.org/node"}, "use wss://"),
        ({"url": "ws://gateway.example.org/node"}, "--allow-plain"),
        ({"url": "ws://127.0.0.1:8470"}, "write ws://127.0.0.1:8470/node"),
        ({"url": "wss://me:word@gateway.example.org/"}, "write wss://gateway.example.org/node"),
        ({"url": "ws://"}, "ws://host:port/node"),
        ({"name": "two words"}, "node's name"),
        ({"gateway_key": "ABCD"}, "7 groups"),
        ({"path": "relative:/bin"}, "absolute directories"),
        ({"max_executions": 0}, "1 to 1000"),
        ({"limits": Limits(timeout_s=0.0)}, "longest time"),
        ({"limits": Limits(output_bytes=10**9)}, "bytes of output"),
        ({"grace_s": -1.0}, "TERM and KILL"),
        ({"spool_bytes": 1}, "16 MiB"),
    ],
)
def test_settings_that_no_node_can_run_on_are_refused(tmp_path: Path, fields: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings(tmp_path, **fields)  # type: ignore[arg-type]  # wrong on purpose
    assert settings(tmp_path, "ws://10.0.0.1/node", allow_plain=True)
    assert settings(tmp_path, "wss://gateway.example.org/node")
