"""Patterns of words that a rule holds against a command: literal words, `*` and `**`, nothing cleverer.

Deliberately absent: regular expressions, and any matching over text. A pattern sees words that were read already.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from functools import lru_cache

from bot.domain.shell import View
from bot.errors import Malformed

MAX_PATTERN_CHARS = 2_000
"""A line of a config file that a person is to read aloud; nothing longer was ever meant."""

_OPERATORS = frozenset("|;&<>()$`\n")
"""Characters that make a shell do something. Bare in a pattern they could never fit a word that was read."""


_UP = re.compile(r"(?<![^/=:,])\.\.(?![^/])")
"""A way up in a path, also in one behind an option's `=` or a host's `:`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Glob:
    """One pattern word: the literal pieces between its stars. One piece: the word itself."""

    pieces: tuple[str, ...]

    def in_words(self) -> str:
        if len(self.pieces) == 1:
            return shlex.quote(self.pieces[0])
        return "any one word that is no option" if self.pieces == ("", "") else f"one word like {'*'.join(self.pieces)}"

    def fits(self, word: str) -> bool:
        first, *rest = self.pieces
        if not rest:
            return word == first
        *middle, last = rest
        if len(word) < len(first) + len(last) or not word.startswith(first) or not word.endswith(last):
            return False
        at, end = len(first), len(word) - len(last)
        for piece in middle:
            at = word.find(piece, at, end)
            if at < 0:
                return False
            at += len(piece)
        return True

    def strays(self, word: str) -> bool:
        """Its stars take what nobody reads them as.

        An option: `mv * /backup` reads as any file, and `mv -t/etc /backup` is another command. A way up: /var/log/*
        reads as what is in there, and /var/log/../../etc/shadow is not. A star alone is any other word.
        """
        if len(self.pieces) == 1:
            return False
        if self.pieces[0] == "" and word.startswith("-"):
            return True
        if ".." not in word or self.pieces == ("", ""):
            return False
        return len(_UP.findall(word)) > len(_UP.findall("*".join(self.pieces)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """`systemctl restart *`: which words a command must have. Made by `parse_pattern` only."""

    text: str
    _globs: tuple[_Glob, ...] = field(repr=False)
    _is_open: bool = field(repr=False)
    """Ends in `**`: any number of words may follow, none too."""
    _program: str | None = field(repr=False)
    """The first word, where it holds no star."""
    _base: _Glob | None = field(repr=False)
    """What is behind the last slash of the first word, folded. None: any program."""
    _end: str | None = field(repr=False)
    """The last of several words, where it is literal and nothing may follow: then it is a command's last word too."""

    @property
    def short_name(self) -> str | None:
        """The folded base name that a program must have to fit, however loosely; None where that is not one name."""
        return self._base.pieces[0] if self._base is not None and len(self._base.pieces) == 1 else None

    @property
    def needs_executable(self) -> bool:
        """Its first word is a path: whether a bare name fits it, only the node can say."""
        return bool(self._globs) and self._globs[0].pieces[0].startswith("/")

    def spells_out(self, through: int) -> bool:
        """The words 0 to `through` are all there, and none of them holds a star."""
        return through < len(self._globs) and all(len(glob.pieces) == 1 for glob in self._globs[: through + 1])

    def in_words(self) -> str:
        """What it takes, word by word, for whoever is to answer for it."""
        said = [glob.in_words() for glob in self._globs]
        return ", then ".join([*said, "any further words, or none"] if self._is_open else said)

    def fits(self, view: View, *, executable: str | None, loosely: bool) -> bool:
        """Strictly, for what allows: every word is known and fits. Loosely, for what asks or denies: it could fit.

        `executable` is the file that the node found for the program, given for a request's outermost view only.
        """
        words = view.words
        program = words[0] if words else None
        if program is None:
            return False
        if self._end is not None and words[-1] is not None and words[-1] != self._end:
            # The quick way out: most rules of a thousand are about another unit, host or file.
            return False
        if loosely:
            return self._program_could_fit(program, executable) and self._words_could_fit(words)
        if self._program is not None and self._program != program and not self.needs_executable:
            return False
        if not self._program_fits(program, executable) or not self._words_fit(words):
            return False
        return not any(glob.strays(word or "") for glob, word in zip(self._globs, words, strict=False))

    def _program_fits(self, program: str, executable: str | None) -> bool:
        if not self._globs:
            return True
        if self._globs[0].fits(program):
            return True
        return self.needs_executable and executable is not None and self._globs[0].fits(executable)

    def _program_could_fit(self, program: str, executable: str | None) -> bool:
        if self._base is None:
            return True
        names = _bases(program, executable)
        if len(self._base.pieces) == 1:
            return self._base.pieces[0] in names
        return self._program_fits(program, executable) or any(self._base.fits(name) for name in names)

    def _words_fit(self, words: tuple[str | None, ...]) -> bool:
        if len(words) < len(self._globs) or (len(words) > len(self._globs) and not self._is_open):
            return False
        # What `**` takes must be known too: an unknown word may be any number of words, or an option.
        return None not in words and all(
            glob.fits(word) for glob, word in zip(self._globs[1:], words[1:], strict=False) if word is not None
        )

    def _words_could_fit(self, words: tuple[str | None, ...]) -> bool:
        """A word that only the shell knows may become no word, one or many: `rm $X` could be `rm -rf /`."""
        if None not in words:
            return self._words_fit(words)
        reached = {min(1, len(self._globs))}
        for word in words[1:]:
            if word is None:
                reached = set(range(min(reached), len(self._globs) + 1))
                continue
            after = {at + 1 for at in reached if at < len(self._globs) and self._globs[at].fits(word)}
            if self._is_open and len(self._globs) in reached:
                after.add(len(self._globs))
            if not after:
                return False
            reached = after
        return len(self._globs) in reached


def _last_part(pieces: tuple[str, ...]) -> tuple[str, ...]:
    """The pieces of the base name: what follows the last slash that is spelled out."""
    for at in range(len(pieces) - 1, -1, -1):
        _, slash, tail = pieces[at].rpartition("/")
        if slash:
            return tuple(piece.casefold() for piece in (tail, *pieces[at + 1 :]))
    return tuple(piece.casefold() for piece in pieces)


@lru_cache(maxsize=256)
def _bases(program: str, executable: str | None) -> frozenset[str]:
    """Folded: a macOS takes RM for rm. Kept, as a thousand rules ask for those of one command."""
    return frozenset(base_of(name) for name in (program, executable or program))


def base_of(program: str) -> str:
    """The last part of a program's path, folded."""
    return program.rpartition("/")[2].casefold()


def fits_any(pattern: Pattern, views: tuple[View, ...], *, executable: str | None, loosely: bool) -> bool:
    """One of a unit's readings fits; `executable` is the outermost one's."""
    # A loop of its own: a generator for each of a thousand rules is half of a verdict's time.
    for view in views:
        if pattern.fits(view, executable=executable, loosely=loosely):
            return True
        executable = None
    return False


def parse_pattern(text: str) -> Pattern:
    """Raises `Malformed`, with the remedy, for what could never fit or would be read in two ways."""
    if len(text) > MAX_PATTERN_CHARS:
        raise Malformed(f"the pattern has {len(text)} characters, at most {MAX_PATTERN_CHARS} are taken; shorten it")
    words = _split(text)
    if not words:
        raise Malformed("the pattern is empty; write ** for every command")
    is_open = words[-1] == ("", "", "")
    if is_open:
        words.pop()
    if any("" in word[1:-1] for word in words):
        raise Malformed(f"in {text!r} ** may only be the last word: * is one word, or any characters within a word")
    if words and "/" in words[0][0] and not words[0][0].startswith("/"):
        raise Malformed(
            f"the pattern's program {words[0][0]!r} depends on the directory; write its name alone or its absolute path"
        )
    return Pattern(
        text=text,
        _globs=tuple(_Glob(pieces=word) for word in words),
        _is_open=is_open,
        _program=words[0][0] if words and len(words[0]) == 1 else None,
        _base=_Glob(pieces=_last_part(words[0])) if words else None,
        _end=words[-1][0] if len(words) > 1 and len(words[-1]) == 1 and not is_open else None,
    )


def _split(text: str) -> list[tuple[str, ...]]:
    """The words, each as the literal pieces between its stars."""
    words: list[list[str]] = []
    quote, is_inside, characters = "", False, iter(text)
    for character in characters:
        if not quote and character in " \t":
            is_inside = False
            continue
        if not is_inside:
            words.append([""])
            is_inside = True
        if quote:
            if character == quote:
                quote = ""
                continue
            if character == "\\" and quote == '"':
                following = next(characters, "")
                character = following if following in '"\\$`' else f"\\{following}"
        elif character in "'\"":
            quote = character
            continue
        elif character == "\\":
            character = next(characters, "")
            if not character:
                raise Malformed(f"the pattern {text!r} ends in a backslash; write \\\\ for a literal one")
        elif character == "*":
            words[-1].append("")
            continue
        elif character in _OPERATORS:
            raise Malformed(
                f"{character!r} in the pattern {text!r} belongs to a shell; put it in quotes if it is meant"
            )
        words[-1][-1] += character
    if quote:
        raise Malformed(f"the pattern {text!r} has a {quote} without its partner")
    return [tuple(word) for word in words]
