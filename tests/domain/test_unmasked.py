"""Paths that a node made of a command's words: shown where they say nothing that is masked there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.command import parse_request
from bot.domain.execution import Execution, ExecutionState
from bot.domain.mask import Masker
from bot.domain.unmasked import HIDDEN, may_start_it, shown_path
from tests.domain.made import command_of, execution

SECRET = "correct-horse-battery-staple"


def asked(text: str, *, executable: str = "/usr/bin/dash") -> Execution:
    one = execution(ExecutionState.AWAITING_APPROVAL, text)
    masked = Masker([SECRET]).request(one.request)
    return replace(one, masked=masked, command=replace(command_of(text), executable=executable))


@pytest.mark.parametrize(
    "text",
    [
        f"python3 /srv/{SECRET}/x.py",
        f"python3 /srv/{SECRET}/x.py /y/x.py",
        f"cd / && python3 /srv/{SECRET}/x.py",
        f"cat /y/x.py && python3 /srv/{SECRET}/x.py",
        f"python3 '/srv/{SECRET}/x.py' | wc",
    ],
)
def test_f119_no_path_of_a_masked_word_is_shown(text: str) -> None:
    assert shown_path(asked(text), f"/srv/{SECRET}/x.py") == HIDDEN


def test_what_its_words_say_in_clear_is_shown() -> None:
    one = asked(f"PASSWORD={SECRET} python3 /srv/x.py | wc -l")
    for path in ("/srv/x.py", "/usr/bin/python3", "/usr/bin/wc"):
        assert shown_path(one, path) == path
    plain = asked(f"login {SECRET}", executable="/opt/x/login-1.2")
    assert shown_path(plain, "/opt/x/login-1.2") == "/opt/x/login-1.2"
    assert shown_path(execution(ExecutionState.AWAITING_APPROVAL), "/any") == "/any"


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("PASSWORD=reboot; $PASSWORD", True),
        ("echo --password reboot | sh", True),
        ("eval $MY_TOKEN", True),
        ("PASSWORD=x psql -l | wc -l", False),
        ("curl -u a:b https://example.org", False),
    ],
)
def test_f083_what_only_a_shell_will_know_may_be_what_is_masked(text: str, may: bool) -> None:
    assert may_start_it(parse_request(text)) is may
