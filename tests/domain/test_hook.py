"""The words of a hook: what the config says, and values of anybody's that stay one line each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.hook import HookWords, hook_text, parse_hook
from bot.errors import Malformed


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_the_words_of_a_hook_come_back_as_they_were(says: str, fields: dict[str, str]) -> None:
    words = HookWords(says=says, fields=tuple(fields.items()))
    assert parse_hook(hook_text(words)) == words


@given(st.text(), st.text())
def test_f116_a_value_is_one_line_whatever_it_holds(first: str, second: str) -> None:
    lines = HookWords(says="", fields=(("a", first), ("b", second))).lines()
    assert [line[:3] for line in lines.splitlines()] == ["a: ", "b: "]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"says": 1, "fields": {}}', '{"says": "x", "fields": {"a": 1}}'])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_hook(text)
