"""Held against the real shells of this machine: they read what is plain as we do, and start nothing we did not find."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.domain.command import MAX_REQUEST_CHARS, SHELL, Request, parse_request
from bot.domain.shell import Analysis, analyse
from bot.errors import Malformed
from tests.domain.corpus import samples
from tests.domain.corpus.shells import PROGRAMS, SHELLS, cannot_parse, carried, run_as, started, words_read

HERE = [shell for shell in SHELLS if shutil.which(shell)]
PLAIN = [sample.text for sample in samples() if sample.verdict == "plain"]
BUILT_IN = frozenset({"echo", "printf", "test", "kill", "true", "enable", "time"})
"""What a shell does itself, whatever stands on the PATH."""


def argv_of(text: str) -> tuple[str, ...] | None:
    """The words, where the text is plain."""
    try:
        request = parse_request(text)
    except Malformed:
        return None
    return request.argv if request.script is None else None


@contextmanager
def folder() -> Iterator[Path]:
    """A directory of its own for what a text may write: hypothesis runs a test often, with one `tmp_path`."""
    with TemporaryDirectory() as path:
        yield Path(path)


@pytest.mark.parametrize("shell", HERE)
def test_f084_a_real_shell_reads_every_plain_text_of_the_corpus_as_we_do(shell: str, tmp_path: Path) -> None:
    for text, words in zip(PLAIN, words_read(shell, PLAIN, tmp_path), strict=True):
        assert words == argv_of(text), text


@pytest.mark.parametrize("shell", HERE)
def test_f084_a_real_shell_starts_every_plain_text_of_the_corpus_with_our_argv(shell: str, tmp_path: Path) -> None:
    argvs = [(text, argv_of(text) or ()) for text in PLAIN]
    mine = [(text, argv) for text, argv in argvs if "/" not in argv[0] and argv[0] not in BUILT_IN]
    assert len(mine) > 200
    seen = run_as(shell, [text for text, _ in mine], [argv[0] for _, argv in mine], tmp_path)
    for (text, argv), words in zip(mine, seen, strict=True):
        assert words == argv, text


CARRIED = """
env PROGRAM x
env A=b PROGRAM x
env -i A=b PROGRAM x
env - A=b PROGRAM x
env -u A -u B PROGRAM x
env -uA PROGRAM x
env -C / PROGRAM x
env --chdir=/ PROGRAM x
env --unset A PROGRAM -u x
env -i -- PROGRAM x
nice PROGRAM x
nice -n 5 PROGRAM -n x
nice -n5 PROGRAM x
nice -5 PROGRAM x
nice --adjustment=5 PROGRAM x
nohup PROGRAM x
timeout 5 PROGRAM -k x
timeout -k 1 5 PROGRAM x
timeout -s KILL -k1 5s PROGRAM x
timeout --foreground --signal=TERM 5 PROGRAM x
timeout --preserve-status 5 PROGRAM x
setsid -w PROGRAM x
setsid -fw PROGRAM x
stdbuf -oL PROGRAM x
stdbuf -o L -e0 PROGRAM x
stdbuf --output=L PROGRAM x
xargs PROGRAM -x
xargs -n1 PROGRAM -x
xargs -n 1 -r PROGRAM -x
xargs -I% PROGRAM a%b c
xargs -I % PROGRAM a c
xargs -i PROGRAM 'a{}' c
xargs --no-run-if-empty --max-args=1 PROGRAM x
xargs -L1 -t PROGRAM x
xargs -d x PROGRAM y
find . -maxdepth 0 -exec PROGRAM '{}' x ';'
find . -maxdepth 0 -exec PROGRAM x '{}' +
find . -maxdepth 0 -execdir PROGRAM 'a{}' b ';' -exec PROGRAM c ';'
flock lock PROGRAM x
flock -n lock PROGRAM -n x
flock -w 1 -E 3 lock PROGRAM x
taskset -c 0 PROGRAM x
taskset 1 PROGRAM x
ionice -c3 PROGRAM x
ionice -c 2 -n 7 PROGRAM x
ionice -t --class=3 PROGRAM x
setpriv --no-new-privs PROGRAM x
choom -n 0 -- PROGRAM x
env A=b nice -n 1 timeout -k 1 5 setsid -w PROGRAM x
sh -c 'PROGRAM x'
bash -euo pipefail -c 'PROGRAM x' name
sh -c 'env A=b PROGRAM x; nice PROGRAM y'
""".strip().splitlines()


def test_the_tables_of_wrappers_read_them_as_they_read_themselves(tmp_path: Path) -> None:
    here = [text for text in CARRIED if shutil.which(text.split()[0])]
    assert len(here) > 20
    for text, seen in zip(here, carried(here, tmp_path), strict=True):
        assert seen, f"{text}: nothing was started"
        found = [
            view.words[1:]
            for unit in analyse(parse_request(text)).units
            for view in unit.views
            if view.words[0] == "PROGRAM"
        ]
        assert all(any(could_be(words, argv) for words in found) for argv in seen), (text, seen, found)
        assert len(found) == text.count("PROGRAM"), text


@pytest.mark.skipif("/bin/bash" not in HERE, reason="there is no bash here")
def test_f084_what_bash_cannot_parse_is_never_plain_and_never_wholly_read() -> None:
    for sample in samples():
        if "\x00" not in sample.text and len(sample.text) < MAX_REQUEST_CHARS and cannot_parse(sample.text):
            assert sample.verdict != "plain", sample.text
            assert sample.reads in {"unknown", ""}, sample.text


TOKENS = st.sampled_from(
    [
        *PROGRAMS * 5,
        *[" "] * 12,
        *";|&(){}`'\"\\#~*!=+%@^?,[]$<>\n\t\r",
        *["$(", "$(( ", "))", "((", "${x:-", "$x", "<(", ">(", "<<<", "|&", "&>o", "2>&1", ">o", "<o", "&&", "||"],
        *[";;", "$'", '$"', "\\\n", "\\'", '\\"', "\\`", "''", '""'],
        *["<<E\n", "\nE\n", "<<'E'\n", '<<"E"\n', "<<\\E\n", "<<-E\n\t"],
        *["{ ", "; }", "( ", " )", "[ ", " ]", "[[ ", " ]]", "if ", "; then ", "; else ", "; fi"],
        *["for i in ", "; do ", "; done", "case x in x) ", ";; esac", " x) ", "f() { ", "function g { "],
        *["X=1 ", "x=", "a=(", "{pa,pb}", "alias pa=pb", "time ", "coproc ", "eval ", "command ", "exec ", "trap "],
        *["export ", "builtin ", "env ", "xargs ", "echo ", ": ", "set -- "],
        *["\u00a0", "\u200b", "é", "\u2028", "E", "1", "-", "x"],
    ]
)
"""What texts are glued of. No slash, so that nothing is written or started outside of the test's own directory."""
GLUED = st.lists(TOKENS, min_size=1, max_size=14).map("".join)


RARE = st.sampled_from(
    [
        *PROGRAMS * 4,
        *[" "] * 8,
        *["; ", "\n", " | ", " && ", "a", "'", '"', "\\"],
        *[
            "${x@P}",
            "${!x}",
            "${x^^}",
            "${x/a/",
            "${x:1:2}",
            "${x:-`",
            "${x%%",
            "${#x}",
            "$[1+",
            "$((x[",
            "}",
            "]",
            "))",
            "`",
        ],
        *[
            "a=( ",
            "a[0]=",
            "a+=( ",
            " )",
            "declare x=",
            "declare -n ",
            "local x=",
            "typeset -i x=",
            "readonly x=",
            "let x=",
        ],
        *[
            "[[ x =~ ",
            " ]]",
            "(( x ))",
            "select i in ",
            "for ((;;))",
            "until ",
            "; do ",
            "; done",
            "case x in (x",
            ") ",
            ";& ",
            ";;& ",
        ],
        *["{1..3}", "{pa,", "~", "~+", "?(pa|pb)", "@(", "!(x)", "*(", "[!a]", "[[:alpha:]]"],
        *[
            "<>o ",
            ">|o ",
            ">&o ",
            "<&0 ",
            "{fd}>o ",
            "&>>o ",
            "2>&1 ",
            "<<<",
            "<<-E\n",
            "\tE\n",
            "<<E <<F\n",
            "E\n",
            "F\n",
        ],
        *[
            "coproc ",
            "coproc X { ",
            "; }",
            "function f ",
            "f() ( ",
            "f ()",
            "{ ",
            "! ",
            "time -p ",
            "exec -a x ",
            "command -p ",
        ],
        *[
            "printf -v x ",
            "read x <<<",
            "mapfile -C ",
            "trap '",
            "' EXIT",
            "set -- ",
            "shift",
            "$1",
            '"$@"',
            "$*",
            "hash -p ",
            "alias x=",
        ],
        *[
            "$'\\x70a'",
            "$'\\n'",
            '$"pa"',
            "#",
            " #",
            "\\\n",
            "\r",
            "\x0b",
            "\x0c",
            "\u2028",
            "\u3000",
            "\u00a0",
            "\x7f",
            "é",
            "ﬁ",
        ],
    ]
)
"""What bash has beyond sh, and what few people write: a second soup, as the first one seldom holds two of them."""
ODD = st.lists(RARE, min_size=2, max_size=12).map("".join)


def _compound(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Commands of commands, most of them well formed."""
    forms = [
        "{} ; {}",
        "{} | {}",
        "{} && {}",
        "({}; {})",
        "{{ {}; {}; }}",
        "if {}; then {}; fi",
        "case a in a) {};; *) {};; esac",
        "for i in a 'b c'; do {}; {}; done",
        "f() {{ {}; }}; f a; {}",
        'pa $({}) "b $({})"',
        "pa `{}` | {}",
        "pa ${{y:-$({})}} $((1+$({})))",
        "X=$({}) {}",
        "{} >o c; {}",
        "{} <<E\n$({})\nE\n",
        "{} <<'E'\n$(pd)\nE\n{}",
        "! {}\n{}",
        "{} # {}\n",
        "eval {} '{}'",
        "{} &\n{}",
        "pa <({}) >({})",
        "pa '{}' \"{}\"",
        "x={} {}",
    ]
    return st.builds(lambda form, one, other: form.format(one, other), st.sampled_from(forms), parts, parts)


WORDS = st.sampled_from(
    [
        "[n]",
        "{}",
        "é",
        "\\\n",
        "a",
        "-b",
        "c=d",
        "'e f'",
        '"g h"',
        "*",
        "~",
        "$x",
        "${x}",
        "''",
        "\\$x",
        "\\",
        "i",
        "#",
        "#j",
        "{k,l}",
        "$'m'",
    ]
)
SIMPLE = st.builds(
    lambda program, words: " ".join([program, *words]), st.sampled_from(PROGRAMS), st.lists(WORDS, max_size=3)
)
GROWN = st.recursive(SIMPLE, _compound, max_leaves=8)
TEXTS = st.one_of(GLUED, GROWN, ODD)
PLAIN_CHARACTERS = st.text(
    st.sampled_from("ab =~%!^#'\"\\$`\t\n \u00a0é*?[]{}-+:,./@_")
    | st.characters(codec="utf-8", exclude_characters="\x00/"),
    min_size=1,
    max_size=20,
)


def could_be(words: tuple[str | None, ...], seen: tuple[str, ...]) -> bool:
    """An unknown word may be none, one or many."""
    reached = {0}
    for word in words:
        if word is None:
            reached = set(range(min(reached), len(seen) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(seen) and seen[at] == word}
        if not reached:
            return False
    return len(seen) in reached


def surprises(shell: str, texts: list[str], cwd: Path) -> list[tuple[str, tuple[str, ...]]]:
    """What the shell starts of texts that we say we have read wholly, and that we did not find."""
    found = []
    for text, seen in zip(texts, started(shell, texts, cwd), strict=True):
        known = [view.words for unit in as_script(text).units for view in unit.views if view.words[0] is not None]
        found += [(text, words) for words in seen if not any(could_be(view, words) for view in known)]
    return found


def as_script(text: str) -> Analysis:
    return analyse(Request(text=text, argv=(SHELL, "-c", text), script=text))


def check_plain(texts: list[str]) -> None:
    plain = [text for text in texts if argv_of(text)]
    for shell in HERE:
        with folder() as cwd:
            for text, words in zip(plain, words_read(shell, plain, cwd), strict=True):
                assert words == argv_of(text), text


def check_scripts(texts: list[str]) -> None:
    known = []
    for text in texts:
        units = as_script(text).units
        if units and not any(unit.is_unknown or unit.runs_code for unit in units):
            known.append(text)
    for shell in HERE:
        with folder() as cwd:
            suspects = surprises(shell, known, cwd)
            # Those that ran in the background may have written into each other's records: once more, each alone.
            for text, words in suspects:
                assert (text, words) not in surprises(shell, [text], cwd)


BATCHES = st.lists(TEXTS, min_size=20, max_size=60)
# The same texts each time: what a new one finds is found by the long test, and not in the middle of other work.
quickly = settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
thoroughly = settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))


@given(st.lists(PLAIN_CHARACTERS | TEXTS, min_size=20, max_size=60))
@quickly
def test_f084_whatever_is_plain_is_what_every_real_shell_reads(texts: list[str]) -> None:
    check_plain(texts)


@given(BATCHES)
@quickly
def test_f084_a_text_that_was_read_wholly_starts_nothing_that_was_not_found(texts: list[str]) -> None:
    check_scripts(texts)


@pytest.mark.long
@pytest.mark.timeout(1_200)
@given(BATCHES)
@thoroughly
def test_f084_a_text_that_was_read_wholly_starts_nothing_that_was_not_found_however_long_we_look(
    texts: list[str],
) -> None:
    check_plain(texts)
    check_scripts(texts)


@given(st.text(max_size=300) | GLUED | GROWN | ODD)
@settings(max_examples=400, deadline=None)
def test_no_text_is_too_odd_to_be_read(text: str) -> None:
    try:
        request = parse_request(text)
    except Malformed:
        return
    analysis = analyse(request)
    assert analysis.units
    assert analysis.is_plain == (request.script is None)
    for unit in analysis.units:
        assert unit.views
        assert all(0 <= view.through < len(view.words) for view in unit.views)
    assert analysis.is_plain or parse_request(text).script == text


HOSTILE = """
from bot.domain.shelltext import read_shell_text
for code in range(0x80, 0x110000, 499):
    if not 0xd800 <= code < 0xe000:
        for text in ("s{%c", "${%c}", "cat <<E\\n$%c\\nE", "x[%c]=1", "[ -%c ]", "cat <<%c\\nx", "((%c=1))", "{%c..2}"):
            read_shell_text(text % code)
for words in range(900, 1100, 7):
    read_shell_text("cat <<" + "E" * words + "\\nx\\n")
    read_shell_text("cat <<E\\n" * words)
"""


def test_no_text_ends_the_process() -> None:
    """The grammar's C code died of characters beyond its tables; in a process of its own, as nothing catches that."""
    ended = subprocess.run([sys.executable, "-c", HOSTILE], timeout=60, check=False, capture_output=True)
    assert ended.returncode == 0, ended.stderr
