"""What a program starts beside itself, as the tables of programs say it; and which program a name stands for.

Deliberately absent: the tables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

from bot.domain.options import Seen, Words

MAX_GUESSES = 32
"""Words of an unreadable wrapper that are taken for the program it starts. A rule that denies looks at each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """A command that a program starts."""

    words: Words
    at: int | None = None
    """Where it begins among the program's own words; None where words from elsewhere decide too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What a program of certain words starts beside itself."""

    through: int = 0
    """Index of the last word that decides what is started, where nothing is started beside it."""
    inner: tuple[Inner, ...] = ()
    texts: tuple[str, ...] = ()
    """Shell texts that it is given."""
    guesses: tuple[Words, ...] = ()
    """Commands that it may start; which one cannot be read."""
    runs_code: bool = False


ORDINARY = Started()
"""A program that starts nothing but itself, as far as anybody can say."""


def programs(names: str) -> frozenset[str]:
    return frozenset(names.split())


def unreadable(words: Words, *, texts: tuple[str, ...] = ()) -> Started:
    """It starts one of its words, and which one depends on options that are not known."""
    starts = (at for at, word in enumerate(words) if at and word is not None and word[:1] != "-")
    guesses = tuple(words[at:] for at in islice(starts, MAX_GUESSES))
    return Started(through=len(words) - 1, guesses=guesses, texts=texts, runs_code=True)


def opaque(words: Words, *, texts: tuple[str, ...] = ()) -> Started:
    """It runs code that is on the line, or comes from elsewhere."""
    return Started(through=len(words) - 1, texts=texts, runs_code=True)


def literal(words: Words) -> str | None:
    """The words joined by spaces, as programs do that hand them to a shell; None where one is not known."""
    known = [word for word in words if word is not None]
    return " ".join(known) if len(known) == len(words) else None


def texts_behind(words: Words, letter: str, name: str) -> tuple[str, ...]:
    """The values of an option wherever it stands, alone or at the end of a cluster: `-c x`, `-qc x`, `--command=x`."""
    found = []
    for at, word in enumerate(words[1:], start=1):
        after = words[at + 1] if at + 1 < len(words) else None
        if word is None:
            continue
        if word.startswith(f"--{name}="):
            found.append(word.partition("=")[2])
        elif word == f"--{name}" or (re.fullmatch(rf"-[a-zA-Z]*{letter}", word) and after is not None):
            found.append(after or "")
        elif word.startswith(f"-{letter}"):
            found.append(word[2:])
    return tuple(found)


_VERSION = re.compile(r"(.*[a-z_+])[-0-9.]*(?:t|m|-dbg|-static)?")
_FLAVOUR = re.compile(r"\.(?:basic|tiny|nox|gtk3|athena|openbsd|traditional|distrib|real|orig|exe)$")


def names_of(program: str) -> tuple[str, ...]:
    """The names under which a program may stand in a table: its own, and without a version: python3.11, python."""
    # Folded: on macOS /bin/SH is /bin/sh.
    name = _FLAVOUR.sub("", program.rpartition("/")[2].casefold())
    bare = _VERSION.fullmatch(name)
    return (name, bare[1]) if bare and bare[1] != name else (name,)


_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_STEERING = re.compile(
    r"(?!PYTHON(?:UNBUFFERED|DONTWRITEBYTECODE|HASHSEED|IOENCODING|UTF8)$)"
    r"(?:(?:LD|DYLD|GIT|NPM_CONFIG|JAVA|JDK|MAVEN|BUNDLE|GEM|RUSTC|CARGO|XDG|BASH|MALLOC)_.*"
    r"|(?:PYTHON|PERL|RUBY|LUA|PHP|GCC|CMAKE|LESS).+"
    r"|(?:.*(?:PATH|OPTS?|OPTIONS|FLAGS|COMMAND|PAGER|EDITOR|SHELL|ASKPASS|PRELOAD|WRAPPER|HOOKS?|CONFIG|_RC))"
    r"|HOME|ENV|IFS|PS[0-4]|VISUAL|BROWSER|CC|CXX|LD|AR|TMPDIR|TERMINFO|HOSTALIASES|NODE_REPL_.*)"
)
"""Variables by which a program is made to load or start something else; LD_PRELOAD is the worst of them."""


def is_assignment(word: str) -> bool:
    return _ASSIGNMENT.match(word) is not None


def steers(word: str) -> bool:
    """`NAME=value` or a name alone: one that decides what a program loads or starts."""
    return _STEERING.fullmatch(word.partition("=")[0].rstrip("+").upper()) is not None


def values_hand_over(seen: Seen) -> bool:
    """An option's value that is a command: `strace -o '|cmd'`."""
    return any(value is not None and value[:1] in {"|", "!"} for _, value in seen.given)
