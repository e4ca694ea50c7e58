"""Patterns of words: what fits strictly, what could fit, and what cannot be a pattern at all."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.command import parse_request
from bot.domain.pattern import MAX_PATTERN_CHARS, fits_any, parse_pattern
from bot.domain.shell import View, analyse
from bot.errors import Malformed


def seen(*words: str | None) -> View:
    return View(words=words, through=0)


def strictly(pattern: str, *words: str | None, executable: str | None = None) -> bool:
    return parse_pattern(pattern).fits(seen(*words), executable=executable, loosely=False)


def loosely(pattern: str, *words: str | None, executable: str | None = None) -> bool:
    return parse_pattern(pattern).fits(seen(*words), executable=executable, loosely=True)


FITS = [
    ("systemctl restart app", ("systemctl", "restart", "app")),
    ("systemctl restart *", ("systemctl", "restart", "app")),
    ("systemctl * app", ("systemctl", "restart", "app")),
    ("systemctl **", ("systemctl",)),
    ("systemctl **", ("systemctl", "restart", "app")),
    ("**", ("anything", "at", "all")),
    ("* --help", ("ls", "--help")),
    ("journalctl --lines=* -u app", ("journalctl", "--lines=5", "-u", "app")),
    ("journalctl --lines=*", ("journalctl", "--lines=")),
    ("cp *.log /backup/*", ("cp", "a.log", "/backup/x")),
    ("x a*b*c", ("x", "a1b2c")),
    ("x a*b*c", ("x", "abc")),
    ("x *a*", ("x", "bab")),
    ("echo \\*", ("echo", "*")),
    ("echo '*'", ("echo", "*")),
    ('echo "a b" c', ("echo", "a b", "c")),
    ('echo "a\\"b" "\\x" \'\\\'', ("echo", 'a"b', "\\x", "\\")),
    ("echo ''", ("echo", "")),
    ("echo *", ("echo", "")),
    ("echo a\\ b", ("echo", "a b")),
    ("echo [ab] a? ~ {x,y} !", ("echo", "[ab]", "a?", "~", "{x,y}", "!")),
    ("'a|b' '$x'", ("a|b", "$x")),
    ("/usr/bin/* x", ("/usr/bin/y", "x")),
    ("py*", ("python3",)),
]
MISSES = [
    ("systemctl restart app", ("systemctl", "restart")),
    ("systemctl restart app", ("systemctl", "restart", "app", "x")),
    ("systemctl restart app", ("systemctl", "stop", "app")),
    ("systemctl restart *", ("systemctl", "restart")),
    ("systemctl restart *", ("systemctl", "restart", "a", "b")),
    ("systemctl restart **", ("systemctl",)),
    ("systemctl", ("Systemctl",)),
    ("x a*b*c", ("x", "acb")),
    ("x ab*ba", ("x", "aba")),
    ("x *a*a*", ("x", "a")),
    ("echo \\*", ("echo", "x")),
    ("echo 'a*'", ("echo", "ab")),
    ("echo a?", ("echo", "ab")),
    ("echo [ab]", ("echo", "a")),
    ("echo 'a b'", ("echo", "a", "b")),
    ("py*", ("/usr/bin/python3",)),
]


@pytest.mark.parametrize(("pattern", "words"), FITS)
def test_words_that_a_pattern_fits(pattern: str, words: tuple[str, ...]) -> None:
    assert strictly(pattern, *words)
    assert loosely(pattern, *words)


STRAYING = [
    ("cat /var/log/*", "/var/log/../../etc/shadow"),
    ("cat /var/log/*", "/var/log/.."),
    ("cat /var/*/log", "/var/x/../../etc/log"),
    ("cat app*", "app/../../etc/shadow"),
    ("dd if=/srv/*", "if=/srv/../etc/shadow"),
    ("cat *.log", "../x.log"),
    ("cat *", "-"),
    ("cat *.log", "--output=x.log"),
    ("cat --file=*", "--file=../x"),
    ("cat ../x/*", "../x/../../etc"),
]


@pytest.mark.parametrize(("pattern", "word"), STRAYING)
def test_f085_no_star_climbs_out_of_the_folder_that_is_spelled_out_or_takes_an_option(pattern: str, word: str) -> None:
    program = pattern.split()[0]
    assert not strictly(pattern, program, word)
    assert loosely(pattern, program, word)


def test_two_stops_that_are_no_way_up_and_those_that_are_spelled_out_fit() -> None:
    assert strictly("cat /var/log/*", "cat", "/var/log/a..b")
    assert strictly("cat /var/log/*", "cat", "/var/log/..x/y")
    assert strictly("git diff main..*", "git", "diff", "main..next")
    assert strictly("cat ../x/*", "cat", "../x/y")
    assert strictly("cat *", "cat", "../x")
    assert strictly("mv * /backup", "mv", "x-t", "/backup")
    assert not strictly("mv * /backup", "mv", "-t/etc", "/backup")
    assert strictly("mv -* /backup", "mv", "-f", "/backup")
    assert strictly("cat /var/log/app **", "cat", "/var/log/app", "../x")


@pytest.mark.parametrize(("pattern", "words"), MISSES)
def test_words_that_a_pattern_does_not_fit_strictly(pattern: str, words: tuple[str, ...]) -> None:
    assert not strictly(pattern, *words)


@pytest.mark.parametrize(("pattern", "words"), [pair for pair in MISSES if pair[0] not in {"systemctl", "py*"}])
def test_what_is_known_and_different_does_not_fit_loosely_either(pattern: str, words: tuple[str, ...]) -> None:
    assert not loosely(pattern, *words)


def test_a_bare_name_that_allows_fits_only_that_bare_name_as_it_was_typed() -> None:
    for typed in ("./systemctl", "/home/x/systemctl", "/usr/bin/systemctl", "bin/systemctl", "systemctl ", "SYSTEMCTL"):
        assert not strictly("systemctl **", typed)
        assert not strictly("systemctl **", typed, executable="/usr/bin/systemctl")
    assert strictly("systemctl **", "systemctl", executable="/home/x/systemctl")


def test_f086_an_absolute_path_that_allows_fits_what_the_node_found_or_that_path_as_typed() -> None:
    pattern = "/usr/bin/systemctl restart *"
    assert parse_pattern(pattern).needs_executable
    assert not parse_pattern("systemctl restart *").needs_executable
    assert not parse_pattern("**").needs_executable
    assert strictly(pattern, "/usr/bin/systemctl", "restart", "app")
    assert strictly(pattern, "systemctl", "restart", "app", executable="/usr/bin/systemctl")
    assert not strictly(pattern, "systemctl", "restart", "app")
    assert not strictly(pattern, "systemctl", "restart", "app", executable="/home/x/systemctl")
    assert not strictly(pattern, "systemctl", "stop", "app", executable="/usr/bin/systemctl")


def test_what_asks_or_denies_looks_at_the_base_name_of_either() -> None:
    for typed in ("rm", "/bin/rm", "./rm", "/home/x/x/rm", "RM"):
        assert loosely("rm **", typed, "x")
        assert loosely("/usr/bin/rm **", typed, "x")
    assert loosely("rm **", "/home/x/innocent", executable="/usr/bin/rm")
    assert loosely("/usr/bin/py*", "python3")
    assert loosely("/usr/*/py*", "/opt/python3")
    assert not loosely("rm **", "rmdir", "x")
    assert not loosely("rm **", "x/rm/y", "x")


def test_an_unknown_word_fits_nothing_that_allows() -> None:
    for pattern in ("rm **", "rm *", "**", "rm x *", "* *"):
        assert not strictly(pattern, "rm", None)
    assert not strictly("**", None)
    assert not strictly("**", "ls", "a", None)


def test_an_unknown_word_could_be_no_word_one_or_many() -> None:
    assert loosely("rm -rf /", "rm", None)
    assert loosely("rm -rf /", "rm", "-rf", None)
    assert loosely("rm -rf /", "rm", None, "/")
    assert loosely("rm", "rm", None)
    assert loosely("rm x", "rm", "x", None)
    assert loosely("rm **", "rm", None)
    assert loosely("rm a **", "rm", None, "z")
    assert not loosely("rm -rf /", "rm", None, "/home")
    assert not loosely("rm -rf /", "ls", None)


def test_an_unknown_program_fits_no_pattern() -> None:
    for pattern in ("**", "*", "rm **"):
        assert not loosely(pattern, None, "x")
        assert not strictly(pattern, None, "x")
    assert not parse_pattern("**").fits(View(words=(), through=0), executable=None, loosely=True)


def test_a_pattern_says_how_much_it_spells_out() -> None:
    pattern = parse_pattern("sudo systemctl restart * now")
    assert [pattern.spells_out(through) for through in range(6)] == [True, True, True, False, False, False]
    assert not parse_pattern("**").spells_out(0)
    assert parse_pattern("sudo **").spells_out(0)
    assert not parse_pattern("sudo **").spells_out(1)
    assert parse_pattern("echo '*'").spells_out(1)
    assert not parse_pattern("py*").spells_out(0)


def test_one_of_a_units_readings_is_enough_and_only_the_outermost_has_an_executable() -> None:
    [unit] = analyse(parse_request("sudo rm x")).units
    assert fits_any(parse_pattern("rm **"), unit.views, executable="/usr/bin/sudo", loosely=True)
    assert fits_any(parse_pattern("rm x"), unit.views, executable=None, loosely=False)
    assert fits_any(parse_pattern("/usr/bin/sudo **"), unit.views, executable="/usr/bin/sudo", loosely=False)
    assert not fits_any(parse_pattern("/usr/bin/rm **"), unit.views, executable="/usr/bin/rm2", loosely=False)
    assert not fits_any(parse_pattern("/usr/bin/sudo x"), unit.views, executable="/usr/bin/sudo", loosely=False)


def test_a_pattern_says_word_by_word_what_it_takes() -> None:
    assert parse_pattern("sudo 'a b' * --n=* **").in_words() == (
        "sudo, then 'a b', then any one word that is no option, "
        "then one word like --n=*, then any further words, or none"
    )
    assert parse_pattern("ls").in_words() == "ls"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty; write \\*\\* for every command"),
        (" \t", "empty"),
        ("rm 'x", "without its partner"),
        ('rm "x', "without its partner"),
        ("rm x\\", "ends in a backslash"),
        ("** x", "\\*\\* may only be the last word"),
        ("rm a**", "\\*\\* may only be the last word"),
        ("rm a**b", "\\*\\* may only be the last word"),
        ("rm ***", "\\*\\* may only be the last word"),
        ("ls | wc", "belongs to a shell; put it in quotes"),
        ("ls; id", "belongs to a shell"),
        ("echo $x", "belongs to a shell"),
        ("echo `id`", "belongs to a shell"),
        ("ls > x", "belongs to a shell"),
        ("(ls)", "belongs to a shell"),
        ("ls\nid", "belongs to a shell"),
        ("./deploy.sh **", "its name alone or its absolute path"),
        ("bin/x", "its name alone or its absolute path"),
        ("x" * (MAX_PATTERN_CHARS + 1), "at most 2000 are taken; shorten it"),
    ],
)
def test_what_cannot_be_a_pattern_is_malformed_and_says_what_to_write(text: str, fault: str) -> None:
    with pytest.raises(Malformed, match=fault):
        parse_pattern(text)


WORDS = st.lists(st.text(st.sampled_from("ab*-/ "), max_size=5), min_size=1, max_size=5)


@given(WORDS, WORDS)
def test_a_pattern_of_quoted_words_fits_exactly_those_words(one: list[str], other: list[str]) -> None:
    first = one[0].lstrip("/").replace("/", "") or "x"
    one = [first, *one[1:]]
    pattern = parse_pattern(" ".join(f"'{word}'" for word in one))
    assert pattern.fits(seen(*one), executable=None, loosely=False)
    assert pattern.fits(seen(*other), executable=None, loosely=False) == (one == other)
    assert pattern.spells_out(len(one) - 1)


@given(st.text(st.sampled_from("ab*"), min_size=1, max_size=8), st.text(st.sampled_from("ab"), max_size=8))
def test_a_star_within_a_word_is_any_characters(glob: str, word: str) -> None:
    if "**" in glob:
        return
    expected = re.fullmatch(glob.replace("*", ".*"), word) is not None
    assert strictly(f"x {glob}", "x", word) == expected


@given(WORDS, st.lists(st.text(st.sampled_from("ab"), max_size=3) | st.none(), max_size=4))
def test_whatever_fits_strictly_fits_loosely_too(words: list[str], rest: list[str | None]) -> None:
    view = seen("x", *rest)
    for text in ("x **", "x *", "x a* **", "* **", " ".join(["x", *(f"'{word}'" for word in words)])):
        pattern = parse_pattern(text)
        if pattern.fits(view, executable=None, loosely=False):
            assert pattern.fits(view, executable=None, loosely=True)


def test_what_follows_an_unknown_word_may_be_any_of_the_further_words() -> None:
    pattern = parse_pattern("rm **")
    assert pattern.fits(View(words=("rm", None, "y"), through=0), executable=None, loosely=True)
    assert not pattern.fits(View(words=("rm", None, "y"), through=0), executable=None, loosely=False)


def test_a_known_word_that_fits_nowhere_rules_it_out_whatever_the_unknown_ones_become() -> None:
    pattern = parse_pattern("rm -rf *")
    assert not pattern.fits(View(words=("rm", "-x", None), through=0), executable=None, loosely=True)
    assert pattern.fits(View(words=("rm", "-rf", None), through=0), executable=None, loosely=True)
