"""Rounds with a model's service over real sockets, in both wires: tools, faults, what breaks off, what is malformed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from bot.agent.model import dialog as dialogs
from bot.agent.model.dialog import Dialog, Endpoint, open_model
from bot.agent.model.profile import Meter, Parameter, Tool
from bot.domain.memory import Called, Heard, Remembered, Told
from bot.errors import ConfigError, ModelAway, ModelRefused
from tests.agent.model.conftest import a_dialog
from tests.platforms.model.script import Act, Break, Fail, Hang, Junk, Say, Use, use
from tests.platforms.model.server import ModelServer


@dataclass
class Box:
    """A tool that writes down what it is used with."""

    used: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def offered(self) -> Sequence[Tool]:
        text = Parameter(name="text", kind="string", description="Anything.")
        return [Tool(name="echo", description="Says it again.", parameters=(text,)), Tool(name="now", description="?")]

    async def use(self, name: str, arguments: Mapping[str, object]) -> str:
        self.used.append((name, dict(arguments)))
        return f"{name}: {arguments.get('text', 'nothing')}"


PAST = (
    Remembered(entries=(Heard(text="first question"), Told(text="first answer")), read_untrusted=False),
    Remembered(
        entries=(
            Heard(text="second question"),
            Called(tool="echo", arguments='{"text":"old"}', answer="echo: old"),
            Called(tool="now", arguments="{}", answer="now: nothing"),
            Told(text=""),
        ),
        read_untrusted=True,
    ),
)


async def test_an_answer_without_tools_is_its_words(service: ModelServer, dialog: Dialog, wire: str) -> None:
    service.model.will(Say("All is well. 🏠"))
    meter = Meter()
    thought = await dialog.think("Be kind.", (), "How is it?", Box(), meter)

    assert (thought.text, thought.called) == ("All is well. 🏠", ())
    (asked,) = service.asked
    assert (asked.wire, asked.system, asked.users, asked.tools) == (wire, "Be kind.", ("How is it?",), ("echo", "now"))
    assert meter.spent.requests == 1
    assert meter.spent.tokens_read > 0
    assert meter.spent.tokens_written > 0


async def test_tools_are_used_and_answered_until_words_come(service: ModelServer, dialog: Dialog) -> None:
    service.model.will(
        Use((("echo", '{"text": "a"}'), ("now", "{}")), text="I look."), use("echo", text="b"), Say("Done")
    )
    box, meter = Box(), Meter()
    thought = await dialog.think("", (), "Do it", box, meter)

    assert thought.text == "Done"
    assert box.used == [("echo", {"text": "a"}), ("now", {}), ("echo", {"text": "b"})]
    assert [(one.tool, one.answer) for one in thought.called] == [
        ("echo", "echo: a"),
        ("now", "now: nothing"),
        ("echo", "echo: b"),
    ]
    assert [one.answer for one in service.asked[-1].since_prompt] == ["echo: a", "now: nothing", "echo: b"]
    assert meter.spent.requests == 3
    assert service.refused == []


async def test_a_past_of_our_own_form_is_one_that_either_service_takes(service: ModelServer, dialog: Dialog) -> None:
    service.model.will(Say("third answer"))
    await dialog.think("", PAST, "third question", Box(), Meter())

    (asked,) = service.asked
    assert service.refused == []
    assert asked.users == ("first question", "second question", "third question")
    assert [(one.name, one.answer) for one in asked.used] == [("echo", "echo: old"), ("now", "now: nothing")]
    assert asked.assistants[0] == "first answer"


@pytest.mark.parametrize("written", ['{"text": "a', "[1, 2]", '"text"', "not json at all"])
async def test_malformed_arguments_use_no_tool_and_the_model_may_mend_them(
    service: ModelServer, dialog: Dialog, written: str
) -> None:
    service.model.will(Use((("echo", written),)), use("echo", text="mended"), Say("Done"))
    box = Box()
    thought = await dialog.think("", (), "Do it", box, Meter())

    assert thought.text == "Done"
    assert [arguments for _, arguments in box.used if arguments] == [{"text": "mended"}]
    assert service.refused == []


async def test_an_answer_that_is_cut_at_its_limit_uses_no_tool(service: ModelServer, dialog: Dialog) -> None:
    service.model.will(Use((("echo", '{"text": "rm -rf /tmp/x"}'),), finish="length"), Say("Half an", finish="length"))
    box = Box()
    thought = await dialog.think("", (), "Do it", box, Meter())

    assert box.used == []
    assert "cut off" in thought.called[0].answer
    assert thought.text == "Half an […]"


async def test_an_answer_that_is_withheld_is_said_to_be(service: ModelServer, dialog: Dialog, wire: str) -> None:
    service.model.will(Say("" if wire == "openai" else "x", finish="content_filter"))
    assert "withheld" in (await dialog.think("", (), "Hm", Box(), Meter())).text


async def test_two_uses_under_one_id_are_two(service: ModelServer, dialog: Dialog) -> None:
    service.model.will(Use((("echo", '{"text": "a"}'), ("echo", '{"text": "b"}')), same_ids=True), Say("Done"))
    box = Box()
    await dialog.think("", (), "Do it", box, Meter())

    assert [arguments["text"] for _, arguments in box.used] == ["a", "b"]
    assert service.refused == []


async def test_a_run_has_an_end(service: ModelServer, dialog: Dialog) -> None:
    service.model.then = lambda _asked: use("now")
    box, meter = Box(), Meter()
    thought = await dialog.think("", (), "Go on for ever", box, meter)

    assert len(box.used) == dialogs.MAX_ROUNDS == meter.spent.requests
    assert "I stopped here" in thought.text


async def test_what_is_too_much_at_once_is_not_done(service: ModelServer, dialog: Dialog) -> None:
    service.model.will(Use(tuple(("now", "{}") for _ in range(dialogs.MAX_CALLS + 5))), Say("Done"))
    box = Box()
    await dialog.think("", (), "Everything", box, Meter())

    assert len(box.used) == dialogs.MAX_CALLS
    assert service.refused == []


@pytest.mark.parametrize(
    ("act", "remedy", "retry_after_s"),
    [
        (Fail(429, "rate_limit_exceeded", retry_after="7"), ModelAway, 7.0),
        (Fail(429, "rate_limit_error"), ModelAway, 0.0),
        (Fail(429, "rate_limit_error", retry_after="99999"), ModelAway, 600.0),
        (Fail(500), ModelAway, 0.0),
        (Fail(503), ModelAway, 0.0),
        (Fail(529, "overloaded_error"), ModelAway, 0.0),
        (Fail(402, "insufficient_quota"), ModelRefused, None),
        (Fail(401, "invalid_api_key"), ModelRefused, None),
        (Fail(404, "model_not_found"), ModelRefused, None),
        (Fail(400, "invalid_request_error"), ModelRefused, None),
        (Junk(), ModelAway, 0.0),
        (Break(Say("All is well, and more to say of it")), ModelAway, 0.0),
    ],
    ids=lambda one: repr(one) if isinstance(one, (Fail, Junk, Break)) else "",
)
async def test_each_fault_of_a_service_has_its_remedy_and_no_repeat(
    service: ModelServer, dialog: Dialog, act: Act, remedy: type[Exception], retry_after_s: float | None
) -> None:
    service.model.will(act, Say("never asked for"))
    with pytest.raises(remedy) as found:
        await dialog.think("", (), "the prompt's own words", Box(), Meter())

    assert len(service.asked) == 1
    assert "own words" not in str(found.value)
    if isinstance(found.value, ModelAway):
        assert found.value.retry_after_s == retry_after_s


async def test_a_stream_that_ends_in_its_middle_is_no_answer(service: ModelServer, wire: str) -> None:
    """Also where it ends as if that were all: half a command must not be taken for a whole one."""
    dialog = a_dialog(service, wire)
    for is_clean in (True, False):
        for act in (Say("rm -rf is what you must not"), use("echo", text="a long text that is cut in its middle")):
            service.model.will(Break(act, is_clean=is_clean))
            box = Box()
            with pytest.raises(ModelAway):
                await dialog.think("", (), "Do it", box, Meter())
            assert box.used == []
    await dialog.close()


async def test_a_service_that_hangs_is_away(service: ModelServer, wire: str, has_stream: bool) -> None:
    service.model.will(Hang())
    dialog = a_dialog(service, wire, has_stream=has_stream, timeout_s=0.5)
    with pytest.raises(ModelAway):
        await dialog.think("", (), "Hello?", Box(), Meter())
    await dialog.close()
    assert service.hanging == 1


async def test_nobody_at_the_address_is_away_and_a_wrong_key_is_refused(service: ModelServer, wire: str) -> None:
    wrong = a_dialog(service, wire, key="sk-wrong")
    with pytest.raises(ModelRefused):
        await wrong.think("", (), "Hello?", Box(), Meter())
    endpoint = Endpoint(model=f"{wire}:test-1", base_url="http://127.0.0.1:9/v1", api_key="x")
    nobody = Dialog(open_model(endpoint), endpoint)
    with pytest.raises(ModelAway):
        await nobody.think("", (), "Hello?", Box(), Meter())
    await wrong.close()
    await nobody.close()


def test_a_model_that_nobody_knows_is_a_fault_of_the_config() -> None:
    for name in ("nobody:x", "groq:x"):
        with pytest.raises(ConfigError):
            open_model(Endpoint(model=name))
