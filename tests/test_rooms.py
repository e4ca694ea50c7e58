"""Every line knows its room: imports by direction, purity, one sender, one broad except, lengths and names.

Read from the source by `ast`, nested imports included. Deliberately absent: what any module does.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_MODULE_LINES = 350
MAX_FUNCTION_LINES = 60
LONG_ON_PURPOSE = frozenset({"bot.ports"})
"""Signatures with their contracts and no code: both sides read the one page."""
NAMED_BY_LIBRARIES = frozenset({"process_bind_param"})
"""SQLAlchemy calls it by this name."""

GROUND = ("bot.errors",)
DOMAIN = (*GROUND, "bot.domain")
PORTS = (*DOMAIN, "bot.ports")
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "bot": (),
    "bot.errors": (),
    "bot.log": DOMAIN,
    "bot.domain": DOMAIN,
    "bot.ports": DOMAIN,
    "bot.loop": DOMAIN,
    "bot.inquiry": PORTS,
    "bot.flow": (*PORTS, "bot.loop", "bot.flow"),
    "bot.agent": (*PORTS, "bot.loop", "bot.agent", "bot.inquiry"),
    "bot.store": (*PORTS, "bot.loop", "bot.store"),
    "bot.node": (*PORTS, "bot.loop", "bot.node", "bot"),
    "bot.config": (*DOMAIN, "bot.config"),
    "bot.embedded": (*DOMAIN, "bot.node"),
    "bot.networks": (*PORTS, "bot.config", "bot.store", "bot.loop", "channels"),
    "bot.reloading": (*PORTS, "bot.loop", "bot.config", "bot.flow", "bot.clockwork", "bot.console"),
    "bot.presence": (*GROUND, "bot.config"),
    "bot.witnesses": (*PORTS, "bot.loop", "bot.config", "bot.flow"),
    "bot.doctor": (*PORTS, "bot.config", "bot.store", "bot.inquiry", "bot.networks", "bot.presence"),
    "bot.demo": (*GROUND, "bot.demo"),
    "bot.agents": (*PORTS, "bot.config", "bot.agent"),
    "bot.clockwork": (*PORTS, "bot.config", "bot.flow", "bot.console"),
    "bot.console": (*PORTS, "bot.loop", "bot.flow", "bot.console"),
    "bot.announcing": (*PORTS, "bot.config", "bot.store", "channels.web"),
    "bot.app": (*PORTS, "bot", "channels"),
    "bot.cli": ("bot",),
    "bot.__main__": ("bot.cli",),
    "channels": (),
    "channels.web": (*PORTS, "bot.loop", "channels.web"),
    "channels.discord": (*PORTS, "bot.loop", "channels.discord"),
    "channels.slack": (*PORTS, "bot.loop", "channels.slack"),
    "channels.whatsapp": (*PORTS, "bot.loop", "channels.whatsapp"),
}
"""Who may import whom, of ours. The longest name that fits a module is its room; an entry covers what is below it,
except that `bot` alone, for a room other than app, cli and node, is the package's own file."""

ROOMS_OF_ALL = ("bot.app", "bot.cli")
PACKAGES = ("bot", "channels")
NODE_PACKAGES = frozenset({"aiohttp", "cryptography", "psutil", "tree_sitter", "tree_sitter_bash"})
PURE = frozenset(
    {
        "__future__",
        "base64",
        "bisect",
        "collections",
        "contextlib",
        "dataclasses",
        "difflib",
        "enum",
        "functools",
        "hashlib",
        "itertools",
        "json",
        "math",
        "re",
        "shlex",
        "textwrap",
        "tree_sitter",
        "tree_sitter_bash",
        "types",
        "typing",
        "unicodedata",
    }
)
"""What the domain may take of others: nothing that waits, logs, or looks at the world or the clock."""


@cache
def modules(*folders: str) -> tuple[Path, ...]:
    return tuple(sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that is imported, anywhere in the module."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room"
            base = node.module or ""
            submodules = [f"{base}.{alias.name}" for alias in node.names if is_module(f"{base}.{alias.name}")]
            yield from ((node.lineno, name) for name in submodules or [base])


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def room_of(module: str) -> str:
    fitting = [room for room in MAY_IMPORT if module == room or module.startswith(f"{room}.")]
    return max(fitting, key=len)


def is_allowed(room: str, imported: str) -> bool:
    if imported == "bot":
        return "bot" in MAY_IMPORT[room]
    for allowed in MAY_IMPORT[room]:
        below = imported.startswith(f"{allowed}.") and (allowed != "bot" or room in ROOMS_OF_ALL)
        if imported == allowed or below:
            return not (room == "bot.app" and room_of(imported) in {"bot.cli", "bot.demo"})
    return False


def test_imports_go_by_the_direction_of_the_rooms() -> None:
    wrong = [
        f"{name_of(path)}:{line} imports {imported}"
        for path in modules(*PACKAGES)
        for line, imported in imports_of(path)
        if imported.partition(".")[0] in {"bot", "channels", "tests", "bench"}
        and not is_allowed(room_of(name_of(path)), imported)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("room", "imported"),
    [
        ("bot.domain", "bot.ports"),
        ("bot.networks", "bot.flow.intake"),
        ("bot.networks", "bot.app"),
        ("bot.flow", "bot.store.open"),
        ("bot.flow", "bot.node.hub"),
        ("bot.flow", "channels.web.adapter"),
        ("bot.agent", "bot.flow.turn"),
        ("bot.store", "bot.flow.turn"),
        ("bot.node", "bot.config"),
        ("bot.node", "bot.store"),
        ("channels.web", "bot.flow.intake"),
        ("channels.web", "bot.store"),
        ("channels.web", "bot.config"),
        ("channels.web", "bot.node"),
        ("channels.slack", "channels.discord.wire"),
        ("channels.discord", "bot.config"),
        ("channels.whatsapp", "bot.networks"),
        ("bot.flow", "bot.networks"),
        ("bot.cli", "channels.web.access"),
        ("bot.app", "bot.cli.main"),
        ("bot.inquiry", "bot.store"),
    ],
)
def test_the_rooms_that_must_not_know_each_other_would_be_found(room: str, imported: str) -> None:
    assert not is_allowed(room, imported)


def test_one_channel_does_not_know_another() -> None:
    wrong = [
        f"{name_of(path)} imports {imported}"
        for path in modules("channels")
        for _, imported in imports_of(path)
        if imported.startswith("channels.") and imported.split(".")[1] != name_of(path).split(".")[1]
    ]
    assert wrong == []


def test_only_the_composition_root_imports_channels() -> None:
    importers = {
        name_of(path) for path in modules("bot") for _, imported in imports_of(path) if imported.startswith("channels")
    }
    assert importers == {"bot.app", "bot.networks", "bot.announcing"}


def test_the_node_and_what_it_stands_on_need_few_packages() -> None:
    wrong = [
        f"{name_of(path)}:{line} imports {imported}"
        for path in modules("bot")
        if room_of(name_of(path)) in {"bot.node", "bot.domain", "bot.ports", "bot.errors", "bot.loop", "bot.log"}
        for line, imported in imports_of(path)
        if (top := imported.partition(".")[0]) not in sys.stdlib_module_names and top not in NODE_PACKAGES | {"bot"}
    ]
    assert wrong == []


def test_the_domain_is_pure() -> None:
    wrong = []
    for path in modules("bot/domain"):
        for line, imported in imports_of(path):
            top = imported.partition(".")[0]
            if top not in PURE and top != "bot":
                wrong.append(f"{name_of(path)}:{line} imports {imported}")
        wrong += [
            f"{name_of(path)}:{node.lineno} awaits"
            for node in ast.walk(tree_of(path))
            if isinstance(node, (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith))
        ]
        wrong += [
            f"{name_of(path)}:{node.lineno} calls {called}"
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Call)
            and (called := ast.unparse(node.func)) in {"open", "print", "input", "eval", "exec", "__import__"}
        ]
    assert wrong == []


def test_only_the_heartbeat_posts_and_edits() -> None:
    senders = {
        f"{name_of(path)}:{node.lineno}"
        for path in modules("bot")
        if room_of(name_of(path)) not in {"bot.node", "bot.demo"}
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"send", "edit"}
    }
    assert senders
    assert not [sender for sender in senders if not sender.startswith("bot.flow.heartbeat")]


def is_broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or ast.unparse(kind) in {"Exception", "BaseException"} for kind in kinds)


def test_the_one_broad_except_is_in_the_loop() -> None:
    broad = {
        f"{name_of(path)}:{node.lineno}"
        for path in modules(*PACKAGES)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler) and is_broad(node)
    }
    assert broad
    assert not [where for where in broad if not where.startswith("bot.loop:")]


def test_no_suppression_is_broad() -> None:
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in modules(*PACKAGES)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("suppress")
        and any(ast.unparse(kind) in {"Exception", "BaseException"} for kind in node.args)
    ]
    assert wrong == []


def test_the_first_line_of_a_module_says_what_it_holds() -> None:
    mute = []
    for path in modules("bot", "channels", "tests", "bench"):
        is_empty = not path.read_text(encoding="utf-8").strip()
        if is_empty and path.name == "__init__.py":
            continue
        first = tree_of(path).body[0]
        if ast.get_docstring(tree_of(path)) is None or first.lineno not in {1, 2}:
            mute.append(name_of(path))
    assert mute == []


def test_modules_and_functions_are_short() -> None:
    long = []
    for path in modules("bot", "channels", "bench"):
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > MAX_MODULE_LINES and name_of(path) not in LONG_ON_PURPOSE:
            long.append(f"{name_of(path)} has {lines} lines")
        for node in ast.walk(tree_of(path)):
            is_history = name_of(path).startswith("bot.store.migrations.versions.")
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not is_history:
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    long.append(f"{name_of(path)}.{node.name} has {length} lines")
    assert long == []


NOTHING_WORDS = re.compile(r"(^|_)(utils?|helpers?|common|managers?|services?|base|misc)$")
NOTHING_CLASSES = re.compile(r"(Util|Helper|Manager|Service|Base|Processor|Handler)s?$")


def test_no_name_says_nothing() -> None:
    wrong = []
    for path in modules(*PACKAGES):
        if NOTHING_WORDS.search(path.stem):
            wrong.append(name_of(path))
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef) and NOTHING_CLASSES.search(node.name):
                wrong.append(f"{name_of(path)}.{node.name}")
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                name = node.name.lstrip("_")
                if name in NAMED_BY_LIBRARIES:
                    continue
                if name.startswith(("handle_", "process_")) or NOTHING_WORDS.search(name):
                    wrong.append(f"{name_of(path)}.{node.name}")
            if isinstance(node, (ast.AnnAssign, ast.arg)) and node.annotation is not None:
                named = ast.unparse(node.target) if isinstance(node, ast.AnnAssign) else node.arg
                if named == "metadata" and "dict" in ast.unparse(node.annotation).lower():
                    wrong.append(f"{name_of(path)}: metadata is a dict")
    assert wrong == []


def test_nothing_is_left_for_later() -> None:
    wrong = [
        f"{name_of(path)}:{number}"
        for path in modules("bot", "channels", "bench")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b", line)
    ]
    assert wrong == []


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]
    # An unpacked archive: what stands in the folders that are the project's own.
    return [path for folder in ("bot", "channels", "tests", "docs") for path in (ROOT / folder).rglob("*.*")]


def test_no_tracked_file_names_a_machines_path_or_a_package_registry() -> None:
    paths = {f"{path}/" for path in (ROOT, Path.home(), Path(sys.prefix)) if len(path.parts) > 1}
    registries = {"pypi" + ".org", "python" + "hosted.org", "registry.npm" + "js", "index-" + "url ="}
    wrong = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", "replace")
        wrong += [f"{path.relative_to(ROOT)}: {named}" for named in paths | registries if named in text]
    assert wrong == []


def test_ids_of_field_failures_in_the_names_of_tests_are_well_formed() -> None:
    named = [
        (path, node.name)
        for path in modules("tests")
        for node in ast.walk(tree_of(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and re.match(r"test_[fF][-_]?\d", node.name)
    ]
    wrong = []
    for path, name in named:
        found = re.match(r"test_f(\d{3})_[a-z0-9]", name)
        if found is None or not 1 <= int(found[1]) <= 120:
            wrong.append(f"{name_of(path)}.{name}")
    assert wrong == []
