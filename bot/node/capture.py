"""Output within its bound: the head and the tail are kept, the middle is counted. Memory never grows past the bound.

Deliberately absent: decoding (see `plain`) and the raw bytes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from bot.domain.execution import Chunk, Output, Stream
from bot.node.plain import Plain

_CHUNK_COST_BYTES = 16
"""Counted for each chunk beside its text, so that two streams that take turns stay within a frame too."""
_MERGE_CHARS = 4_096
"""Chunks below this take in the next one of their stream: a program that writes single characters costs no more."""
TAIL_LINES = 15
TAIL_CHARS = 1_500
"""Of the live tail: what a card of a chat has room for beside the command."""


@dataclass(slots=True)
class _Piece:
    stream: Stream
    text: str
    cost_bytes: int


class Capture:
    """What two streams wrote, in the order of arrival, bounded to `bound_bytes` of UTF-8."""

    def __init__(self, bound_bytes: int) -> None:
        self._room = {"head": bound_bytes // 2, "tail": bound_bytes - bound_bytes // 2}
        self._head: deque[_Piece] = deque()
        self._tail: deque[_Piece] = deque()
        self._head_is_full = False
        self._omitted_bytes = 0
        self._plain = {Stream.OUT: Plain(), Stream.ERR: Plain()}
        self.changes = 0
        """Counts what changed the text, so that an unchanged tail is not sent again."""

    def feed(self, stream: Stream, raw: bytes) -> None:
        self._take(stream, *self._plain[stream].feed(raw))

    def end(self, stream: Stream) -> None:
        self._take(stream, *self._plain[stream].end())

    def output(self) -> Output:
        if not self._omitted_bytes:
            return Output(head=_chunks([*self._head, *self._tail]))
        return Output(head=_chunks(self._head), omitted_bytes=self._omitted_bytes, tail=_chunks(self._tail))

    def live_tail(self) -> str:
        """The last lines so far, whole where they fit."""
        wanted = ""
        for piece in (*reversed(self._tail), *reversed(self._head)):
            wanted = piece.text + wanted
            if len(wanted) > TAIL_CHARS and wanted.count("\n") > TAIL_LINES:
                break
            if len(wanted) > 4 * TAIL_CHARS:
                break
        lines = wanted.rstrip("\n").split("\n")[-TAIL_LINES:]
        return "\n".join(lines)[-TAIL_CHARS:]

    def _take(self, stream: Stream, overwrites: bool, text: str) -> None:
        if overwrites:
            self._forget_line(stream)
        if overwrites or text:
            self.changes += 1
        if text and not self._head_is_full:
            text = self._fill_head(stream, text)
        if text:
            self._room["tail"] -= _append(self._tail, stream, text)
            self._trim_tail()

    def _fill_head(self, stream: Stream, text: str) -> str:
        """Put into the head what fits; returns the rest."""
        if _size(text) + _CHUNK_COST_BYTES <= self._room["head"]:
            self._room["head"] -= _append(self._head, stream, text)
            return ""
        self._head_is_full = True
        fits, rest = _cut(text, self._room["head"] - _CHUNK_COST_BYTES)
        if fits:
            self._room["head"] -= _append(self._head, stream, fits)
        return rest

    def _trim_tail(self) -> None:
        while self._room["tail"] < 0:
            first = self._tail.popleft()
            self._room["tail"] += first.cost_bytes
            dropped, kept = _cut(first.text, _size(first.text) - self._room["tail"] + _CHUNK_COST_BYTES, up=True)
            self._omitted_bytes += _size(dropped)
            if kept:
                self._tail.appendleft(_Piece(first.stream, kept, _size(kept) + _CHUNK_COST_BYTES))
                self._room["tail"] -= self._tail[0].cost_bytes

    def _forget_line(self, stream: Stream) -> None:
        """A carriage return: what this stream wrote since its last line end is overwritten, as on a terminal.

        Only as far as nothing of the other stream stands in between; what was omitted stays counted.
        """
        pieces, room = (self._tail, "tail") if self._head_is_full else (self._head, "head")
        while pieces and pieces[-1].stream is stream:
            last = pieces.pop()
            self._room[room] += last.cost_bytes
            kept = last.text[: last.text.rfind("\n") + 1]
            if kept:
                self._room[room] -= _append(pieces, stream, kept)
                return


def _append(pieces: deque[_Piece], stream: Stream, text: str) -> int:
    """Add to the last piece or as a new one; returns what it costs."""
    cost = _size(text)
    if pieces and pieces[-1].stream is stream and len(pieces[-1].text) < _MERGE_CHARS:
        pieces[-1].text += text
        pieces[-1].cost_bytes += cost
        return cost
    pieces.append(_Piece(stream, text, cost + _CHUNK_COST_BYTES))
    return cost + _CHUNK_COST_BYTES


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _cut(text: str, at_bytes: int, *, up: bool = False) -> tuple[str, str]:
    """Two parts, the first of at most (`up`: at least) `at_bytes` of UTF-8; never inside a character."""
    encoded = text.encode()
    at = max(0, min(at_bytes, len(encoded)))
    while 0 < at < len(encoded) and encoded[at] & 0xC0 == 0x80:
        at += 1 if up else -1
    return encoded[:at].decode(), encoded[at:].decode()


def _chunks(pieces: deque[_Piece] | list[_Piece]) -> tuple[Chunk, ...]:
    """One chunk for each stretch of one stream."""
    chunks: list[tuple[Stream, list[str]]] = []
    for piece in pieces:
        if chunks and chunks[-1][0] is piece.stream:
            chunks[-1][1].append(piece.text)
        else:
            chunks.append((piece.stream, [piece.text]))
    return tuple(Chunk(stream=stream, text="".join(texts)) for stream, texts in chunks)
