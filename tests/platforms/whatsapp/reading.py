"""What a phone shows of a message's words: WhatsApp's markup read, our invisible step taken out.

Deliberately absent: anything of the adapter's: this is what its words have to stand up to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"```(.+?)```", re.DOTALL)
_STYLES = [
    re.compile(rf"(?<![A-Za-z0-9]){re.escape(mark)}(?=\S)([^\n{re.escape(mark)}]*?\S){re.escape(mark)}(?![A-Za-z0-9])")
    for mark in ("`", "*", "_", "~")
]
_BEGIN = re.compile(r"^[ \t]*(?:>[ \t]?|[-*][ \t]+|[0-9]+\.[ \t]+)", re.MULTILINE)
_STEP = "\u2060"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    text: str
    code: tuple[str, ...]


def read(body: str) -> Read:
    """Fences first, as the apps do; then what is outside of them."""
    text, code, at = "", [], 0
    for found in _FENCE.finditer(body):
        inside = found[1].replace(_STEP, "")
        text += _styled(body[at : found.start()]) + inside
        code.append(inside)
        at = found.end()
    return Read(text=text + _styled(body[at:]), code=tuple(code))


def _styled(text: str) -> str:
    text = _BEGIN.sub("", text)
    for style in _STYLES:
        text = style.sub(r"\1", text)
    return text.replace(_STEP, "")
