"""Bytes of a terminal -> text for a chat: decoded across chunks, without control sequences, carriage returns applied.

Deliberately absent: how much of it is kept (see `capture`). The raw bytes stay on the node's disk.
"""

from __future__ import annotations

import codecs
import re

_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC: titles, links
    r"|\x1b[PX^_][^\x1b]*\x1b\\"  # DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-OQ-WYZ\\`-~]"  # two characters: charsets, save and restore
)
"""ECMA-48, 5th edition, sections 5.3 to 5.6."""
_OPEN_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[PX^_][^\x1b]*\x1b?|[ -/]*)\Z")
_MAX_SEQUENCE_CHARS = 4_096
"""Held back in the hope of its end. A longer one is none: links in OSC 8 are at most 2,083 characters."""
_OVERSTRUCK = re.compile(r"[^\n]\x08")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LINE_END = re.compile(r"\r+\n")
_OVERWRITTEN = re.compile(r"[^\n]*\r")


class Plain:
    """The state of one stream between chunks: half a character, half a sequence, a carriage return."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, raw: bytes) -> tuple[bool, str]:
        """Whether the line that was begun before is overwritten, and the text that follows."""
        return self._clean(self._decoder.decode(raw), last=False)

    def end(self) -> tuple[bool, str]:
        """What was still held back when the stream ended."""
        return self._clean(self._decoder.decode(b"", final=True), last=True)

    def _clean(self, decoded: str, *, last: bool) -> tuple[bool, str]:
        text = self._held + decoded
        self._held = ""
        if "\x1b" in text:
            text = self._without_sequences(text, last=last)
        if "\x08" in text:
            text = _OVERSTRUCK.sub("", text)
        text = _CONTROL.sub("", text)
        if "\r" not in text:
            return False, text
        if not last:
            # What follows decides: \r\n is a line end, \r alone goes back to the start of the line.
            kept = text.rstrip("\r")
            self._held = text[len(kept) :][:1] + self._held
            text = kept
        else:
            text = text.rstrip("\r")
        text = _LINE_END.sub("\n", text)
        first, line_end, rest = text.partition("\n")
        overwrites = "\r" in first
        return overwrites, _OVERWRITTEN.sub("", first) + line_end + _OVERWRITTEN.sub("", rest)

    def _without_sequences(self, text: str, *, last: bool) -> str:
        text = _SEQUENCE.sub("", text)
        begun = _OPEN_SEQUENCE.search(text)
        if begun is None:
            return text
        if last or len(begun[0]) > _MAX_SEQUENCE_CHARS:
            return text[: begun.start()] + begun[0].replace("\x1b", "")
        self._held = begun[0]
        return text[: begun.start()]
