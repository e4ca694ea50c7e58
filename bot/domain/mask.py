"""What is secret, masked wherever text is kept or shown: configured values, and what `shapes` and `assigned` find.

Deliberately absent: which values are configured (see `bot.config.secrets`). A mark says the kind and nothing else of
what stood there, neither its length nor its ends.
"""

from __future__ import annotations

import re
import shlex
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from bot.domain.assigned import assigned
from bot.domain.command import Request
from bot.domain.encoded import forms_of, unbroken
from bot.domain.execution import Chunk, Output, Stream
from bot.domain.shapes import Stretch, shaped

SHORTEST_SECRET_CHARS = 6
"""A shorter one stands in ordinary words: masking it would riddle the text, and show where it stands."""
_MOST_ROUNDS = 4
"""What is left beside a mark is looked at again, until nothing is found; hardly ever more than once."""
_MARK = re.compile(r"‹secret(?:: [A-Za-z][A-Za-z ]{0,30})?›")

_SHORTEST_PIECE_CHARS = 4
"""Of a configured secret that a cut tore apart. Less tells nothing, and would be found at every second cut."""
_SHORTEST_RUN_CHARS = 12
"""Of a word that a cut tore apart and that looks like the rest of a token. Shorter rests cannot be used or guessed."""
_RUN_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+/=.~%-"
_LONG_PIECE_CHARS = 8
"""Of a configured secret, wherever it stands in a live tail: half of a short one."""
_TOKEN_BEGUN = re.compile(
    r"(?<![A-Za-z0-9])(?:gh[pousr]_|github_pat_|glpat-|xox[a-z]-|xapp-|[rs]k_live_|npm_|pypi-|hf_|eyJ)[A-Za-z0-9_.-]{4,}+"
)
_TOKEN_HALF = re.compile(r"[A-Za-z0-9]{16,}+")
_HEX = frozenset("0123456789abcdefABCDEF-")
_KEY_LINES = re.compile(r"[A-Za-z0-9+/=]{0,100}+\n(?:[A-Za-z0-9+/]{60,80}+\n)+(?:[A-Za-z0-9+/]{1,80}={0,2}(?:\n|\Z))?")
"""Lines that may come from the middle of a private key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ends:
    """Which ends of a text were torn off something longer."""

    first: bool = False
    last: bool = False


_WHOLE = _Ends()
Find = Callable[[str], Iterator[Stretch]]


class Masker:
    """Pure, and fixed once made."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        wanted = sorted({secret for secret in secrets if secret})
        long_enough = [secret for secret in wanted if len(secret) >= SHORTEST_SECRET_CHARS]
        self._forms = _one_line(long_enough)
        # A URL begins with what stands everywhere, and its password is a secret of its own.
        self._torn = _one_line(secret for secret in long_enough if "://" not in secret)
        remedy = f"is too short to be masked; take one of {SHORTEST_SECRET_CHARS} characters or more"
        self.refused = tuple(f"a secret of {len(one)} characters {remedy}" for one in wanted if one not in long_enough)
        """Why some were not taken, without their values."""

    def text(self, text: str) -> str:
        return self._masked_text(text, self._found)

    def request(self, request: Request) -> Request:
        """Text, argv and script alike; the request itself where nothing is secret.

        A mark stands for nothing there that a shell reads as more than a word: it may hide a secret, and no program.
        """
        if request.script is not None:
            script = self._command(request.script)
            argv = tuple(script if word == request.script else self._command(word) for word in request.argv)
            return replace(request, text=self._command(request.text), argv=argv, script=script)
        argv, text = self._words(request.argv), self._command(request.text)
        if (argv, text) != (request.argv, request.text) and _words_of(text) != argv:
            # Quotes may tear a secret apart in the text only.
            text = " ".join(word if "‹" in word else shlex.quote(word) for word in argv)
        return replace(request, text=text, argv=argv)

    def output(self, output: Output) -> Output:
        """As if each stream, and both as they came, were one text; what the cut tore apart is masked too."""
        is_cut = output.omitted_bytes > 0
        return replace(
            output,
            head=self._chunks(output.head, _Ends(last=is_cut)),
            tail=self._chunks(output.tail, _Ends(first=is_cut)),
        )

    def tail(self, live_tail: str) -> str:
        """The newest output of something that runs: both ends may be inside a secret, and so may be every place where
        one stream broke off for the other. More is taken than of an output, which comes soon, with its streams."""

        def find(text: str) -> Iterator[Stretch]:
            yield from self._found(text, _Ends(first=True, last=True))
            yield from self._pieces(text)

        return self._masked_text(live_tail, find)

    # --- looking -----------------------------------------------------------------------------------

    def _found(self, text: str, ends: _Ends = _WHOLE, *, as_command: bool = False) -> Iterator[Stretch]:
        yield from self._configured(text)
        yield from shaped(text, as_command=as_command)
        yield from assigned(text, as_command=as_command)
        if ends.first:
            yield from self._at_first(text)
        if ends.last:
            yield from self._at_last(text)

    def _configured(self, text: str) -> Iterator[Stretch]:
        together, own_starts, starts = unbroken(text)

        def place(own: int) -> int:
            part = bisect_right(own_starts, own) - 1
            return starts[part] + own - own_starts[part]

        for form in self._forms:
            at = together.find(form)
            while at >= 0:
                end = at + len(form)
                yield Stretch(place(at), place(end - 1) + 1)
                at = together.find(form, end)

    def _at_first(self, text: str) -> Iterator[Stretch]:
        rest = max((_overlap(form, text) for form in self._torn), default=0)
        if rest:
            yield Stretch(0, rest)
        run = text[: len(text) - len(text.lstrip(_RUN_CHARS))]
        if _looks_drawn(run):
            yield Stretch(0, len(run))
        lines = _KEY_LINES.match(text)
        if lines is not None and _looks_drawn(lines[0].replace("\n", "")):
            yield Stretch(0, lines.end())

    def _at_last(self, text: str) -> Iterator[Stretch]:
        begun = max((_overlap(text, form) for form in self._torn), default=0)
        if begun:
            yield Stretch(len(text) - begun, len(text))
        start = len(text.rstrip(_RUN_CHARS))
        if _looks_drawn(text[start:]):
            yield Stretch(start, len(text))

    def _pieces(self, text: str) -> Iterator[Stretch]:
        """Begins and ends of configured secrets, and what looks like half a token, wherever they stand."""
        for form in (form for form in self._torn if len(form) > _LONG_PIECE_CHARS):
            begin, end = form[:_LONG_PIECE_CHARS], form[-_LONG_PIECE_CHARS:]
            for found in re.finditer(re.escape(begin), text):
                yield Stretch(
                    found.start(), found.start() + _alike(text[found.start() : found.start() + len(form)], form)
                )
            for found in re.finditer(re.escape(end), text):
                yield Stretch(
                    found.end() - _alike(text[max(0, found.end() - len(form)) : found.end()][::-1], form[::-1]),
                    found.end(),
                )
        for found in _TOKEN_BEGUN.finditer(text):
            yield Stretch(*found.span())
        for found in _TOKEN_HALF.finditer(text):
            if _looks_drawn(found[0]):
                yield Stretch(*found.span())

    # --- masking -----------------------------------------------------------------------------------

    def _masked_text(self, text: str, find: Find, rounds: int = _MOST_ROUNDS) -> str:
        stretches = _outside_marks(text, find(text)) if rounds else []
        if not stretches:
            return text
        (masked,) = _masked((text,), stretches)
        return self._masked_text(masked, find, rounds - 1)

    def _command(self, text: str) -> str:
        return self._masked_text(text, lambda one: self._found(one, as_command=True))

    def _words(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """The words masked, with what stands before them in sight."""
        quoted = [shlex.quote(word) for word in argv]
        line = " ".join(quoted)
        stretches = _merged(_outside_marks(line, self._found(line, as_command=True)))
        masked, start = [], 0
        for word, shown in zip(argv, quoted, strict=True):
            shift = start + (1 if shown == f"'{word}'" else 0)
            inside = [
                Stretch(max(0, one.start - shift), min(len(word), one.end - shift), one.kind or "")
                for one in stretches
                if one.start < start + len(shown) and one.end > start
            ]
            # With quotes in it the word stands otherwise in the line: then it is looked at alone.
            is_alike = shown in (word, f"'{word}'")
            changed = _masked((word,), inside)[0] if is_alike and inside else self._command(word)
            masked.append(changed)
            start += len(shown) + 1
        return tuple(masked)

    def _chunks(self, chunks: tuple[Chunk, ...], ends: _Ends, rounds: int = _MOST_ROUNDS) -> tuple[Chunk, ...]:
        texts = tuple(chunk.text for chunk in chunks)
        whole = "".join(texts)
        found = list(self._found(whole, ends)) if rounds else []
        if len({chunk.stream for chunk in chunks}) > 1 and rounds:
            for stream in Stream:
                found += self._of_stream(chunks, stream, ends)
        stretches = _outside_marks(whole, found)
        if not stretches:
            return chunks
        masked = zip(chunks, _masked(texts, stretches), strict=True)
        return self._chunks(tuple(replace(chunk, text=text) for chunk, text in masked), ends, rounds - 1)

    def _of_stream(self, chunks: tuple[Chunk, ...], stream: Stream, ends: _Ends) -> Iterator[Stretch]:
        """What is secret in the text of one stream, in the places of the whole."""
        own_starts, starts, own, at, own_at = [], [], [], 0, 0
        for chunk in chunks:
            if chunk.stream is stream and chunk.text:
                own_starts.append(own_at)
                starts.append(at)
                own.append(chunk.text)
                own_at += len(chunk.text)
            at += len(chunk.text)
        text = "".join(own)
        for found in _outside_marks(text, self._found(text, ends)):
            number, start, kind = bisect_right(own_starts, found.start) - 1, found.start, found.kind
            while start < found.end:
                end = min(found.end, own_starts[number] + len(own[number]))
                shift = starts[number] - own_starts[number]
                yield Stretch(start + shift, end + shift, kind)
                number, start, kind = number + 1, end, None


def _words_of(text: str) -> tuple[str, ...] | None:
    """The words of a masked text, in each of which a mark is one with what it stands in."""
    whole = _MARK.sub(lambda found: found[0].replace(" ", "\x00"), text)
    try:
        return tuple(word.replace("\x00", " ") for word in shlex.split(whole))
    except ValueError:
        return None


def _overlap(before: str, after: str) -> int:
    """How many characters at the end of `before` are the begin of `after`; 0 for less than a piece."""
    begin = after[:_SHORTEST_PIECE_CHARS]
    at = before.find(begin, max(0, len(before) - len(after))) if len(begin) == _SHORTEST_PIECE_CHARS else -1
    while at >= 0:
        if after.startswith(before[at:]):
            return len(before) - at
        at = before.find(begin, at + 1)
    return 0


def _one_line(secrets: Iterable[str]) -> tuple[str, ...]:
    """What to look for in a text without its line breaks."""
    forms = {form for secret in secrets for form in forms_of(secret)}
    return tuple(sorted(form for form in forms if "\n" not in form and "\r" not in form))


def _alike(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _looks_drawn(run: str) -> bool:
    """Letters of both cases and digits, as the rest of a token has them, and no digest or UUID."""
    return (
        len(run) >= _SHORTEST_RUN_CHARS
        and any(character.islower() for character in run)
        and any(character.isupper() for character in run)
        and any(character.isdigit() for character in run)
        and not _HEX.issuperset(run)
    )


def _outside_marks(text: str, found: Iterable[Stretch]) -> list[Stretch]:
    """Without those that lie in a mark: what is masked stays as it is."""
    stretches = list(found)
    if not stretches or "‹secret" not in text:
        return stretches
    marks = [one.span() for one in _MARK.finditer(text)]
    starts = [start for start, _ in marks]

    def is_marked(one: Stretch) -> bool:
        number = bisect_right(starts, one.start) - 1
        return number >= 0 and one.end <= marks[number][1]

    return [one for one in stretches if not is_marked(one)]


def _masked(texts: tuple[str, ...], stretches: list[Stretch]) -> list[str]:
    """The texts, one behind the other, with a mark where each secret begins and nothing where it goes on."""
    merged = _merged(stretches)
    masked, at, number = [], 0, 0
    for text in texts:
        kept, start, end = [], at, at + len(text)
        while number < len(merged) and merged[number].start < end:
            one = merged[number]
            if one.start >= start:
                kept += [text[start - at : one.start - at], _mark(one.kind)]
            start = min(end, one.end)
            if one.end > end:
                break
            number += 1
        kept.append(text[start - at :])
        masked.append("".join(kept))
        at = end
    return masked


def _merged(stretches: list[Stretch]) -> list[Stretch]:
    """In order, none over another; where several were, the first kind that is known."""
    merged: list[Stretch] = []
    for one in sorted(stretches, key=lambda one: (one.start, -one.end)):
        last = merged[-1] if merged else None
        if last is None or one.start >= last.end:
            merged.append(one)
            continue
        kinds = [kind for kind in (last.kind, one.kind) if kind is not None]
        kind = next(filter(None, kinds), "") if kinds else None
        merged[-1] = Stretch(last.start, max(last.end, one.end), kind)
    return merged


def _mark(kind: str | None) -> str:
    if kind is None:
        return ""
    return f"‹secret: {kind}›" if kind else "‹secret›"
