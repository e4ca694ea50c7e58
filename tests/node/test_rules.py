"""The node's own policy against what it sees: who is obeyed, what runs, what never does, where, with what."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.command import Command, Limits, parse_request
from bot.domain.mask import Masker
from bot.errors import ConfigError
from bot.node.rules_file import RulesFile, read_rules
from bot.node.rules_shown import EXAMPLE, opening_words
from bot.node.settings import NodeSettings
from bot.node.user import own_user
from bot.ports import NodeRefusal
from tests.node.made import GATEWAY, inspector, settings, with_rules

OTHER_GATEWAY = "ET3O-22WL-7YIA-TQBQ-27FF-M7BT-ZJED"


@pytest.fixture
def given(tmp_path: Path) -> NodeSettings:
    return settings(tmp_path, path=f"{tmp_path}/bin:/usr/bin:/bin")


def look(given: NodeSettings, text: str, **limits: int) -> Command | NodeRefusal:
    request = parse_request(text)
    wanted = Limits(**limits)
    return inspector(given).inspect(request.argv, request.script, wanted, gateway=GATEWAY)


def reason(given: NodeSettings, text: str) -> str | None:
    found = look(given, text)
    return found.reason if isinstance(found, NodeRefusal) else None


def tool(path: Path, text: str = "#!/bin/sh\necho hi\n") -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_without_a_policy_anything_that_was_approved_runs(given: NodeSettings) -> None:
    for text in ("uptime", "rm -rf x", "for i in 1 2; do echo $i; done", "sh -c 'id'", "$CMD x"):
        assert reason(given, text) is None


def test_f119_a_refusal_says_words_as_they_were_written_so_that_a_secret_among_them_is_masked_whole(
    given: NodeSettings,
) -> None:
    for rules in ('deny = ["echo **"]\n', 'commands = ["id"]\n'):
        said = reason(with_rules(given, rules), "echo --password 'correct horse staple' -x")
        assert said is not None
        assert "echo --password 'correct horse staple' -x" in said
        masked = Masker().text(said)
        assert "echo --password '‹secret: password›' -x" in masked
        assert "horse" not in masked


RUNS = 'commands = ["uptime", "df **", "echo *", "timeout 5 uptime", "sh -c \'uptime; id\'", "id", "nice **"]\n'


@pytest.mark.parametrize(
    "text",
    [
        "uptime",
        "df",
        "df -h /",
        "echo hi",
        "timeout 5 uptime",
        "sh -c 'uptime; id'",
    ],
)
def test_what_the_policy_names_runs(given: NodeSettings, text: str) -> None:
    assert reason(with_rules(given, RUNS), text) is None


@pytest.mark.parametrize(
    "text",
    [
        "uname",
        "uptime -p",
        "/usr/bin/uptime",
        "./uptime",
        "echo a b",
        "timeout 6 uptime",
        "timeout 5 id",
        "nice df",
        "env PATH=/tmp df",
        "sh -c 'uptime; id; id'",
        "sh -c uptime",
        "dash -c 'uptime; id'",
    ],
)
def test_what_the_policy_does_not_name_from_the_first_word_to_the_last_does_not(given: NodeSettings, text: str) -> None:
    tool(given.work_dir / "uptime" if given.work_dir else Path("x"))
    said = reason(with_rules(given, RUNS), text)
    assert said is not None
    assert "this node's own policy does not hold" in said
    assert "it runs “uptime”, “df **”" in said


def test_f076_a_refusal_says_what_would_be_allowed_and_never_how_to_be_rid_of_the_policy(given: NodeSettings) -> None:
    policies = (
        RUNS,
        f"{RUNS}scripts = true\n",
        'deny = ["uname **"]\n',
        "scripts = false\n",
        'dirs = ["/srv"]\n',
        f'gateways = ["{OTHER_GATEWAY}"]\n',
        "faulty",
    )
    for policy in policies:
        ruled = with_rules(given, policy)
        for text in ("uname -a", "uname | $X", "uname 2>x", "sh -c uname"):
            said = reason(ruled, text)
            if said is not None:
                assert not any(word in said for word in ("node.toml", "--", "commands =", "scripts =", "deny", "dirs"))
        assert reason(ruled, "uname | $X") is not None


def test_a_policy_that_names_commands_takes_shell_texts_only_where_it_says_so(given: NodeSettings) -> None:
    said = reason(with_rules(given, RUNS), "uptime | df")
    assert said is not None
    assert "runs no shell texts" in said
    ruled = with_rules(given, f"{RUNS}scripts = true\n")
    for text in ("uptime | df -h", "uptime; df && echo 'a b' || id", "! uptime >/dev/null 2>&1 &", "{ (uptime); }"):
        assert reason(ruled, text) is None, text


@pytest.mark.parametrize(
    "text",
    [
        "PATH=/tmp/evil uptime",
        "PATH=/tmp/evil; uptime",
        "LD_PRELOAD=/tmp/x.so uptime",
        "for PATH in /tmp/evil; do uptime; done",
        "uptime() { id; }; uptime",
        "uptime > /etc/cron.d/x",
        "echo hi >> ~/.profile",
        "uptime < /etc/shadow",
        "uptime <<X\n$(id)\nX",
        "case x in x) uptime;; esac",
        "if uptime; then id; fi",
        "while uptime; do id; done",
        "export PATH=/tmp/evil; uptime",
        "[ -f x ]; uptime",
    ],
)
def test_f084_words_that_fit_in_a_text_that_does_more_are_not_enough(given: NodeSettings, text: str) -> None:
    said = reason(with_rules(given, f"{RUNS}scripts = true\n"), text)
    assert said is not None
    assert "commands joined by ;" in said


@pytest.mark.parametrize(
    "text", ["uptime; uname", "df $X; df", "$X", "echo `id`; id", "df | sh", "echo *", "echo {a,b}"]
)
def test_in_a_shell_text_every_command_must_fit_and_be_known(given: NodeSettings, text: str) -> None:
    assert reason(with_rules(given, f"{RUNS}scripts = true\n"), text) is not None


@pytest.mark.parametrize(
    "text", ["uptime | df", "sh -c 'uptime'", "bash -lc uptime", "python3 -c 'print(1)'", "env sh -c uptime", "ls; ls"]
)
def test_where_no_shell_text_runs_none_runs_as_a_plain_word_either(given: NodeSettings, text: str) -> None:
    ruled = with_rules(given, "scripts = false\n")
    assert reason(ruled, text) is not None
    assert reason(ruled, "uptime -p") is None
    # A gateway that says that there is no script does not make it one command.
    said = inspector(ruled).inspect(("/bin/sh", "-c", "uptime | df"), None, Limits(), gateway=GATEWAY)
    assert isinstance(said, NodeRefusal)


@pytest.mark.parametrize(
    "text",
    [
        "rm -rf /srv/x",
        "/bin/rm -rf x",
        "sudo rm -rf x",
        "env A=1 rm -rf x",
        "uptime; rm -rf x",
        "echo $(rm -rf x)",
        "sh -c 'uptime && rm -rf x'",
        "rm $OPTIONS x",
        "find . -exec rm -rf {} +",
        "xargs rm -rf",
        "$RM -rf x",
        "./cleaner -rf x",
    ],
)
def test_what_the_policy_denies_is_refused_in_every_reading(given: NodeSettings, text: str) -> None:
    assert given.work_dir is not None
    (given.work_dir / "cleaner").symlink_to(os.path.realpath("/bin/rm"))
    tool(given.work_dir.parent / "bin" / "sudo")
    for policy in ('deny = ["rm -rf **"]\n', 'deny = ["rm -rf **"]\ncommands = ["rm **"]\nscripts = true\n'):
        assert reason(with_rules(given, policy), text) is not None
    said = reason(with_rules(given, 'deny = ["rm -rf **"]\n'), text) or ""
    assert "fits “rm -rf **”" in said or "write the program's name out" in said


def test_what_it_denies_does_not_reach_further(given: NodeSettings) -> None:
    ruled = with_rules(given, 'deny = ["rm -rf **", "uptime -p"]\n')
    for text in ("rm x", "uptime", "echo rm -rf", "ls | head; df $X", "for i in 1 2; do echo $i; done"):
        assert reason(ruled, text) is None, text


def test_files_and_directories_outside_of_its_dirs_are_refused(given: NodeSettings, tmp_path: Path) -> None:
    assert given.work_dir is not None
    inside, outside = tool(given.work_dir / "in.sh"), tool(tmp_path / "out.sh")
    (given.work_dir / "link.sh").symlink_to(outside)
    ruled = with_rules(given, f'dirs = ["{given.work_dir}"]\n')
    for text in ("./in.sh", f"{inside} now", "sh in.sh", "uptime", "/usr/bin/uptime", "sh ./in.sh | wc -l"):
        assert reason(ruled, text) is None, text
    for text in (str(outside), f"sh {outside}", "./link.sh", "../out.sh", f"uptime; {outside}", ". ../out.sh; id"):
        assert f"and {outside} is not there" in str(reason(ruled, text)), text
    elsewhere = replace(ruled, work_dir=tmp_path)
    assert f"starts commands only below {given.work_dir}, and {tmp_path} is not there" in str(reason(elsewhere, "id"))


def test_only_the_gateways_that_it_names_are_obeyed(given: NodeSettings) -> None:
    assert "does not obey" in str(reason(with_rules(given, f'gateways = ["{OTHER_GATEWAY}"]\n'), "uptime"))
    ours = "BBBB-BBBB-BBBB-BBBB-BBBB-BBBB-BBBB"
    assert reason(with_rules(given, f'gateways = ["{OTHER_GATEWAY}", "{ours.lower()}"]\n'), "uptime") is None


def test_the_lowest_of_three_limits_stands_in_the_command(given: NodeSettings) -> None:
    text = '[limits]\ntimeout = "1m"\noutput_bytes = 4096\nmemory = "1G"\nprocesses = 100\nopen_files = 200\n'
    ruled = with_rules(replace(given, limits=Limits(timeout_s=90.0, output_bytes=2_000)), text)
    found = look(ruled, "uptime", open_files=64)
    assert isinstance(found, Command)
    assert found.limits == Limits(timeout_s=60.0, output_bytes=2_000, memory_bytes=2**30, processes=100, open_files=64)


def test_its_user_stands_in_the_command_and_in_the_environment(given: NodeSettings) -> None:
    found = look(given, "uptime")
    assert isinstance(found, Command)
    own = own_user()
    assert found.user == own.name == dict(found.env)["USER"]
    ruled = with_rules(given, f"user = {own.name!r}\n")
    assert look(ruled, "uptime") == found
    if os.geteuid() == 0:
        other = look(with_rules(given, 'user = "nobody"\n'), "uptime")
        assert isinstance(other, Command)
        assert (other.user, dict(other.env)["LOGNAME"], dict(other.env)["HOME"]) == ("nobody", "nobody", "/nonexistent")


def test_its_variables_are_the_only_ones(given: NodeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ENV", "live")
    monkeypatch.setenv("APP_KEY", "x")
    found = look(with_rules(replace(given, env_names=("APP_KEY",)), 'env_names = ["APP_ENV"]\n'), "uptime")
    assert isinstance(found, Command)
    assert dict(found.env).get("APP_ENV") == "live"
    assert "APP_KEY" not in dict(found.env)


def test_a_policy_that_cannot_be_read_any_more_allows_nothing(given: NodeSettings) -> None:
    eyes = inspector(with_rules(given, ""))
    path = given.state_dir / "node.toml"

    def said() -> str | None:
        found = eyes.inspect(("uptime",), None, Limits(), gateway=GATEWAY)
        return found.reason if isinstance(found, NodeRefusal) else None

    assert said() is None

    def opened_to_all() -> None:
        path.write_text("")
        path.chmod(0o666)

    def a_folder() -> None:
        path.unlink()
        path.mkdir()

    def a_pipe() -> None:
        path.rmdir()
        os.mkfifo(path)

    spoils: tuple[Callable[[], object], ...] = (
        lambda: path.write_text("[["),
        lambda: path.write_bytes(b"\xff"),
        opened_to_all,
        a_folder,
        a_pipe,
        path.unlink,
    )
    for spoil in spoils:
        spoil()
        assert "cannot be read now" in str(said())
    path.write_text("")
    path.chmod(0o600)
    assert said() is None


def test_a_policy_that_appears_counts_from_then_on(given: NodeSettings) -> None:
    eyes = inspector(given)
    assert isinstance(eyes.inspect(("uptime",), None, Limits()), Command)
    with_rules(given, 'commands = ["df"]\n')
    assert isinstance(eyes.inspect(("uptime",), None, Limits()), NodeRefusal)


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ('gateways = ["ABC"]', ["gateways[0]: a fingerprint has 7 groups"]),
        ("gateways = []", ["gateways: is empty; name at least one, or leave the key out for every gateway"]),
        (
            "commands = []",
            ["commands: is empty; name at least one, or leave the key out for anything that"],
        ),
        ("dirs = []", ["dirs: is empty"]),
        ('commands = "df"', ["commands: is no list of texts"]),
        ("commands = [1]", ["commands: is no list of texts"]),
        ('commands = ["df", "**", "./x"]', ["commands[1]: its program holds a star", "commands[2]: the pattern's"]),
        ('deny = ["a|b", "\'"]', ["deny[0]: '|' in the pattern", "deny[1]: the pattern"]),
        ('scripts = "yes"', ["scripts: is neither true nor false"]),
        ("user = 0", ["user: is no text"]),
        ('user = "nobody-of-that-name"', ["user: this machine has no user"]),
        ('dirs = ["srv"]', ["dirs[0]: is no absolute path"]),
        ('env_names = ["LD_PRELOAD", "A B"]', ["env_names[0]: the environment variable", "env_names[1]: 'A B' is no"]),
        ("limits = 1", ["limits: is no table"]),
        (
            "[limits]\ntimeout = 0",
            ["limits.timeout: is a whole number from 1 to 31536000; write seconds (90)"],
        ),
        ("[limits]\ntimeout = 1.5", ["limits.timeout: is a whole number"]),
        ("[limits]\ntimeout = true", ["limits.timeout: is a whole number"]),
        ('[limits]\ntimeout = "soon"\nmemory = "1X"', ["limits.timeout: is a", "limits.memory: is a whole number"]),
        ("[limits]\nmemory = 1000\nopen_files = 3", ["limits.memory: is a", "limits.open_files: is a whole number"]),
        ("[limits]\noutput_bytes = 10\nprocesses = -1", ["limits.output_bytes: is", "limits.processes: is a whole"]),
        (
            "comands = []\n[limits]\nmem = 1",
            ["comands: unknown key; did you mean", "limits.mem: unknown key"],
        ),
        ('user = "root"\nuser = "root"\n\n', ["is no TOML at line 2"]),
    ],
)
def test_every_fault_of_the_file_is_named_with_its_key_and_remedy(text: str, faults: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        read_rules(text.encode())
    assert len(refused.value.faults) == len(faults)
    for fault, expected in zip(refused.value.faults, faults, strict=True):
        assert fault.startswith(f"node.toml: {expected}"), fault


def test_only_root_starts_commands_as_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_242)
    with pytest.raises(ConfigError, match="only root can start commands as another user"):
        read_rules(b'user = "root"')


def test_a_file_that_is_too_long_is_another_file(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text("#" * 300_000)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="shorten it"):
        RulesFile.found(path, tmp_path).current()


def opening(given: NodeSettings) -> str:
    return "\n".join(opening_words(RulesFile.found(None, given.state_dir), given))


def test_at_the_start_it_says_plainly_whether_anything_runs(given: NodeSettings) -> None:
    mine = own_user().name
    assert f"names no commands: it runs anything that its gateway approved, as {mine}" in opening(given)
    assert "runs 2 kinds of commands and no other" in opening(with_rules(given, 'commands = ["df", "id"]\n'))
    warned = opening(with_rules(given, 'deny = ["rm **"]\n[limits]\nprocesses = 9\n'))
    assert "a guard rail, no wall" in warned
    assert ("binds no command that runs as root" in warned) == (os.geteuid() == 0)
    assert "who can change" in warned


def test_f085_a_pattern_that_stands_before_any_other_program_allows_nothing_and_is_told(given: NodeSettings) -> None:
    patterns = [
        "sudo **",
        "sh **",
        "env *",
        "timeout 5 *",
        "sudo systemctl restart *",
        "df **",
        "sh deploy.sh",
        "nice df",
    ]
    said = opening(with_rules(given, f"commands = {patterns}\n"))
    told = [pattern for pattern in patterns if f"“{pattern}” allows nothing" in said]
    assert told == ["sudo **", "sh **", "env *", "timeout 5 *"]


def test_the_page_about_nodes_names_every_key_and_only_tests_that_exist() -> None:
    root = Path(__file__).resolve().parents[2]
    page = (root / "docs" / "NODES.md").read_text(encoding="utf-8")
    keys = set(re.findall(r"^# ([a-z_]+) = ", EXAMPLE, re.MULTILINE))
    assert {key.removeprefix("limits.") for key in re.findall(r"^\| `([a-z_.]+)` \|", page, re.MULTILINE)} == keys
    written = "".join(path.read_text(encoding="utf-8") for path in (root / "tests" / "node").glob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) >= 10
    assert all(f"def {name}(" in written for name in named)
