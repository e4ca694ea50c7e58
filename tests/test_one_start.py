"""A command has one way to start: the node's spawn, behind a journalled acceptance and a `go` (F-077)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STARTS = {
    "Popen",
    "call",
    "check_call",
    "check_output",
    "create_subprocess_exec",
    "create_subprocess_shell",
    "execl",
    "execle",
    "execlp",
    "execv",
    "execve",
    "execvp",
    "execvpe",
    "fork",
    "forkpty",
    "getoutput",
    "popen",
    "posix_spawn",
    "posix_spawnp",
    "spawnl",
    "spawnv",
    "spawnve",
    "system",
}
OF_MODULES = {"subprocess", "os", "asyncio", "pty"}
OUR_OWN_PROGRAMS = {"bot/embedded.py", "bot/demo/gateway.py"}
"""They start `homing` itself: the local node, and the demo's gateway and node."""


def starts(path: Path) -> Iterator[str]:
    """Calls that begin a process, by the name of what is called."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=name)) if module in OF_MODULES:
                if name in STARTS or (module == "subprocess" and name == "run"):
                    yield f"{module}.{name}"
            case ast.ImportFrom(module="subprocess" | "os" | "pty" as module, names=names):
                yield from (f"{module}.{one.name}" for one in names if one.name in STARTS | {"run"})


def found() -> dict[str, list[str]]:
    paths = sorted([*(ROOT / "bot").rglob("*.py"), *(ROOT / "channels").rglob("*.py")])
    listed = {path.relative_to(ROOT).as_posix(): list(starts(path)) for path in paths}
    return {path: calls for path, calls in listed.items() if calls}


def test_f077_no_other_place_than_the_nodes_spawn_starts_a_command() -> None:
    calls = found()
    assert set(calls) == {"bot/node/spawn.py", "bot/node/starter.py", *OUR_OWN_PROGRAMS}
    assert calls["bot/node/spawn.py"] == ["subprocess.Popen", "subprocess.Popen"]
    assert calls["bot/node/starter.py"] == ["os.execve"]


def test_f077_the_spawn_is_reached_from_one_place_behind_the_go() -> None:
    """`process` wraps the spawn, `launch` alone makes a process, and the desk launches, for a `go` that counts."""
    users = {"bot.node.spawn": set[str](), "bot.node.process": set[str](), "bot.node.launch": set[str]()}
    for path in sorted((ROOT / "bot").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in users:
                users[node.module].add(path.relative_to(ROOT).as_posix())
    assert users["bot.node.launch"] == {"bot/node/desk.py"}
    assert users["bot.node.process"] == {"bot/node/launch.py"}
    assert users["bot.node.spawn"] <= {
        "bot/node/process.py",
        "bot/node/client.py",
        "bot/node/launch.py",
        "bot/cli/node_start.py",
    }
