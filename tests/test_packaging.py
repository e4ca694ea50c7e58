"""What a fresh clone stands on: the lock, the wheel, the Makefile's targets, and what a node's machine must install."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import bot
from bot.config.bindings import EXTRA

ROOT = Path(__file__).resolve().parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TARGETS = ("run", "demo", "test", "check", "test-all", "bench", "coverage", "lock", "clean")


def locked() -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^ \\;]+)", LOCK, flags=re.MULTILINE))


def test_the_lock_holds_no_address() -> None:
    assert not re.search(r"://|--index|--extra-index|--find-links|file:", LOCK)


def test_every_package_of_the_lock_has_its_hashes() -> None:
    stanzas = re.split(r"\n(?=[a-z])", LOCK)
    bare = [stanza.splitlines()[0] for stanza in stanzas if "==" in stanza and "--hash=sha256:" not in stanza]
    assert len(stanzas) > 50
    assert bare == []


def test_the_lock_fits_what_the_project_asks_for() -> None:
    project = PROJECT["project"]
    asked = [
        *project["dependencies"],
        *project["optional-dependencies"]["gateway"],
        *project["optional-dependencies"]["model"],
        *PROJECT["dependency-groups"]["dev"],
    ]
    asked += PROJECT["build-system"]["requires"]
    versions = locked()
    wrong = []
    for text in asked:
        wanted = Requirement(text)
        version = versions.get(re.sub(r"[-_.]+", "-", wanted.name).lower())
        if version is None or not wanted.specifier.contains(version):
            wrong.append(f"{text}: locked {version}")
    assert wrong == []


def test_a_nodes_machine_installs_six_packages_of_ours() -> None:
    names = sorted(Requirement(text).name for text in PROJECT["project"]["dependencies"])
    assert names == ["aiohttp", "cryptography", "psutil", "tree-sitter", "tree-sitter-bash", "typer"]


def test_the_version_is_said_once_too_often_nowhere() -> None:
    assert PROJECT["project"]["version"] == bot.__version__


def test_make_alone_lists_the_targets() -> None:
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout
    for target in TARGETS:
        assert re.search(rf"^  make {target} +\w", shown, flags=re.MULTILINE), target


def test_make_says_it_where_python_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\ntest "$1" = --version && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    made = subprocess.run(
        ["make", f"PYTHON={old}", "lint"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30
    )
    assert made.returncode != 0
    assert "Homing needs Python 3.11 or newer, and this is Python 3.9.2." in made.stderr
    assert not (tmp_path / ".venv").exists()


def test_make_check_says_it_where_chromium_is_missing(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "make", "awk"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    made = subprocess.run(
        [tools / "make", "browser"],
        cwd=ROOT,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert made.returncode != 0
    assert "needs Chromium" in made.stderr
    assert "apt-get install chromium" in made.stderr


def test_the_ci_script_can_be_run_and_is_valid() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True, timeout=30)
    assert script.read_text().rstrip().endswith("exec make check")


@pytest.mark.usefixtures("tmp_path")
def test_the_wheel_holds_both_packages_with_their_files_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=100,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bot", "channels"}
    for folder in ("bot", "channels"):
        # Pages, styles and migrations travel with the code that needs them.
        ours = {
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert ours <= set(names)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_core_installs_and_runs_in_an_environment_of_its_own_without_the_packages_of_a_model(
    tmp_path: Path,
) -> None:
    """The wheel with the gateway's extra alone, in the versions of the lock, from wherever pip gets its packages."""
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path), cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in locked().items()))
    _run(sys.executable, "-m", "venv", str(tmp_path / "venv"), cwd=tmp_path)
    python, homing = tmp_path / "venv" / "bin" / "python", tmp_path / "venv" / "bin" / "homing"
    _run(python, "-m", "pip", "install", "--quiet", f"{wheel}[gateway]", "-c", str(constraints), cwd=tmp_path)
    listed = json.loads(_run(python, "-m", "pip", "list", "--format", "json", cwd=tmp_path))
    names = {one["name"].lower().replace("_", "-") for one in listed}
    assert "sqlalchemy" in names
    assert not names & {"pydantic-ai-slim", "openai", "anthropic", "httpx2"}

    config = tmp_path / "config.toml"
    config.write_text('owners = ["owner"]\n[gateway]\nport = 0\n[[people]]\nname = "owner"\nids = ["web:owner"]\n')
    running = subprocess.Popen(
        [homing, "run"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert running.stdout is not None
    try:
        said = itertools.takewhile(lambda line: "The web chat is at" not in line, running.stdout)
        assert any("sign" in line or "Open this link" in line for line in said)
        nodes = ""
        until = time.monotonic() + 60.0
        while '"connected": true' not in nodes and time.monotonic() < until:
            nodes = _run(homing, "nodes", "list", "--json", cwd=tmp_path)
        assert '"connected": true' in nodes
    finally:
        running.terminate()
        # Read to its end, which also closes the pipe: a gateway says so when it ends.
        running.communicate(timeout=60.0)
        assert running.returncode == 0

    config.write_text(config.read_text() + '[[agents]]\nname = "main"\nmodel = "openai:x"\n')
    checked = subprocess.run(
        [homing, "config", "check"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert checked.returncode == 1
    assert f"agents: need packages that are not installed; in Homing's checkout: {EXTRA}" in checked.stderr


def _run(*words: str | Path, cwd: Path) -> str:
    """What it printed. Fails with all of it where it failed, and knows nothing of the environment of the tests."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    ended = subprocess.run(words, cwd=cwd, env=environ, capture_output=True, text=True, check=False, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
