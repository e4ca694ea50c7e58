"""Programs that are given code: shells, interpreters, awk and sed, and what a shell itself has for that.

Deliberately absent: any understanding of code that is not shell text. Where there is code, what it starts is not known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from bot.domain.options import Spec, Words, read_options, spec
from bot.domain.starting import (
    ORDINARY,
    Inner,
    Started,
    literal,
    opaque,
    programs,
    texts_behind,
    unreadable,
)

_SHELL_OPTIONS = spec(
    "abcCefhikmnptuvxBEHPTrlso:O:",
    "norc noprofile login posix verbose restricted init-file= rcfile= noediting version help",
)


def _shell(words: Words) -> Started:
    """`-c text`, a file, or else what comes through its standard input."""
    seen = read_options(tuple("-" + word[1:] if word and word[0] == "+" else word for word in words), _SHELL_OPTIONS)
    if seen is not None and seen.has("version", "help"):
        return ORDINARY
    if seen is None or seen.has("i", "l", "s", "login", "init-file", "rcfile") or seen.at >= len(words):
        return unreadable(words, texts=texts_behind(words, "c", "command"))
    operand = words[seen.at]
    if seen.has("c"):
        return opaque(words, texts=() if operand is None else (operand,))
    # A lone dash ends the options, as -- does.
    return opaque(words) if operand is None or operand == "-" else Started(through=seen.at)


def _foreign_shell(words: Words) -> Started:
    """A shell of another language: its text is looked through, as what is simple in it is the same."""
    return opaque(words, texts=texts_behind(words, "c", "command"))


def _file_or_code(words: Words, table: Spec, code: str, idle: str = "Vvh") -> Started:
    """An interpreter: options with code, a file with code, or else what comes through its standard input."""
    seen = read_options(words, table)
    if seen is None or seen.has(*code):
        return opaque(words)
    if seen.has("m"):
        return Started(through=seen.at - 1)
    if seen.at >= len(words):
        return ORDINARY if seen.has("version", "help", *idle) else opaque(words)
    return opaque(words) if words[seen.at] in {None, "-"} else Started(through=seen.at)


_PYTHON = partial(
    _file_or_code,
    table=spec("bBdEhiIOPqsSuvVxW:X:c:m:", "help version check-hash-based-pycs=", last="cm"),
    code="ci",
    idle="Vh",
)
_PYTHON_CODE = programs("timeit pdb code trace cProfile profile runpy IPython bdb pydoc")


def _python(words: Words) -> Started:
    started = _PYTHON(words)
    is_module = 0 < started.through < len(words) and words[started.through - 1 : started.through] == ("-m",)
    return opaque(words) if is_module and words[started.through] in _PYTHON_CODE else started


_perl = partial(_file_or_code, table=spec("acfnpstTuUvVwWX0::C::l::i::F:e:E:M:m:I:"), code="eEMmI")
_ruby = partial(_file_or_code, table=spec("aclnpsvwWh0::i::F:e:r:I:C:", "version help disable-gems"), code="erIC")
_node = partial(
    _file_or_code,
    table=spec("cvhe:p:r:i", "version help no-warnings trace-warnings enable-source-maps test watch"),
    code="epri",
)
_php = partial(
    _file_or_code, table=spec("hHilmnqsvwc:d:f:r:B:R:E:F:z:S:t:", "version help"), code="cdfrBREFzSt", idle="vhmi"
)
_lua = partial(_file_or_code, table=spec("ivEWe:l:"), code="iel", idle="v")


def _other(words: Words) -> Started:
    """An interpreter whose options are not in a table: only a file as its first word is read."""
    if len(words) < 2 or words[1] is None or words[1].startswith("-"):
        is_idle = words[1:] in {("--version",), ("-v",), ("-V",), ("--help",), ("-version",)}
        return ORDINARY if is_idle else opaque(words)
    return Started(through=1)


def _always(words: Words) -> Started:
    return opaque(words)


_AWK = spec("F:v:f:", "version")
_AWK_STARTS = re.compile(r"system|[|@]|getline")


def _awk(words: Words) -> Started:
    seen = read_options(words, _AWK)
    if seen is None:
        return opaque(words)
    if seen.has("version"):
        return ORDINARY
    if seen.has("f"):
        return Started(through=len(words) - 1)
    code = words[seen.at] if seen.at < len(words) else None
    return opaque(words) if code is None or _AWK_STARTS.search(code) else Started(through=seen.at)


_SED = spec(
    "nErsuzbi::l:e:f:",
    "quiet silent expression= file= in-place=? regexp-extended null-data separate line-length= sandbox version help",
)
_SED_ADDRESS = r"(?:\d+(?:~\d+)?|\$|/(?:[^/\\\n\[]|\\.|\[\^?\]?[^\]/\n]*\])*/I?)"
_SED_COMMAND = (
    rf"\s*(?:{_SED_ADDRESS}(?:,\+?{_SED_ADDRESS})?\s*!?\s*)?"
    r"(?:s(?P<mark>[/|#,:@])(?:(?!(?P=mark))[^\\\n\[]|\\.|\[\^?\]?(?:(?!(?P=mark))[^\]\n])*\])*(?P=mark)(?:(?!(?P=mark))[^\\\n]|\\.)*(?P=mark)[gpiI0-9]*"
    r"|[pdDPNhHgGxn=]|[qQ]\d*)\s*"
)
_SED_READ = re.compile(_SED_COMMAND)
"""Within brackets the mark that ends a pattern is a character like any other: `s/[/]/;s/e;/x/p` runs what it makes."""


def _sed(words: Words) -> Started:
    """Its commands `e` and `s///e` start programs; what is not plainly another command counts as one of those."""
    seen = read_options(words, _SED)
    # It takes options behind its operands as well.
    if seen is not None and seen.has("version", "help"):
        return ORDINARY
    if seen is None or (not seen.is_ended and any((word or "-").startswith("-") for word in words[seen.at :])):
        return opaque(words)
    scripts: tuple[str | None, ...] = seen.values("e", "expression")
    if not scripts and not seen.has("f", "file"):
        scripts = words[seen.at : seen.at + 1] or (None,)
    is_plain = all(script is not None and _is_plain_sed(script) for script in scripts)
    return Started(through=len(words) - 1, runs_code=not is_plain)


def _is_plain_sed(script: str) -> bool:
    at = 0
    while found := _SED_READ.match(script, at):
        at = found.end()
        if at == len(script):
            return True
        if script[at] not in ";\n":
            return False
        at += 1
    return at == len(script)


def _eval(words: Words) -> Started:
    text = literal(words[1:])
    return opaque(words) if text is None else opaque(words, texts=(text,) if text else ())


def _trap(words: Words) -> Started:
    """`trap text signals`; with a number, a dash or no text it starts nothing."""
    texts = [word for word in words[1:] if word != "--"][:1]
    if not texts or texts[0] in {"-", ""} or len(words) == 2:
        return ORDINARY
    return opaque(words, texts=() if texts[0] is None else (texts[0],))


def _source(words: Words) -> Started:
    return Started(through=1) if len(words) > 1 and words[1] is not None else opaque(words)


def _alias(words: Words) -> Started:
    """Its text may be half a command: what the others of the request then mean is not known."""
    if len(words) == 1:
        return ORDINARY
    return opaque(words, texts=tuple(word.partition("=")[2] for word in words[1:] if word is not None and "=" in word))


_EXEC = spec("cla:")
_COMMAND = spec("pvV")


def _started_by_shell(words: Words, table: Spec) -> Started:
    seen = read_options(words, table)
    if seen is None:
        return unreadable(words)
    if seen.has("v", "V") or seen.at >= len(words):
        return ORDINARY
    return Started(inner=(Inner(words=words[seen.at :], at=seen.at),))


def _hash(words: Words) -> Started:
    return (
        opaque(words)
        if any((word or "-p").startswith("-") and "p" in (word or "-p") for word in words[1:])
        else ORDINARY
    )


def _callback(words: Words) -> Started:
    """`mapfile -C text`, `complete -C text`: shell text for later."""
    texts = texts_behind(words, "C", "\0")
    return opaque(words, texts=texts) if texts or None in words else ORDINARY


SHELLS = programs("sh bash rbash dash ash zsh ksh ksh93 mksh lksh oksh pdksh posh yash hush osh brush")
FOREIGN_SHELLS = programs("fish csh tcsh nu xonsh elvish rc es pwsh powershell cmd")
_OTHERS = programs(
    "ansible-playbook rscript tclsh wish expect guile julia groovy scala elixir escript sbcl clisp clojure "
    "racket swift osascript gjs qjs octave gnuplot luajit texlua java jshell deno bun ts-node tsx crystal nim"
)
_ALL_CODE = programs(
    "irb ipython bpython ghci iex erl r gforth mongosh mongo jq-repl enable bind fc compgen eval-later"
)
INTERPRETERS: Mapping[str, Callable[[Words], Started]] = {
    **dict.fromkeys(SHELLS, _shell),
    **dict.fromkeys(FOREIGN_SHELLS, _foreign_shell),
    **dict.fromkeys(_OTHERS, _other),
    **dict.fromkeys(_ALL_CODE, _always),
    "python": _python,
    "pypy": _python,
    "perl": _perl,
    "ruby": _ruby,
    "jruby": _ruby,
    "node": _node,
    "nodejs": _node,
    "php": _php,
    "lua": _lua,
    "awk": _awk,
    "gawk": _awk,
    "mawk": _awk,
    "nawk": _awk,
    "original-awk": _awk,
    "sed": _sed,
    "gsed": _sed,
    "eval": _eval,
    "trap": _trap,
    ".": _source,
    "source": _source,
    "alias": _alias,
    "exec": partial(_started_by_shell, table=_EXEC),
    "command": partial(_started_by_shell, table=_COMMAND),
    "builtin": partial(_started_by_shell, table=spec()),
    "hash": _hash,
    "mapfile": _callback,
    "readarray": _callback,
    "complete": _callback,
}
_TEXT_TOOLS = programs("awk gawk mawk nawk original-awk sed gsed")
_BUILT_INS = programs("trap alias exec command builtin hash mapfile readarray complete")
IS_GIVEN_CODE = frozenset(INTERPRETERS) - _TEXT_TOOLS - _BUILT_INS
"""Shells and interpreters. A text tool is none: its program stands on the line, and was looked at."""
