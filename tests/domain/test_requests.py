"""What people type behind `run`: which texts need a shell, held against the real /bin/sh of this machine."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.command import MAX_REQUEST_CHARS, parse_request, request_from_json, request_to_json
from bot.errors import Malformed

PLAIN: list[tuple[str, tuple[str, ...]]] = [
    ("uptime", ("uptime",)),
    ("df -h", ("df", "-h")),
    ("  df\t-h  /var ", ("df", "-h", "/var")),
    ("./deploy.sh", ("./deploy.sh",)),
    ("/usr/bin/env", ("/usr/bin/env",)),
    ("dd if=/dev/zero of=x bs=1M", ("dd", "if=/dev/zero", "of=x", "bs=1M")),
    ("make -j2 CFLAGS=-O2", ("make", "-j2", "CFLAGS=-O2")),
    ("env A=b printenv A", ("env", "A=b", "printenv", "A")),
    ("kill -9 123", ("kill", "-9", "123")),
    ("kill %1", ("kill", "%1")),
    ("date +%H:%M", ("date", "+%H:%M")),
    ("echo a,b a@b a_b a.b a+b a:b", ("echo", "a,b", "a@b", "a_b", "a.b", "a+b", "a:b")),
    ("git log HEAD^", ("git", "log", "HEAD^")),
    ("echo 'a b'", ("echo", "a b")),
    ('echo "a b"', ("echo", "a b")),
    ("echo 'a'\"b\"c", ("echo", "abc")),
    ("echo ''", ("echo", "")),
    ('echo "" a', ("echo", "", "a")),
    ("echo '$HOME `id` \\ ! * ~ # | > ; &'", ("echo", "$HOME `id` \\ ! * ~ # | > ; &")),
    ("echo '\"'", ("echo", '"')),
    ('echo "\'"', ("echo", "'")),
    ('echo "a*b?[c]~{d,e}#f|g>h;i&j(k)"', ("echo", "a*b?[c]~{d,e}#f|g>h;i&j(k)")),
    ("echo 'two\nlines'", ("echo", "two\nlines")),
    ('echo "two\nlines"', ("echo", "two\nlines")),
    ("echo 'a\tb' 'c\rd'", ("echo", "a\tb", "c\rd")),
    ("'ls'", ("ls",)),
    ("l's' -l", ("ls", "-l")),
    ("echo grüße 🦆", ("echo", "grüße", "🦆")),
    ("echo a\u00a0b", ("echo", "a\u00a0b")),
    ("ls\u00a0-l", ("ls\u00a0-l",)),
    ("echo a\u2003b \u3000", ("echo", "a\u2003b", "\u3000")),
    ("echo a\u2028b a\x85b", ("echo", "a\u2028b", "a\x85b")),
    ("echo ＄HOME ；", ("echo", "＄HOME", "；")),
    ("echo “a b”", ("echo", "“a", "b”")),
    ("-n", ("-n",)),
    ("+x y", ("+x", "y")),
    ("'' x", ("", "x")),
    ("echo if then fi", ("echo", "if", "then", "fi")),
    ("xargs cd", ("xargs", "cd")),
    ("echo --=--", ("echo", "--=--")),
    ("IF x", ("IF", "x")),
    ("iffy", ("iffy",)),
    ("test -f x", ("test", "-f", "x")),
    ("pwd", ("pwd",)),
    ("true", ("true",)),
    ("printf %s%%", ("printf", "%s%%")),
]
SCRIPTS = [
    "ls | wc -l",
    "ls; id",
    "ls && id",
    "ls || id",
    "sleep 1 &",
    "echo $HOME",
    "echo ${HOME}",
    "echo $(id)",
    "echo `id`",
    "echo $((1+1))",
    'echo "$HOME"',
    'echo "`id`"',
    'echo "a\\"b"',
    'echo "a!b"',
    "echo a\\ b",
    "echo \\",
    "echo a!b",
    "ls *",
    "ls ?",
    "ls [ab]",
    "ls ~",
    "ls ~root",
    "ls a~",
    "cat ~/x",
    "dd of=~/x",
    "echo {a,b}",
    "echo a > b",
    "echo a >> b",
    "cat < b",
    "cat <<E\nx\nE",
    "ls 2>&1",
    "(ls)",
    "{ ls; }",
    "! ls",
    "[ -f x ]",
    "[[ -f x ]]",
    "echo a # b",
    "echo a#b",
    "#ls",
    "ls\nid",
    "ls\n",
    "\nls",
    "ls\r\nid",
    "ls\r",
    "ls\x0b-l",
    "ls\x0c-l",
    "ls\x7f",
    "ls \x1b[0m",
    "A=b",
    "A=b ls",
    "A=b B=c ls",
    "A=$HOME ls",
    "'A=b' ls",
    "=x",
    "echo 'a",
    'echo "a',
    "echo a'",
    "echo 'a' \"b",
    "if true; then ls; fi",
    "if",
    "'if' x",
    "while x",
    "for x in y",
    "for",
    "case x",
    "time ls",
    "function f",
    "cd /tmp",
    "cd",
    ". ./env",
    ": x",
    "source env",
    "export A",
    "set -x",
    "unset A",
    "alias",
    "eval ls",
    "exec ls",
    "exit 3",
    "return",
    "trap",
    "umask 022",
    "ulimit -n",
    "wait",
    "read x",
    "type ls",
    "command -v ls",
    "hash -r",
    "local x",
    "readonly A",
    "shift",
    "jobs",
    "times",
]


@pytest.mark.parametrize(("text", "argv"), PLAIN, ids=[text for text, _ in PLAIN])
def test_plain_words_run_without_a_shell(text: str, argv: tuple[str, ...]) -> None:
    request = parse_request(text)
    assert (request.text, request.argv, request.script) == (text, argv, None)


@pytest.mark.parametrize("text", SCRIPTS)
def test_what_only_a_shell_understands_is_a_script_to_the_letter(text: str) -> None:
    request = parse_request(text)
    assert (request.text, request.argv, request.script) == (text, ("/bin/sh", "-c", text), text)


def test_the_tables_hold_at_least_eighty_texts() -> None:
    assert len(PLAIN) + len(SCRIPTS) >= 80
    assert not {text for text, _ in PLAIN} & set(SCRIPTS)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "there is no command"),
        (" \t\n", "there is no command"),
        ("\u00a0\u3000", "there is no command"),
        ("x" * 8_001, "has 8001 characters, at most 8000"),
        ("ls a\x00b", "NUL"),
        ("ls \ud800", "half a surrogate pair"),
        ("ls '\udfff'", "half a surrogate pair"),
        ("-x $HOME", "begins with '-'"),
        ("+x; ls", "begins with '\\+'"),
        ("-c 'a", "begins with '-'"),
    ],
)
def test_what_cannot_be_run_as_it_was_shown_is_refused_with_the_fault(text: str, fault: str) -> None:
    with pytest.raises(Malformed, match=fault):
        parse_request(text)


def test_a_request_of_exactly_the_longest_length_is_taken() -> None:
    assert len(parse_request("x" * MAX_REQUEST_CHARS).argv[0]) == MAX_REQUEST_CHARS


def test_a_script_that_begins_with_a_dash_would_have_been_options_of_the_shell() -> None:
    """Why `parse_request` refuses it: /bin/sh does not run what was shown."""
    seen = subprocess.run(["/bin/sh", "-c", "-x; echo ran"], capture_output=True, timeout=10, check=False)
    assert seen.returncode != 0
    assert seen.stdout == b""


def read_by(shell: str, text: str, cwd: Path) -> tuple[str, ...] | None:
    """The words of `text` as this shell hands them to a program; None where it cannot read them."""
    seen = subprocess.run(
        [shell, "-c", f"/usr/bin/printf '%s\\0' {text}"],
        capture_output=True,
        timeout=10,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": "/home/nobody-of-this-name", "LC_ALL": "C.UTF-8"},
        cwd=cwd,
    )
    if seen.returncode:
        return None
    return tuple(word.decode() for word in seen.stdout.split(b"\0")[:-1])


SHELLS = [shell for shell in ("/bin/sh", shutil.which("bash"), shutil.which("dash"), shutil.which("zsh")) if shell]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("text", "argv"), PLAIN, ids=[text for text, _ in PLAIN])
def test_a_real_shell_reads_the_plain_texts_of_the_table_as_we_do(
    shell: str, text: str, argv: tuple[str, ...], tmp_path: Path
) -> None:
    assert read_by(shell, text, tmp_path) == argv


POSIX_BUILT_INS = (
    ": . alias bg break cd command continue eval exec exit export fc fg getopts hash jobs read readonly return set "
    "shift times trap type ulimit umask unalias unset wait"
)
POSIX_RESERVED = "! { } case do done elif else esac fi for if in then until while"


@pytest.mark.parametrize("word", f"{POSIX_BUILT_INS} {POSIX_RESERVED}".split())
def test_a_word_that_only_a_shell_has_is_left_to_the_shell(word: str) -> None:
    for text in (word, f"{word} x"):
        assert parse_request(text).script == text


@pytest.mark.parametrize("word", POSIX_BUILT_INS.split())
def test_a_built_in_is_one_in_quotes_too(word: str) -> None:
    assert parse_request(f"'{word}' x").script == f"'{word}' x"


WORDS = r"ls -l a=b ~ ~root = %1 ! ^ # * ? [a] {a,b} $HOME `id` \ ' '' ; & | < > ( ) / . : , @ _ + - -- x é 🦆"
SPACES = ["'a b'", '"a b"', '"', " ", "\t", "\n", "\r", "\u00a0", "\u2003", "\u2028", "\x85"]
tokens = st.sampled_from([*WORDS.split(), *SPACES])
shell_texts = st.lists(tokens, min_size=1, max_size=8).map("".join) | st.text(
    st.sampled_from("ab =~%!^#'\"\\$`\t\n \u00a0é*?[]{}") | st.characters(codec="utf-8", exclude_characters="\x00"),
    min_size=1,
    max_size=20,
)


@given(shell_texts)
@settings(max_examples=250, deadline=None)
def test_whatever_becomes_argv_is_what_a_real_shell_reads(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    try:
        request = parse_request(text)
    except Malformed:
        return
    if request.script is None:
        assert read_by("/bin/sh", text, tmp_path_factory.getbasetemp()) == request.argv


@given(shell_texts)
@settings(max_examples=400)
def test_a_request_is_either_words_alone_or_a_script_alone_and_keeps_the_text(text: str) -> None:
    try:
        request = parse_request(text)
    except Malformed:
        return
    assert request.text == text
    assert request.argv == ("/bin/sh", "-c", text) if request.script is not None else request.script is None
    assert request.script in (None, text)
    assert request_from_json(request_to_json(request)) == request


@pytest.mark.parametrize(
    "form",
    [
        None,
        [],
        {},
        {"text": "ls", "argv": ["ls"]},
        {"text": "ls", "argv": ["ls"], "script": None, "cwd": "/"},
        {"text": None, "argv": ["ls"], "script": None},
        {"text": "ls", "argv": "ls", "script": None},
        {"text": "ls", "argv": [], "script": None},
        {"text": "ls", "argv": ["ls", 1], "script": None},
        {"text": "ls", "argv": ["ls"], "script": False},
    ],
    ids=repr,
)
def test_any_other_form_of_a_request_is_malformed(form: object) -> None:
    with pytest.raises(Malformed):
        request_from_json(form)
