"""Programs and scripts that stand inside a shell text or behind a wrapper are bound like the first word; what only the
shell knows is left out, and nothing ordinary is refused for it."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.command import Command, Limits, parse_request
from bot.node.settings import NodeSettings
from tests.node.made import inspector, settings

PYTHON = sys.executable


@pytest.fixture
def given(tmp_path: Path) -> NodeSettings:
    return settings(tmp_path, path=f"{tmp_path}/bin:/usr/bin:/bin")


@pytest.fixture
def work(given: NodeSettings) -> Path:
    assert given.work_dir is not None
    return given.work_dir


def seen(given: NodeSettings, text: str) -> Command:
    request = parse_request(text)
    found = inspector(given).inspect(request.argv, request.script, Limits())
    assert isinstance(found, Command), found
    return found


def bound(given: NodeSettings, text: str) -> set[str]:
    return {file.path for file in seen(given, text).files}


def changed(given: NodeSettings, approved: Command) -> str | None:
    return inspector(given).differences(approved)


def write(path: Path, text: str = "#!/bin/sh\necho hi\n") -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "./deploy.sh && uptime",
        "uptime; sh deploy.sh now | head -n 1",
        "sh -x ./deploy.sh > log 2>&1",
        "if true; then ./deploy.sh; fi",
        "for i in 1 2; do sh deploy.sh $i; done",
        "echo `./deploy.sh`",
        "echo \"$(sh deploy.sh)\" 'and'",
        "f() { ./deploy.sh; }; f",
        "sh -c './deploy.sh; id'",
        "nohup ./deploy.sh &",
        "env A=1 sh -c 'exec ./deploy.sh'",
        "timeout 5 sh -c './deploy.sh'",
        "A=1 ./deploy.sh",
        ". ./deploy.sh; id",
        "sh $OPTIONS deploy.sh",
        "time ./deploy.sh",
        f"{PYTHON} deploy.sh | cat",
        "(./deploy.sh)",
        "./deploy.sh; cd /tmp",
    ],
)
def test_f082_a_script_inside_a_shell_text_is_bound(given: NodeSettings, work: Path, text: str) -> None:
    script = write(work / "deploy.sh")
    approved = seen(given, text)
    assert str(script) in {file.path for file in approved.files}
    assert changed(given, approved) is None
    write(script, "#!/bin/sh\necho evil\n")
    assert f"{script} has changed since" in str(changed(given, approved))


def test_f082_a_program_inside_a_shell_text_is_bound_with_its_interpreter(given: NodeSettings, tmp_path: Path) -> None:
    inner = write(tmp_path / "bin" / "myint")
    tool = write(tmp_path / "bin" / "tool", f"#!{inner}\n")
    text = "uptime | sort | tool -x && id"
    expected = {str(tool), str(inner), *(os.path.realpath(f"/usr/bin/{name}") for name in ("uptime", "sort", "id"))}
    assert expected <= bound(given, text)
    approved = seen(given, text)
    inner.write_text("#!/bin/sh\necho evil\n")
    assert f"{inner} has changed" in str(changed(given, approved))


def test_f086_a_program_that_shadows_another_on_the_search_path_is_found(given: NodeSettings, tmp_path: Path) -> None:
    for text in ("uptime | sort", "uptime", "sh -c 'sort x; uptime'"):
        approved = seen(given, text)
        shadow = write(tmp_path / "bin" / "uptime")
        assert str(changed(given, approved)).endswith("; ask again"), text
        shadow.unlink()
        assert changed(given, approved) is None


def test_f082_a_link_inside_a_shell_text_that_leads_elsewhere_later_is_found(given: NodeSettings, work: Path) -> None:
    one, other = write(work / "one.sh"), write(work / "other.sh")
    link = work / "current.sh"
    link.symlink_to(one)
    approved = seen(given, "sh current.sh; ./current.sh")
    assert str(one) in {file.path for file in approved.files}
    link.unlink()
    link.symlink_to(other)
    assert "only before or only after" in str(changed(given, approved))


@pytest.mark.parametrize(
    "text",
    [
        "cd /tmp && ./deploy.sh",
        "cd sub; sh deploy.sh",
        "$RUN deploy.sh x",
        "no-such-program | cat",
        "f() { id; }; f",
        "echo ./deploy.sh",
        "cat deploy.sh | wc -c",
        'sh -c "$X"',
        "./deploy.sh$X; id",
        'eval "$X"; id',
        "x=./deploy.sh; $x; id",
        "sh -c",
        "if",
        "'",
    ],
)
def test_f087_what_only_the_shell_knows_is_left_out_and_refuses_nothing(
    given: NodeSettings, work: Path, text: str
) -> None:
    script = write(work / "deploy.sh")
    if text == "'":
        text = "echo 'open | cat"
    assert str(script) not in bound(given, text)


def test_a_built_in_of_the_shell_is_not_the_file_of_that_name(given: NodeSettings) -> None:
    inside = bound(given, "echo a; true; kill -0 $$; [ -f x ]; printf x; id")
    assert not {os.path.realpath(f"/usr/bin/{name}") for name in ("echo", "true", "kill", "[", "printf")} & inside
    assert os.path.realpath("/usr/bin/kill") in bound(given, "timeout 5 kill -0 1; id")


def test_what_is_left_out_is_counted_in_the_log(given: NodeSettings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    seen(given, "$A; no-such-program; cd /x; ./y; echo z; id")
    (record,) = [record for record in caplog.records if record.getMessage() == "inspection.left_out"]
    assert record.__dict__["words"] == 3
    caplog.clear()
    seen(given, "uptime | head -n 1; echo x; cd /tmp")
    assert not [record for record in caplog.records if record.getMessage() == "inspection.left_out"]


def test_a_shell_text_binds_a_bounded_number_of_files_of_bounded_size(given: NodeSettings, work: Path) -> None:
    names = [f"s{number}.sh" for number in range(100)]
    for name in names:
        write(work / name, "true\n")
    found = seen(given, "; ".join(f"./{name}" for name in names))
    assert 60 <= len(found.files) <= 80
    strict = replace(given, digest_bytes=1_048_576)
    for number in range(5):
        write(work / f"big{number}.sh", "#" * 400_000)
    files = bound(strict, "; ".join(f"./big{number}.sh" for number in range(5)))
    assert {f"{work}/big0.sh", f"{work}/big1.sh"} <= files
    assert not {f"{work}/big{number}.sh" for number in range(2, 5)} & files


def test_a_fifo_or_a_folder_in_a_shell_text_holds_nothing_up(given: NodeSettings, work: Path) -> None:
    os.mkfifo(work / "pipe", 0o755)
    (work / "folder").mkdir()
    for text in ("sh pipe; id", ". ./pipe; id", "./pipe; ./folder; sh folder; . ./folder; id"):
        assert not any("pipe" in path or "folder" in path for path in bound(given, text))


def test_two_looks_at_one_shell_text_see_the_same_in_the_same_order(given: NodeSettings, work: Path) -> None:
    write(work / "deploy.sh")
    text = "sort x | uniq; ./deploy.sh; id; ./deploy.sh; sort y"
    assert seen(given, text).files == seen(given, text).files
    paths = [file.path for file in seen(given, text).files]
    assert len(paths) == len(set(paths))
    assert paths[0] == os.path.realpath("/bin/sh")
