"""Quote removal and options: the small readers beneath the analysis, at their edges."""

from __future__ import annotations

import pytest

from bot.domain.options import read_options, spec
from bot.domain.quoting import unquoted

TABLE = spec("ab:c::", "flag value= maybe=?", last="b")


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("abc", "abc"),
        ("", ""),
        ("''", ""),
        ("a'b'\"c\"", "abc"),
        ("\\a\\ b", "a b"),
        ("a\\\nb", "ab"),
        ('"a\\\nb"', "ab"),
        ('"a\\b\\"\\$\\`\\\\"', 'a\\b"$`\\'),
        ("'a\\b'", "a\\b"),
        ('"it\'s"', "it's"),
        ("'say \"x\"'", 'say "x"'),
        ("{}", "{}"),
        ("a{}b", "a{}b"),
        ('"{}*~"', "{}*~"),
        ("é", "é"),
        ("a\\", None),
        ("'a", None),
        ('"a', None),
        ('"a\\', None),
        ("$x", None),
        ('"$x"', None),
        ('"`x`"', None),
        ("$'a'", None),
        ("a*", None),
        ("{a,b}", None),
        ("~", None),
        ("a b", None),
        ("a;b", None),
        ("a\rb", None),
    ],
)
def test_quotes_are_removed_as_a_shell_removes_them_or_the_word_is_unknown(source: str, word: str | None) -> None:
    assert unquoted(source) == word


@pytest.mark.parametrize(
    ("words", "at", "given"),
    [
        (("x",), 1, ()),
        (("x", "y"), 1, ()),
        (("x", "-"), 1, ()),
        (("x", "-a", "y"), 2, (("a", None),)),
        (("x", "-aa", "y"), 2, (("a", None), ("a", None))),
        (("x", "-b", "v", "y"), 3, (("b", "v"),)),
        (("x", "-bv", "-a"), 2, (("b", "v"),)),
        (("x", "-abv", "y"), 2, (("a", None), ("b", "v"))),
        (("x", "-by", "y"), 2, (("b", "y"),)),
        (("x", "-c", "y"), 2, (("c", None),)),
        (("x", "-cv", "y"), 2, (("c", "v"),)),
        (("x", "--flag", "y"), 2, (("flag", None),)),
        (("x", "--value=v", "y"), 2, (("value", "v"),)),
        (("x", "--value", "v", "y"), 3, (("value", "v"),)),
        (("x", "--maybe", "y"), 2, (("maybe", None),)),
        (("x", "--maybe=v", "y"), 2, (("maybe", "v"),)),
        (("x", "-a", "--", "-b"), 3, (("a", None),)),
    ],
)
def test_options_end_where_the_operands_begin(
    words: tuple[str, ...], at: int, given: tuple[tuple[str, str | None], ...]
) -> None:
    seen = read_options(words, TABLE)
    assert seen is not None
    assert (seen.at, seen.given) == (at, given)


@pytest.mark.parametrize(
    "words",
    [
        ("x", "-z"),
        ("x", "-az"),
        ("x", "-b"),
        ("x", "--valu", "v"),
        ("x", "--value"),
        ("x", "--flag=v"),
        ("x", "--other"),
        ("x", None),
        ("x", "-a", None, "y"),
        ("x", "-b", None),
    ],
)
def test_an_option_that_is_not_in_the_table_or_not_known_makes_it_unreadable(words: tuple[str | None, ...]) -> None:
    assert read_options(words, TABLE) is None
