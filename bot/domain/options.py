"""How a program reads its options, as far as is needed to find where its operands begin.

Deliberately absent: abbreviations, and any guess at an option that is not in the table. Those are told as unreadable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

Words = tuple[str | None, ...]
"""The words of a command. None: only the shell will know it."""
Given = tuple[str, str | None]
"""An option without its dashes, and its value."""


class Takes(Enum):
    """What follows an option."""

    NOTHING = 0
    VALUE = 1
    ATTACHED = 2
    """A value, if any, in the same word only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """The options of a program: short ones as getopt writes them (`ab:c::`), long ones as `null chdir= color=?`."""

    short: Mapping[str, Takes]
    long: Mapping[str, Takes]
    last: str
    """Short options behind which the program reads no more: `python -c`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The options of a command, and where they end."""

    at: int
    """Index of the first word behind them; it may be none's."""
    given: tuple[Given, ...]
    is_ended: bool
    """By `--` or by an option that is the last: nothing behind is taken for an option."""

    def has(self, *names: str) -> bool:
        return any(name in names for name, _ in self.given)

    def values(self, *names: str) -> tuple[str, ...]:
        return tuple(value for name, value in self.given if name in names and value is not None)


def spec(short: str = "", long: str = "", *, last: str = "") -> Spec:
    letters: dict[str, Takes] = {}
    for letter in short:
        if letter != ":":
            latest = letter
            letters[letter] = Takes.NOTHING
        else:
            letters[latest] = Takes.VALUE if letters[latest] is Takes.NOTHING else Takes.ATTACHED
    names: dict[str, Takes] = {}
    for name in long.split():
        bare, is_valued, is_optional = name.rstrip("=?"), "=" in name, name.endswith("?")
        names[bare] = Takes.ATTACHED if is_optional else Takes.VALUE if is_valued else Takes.NOTHING
    return Spec(short=letters, long=names, last=last)


def read_options(words: Words, table: Spec, *, at: int = 1) -> Seen | None:
    """The options from `at` on, up to the first operand; None for one that the table or we do not know."""
    given: list[Given] = []
    while at < len(words):
        word = words[at]
        if word is None:
            return None
        if word == "--":
            return Seen(at=at + 1, given=tuple(given), is_ended=True)
        if not word.startswith("-") or word == "-":
            break
        after = words[at + 1] if at + 1 < len(words) else None
        found = _long(word, after, table) if word.startswith("--") else _short(word, after, table)
        if found is None:
            return None
        options, width = found
        given += options
        at += width
        if options[-1][0] in table.last:
            return Seen(at=at, given=tuple(given), is_ended=True)
    return Seen(at=at, given=tuple(given), is_ended=False)


def _long(word: str, after: str | None, table: Spec) -> tuple[list[Given], int] | None:
    name, has_value, value = word[2:].partition("=")
    takes = table.long.get(name)
    if takes is None or (has_value and takes is Takes.NOTHING):
        return None
    if has_value:
        return [(name, value)], 1
    if takes is not Takes.VALUE:
        return [(name, None)], 1
    return None if after is None else ([(name, after)], 2)


def _short(word: str, after: str | None, table: Spec) -> tuple[list[Given], int] | None:
    """One word of short options: `-xvf name` is three."""
    found: list[Given] = []
    for index, letter in enumerate(word[1:], start=2):
        takes = table.short.get(letter)
        if takes is None:
            return None
        if takes is Takes.NOTHING:
            found.append((letter, None))
            continue
        attached = word[index:]
        if attached or takes is Takes.ATTACHED:
            return [*found, (letter, attached or None)], 1
        return None if after is None else ([*found, (letter, after)], 2)
    return found, 1
