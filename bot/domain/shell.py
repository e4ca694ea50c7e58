"""Which commands a request could start: every one that stands in its shell text, and what its wrappers start.

Deliberately absent: any verdict. What is not certain is said to be unknown, never guessed; a rule decides what follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from bot.domain.command import Request
from bot.domain.interpreters import IS_GIVEN_CODE
from bot.domain.options import Words
from bot.domain.shelltext import read_shell_text
from bot.domain.starting import names_of, programs
from bot.domain.wrappers import what_it_starts

MAX_LEVELS = 5
"""Shell texts within shell texts, and wrappers within wrappers. People write two; more is written to hide."""
MAX_UNITS = 500
"""Commands of one request. A text of 8,000 characters that has more was not made to be read."""
_THROUGH = programs("sudo doas nice ionice nohup time timeout setsid stdbuf chrt taskset systemd-inhibit")
"""Wrappers that start the command on their line, the same each time, and take nothing for it from elsewhere."""
_ANYTHING = programs("env xargs parallel sem su ssh busybox toybox coreutils")
_LAYOUT = str.maketrans("\n\t", "  ")
_RESERVED = programs("! { } case do done elif else esac fi for function if in select then until while")


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
    script = request.script
    found = _units_of(request.argv, level=0) if script is None else _units_in(script, level=0, shadowed=frozenset())
    units = tuple(islice(found, MAX_UNITS + 1)) or (UNKNOWN,)
    if len(units) > MAX_UNITS:
        units = (*units[:MAX_UNITS], UNKNOWN)
    clear = [script.translate(_LAYOUT)] if script is not None else request.argv
    is_ascii = all(word.isascii() and word.isprintable() for word in clear)
    return Analysis(units=units, is_plain=script is None, is_ascii=is_ascii)


def _units_of(words: Words, *, level: int, shadowed: frozenset[str] = frozenset()) -> Iterator[Unit]:
    """The units of one command of these words: one for each command that it starts."""
    whole = View(words=words, through=len(words) - 1)
    program = words[0]
    if program is None or program in shadowed or (program in _RESERVED and level == 0):
        yield Unit(views=(whole,), runs_code=False, is_unknown=True)
        return
    started = what_it_starts(words)
    if level >= MAX_LEVELS and (started.inner or started.texts):
        yield Unit(views=(whole,), runs_code=True, is_unknown=False)
        return
    if not started.inner:
        outer = whole if started.runs_code else replace(whole, through=started.through)
        guesses = tuple(View(words=guess, through=len(guess) - 1) for guess in started.guesses)
        yield Unit(views=(outer, *guesses), runs_code=started.runs_code, is_unknown=False)
    for inner in started.inner:
        for unit in _units_of(inner.words, level=level + 1, shadowed=shadowed):
            if unit.views[0].words is not inner.words:
                yield unit  # of a text that the inner one was given: a command of its own
                continue
            runs_code = started.runs_code or unit.runs_code or unit.is_unknown
            is_elsewhere = runs_code or inner.at is None
            through = whole.through if is_elsewhere else min((inner.at or 0) + unit.views[0].through, whole.through)
            views = (replace(whole, through=through), *unit.views)
            yield Unit(views=views, runs_code=runs_code, is_unknown=False)
    for text in started.texts:
        yield from _units_in(text, level=level + 1, shadowed=shadowed)


def _units_in(text: str, *, level: int, shadowed: frozenset[str]) -> Iterator[Unit]:
    """The units of a shell text."""
    read = read_shell_text(text)
    if not read.is_certain:
        yield UNKNOWN
    names = shadowed | read.shadowed
    for words in read.commands:
        yield from _units_of(words, level=level, shadowed=names)


def is_grantable(argv: tuple[str, ...]) -> str | None:
    """Why a standing permission for exactly these words would be too broad; None where it may be given."""
    for unit in _units_of(argv, level=0):
        *wrappers, last = unit.views
        named = [view.words[0] or "" for view in unit.views]
        for program in named:
            if _ANYTHING.intersection(names_of(program)):
                return f"`{program}` is there to start any other program; {_REMEDY}"
            if IS_GIVEN_CODE.intersection(names_of(program)):
                return f"`{program}` runs whatever its files or its input say at that moment; {_REMEDY}"
        for view in wrappers:
            program = view.words[0] or ""
            if not _THROUGH.intersection(names_of(program)):
                return f"`{program}` starts another program, and the same words can come to mean another one; {_REMEDY}"
        if unit.runs_code or unit.is_unknown:
            return f"it cannot be read what `{last.words[0] or named[0]}` would start; {_REMEDY}"
    return None


_REMEDY = "approve it each time, or write a [[rule]] that spells it out"
