"""A model's service that is wrong in each way that we could think of: nothing is acted on, and no past is poisoned.

A service refuses a history that holds what it would never write itself: a conversation that remembered such a thing
would be dead until somebody wrote `new`.
"""

from __future__ import annotations

import json

import pytest

from bot.agent.model.bounded import answer_bytes
from bot.agent.model.dialog import MAX_CALLS, Dialog
from bot.agent.model.profile import Meter, Thought
from bot.agent.model.uses import MAX_ARGUMENTS_CHARS
from bot.domain.memory import Entry, Heard, Remembered, Told
from bot.errors import ModelAway
from tests.agent.model.test_dialog import Box
from tests.platforms.model.script import Fail, Flood, Redirect, Say, Use, use
from tests.platforms.model.server import ModelServer


async def until_remembered(service: ModelServer, dialog: Dialog, box: Box) -> Thought:
    """A run, and another that has it in its past: neither is refused by the service."""
    thought = await dialog.think("", (), "Do it", box, Meter())
    entries: tuple[Entry, ...] = (Heard(text="Do it"), *thought.called, Told(text=thought.text))
    service.model.will(Say("And again."))
    again = await dialog.think("", (Remembered(entries=entries, read_untrusted=False),), "Go on", box, Meter())
    assert again.text == "And again."
    assert service.refused == []
    return thought


@pytest.mark.parametrize(
    "written",
    [
        '{"text": "\\ud800"}',
        '{"text": NaN}',
        '{"text": 1e999}',
        '{"text": ' + "9" * 5_000 + "}",
        '{"text": "' + "x" * MAX_ARGUMENTS_CHARS + '"}',
        '{"text": ' * 1_200 + "1" + "}" * 1_200,
    ],
    ids=lambda one: one[:16],
)
async def test_arguments_that_nobody_can_read_use_no_tool(
    service: ModelServer, dialog: Dialog, wire: str, has_stream: bool, written: str
) -> None:
    if wire == "anthropic" and not has_stream and len(written) in {5_010, 12_001}:
        pytest.skip("a whole answer of this wire holds no text of arguments, and no server can write these")
    service.model.will(Use((("echo", written),)), Say("Done"))
    box = Box()
    thought = await until_remembered(service, dialog, box)

    assert box.used == []
    assert thought.called[0].answer.startswith("Nothing was done: the arguments ")
    assert thought.called[0].arguments == "{}"


async def test_of_arguments_that_are_given_twice_the_model_hears_which_counted(
    service: ModelServer, dialog: Dialog
) -> None:
    service.model.will(Use((("echo", '{"text": "a", "text": "b", "more": {"text": "\\u0000c"}}'),)), Say("Done"))
    box = Box()
    thought = await until_remembered(service, dialog, box)

    assert [arguments["text"] for _, arguments in box.used] == ["b"]
    assert json.loads(thought.called[0].arguments) == {"text": "b", "more": {"text": "\0c"}}


@pytest.mark.parametrize("name", ["approve; rm -rf", "", "x" * 200, "ünïcode", "\ud800"], ids=ascii)
async def test_a_tool_under_a_name_that_no_service_takes_back_is_remembered_under_another(
    service: ModelServer, dialog: Dialog, name: str
) -> None:
    service.model.will(Use(((name, "{}"),)), Say("Done"))
    box = Box()
    thought = await until_remembered(service, dialog, box)

    assert box.used == [("unknown", {})]
    assert thought.called[0].tool == "unknown"


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("half \ud83d of it", "half \ufffd of it"),
        ("both halves \ud83d\ude00", "both halves 😀"),
        ("nothing \0 in it", "nothing  in it"),
        (" \n\n ", ""),
        ("\u2028", ""),
    ],
    ids=ascii,
)
async def test_words_that_no_service_takes_back_are_mended(
    service: ModelServer, dialog: Dialog, said: str, heard: str
) -> None:
    service.model.will(Use((("echo", '{"text": "a"}'),), text=said), Say(said))
    assert (await until_remembered(service, dialog, Box())).text == heard


async def test_a_thousand_uses_at_once_are_few_and_remembered_as_few(service: ModelServer, dialog: Dialog) -> None:
    service.model.will(Use(tuple(("echo", f'{{"text": "{number}"}}') for number in range(1_000))), Say("Done"))
    box = Box()
    thought = await until_remembered(service, dialog, box)

    assert [arguments["text"] for _, arguments in box.used] == [str(number) for number in range(MAX_CALLS)]
    assert len(thought.called) == MAX_CALLS + 1
    assert "too many tools at once" in thought.called[-1].answer


@pytest.mark.parametrize("flood", [Flood(), Flood(status=429), Flood(status=500)], ids=lambda one: str(one.status))
async def test_an_answer_without_an_end_is_none_and_little_of_it_is_read(
    service: ModelServer, dialog: Dialog, flood: Flood
) -> None:
    service.model.will(flood, Say("never asked for"))
    with pytest.raises(ModelAway):
        await dialog.think("", (), "Tell me all", Box(), Meter())
    # What stands in the buffers of two sockets comes on top.
    assert service.flooded < 4 * answer_bytes(dialog.endpoint.reply_tokens) + 8_000_000
    assert len(service.asked) == 1


async def test_an_answer_that_is_packed_is_not_unpacked(service: ModelServer, dialog: Dialog) -> None:
    """A hundred megabytes are a hundred kilobytes on the wire."""
    service.model.will(Flood(encoding="gzip"))
    with pytest.raises(ModelAway) as found:
        await dialog.think("", (), "Tell me all", Box(), Meter())
    chain, fault = [], found.value.__cause__
    while fault is not None:
        chain.append(str(fault))
        fault = fault.__cause__
    assert any("packed, which was not asked for" in text for text in chain)


async def test_key_and_words_go_nowhere_but_to_the_address_of_the_config(
    service: ModelServer, dialog: Dialog, wire: str
) -> None:
    async with ModelServer() as elsewhere:
        service.model.will(Redirect(f"{elsewhere.url}/v1/chat/completions" if wire == "openai" else elsewhere.url))
        with pytest.raises(ModelAway):
            await dialog.think("", (), "Tell me all", Box(), Meter())
        assert elsewhere.asked == []


async def test_what_a_run_took_before_it_failed_is_counted(service: ModelServer, dialog: Dialog) -> None:
    service.model.will(use("now"), Fail(503))
    meter = Meter()
    with pytest.raises(ModelAway):
        await dialog.think("", (), "Tell me all", Box(), meter)
    assert (meter.spent.requests, meter.spent.tokens_read > 0, meter.spent.tokens_written > 0) == (2, True, True)


@pytest.mark.parametrize("after", ["nan", "inf", "-5", "1e400", "86400", "Wed, 21 Oct 2099 07:28:00 GMT", "soon"])
async def test_a_wait_that_a_service_asks_for_has_its_bounds(service: ModelServer, dialog: Dialog, after: str) -> None:
    service.model.will(Fail(429, "rate_limit_exceeded", retry_after=after))
    with pytest.raises(ModelAway) as found:
        await dialog.think("", (), "Do it", Box(), Meter())
    assert 0.0 <= found.value.retry_after_s <= 600.0
