"""Pages that say what the code does are held to the code: the machines are drawn, the glossary's places exist."""

from __future__ import annotations

import re
import runpy
import textwrap
from pathlib import Path

import pytest

from bot.config import first_config, load_settings, to_policy, warnings
from bot.domain.command import parse_request
from bot.domain.event import EventState, InputState
from bot.domain.execution import TRANSITIONS, ExecutionState
from bot.domain.glass import GlassState
from bot.domain.policy import Subject, analysed
from bot.domain.session import AgentName, ChannelName, NativeId, Peer, PeerKind, PersonId
from bot.domain.verdict import Ask

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
GLOSSARY = (DOCS / "GLOSSARY.md").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^\| \*\*(.+?)\*\* \| (.+) \| (.+) \|$", GLOSSARY, re.MULTILINE)


def test_the_page_of_the_machines_is_the_one_that_the_tables_draw() -> None:
    drawn = runpy.run_path(str(DOCS / "draw_machines.py"))["page"]()
    assert (DOCS / "machines.md").read_text(encoding="utf-8") == drawn, "run .venv/bin/python docs/draw_machines.py"


def test_every_state_stands_on_the_page_and_every_arrow_of_an_execution() -> None:
    page = (DOCS / "machines.md").read_text(encoding="utf-8")
    for states in (ExecutionState, EventState, InputState, GlassState):
        assert all(f"| {state} |" in page for state in states)
    arrows = {tuple(arrow) for arrow in re.findall(r"^    (\w+) --> (\w+): ", page.split("## Event")[0], re.MULTILINE)}
    assert arrows == {(state, after) for state, ways in TRANSITIONS.items() for after in ways.values()}


@pytest.mark.parametrize(("word", "meaning", "place"), ENTRIES, ids=[entry[0] for entry in ENTRIES])
def test_a_word_of_the_glossary_has_one_line_and_lives_where_it_says(word: str, meaning: str, place: str) -> None:
    assert meaning.endswith(".")
    names: list[str] = []
    for quoted in re.findall(r"`([^`]+)`", place):
        if "/" not in quoted:
            names.append(quoted)
            continue
        path = ROOT / quoted
        assert path.exists(), f"{word}: there is no {quoted}"
        # The names before a file stand in it; `Ask.deciders` is two of them.
        source = path.read_text(encoding="utf-8") if path.is_file() else ""
        assert all(part in source for name in names for part in name.split(".")), f"{word}: {names} in {quoted}"
        names = []
    assert not names, f"{word}: in which file is {names}?"


def test_no_word_stands_in_the_glossary_twice() -> None:
    words = [word for word, _, _ in ENTRIES]
    assert len(words) == len(set(words)) >= 30


def test_the_readmes_rule_can_be_appended_to_the_config_of_the_first_start(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(.*?)^ *```", readme, re.DOTALL | re.MULTILINE)
    path = tmp_path / "config.toml"
    first_config(path)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + textwrap.dedent(block))
    settings = load_settings(path, {})
    assert warnings(settings) == ()
    policy = to_policy(settings)
    subject = Subject(analysis=analysed(parse_request("uptime")))
    deciders = {}
    for room in ("ops", "general"):
        peer = Peer(agent=AgentName("main"), channel=ChannelName("web"), kind=PeerKind.CHANNEL, id=NativeId(room))
        verdict = policy.judge(peer=peer, asker=PersonId("ada"), node_name="local", subject=subject)
        assert isinstance(verdict, Ask)
        deciders[room] = set(verdict.deciders)
    assert deciders == {"ops": {"ada", "owner"}, "general": {"owner"}}
