"""A gateway with and without the packages of a model: what it imports, what it says, and that it runs."""

from __future__ import annotations

import json
import re
import sysconfig
import tomllib
from functools import partial
from pathlib import Path

import pytest

from bot.cli.opened import WallClock
from bot.config.bindings import EXTRA
from bot.domain.session import SessionKey, agent_of
from bot.domain.spending import Spending, Spent
from bot.ports import Tx
from bot.store import open_store
from tests.cli.terminal import CONFIG, ROOT, Terminal
from tests.cli.test_processes import started

MODEL_PACKAGES = frozenset({"pydantic_ai", "openai", "anthropic", "httpx2", "tiktoken", "genai_prices"})
"""What the extra brings; the last ones come with the others."""
_WATCH = """
import atexit, json, os, sys

if os.environ["FARM"]:
    sys.path[:] = [path for path in sys.path if not path.endswith("site-packages")] + [os.environ["FARM"]]

def write():
    with open(f"{os.environ['SEEN']}.{os.getpid()}", "w") as file:
        json.dump(sorted({name.partition(".")[0] for name in sys.modules}), file)

atexit.register(write)
"""
AGENT = """
[[agents]]
name = "main"
model = "openai:test-1"
base_url = "http://127.0.0.1:9/v1"
api_key = "sk-x"
"""


def environment(tmp_path: Path, *, is_installed: bool) -> dict[str, str]:
    """In which every process writes at its end what it had imported; without the extra's packages where asked for."""
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(_WATCH)
    farm = tmp_path / "farm"
    farm.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if entry.name.partition(".")[0] not in MODEL_PACKAGES:
            (farm / entry.name).symlink_to(entry)
    return {
        "PYTHONPATH": f"{tmp_path / 'watch'}:{ROOT}",
        "FARM": "" if is_installed else str(farm),
        "SEEN": str(tmp_path / "seen"),
    }


def imported(terminal: Terminal, tmp_path: Path, config: str, *, is_installed: bool) -> list[set[str]]:
    """What each process of a gateway had imported that starts and ends."""
    (terminal.folder / "config.toml").write_text(f"[gateway]\nport = 0\n{config}")
    with started(terminal, "run", **environment(tmp_path, is_installed=is_installed)) as gateway:
        gateway.wait_for(lambda: "The web chat is at" in gateway.said())
        ended = gateway.end()
    assert ended.code == 0
    return [set(json.loads(path.read_text())) for path in tmp_path.glob("seen.*")]


@pytest.mark.parametrize("is_installed", [True, False], ids=["installed", "not installed"])
def test_a_gateway_without_a_model_imports_none_of_it_and_runs_without_it(
    terminal: Terminal, tmp_path: Path, is_installed: bool
) -> None:
    seen = imported(terminal, tmp_path, "", is_installed=is_installed)
    assert any("sqlalchemy" in modules for modules in seen), "the gateway's own process was watched"
    assert [modules & MODEL_PACKAGES for modules in seen] == [set() for _ in seen]


def test_a_gateway_with_a_model_imports_it_so_the_watch_can_fail(terminal: Terminal, tmp_path: Path) -> None:
    seen = imported(terminal, tmp_path, AGENT, is_installed=True)
    assert any(modules >= {"pydantic_ai", "openai"} for modules in seen)


def test_a_model_without_its_packages_is_a_fault_with_its_remedy(terminal: Terminal, tmp_path: Path) -> None:
    (terminal.folder / "config.toml").write_text(AGENT)
    ended = terminal.homing("config", "check", within_s=30.0, **environment(tmp_path, is_installed=False))
    assert ended.code == 1
    assert f"agents: need packages that are not installed; in Homing's checkout: {EXTRA}" in ended.out + ended.err
    names = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRA.partition("[")[2].partition("]")[0].split(",")) <= set(names)


def _spend(spending: Spending, tx: Tx) -> None:
    tx.memories.spend(spending)


async def test_status_says_what_models_took_within_a_day(terminal: Terminal) -> None:
    config = f"{CONFIG}{AGENT}".replace('api_key = "sk-x"', 'api_key = "sk-x"\ncurrency = "EUR"')
    (terminal.folder / "config.toml").write_text(config)
    store = open_store(terminal.url, clock=WallClock(), gateway=True)
    try:
        for session, tokens in (("agent:main:web:channel:ops", 900), ("agent:main:main", 100), ("agent:old:main", 7)):
            spending = Spending(
                agent=agent_of(SessionKey(session)),
                session=SessionKey(session),
                person=None,
                model="openai:test-1",
                spent=Spent(
                    turns=1, requests=2, tokens_read=tokens, tokens_written=1, money_micros=1_250_000, took_s=2
                ),
            )
            await store.write(partial(_spend, spending))
    finally:
        await store.close()

    shown = terminal.homing("status").out
    main = "agent       main (openai:test-1): 2 turns, 4 requests, 1000 tokens read and 2 written, 2.50 EUR, 4.0 s"
    assert f"{main} within a day\n" in shown
    assert "agent       old (no model any more): 1 turns" in shown
    form = terminal.homing("status", "--json").json()["models"]
    assert [(one["name"], one["money"], one["tokens_read"]) for one in form["agents"]] == [
        ("main", 2.5, 1_000),
        ("old", 1.25, 7),
    ]
    assert [(one["session"], one["model"], one["tokens_read"]) for one in form["turns"]] == [
        ("agent:old:main", "openai:test-1", 7),
        ("agent:main:main", "openai:test-1", 100),
        ("agent:main:web:channel:ops", "openai:test-1", 900),
    ]
    assert [(one["requests"], one["tokens_written"], one["money"], one["took_s"]) for one in form["turns"]] == [
        (2, 1, 1.25, 2.0)
    ] * 3
    assert form["turns"][0]["at"] >= form["turns"][2]["at"] > 0
    assert [one["session"] for one in form["sessions"]] == [
        "agent:main:web:channel:ops",
        "agent:main:main",
        "agent:old:main",
    ]


def test_status_is_silent_about_models_where_there_are_none(terminal: Terminal) -> None:
    (terminal.folder / "config.toml").write_text(CONFIG)
    assert "agent " not in terminal.homing("status").out


async def test_f120_status_says_what_was_skipped_and_when_it_comes_next(terminal: Terminal) -> None:
    clocks = """
[heartbeat]
every = "30m"
session = "agent:main:web:channel:ops"
[[schedule]]
name = "nightly"
cron = "0 3 * * *"
to = "web:channel:ops"
text = "Good night."
"""
    (terminal.folder / "config.toml").write_text(f"{CONFIG}{clocks}")
    await open_store(terminal.url, clock=WallClock(), gateway=True).close()
    assert "clock       heartbeat:main: no gateway has looked at it yet" in terminal.homing("status").out
    store = open_store(terminal.url, clock=WallClock(), gateway=True)

    def skip(tx: Tx) -> None:
        tx.ticks.lock("heartbeat:main", spec="1800")
        tx.ticks.set("heartbeat:main", due_at=1_800_000_000.0, said="skipped: the session is busy", has_run=False)
        tx.ticks.lock("schedule:nightly", spec="0 3 * * * UTC")
        tx.ticks.set("schedule:nightly", due_at=1_800_000_000.0, said="done", has_run=True)

    await store.write(skip)
    await store.close()
    said = terminal.homing("status").out
    assert "heartbeat:main: never ran, last skipped: the session is busy, next 2027-01-15 09:00" in said
    assert re.search(r"schedule:nightly: ran 20\S+ \S+.*, next 2027-01-15 09:00", said)
    (beat, nightly) = terminal.homing("status", "--json").json()["models"]["clocks"]
    assert (beat["said"], beat["next_at"], nightly["said"]) == ("skipped: the session is busy", 1_800_000_000.0, "done")
