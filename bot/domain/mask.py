"""What is secret, masked wherever text is kept or shown: configured values, and tokens of well-known shapes.

Deliberately absent: which values are configured (see `bot.config.secrets`), and the shapes (see `shapes`, `assigned`).
"""

from __future__ import annotations

import re
import shlex
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from bot.domain.command import Request
from bot.domain.execution import Chunk, Output, Stream

SHORTEST_SECRET_CHARS = 6
"""A shorter one stands in ordinary words: masking it would riddle the text, and show where it stands."""
_MOST_ROUNDS = 4
"""What is left beside a mark is looked at again, until nothing is found; hardly ever more than once."""
_MARK = re.compile(r"‹secret(?:: [A-Za-z][A-Za-z ]{0,30})?›")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a text that is secret. `kind` is None where it goes on from one that is marked already."""

    start: int
    end: int
    kind: str | None = ""


class Masker:
    """Pure, and fixed once made."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        wanted = {secret for secret in secrets if secret}
        self._needles = tuple(sorted(secret for secret in wanted if len(secret) >= SHORTEST_SECRET_CHARS))
        self.refused = tuple(
            f"a secret of {len(secret)} characters is too short to be masked; take one of {SHORTEST_SECRET_CHARS} or more"
            for secret in wanted
            if len(secret) < SHORTEST_SECRET_CHARS
        )
        """Why some were not taken, without their values."""

    def text(self, text: str) -> str:
        for _ in range(_MOST_ROUNDS):
            spans = _outside_marks(text, self._found(text))
            if not spans:
                break
            text = "".join(_masked((text,), spans))
        return text

    def request(self, request: Request) -> Request:
        """Text, argv and script alike; the request itself where nothing is secret."""
        text = self.text(request.text)
        if request.script is not None:
            argv = tuple(text if word == request.text else self.text(word) for word in request.argv)
            return replace(request, text=text, argv=argv, script=self.text(request.script))
        argv = tuple(self.text(word) for word in request.argv)
        if argv != request.argv and tuple(shlex.split(text)) != argv:
            text = shlex.join(argv)
        return replace(request, text=text, argv=argv)

    def output(self, output: Output) -> Output:
        """As if each stream, and both as they came, were one text; what the cut has torn apart is masked too."""
        head, tail = output.head, output.tail
        for _ in range(_MOST_ROUNDS):
            masked = self._chunks(head), self._chunks(tail)
            if masked == (head, tail):
                break
            head, tail = masked
        return replace(output, head=head, tail=tail)

    def tail(self, live_tail: str) -> str:
        """Text of which both ends may be inside a secret."""
        return self.text(live_tail)

    def _found(self, text: str) -> Iterator[Span]:
        for needle in self._needles:
            at = text.find(needle)
            while at >= 0:
                yield Span(at, at + len(needle))
                at = text.find(needle, at + len(needle))

    def _chunks(self, chunks: tuple[Chunk, ...]) -> tuple[Chunk, ...]:
        texts = tuple(chunk.text for chunk in chunks)
        whole = "".join(texts)
        spans = list(self._found(whole))
        if len({chunk.stream for chunk in chunks}) > 1:
            for stream in Stream:
                spans += self._of_stream(chunks, stream)
        spans = _outside_marks(whole, spans)
        if not spans:
            return chunks
        return tuple(replace(chunk, text=text) for chunk, text in zip(chunks, _masked(texts, spans), strict=True))

    def _of_stream(self, chunks: tuple[Chunk, ...], stream: Stream) -> Iterator[Span]:
        """What is secret in the text of one stream, in the places of the whole."""
        own_starts, whole_starts, own, at = [], [], [], 0
        own_chars = 0
        for chunk in chunks:
            if chunk.stream is stream and chunk.text:
                own_starts.append(own_chars)
                whole_starts.append(at)
                own.append(chunk.text)
                own_chars += len(chunk.text)
            at += len(chunk.text)
        text = "".join(own)
        for span in _outside_marks(text, self._found(text)):
            number, start, kind = bisect_right(own_starts, span.start) - 1, span.start, span.kind
            while start < span.end:
                end = min(span.end, own_starts[number] + len(own[number]))
                shift = whole_starts[number] - own_starts[number]
                yield Span(start + shift, end + shift, kind)
                number, start, kind = number + 1, end, None


def _outside_marks(text: str, spans: Iterable[Span]) -> list[Span]:
    """Without those that lie in a mark: what is masked stays as it is."""
    spans = list(spans)
    if not spans or "‹secret" not in text:
        return spans
    marks = [(found.start(), found.end()) for found in _MARK.finditer(text)]
    starts = [start for start, _ in marks]

    def is_masked(span: Span) -> bool:
        number = bisect_right(starts, span.start) - 1
        return number >= 0 and span.end <= marks[number][1]

    return [span for span in spans if not is_masked(span)]


def _masked(texts: tuple[str, ...], spans: list[Span]) -> list[str]:
    """The texts, one behind the other, with a mark where each secret begins and nothing where it goes on."""
    merged = _merged(spans)
    masked, at, number = [], 0, 0
    for text in texts:
        kept, start, end = [], at, at + len(text)
        while number < len(merged) and merged[number].start < end:
            span = merged[number]
            if span.start >= at:
                kept.append(text[start - at : span.start - at])
                kept.append("" if span.kind is None else _mark(span.kind))
            start = min(end, span.end)
            if span.end > end:
                break
            number += 1
        kept.append(text[start - at :])
        masked.append("".join(kept))
        at = end
    return masked


def _merged(spans: list[Span]) -> list[Span]:
    """In order, none touching another; of those that overlap, the first that names its kind."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.start, -one.end)):
        last = merged[-1] if merged else None
        if last is None or span.start >= last.end:
            merged.append(span)
            continue
        kind = last.kind or span.kind if last.kind is not None or span.kind is not None else None
        merged[-1] = Span(last.start, max(last.end, span.end), kind)
    return merged


def _mark(kind: str) -> str:
    return f"‹secret: {kind}›" if kind else "‹secret›"
