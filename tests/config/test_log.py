"""The log: one line an event, keys beside it, and no secret in any of it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from bot.log import set_up

SECRET = "hunter2-Correct-Horse"
log = logging.getLogger("bot.test")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(*, as_json: bool | None) -> io.StringIO:
    stream = io.StringIO()
    set_up(as_json=as_json, secrets=[SECRET, "abc"], stream=stream)
    return stream


def test_an_event_is_one_json_line_with_its_keys() -> None:
    stream = logged(as_json=True)
    log.info("execution.approved", extra={"execution_id": "7K3Q2A", "attempt": 2, "nothing": None})
    form = json.loads(stream.getvalue())
    assert (form["event"], form["execution_id"], form["attempt"]) == ("execution.approved", "7K3Q2A", 2)
    assert (form["level"], form["logger"], form["nothing"]) == ("info", "bot.test", None)
    assert form["at"].endswith("Z")


def test_away_from_a_terminal_the_log_is_json() -> None:
    stream = logged(as_json=None)
    log.warning("event.retry")
    assert json.loads(stream.getvalue())["event"] == "event.retry"


def test_for_people_it_is_text_whose_values_cannot_forge_a_line() -> None:
    stream = logged(as_json=False)
    log.info("event.told", extra={"room": "ops", "title": "a b", "fault": "x\n2026 INFO forged"})
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert "event.told room=ops" in line
    assert '"x\\n2026 INFO forged"' in line


@pytest.mark.parametrize("as_json", [True, False])
def test_a_secret_is_hidden_in_messages_keys_and_exceptions(as_json: bool) -> None:
    stream = logged(as_json=as_json)
    try:
        int(f"cannot connect with {SECRET}")
    except ValueError:
        log.exception("store.fault %s", SECRET, extra={"url": f"postgresql://u:{SECRET}@db", "token": [SECRET]})
    assert SECRET not in stream.getvalue()
    assert stream.getvalue().count("‹secret") >= 4
    assert "ValueError" in stream.getvalue()


def test_a_secret_too_short_to_hide_does_not_riddle_the_log() -> None:
    stream = logged(as_json=False)
    log.info("abcdef")
    assert "abcdef" in stream.getvalue()


def test_setting_up_twice_logs_once() -> None:
    logged(as_json=True)
    stream = logged(as_json=True)
    log.info("once")
    assert stream.getvalue().count("once") == 1


@pytest.mark.parametrize("name", ["discord.client", "slack_bolt.AsyncApp", "slack_sdk", "twilio.http_client"])
def test_what_a_networks_library_says_of_what_came_in_is_kept_out(name: str, request: pytest.FixtureRequest) -> None:
    stream = io.StringIO()
    set_up(as_json=True, stream=stream)
    library = logging.getLogger(name)
    request.addfinalizer(lambda before=library.level: library.setLevel(before))  # type: ignore[misc]
    library.setLevel(logging.DEBUG)
    library.error("Unhandled request ({'text': 'from outside'})")
    logging.getLogger("channels.slack.adapter").warning("slack.rejected")
    logging.getLogger("discordant.name").warning("not.muted")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["slack.rejected", "not.muted"]
