"""F-045: the acknowledgement token reaches no person, whatever stands around or within it; and what counts as quiet."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.quiet import ACK_MAX_CHARS, TOKEN, is_quiet, without_token

MARKUP = ["", "**", "_", "`", "```\n", "> ", "~~", "<b>", "</b>", "\n\n", "“", "- ", "# ", "\u200b"]
FORMS = [
    TOKEN,
    TOKEN.lower(),
    TOKEN.title(),
    TOKEN.replace("_", "\\_"),
    TOKEN.replace("_", "-"),
    "\u200b".join(TOKEN),
    "**".join(TOKEN),
    f"HEART{TOKEN}BEAT_OK",
]
WORDS = "The disk of web-1 is at 80%. I would clean /var/log first."


def holds_token(text: str) -> bool:
    bare = re.sub(r"[^a-z]", "", text.lower())
    return "heartbeatok" in bare


@pytest.mark.parametrize("form", FORMS)
@given(before=st.sampled_from(MARKUP), after=st.sampled_from(MARKUP), text=st.text(max_size=60))
def test_f045_no_words_hold_the_token_wherever_it_stood(form: str, before: str, after: str, text: str) -> None:
    for said in (f"{before}{form}{after}{text}", f"{text}{before}{form}{after}", f"{text}{before}{form}{after}{text}"):
        told = without_token(said)
        assert TOKEN.lower() not in told.lower()
        assert not holds_token(told) or holds_token(text + text)


@pytest.mark.parametrize("form", FORMS[:-1])
@pytest.mark.parametrize("before", MARKUP)
@pytest.mark.parametrize("after", MARKUP)
def test_the_token_alone_in_any_markup_is_quiet(form: str, before: str, after: str) -> None:
    said = f"{before}{form}{after}"
    assert is_quiet(said)
    assert is_quiet(said, ack_max_chars=0)
    assert without_token(said) == ""


@pytest.mark.parametrize("said", ["", " \n", "\u00a0"])
def test_nothing_is_quiet(said: str) -> None:
    assert is_quiet(said)


@pytest.mark.parametrize(
    ("said", "quiet"),
    [
        (f"{TOKEN}\n\nNothing new.", True),
        (f"Nothing new. {TOKEN}", True),
        (f"Nothing new. {TOKEN}.", True),
        (f"{TOKEN}{'x' * ACK_MAX_CHARS}", True),
        (f"{TOKEN}{'x' * (ACK_MAX_CHARS + 1)}", False),
        (f"It says {TOKEN} in its log.", False),
        (WORDS, False),
        ("HEARTBEAT", False),
        ("The heartbeat is ok.", False),
    ],
)
def test_the_token_at_an_edge_with_little_beside_it_is_quiet(said: str, quiet: bool) -> None:
    assert is_quiet(said) is quiet


def test_words_without_it_stay_as_they_are() -> None:
    assert without_token(WORDS) == WORDS
    assert without_token(f"{WORDS}\n\n{TOKEN}") == WORDS
    assert without_token(f"{TOKEN}\n{WORDS}") == WORDS
