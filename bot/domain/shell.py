"""Which commands a request could start: every one that stands in its shell text, and what its wrappers start.

Deliberately absent: any verdict. What is not certain is said to be unknown, never guessed; a rule decides what follows.
The text is parsed by tree-sitter-bash, whose word is not taken alone: https://github.com/tree-sitter/tree-sitter-bash
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from bot.domain.command import MAX_REQUEST_CHARS, Request
from bot.domain.quoting import unquoted
from bot.domain.wrappers import what_it_starts

MAX_DEPTH = 5
"""Shell texts within shell texts, and wrappers within wrappers. People write two; more is written to hide."""
MAX_NODES_DEEP = 200
"""Nodes of the tree within each other. A text of people has some twenty."""
MAX_UNITS = 500
"""Commands of one request. A text of 8,000 characters that has more was not made to be read."""
_LANGUAGE = Language(tree_sitter_bash.language())


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One reading of a command: as written, or as what a wrapper starts."""

    words: tuple[str | None, ...]
    """None: only the shell will know it. It may become no word, one or several."""
    through: int
    """Index of the last word that decides what is started; 0 for an ordinary program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One command of a request with its readings, outermost first: `sudo systemctl restart app` has two."""

    views: tuple[View, ...]
    runs_code: bool
    """A shell or an interpreter gets code, or a wrapper cannot be read: what it starts is not known."""
    is_unknown: bool
    """The program itself is not known, or the text could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    units: tuple[Unit, ...]
    """Every command that the request could start, nested ones too; at least one."""
    is_plain: bool
    """One command of literal words that runs as argv, without a shell."""
    is_ascii: bool
    """Its words are printable ASCII: nothing in them is invisible or looks like something else."""


UNKNOWN = Unit(views=(View(words=(None,), through=0),), runs_code=False, is_unknown=True)


def analyse(request: Request) -> Analysis:
    is_plain = request.script is None
    if request.script is None:
        units = tuple(_units_of(request.argv, level=0))
    else:
        units = tuple(_units_in(request.script, level=0, shadowed=frozenset())) or (UNKNOWN,)
    if len(units) > MAX_UNITS:
        units = (*units[:MAX_UNITS], UNKNOWN)
    return Analysis(units=units, is_plain=is_plain, is_ascii=all(_is_clear(word) for word in request.argv))


def _is_clear(word: str) -> bool:
    return word.isascii() and word.isprintable()


def _units_of(words: tuple[str | None, ...], *, level: int, shadowed: frozenset[str] = frozenset()) -> Iterator[Unit]:
    """The units of one command of these words: one for each command that it starts."""
    whole = View(words=words, through=len(words) - 1)
    program = words[0]
    if program is None or program in shadowed:
        yield Unit(views=(whole,), runs_code=False, is_unknown=True)
        return
    started = what_it_starts(words)
    if level >= MAX_DEPTH and (started.inner or started.texts):
        yield Unit(views=(whole,), runs_code=True, is_unknown=False)
        return
    if not started.inner:
        outer = whole if started.runs_code else replace(whole, through=started.through)
        yield Unit(views=(outer,), runs_code=started.runs_code, is_unknown=False)
    for inner in started.inner:
        for unit in _units_of(inner.words, level=level + 1):
            runs_code = started.runs_code or unit.runs_code or unit.is_unknown
            through = len(words) - 1 if runs_code else min(inner.at + unit.views[0].through, len(words) - 1)
            views = (View(words=words, through=through), *unit.views)
            yield Unit(views=views, runs_code=runs_code, is_unknown=False)
    for text in started.texts:
        yield from _units_in(text, level=level + 1, shadowed=shadowed)


def _units_in(text: str, *, level: int, shadowed: frozenset[str]) -> Iterator[Unit]:
    """The units of a shell text."""
    if level > MAX_DEPTH or len(text) > MAX_REQUEST_CHARS:
        yield UNKNOWN
        return
    source = text.encode("utf-8", "replace")
    # A parser each time costs half a microsecond, and two threads may not share one.
    root = Parser(_LANGUAGE).parse(source).root_node
    if root.has_error or any(character < " " and character not in "\t\n" for character in text):
        yield UNKNOWN
    waiting = [(root, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_NODES_DEEP:
            yield UNKNOWN
            return
        if node.type in {"command", "declaration_command", "unset_command"}:
            yield from _units_of(_words_of(node, source), level=level, shadowed=shadowed)
        waiting += [(child, depth + 1) for child in reversed(node.named_children)]


def _words_of(node: Node, source: bytes) -> tuple[str | None, ...]:
    spans: list[tuple[int, int]] = []
    for child in node.children:
        if child.type in {"file_redirect", "variable_assignment"} and node.type == "command":
            continue
        if spans and spans[-1][1] == child.start_byte:
            spans[-1] = (spans[-1][0], child.end_byte)
        else:
            spans.append((child.start_byte, child.end_byte))
    return tuple(unquoted(source[start:end].decode("utf-8", "replace")) for start, end in spans) or (None,)
