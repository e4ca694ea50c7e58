"""`make mutants MODULES="domain/policy flow/dispatch"`: mutmut's mutants of the pure core and the story, judged here.

mutmut makes the mutants, in its copy of the tree, and keeps the verdicts there; `mutmut show NAME` prints one. Judging
them is ours: mutmut starts pytest for each of seventeen thousand, and we fork a pytest that has collected its tests.
Deliberately absent: what becomes of a mutant that survives; docs/MUTANTS.md says it.
"""

from __future__ import annotations

import gc
import inspect
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypedDict, TypeGuard

import pytest
from mutmut.__main__ import create_mutants
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir, setup_source_paths

HELD_BY = {"domain": ("tests/domain",), "flow": ("tests/domain", "tests/flow", "tests/agent/test_commands.py")}
"""Room -> the tests that hold it."""
COPY = Path("mutants")
LONGEST_S = 3.0
"""A test of more is left out: a dozen searches by hypothesis, which would be most of the time of every survivor."""
CPU_S = 20.0
"""Beside what its tests took: a mutant that never ends is stopped, and counts as killed."""
SURVIVED, KILLED, NO_TEST = 0, 1, 33
"""As mutmut writes them."""
WORDS = {
    SURVIVED: "survived",
    KILLED: "killed",
    NO_TEST: "reached by no test",
    -signal.SIGXCPU: "without an end",
    None: "not judged",
}


class Reach(TypedDict):
    """What the tests are known to do without a mutant, by their ids."""

    seconds: dict[str, float]
    functions: dict[str, list[str]]


def map_of(room: str) -> Path:
    return COPY / f"reach-{room}.json"


def known_reach(path: Path) -> Reach:
    if path.exists():
        known: Reach = json.loads(path.read_text(encoding="utf-8"))
        return known
    return {"seconds": {}, "functions": {}}


def modules(room: str) -> list[str]:
    return sorted(path.stem for path in Path("bot", room).glob("[a-z]*.py"))


def make_mutants() -> None:
    """In a process of its own: it leaves the way to the modules changed. What did not change is not made again."""
    COPY.mkdir(exist_ok=True)
    set_mutant_under_test("mutant_generation")
    copy_src_dir()
    copy_also_copy_files()
    setup_source_paths()
    create_mutants(1)


class Judge:
    """A pytest plugin in the place of the loop over the tests: for each mutant a fork that runs what reaches it."""

    def __init__(self, room: str, names: Sequence[str], *, again: bool) -> None:
        self.names, self.again = names, again
        self.map = Path(map_of(room).name)
        self.failed = False
        self.out = os.dup(1)

    def say(self, line: str) -> None:
        os.write(self.out, f"{line}\n".encode())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed = self.failed or report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.plugins = session.config.pluginmanager
        items = {item.nodeid: item for item in session.items}
        self.warm_up(session.items)
        reach = self.reached(items)
        # Nothing that is there now is looked at by a collector again, so that the forks share it.
        gc.collect()
        gc.freeze()
        for name in self.names:
            began = time.monotonic()
            self.judge_module(name, reach, items)
            self.say(f"{summary(name)} ({time.monotonic() - began:.0f} s)")
        return True

    def judge_module(self, name: str, reach: Reach, items: dict[str, pytest.Item]) -> None:
        meta = meta_of(name)
        form = json.loads(meta.read_text(encoding="utf-8"))
        verdicts: dict[str, int | None] = form["exit_code_by_key"]
        own, seconds = f"test_{name.rpartition('/')[2]}.py", reach["seconds"]
        for mutant, verdict in verdicts.items():
            if verdict == KILLED or (verdict is not None and not self.again):
                continue
            function = mutant.rpartition("__mutmut_")[0]
            tests = [one for one in reach["functions"].get(function, ()) if one in items and seconds[one] <= LONGEST_S]
            # The module's own tests first: they know it best.
            tests.sort(key=lambda one: (own not in one, seconds[one]))
            verdicts[mutant] = self.judged(mutant, [items[one] for one in tests]) if tests else NO_TEST
            meta.write_text(json.dumps(form), encoding="utf-8")

    def warm_up(self, items: Sequence[pytest.Item]) -> None:
        """What all tests share is made once, before the forks: the migrated file, the PostgreSQL server."""
        for fixture in ("migrated", "postgres_stage"):
            wants = [item for item in items if fixture in getattr(item, "fixturenames", ())]
            others = [item for item in items if item.path.parent != wants[0].path.parent] if wants else []
            if others:
                wants[0].ihook.pytest_runtest_protocol(item=wants[0], nextitem=others[0])
        self.failed = False

    def reached(self, items: dict[str, pytest.Item]) -> Reach:
        """How long each test takes, and which come to which function. It is kept: only new tests are run for it."""
        known = known_reach(self.map)
        new = [item for node_id, item in items.items() if node_id not in known["seconds"]]
        if not new:
            return known
        self.say(f"looking which functions {len(new)} tests reach")
        self.forked(lambda: self.record(new, known))
        return known_reach(self.map)

    def record(self, new: Sequence[pytest.Item], known: Reach) -> int:
        os.environ["MUTANT_UNDER_TEST"] = "stats"
        functions: defaultdict[str, list[str]] = defaultdict(list, known["functions"])
        for item, following in pairs(new):
            began = time.process_time()
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            hits = set(state()._stats)
            state()._stats.clear()
            if self.failed:
                self.say(f"fails without a mutant, so it judges none: {item.nodeid}")
                self.failed = False
                continue
            known["seconds"][item.nodeid] = time.process_time() - began
            for function in hits:
                functions[function].append(item.nodeid)
        self.map.write_text(json.dumps({"seconds": known["seconds"], "functions": functions}), encoding="utf-8")
        return SURVIVED

    def judged(self, mutant: str, items: Sequence[pytest.Item]) -> int:
        def run() -> int:
            os.environ["MUTANT_UNDER_TEST"] = mutant
            for item, following in pairs(items):
                if is_alone(item):
                    # Its failure is an exception, with which the fork ends.
                    item.obj(**params_of(item))
                    continue
                item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
                if self.failed:
                    return KILLED
            return SURVIVED

        return self.forked(run, cpu_s=CPU_S + len(items))

    def forked(self, run: Callable[[], int], *, cpu_s: float | None = None) -> int:
        pid = os.fork()
        if pid == 0:
            code = KILLED
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                if cpu_s is not None:
                    # The harder end comes where the first is caught.
                    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s), int(cpu_s) + 5))
                self.failed = False
                self.plugins.unregister(name="terminalreporter")
                code = run()
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def pairs(items: Sequence[pytest.Item]) -> Iterable[tuple[pytest.Item, pytest.Item | None]]:
    """Each with the one after it, which pytest wants to know."""
    return zip(items, [*items[1:], None], strict=True)


def params_of(item: pytest.Function) -> dict[str, object]:
    return dict(item.callspec.params) if hasattr(item, "callspec") else {}


def is_alone(item: pytest.Item) -> TypeGuard[pytest.Function]:
    """Whether it needs no fixture and no loop: then it is called as it is, which is ten times as quick."""
    if not isinstance(item, pytest.Function) or inspect.iscoroutinefunction(item.obj):
        return False
    return set(item.fixturenames) == set(params_of(item))


def meta_of(name: str) -> Path:
    return Path("bot", f"{name}.py.meta")


def summary(name: str) -> str:
    verdicts = json.loads(meta_of(name).read_text(encoding="utf-8"))["exit_code_by_key"]
    counted = Counter(WORDS.get(verdict, "died") for verdict in verdicts.values())
    ends = ", ".join(f"{many} {word}" for word, many in counted.most_common())
    return f"{name:22} {len(verdicts):4} mutants: {ends}"


def tests_of(room: str, names: Sequence[str]) -> list[str]:
    """The files of tests that come to these modules, and those that nobody has looked at; at first, all."""
    functions = known_reach(map_of(room))["functions"]
    if not functions:
        return list(HELD_BY[room])
    prefixes = tuple(f"bot.{name.replace('/', '.')}." for name in names)
    near = {one.split("::")[0] for key, tests in functions.items() if key.startswith(prefixes) for one in tests}
    looked_at = {one.split("::")[0] for tests in functions.values() for one in tests}
    places = [Path(place) for place in HELD_BY[room]]
    there = {str(path) for place in places for path in ([place] if place.is_file() else place.glob("test_*.py"))}
    return sorted(near | (there - looked_at))


def judge(room: str, names: Sequence[str], files: Sequence[str], *, again: bool) -> int:
    """In a process of its own, in the copy of the tree: there `bot` is the one with the mutants."""
    words = ["-q", "-m", "not long and not browser", "-p", "no:cacheprovider", "-p", "no:xdist"]
    words += ["-o", "tmp_path_retention_policy=none", *files]
    return int(pytest.main(words, plugins=[Judge(room, names, again=again)]))


def main() -> int:
    words = sys.argv[1:]
    if words[:1] == ["make"]:
        make_mutants()
        return 0
    if words[:1] == ["judge"]:
        room, how, joined, *files = words[1:]
        return judge(room, joined.split(), files, again=how == "again")
    how = "again" if "again" in words else "first"
    wanted = [word for word in words if word != "again"]
    wanted = wanted or [f"{room}/{name}" for room in HELD_BY for name in modules(room)]
    if unknown := [name for name in wanted if not Path("bot", f"{name}.py").is_file()]:
        print(f"there is no module {', '.join(unknown)}; name them as in domain/policy", file=sys.stderr)
        return 2
    itself = [sys.executable, "-m", "tests.mutants"]
    subprocess.run([*itself, "make"], check=True)
    for room in HELD_BY:
        if names := [name for name in wanted if name.startswith(f"{room}/")]:
            told = [*itself, "judge", room, how, " ".join(names), *tests_of(room, names)]
            subprocess.run(told, cwd=COPY, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
