"""docs/AGENT.md: its configurations load and mean what the page says, and its keys and tools are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from bot.agent.model.dialog import MAX_CALLS
from bot.agent.model.profile import MAX_UNPROMPTED, TOOLS
from bot.agent.model.uses import MAX_ARGUMENTS_CHARS
from bot.clockwork import to_cadences, to_hooks, to_planned
from bot.config import load_settings, to_bindings, warnings
from bot.domain.binding import bound
from bot.domain.session import AgentName, ChannelName, NativeId, Peer, PeerKind
from bot.flow.schedule import Target
from bot.inquiry import MAX_TURNS_SHOWN

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "AGENT.md").read_text(encoding="utf-8")
HOSTED, LOCAL, LOOKS, WOKEN = re.findall(r"```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
OWNERS = 'owners = ["owner"]\n[[people]]\nname = "owner"\nids = ["web:owner"]\n'


def test_the_pages_hosted_model_takes_its_key_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(OWNERS + HOSTED)
    settings = load_settings(tmp_path / "config.toml", {"ANTHROPIC_API_KEY": "sk-env"})
    assert warnings(settings) == ()
    (agent,) = settings.agents
    assert agent.api_key is not None
    assert agent.api_key.get_secret_value() == "sk-env"
    assert agent.money_a_day == 5.0


def test_the_pages_local_model_gets_no_key_that_is_another_s_and_its_binding_counts(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(OWNERS + LOCAL.replace("…", "x"))
    settings = load_settings(tmp_path / "config.toml", {"OPENAI_API_KEY": "sk-env"})
    assert [agent.api_key for agent in settings.agents] == [None, None]
    room = Peer(agent=AgentName("main"), channel=ChannelName("slack"), kind=PeerKind.CHANNEL, id=NativeId("C0OPS"))
    assert bound(room, to_bindings(settings)).agent == "ops"


def test_every_key_and_every_tool_of_the_page_is_one() -> None:
    example = (ROOT / "config.example.toml").read_text(encoding="utf-8")
    for block in (HOSTED, LOCAL, LOOKS, WOKEN):
        for key in re.findall(r"^([a-z_]+) = ", block.partition("[[slack]]")[0], re.MULTILINE):
            assert re.search(rf"^(# )?{key}(:| =) ", example, re.MULTILINE), key
    assert re.findall(r"^\| `([a-z]+)` \|", PAGE, re.MULTILINE) == list(TOOLS)
    assert f"`max_unprompted` ({MAX_UNPROMPTED})" in PAGE


def test_the_pages_cadence_schedules_and_hook_are_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(OWNERS + LOOKS + WOKEN)
    settings = load_settings(tmp_path / "config.toml", {"DEPLOY_SECRET": "0123456789abcdef"})
    assert warnings(settings) == ()
    (cadence,) = to_cadences(settings)
    assert (cadence.every_s, cadence.target, cadence.session) == (1_800.0, Target.LAST, "agent:main:web:channel:ops")
    assert [(one.name, one.text) for one in to_planned(settings)] == [
        ("schedule:disks", "run on local: df -h /"),
        ("schedule:week", "What waits for a decision since last week?"),
    ]
    (hook,) = to_hooks(settings)
    assert hook.session == "agent:main:hook:deploys"


def test_every_failure_of_the_field_about_wakes_events_and_sentinels_is_named_by_a_test() -> None:
    """Themes B, C and D; K is SECURITY.md's."""
    named: set[int] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for test in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8")):
            named.update(int(number) for number in re.findall(r"f(\d{3})(?=_)", test))
    assert [row for row in range(22, 48) if row not in named] == []


def test_the_bounds_of_the_page_are_those_of_the_code() -> None:
    text = re.sub(r"\s+", " ", PAGE)
    assert f"tool {MAX_ARGUMENTS_CHARS:,} characters, one answer {MAX_CALLS} uses" in text
    assert "`turns`, the newest twenty" in text
    assert MAX_TURNS_SHOWN == 20
