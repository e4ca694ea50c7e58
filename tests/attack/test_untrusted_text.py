"""Output, file names, reasons and quotes that try to talk a model or a parser into deciding or starting something.

F-116: none of them is a consent, a decision or a command, on the real way from a node to each network. Told with a
request that waits the whole time: it still waits at the end, and what ran is what was asked for and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.domain.execution import Execution, ExecutionState
from bot.domain.message import Action, Capabilities, Code, Post, PostKind, Prose
from bot.domain.parts import split, visible
from bot.domain.pattern import parse_pattern
from bot.domain.policy import Rule, Verdict
from channels.discord.form import form_of as discord_form
from channels.slack.form import blocks_of as slack_blocks
from channels.web.wire import post_body
from channels.whatsapp.form import shown as whatsapp_shown
from tests.flow.conftest import clock, migrated, opened, stage
from tests.flow.ends import NODE
from tests.flow.stage import ANN, BOB, Stage, policy
from tests.platforms.forms import code_of
from tests.platforms.loopback import LoopbackPlatform
from tests.platforms.whatsapp.reading import read as read_whatsapp
from tests.story.cast import a_peer, a_settings
from tests.story.puppet import Puppets
from tests.story.real_world import RealWorld
from tests.story.shifted import ShiftedClock

__all__ = ["clock", "migrated", "opened", "stage"]

S = ExecutionState


@dataclass(frozen=True, slots=True)
class Untrusted:
    name: str
    text: str
    """`{id}` is the request that waits, `{own}` the execution that says it."""

    def said(self, waiting: str, own: str = "222222") -> str:
        return self.text.replace("{id}", waiting).replace("{own}", own)


def _corpus() -> list[Untrusted]:
    path = Path(__file__).parent / "corpus" / "untrusted.json"
    return [Untrusted(one["name"], one["text"]) for one in json.loads(path.read_text(encoding="utf-8"))]


CORPUS = _corpus()
EACH = pytest.mark.parametrize("one", CORPUS, ids=[one.name for one in CORPUS])


def test_the_corpus_is_as_large_as_it_is_said_to_be() -> None:
    assert len({one.text for one in CORPUS}) == len(CORPUS) >= 50


# --- a real node, a real network -----------------------------------------------------------------------

OPS = a_peer("ops")
READS = Rule(name="reads", action=Verdict.ALLOW, command=(parse_pattern("cat *"), parse_pattern("ls **")))


@pytest.fixture
async def real(tmp_path: Path, migrated: Path) -> AsyncIterator[RealWorld]:
    (tmp_path / "homing.db").write_bytes(migrated.read_bytes())
    async with LoopbackPlatform() as platform:
        world = RealWorld(
            platform=platform,
            url=f"sqlite:///{tmp_path}/homing.db",
            clock=ShiftedClock(),
            settings=a_settings(READS),
            accounts=(("discord", "default"),),
            puppets=Puppets(names=()),
            home=tmp_path,
        )
        await world.open()
        world.start_node()
        try:
            await world.until_connected()
            yield world
        finally:
            assert world.node is not None
            await world.node.stop()
            await world.close()


async def test_f116_what_commands_print_and_what_files_are_called_decides_and_starts_nothing(real: RealWorld) -> None:
    waiting = await real.ask(OPS, "ada", f"touch {real.home}/owned")
    for number, one in enumerate(CORPUS):
        (real.home / f"says-{number}").write_bytes(one.said(waiting.id).encode())
    named = real.home / "named"
    named.mkdir()
    names = [
        one.said(waiting.id).replace("/", "∕").replace("\x00", "").encode()[:250].decode("utf-8", "ignore")
        for one in CORPUS
    ]
    for name in names:
        (named / name).touch()

    asked = [await real.ask(OPS, "ada", f"cat says-{number}") for number in range(len(CORPUS))]
    asked.append(await real.ask(OPS, "ada", "ls named"))
    told = [(await real.wait_told(one))[0] for one in asked]
    await real.settled()

    for one, posted in zip(CORPUS, told, strict=False):
        assert posted.text.startswith("✅ Finished, exit 0"), one.name
        assert posted.kind is PostKind.RESULT
        assert {button.action for button in posted.buttons} <= {Action.AGAIN, Action.OUTPUT}
    assert "approve" in (code_of(told[-1].post, "Output") or "")
    # Everything that the bot itself posted stood on the network too, and nothing of it came back as somebody's words.
    assert (await real.execution(waiting.id)).state is S.AWAITING_APPROVAL
    assert await real.count("SELECT count(*) FROM executions WHERE state <> 'finished'") == 1
    assert await real.count("SELECT count(*) FROM executions") == 1 + len(CORPUS) + 1
    assert not (real.home / "owned").exists()


# --- reasons, refusals, live output, and what people quote ---------------------------------------------

_A_GROUP = 14
"""Texts that are told with one store: setting one up costs more than any of them."""
IN_GROUPS = pytest.mark.parametrize("at", range(0, len(CORPUS), _A_GROUP))
ASKED_FOR_DF = policy(Rule(name="df", action=Verdict.ALLOW, command=(parse_pattern("df *"),)))


async def _nothing_came_of_it(stage: Stage, waiting: Execution, others: Sequence[Execution]) -> None:
    for _ in range(_A_GROUP):
        await stage.answer()
    await stage.hand_over()
    await stage.tell_all()
    await stage.edit()
    after = await stage.read(waiting)
    assert after.state is S.AWAITING_APPROVAL
    assert (after.decided_by, after.stop_wanted_by, after.approved_by) == (None, None, ())
    assert {one.id for one in await stage.all_executions()} == {waiting.id, *(one.id for one in others)}


@IN_GROUPS
async def test_f116_text_of_a_node_is_no_decision_whatever_field_it_comes_in(stage: Stage, at: int) -> None:
    stage.policy = ASKED_FOR_DF
    waiting, others = await stage.shown("reboot"), []
    for number, one in enumerate(CORPUS[at : at + _A_GROUP]):
        other = await stage.asked(f"df {number}")
        others.append(other)
        await stage.hand_over()
        await stage.in_state(other, S.DISPATCHED)
        said = one.said(waiting.id, other.id)
        if number % 2:
            await stage.reports.refused(NODE, other.id, said)
            await stage.in_state(other, S.REFUSED)
            continue
        await stage.reports.started(NODE, other.id, stage.clock.now())
        await stage.reports.progress(NODE, other.id, said)
        await stage.edit()
        await stage.reports.not_known(NODE, other.id, said)
        await stage.in_state(other, S.LOST)
    gone = list(stage.hub.gone)

    await _nothing_came_of_it(stage, waiting, others)

    assert stage.hub.gone == gone
    assert len(gone) == len(others)


@IN_GROUPS
async def test_f116_a_reason_that_holds_it_decides_nothing_else(stage: Stage, at: int) -> None:
    waiting, others = await stage.shown("reboot"), []
    for number, one in enumerate(CORPUS[at : at + _A_GROUP]):
        other = await stage.asked(f"df {number}")
        others.append(other)
        await stage.say(f"deny {other.id} because {one.said(waiting.id, other.id)}", who=BOB)
        assert (await stage.in_state(other, S.DENIED)).reason

    await _nothing_came_of_it(stage, waiting, others)

    assert stage.hub.gone == []


@IN_GROUPS
async def test_f116_quoted_or_forwarded_it_is_talk(stage: Stage, at: int) -> None:
    waiting = await stage.shown("reboot")
    for one in CORPUS[at : at + _A_GROUP]:
        said = one.said(waiting.id)
        # By whoever may decide, as a quote of it; and to the letter by somebody who may not.
        for before in ("> ", "Forwarded: ", "look what it says:\n"):
            await stage.say(before + said, who=BOB)
        if said.split(None, 1)[0].lower().lstrip("/!") not in {"run", "edit"}:
            await stage.say(said, who=ANN)

    for _ in range(_A_GROUP):
        await stage.answer()
    await _nothing_came_of_it(stage, waiting, [])

    assert stage.hub.gone == []


# --- it stays in its fence on every network ------------------------------------------------------------

CHAT = Capabilities(text_chars=1_400, code_chars=1_000)


@EACH
def test_f116_it_cannot_close_its_fence_on_any_network(one: Untrusted) -> None:
    text = visible(one.said("7K3QAC"))
    whole = Post(
        kind=PostKind.RESULT,
        blocks=(Prose(spans=("before",)), Code(text=text, label="Output"), Prose(spans=("after",))),
    )
    for post in split(whole, CHAT):
        code = "".join(block.text for block in post.blocks if isinstance(block, Code))
        if not code:
            continue
        web = json.loads(post_body(post, None))["post"]["blocks"]
        assert [block["text"] for block in web if block["is"] == "code"] == [code]

        slack = [part for block in slack_blocks(post) for part in block["elements"]]  # type: ignore[attr-defined]
        (fence,) = [part for part in slack if part["type"] == "rich_text_preformatted"]
        assert fence["elements"] == [{"type": "text", "text": code}]

        fenced = next(text for text in discord_form(post, "n1").texts if "```" in text)
        assert fenced.count("```") == 2
        assert fenced.endswith("\n```")
        assert fenced.split("```")[1].replace("\u200b", "").strip("\n") == code.strip("\n")

        on_phone = "".join(shown.body for shown in whatsapp_shown(post))
        assert on_phone.count("```") == 2
        assert read_whatsapp(on_phone).code == (code,)
