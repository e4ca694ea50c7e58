"""Exports of the audit as files: lines of JSON, or a table for spreadsheets. Read back, each to the letter.

Deliberately absent: the store, the config and any key. An export is checked on a machine that never saw the gateway.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path

from bot.domain.audit import FORM, Head, Line, line_from_text, line_to_text, made_line
from bot.domain.audit_check import heads_from_texts
from bot.errors import HomingError, Malformed

MAX_LINE_BYTES = 8 * 2**20
"""A body holds some texts of 16,000 characters at most, in a form of up to six bytes for one, twice."""
COLUMNS = (
    "seq",
    "at",
    "kind",
    "execution",
    "by",
    "asker",
    "place",
    "node",
    "rule",
    "request",
    "reason",
    "exit",
    "form",
    "previous",
    "body",
    "body_hash",
    "hash",
)
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet would compute, in full width too: https://owasp.org/www-community/attacks/CSV_Injection"""
_BLANKS = " \u00a0\u3000"
"""What some take off before they look."""


_HIDING = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Control, bidi and zero-width characters. A fixed list: every version of ours must write the same row again."""


class Format(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


def texts_of(lines: Iterable[Line], form: Format) -> Iterator[str]:
    """The export, line by line, each with its end."""
    if form is Format.JSONL:
        yield from (f"{line_to_text(line)}\n" for line in lines)
        return
    yield _row(COLUMNS)
    yield from (_row(_cells(line)) for line in lines)


def lines_of(path: Path, *, kind: str = "") -> Iterator[Line]:
    """The lines of an export. Raises `Malformed` at the first that none writes.

    With `kind` those that may be of it, and some more perhaps: reading what cannot be would take most of the time.
    """
    texts = _texts(path)
    first = next(texts, None)
    if first is None:
        return
    read = _line_of_row if first == _row(COLUMNS) else _line_of_text
    if read is _line_of_text and kind in first:
        yield read(first)
    yield from (read(text) for text in texts if kind in text)


def is_table(path: Path) -> bool:
    """Whether the file has a line of names above its lines."""
    with path.open("rb") as file:
        return file.readline(MAX_LINE_BYTES) == _row(COLUMNS).encode("utf-8")


def heads_of(path: Path) -> list[Head]:
    """A file of heads, as `[audit] heads_file` is."""
    try:
        return list(heads_from_texts(_texts(path)))
    except Malformed as fault:
        raise HomingError(f"{path}: {fault}") from fault


def _texts(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE_BYTES):
            if len(line) == MAX_LINE_BYTES:
                raise Malformed("it is longer than any line that we write")
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError:
                raise Malformed("it is no UTF-8") from None


def _line_of_text(text: str) -> Line:
    if not text.endswith("\n"):
        raise Malformed("it is cut: it has no end of line")
    return line_from_text(text[:-1])


def _line_of_row(text: str) -> Line:
    try:
        csv.field_size_limit(MAX_LINE_BYTES)
        (cells,) = csv.reader([text], strict=True)
        form = dict(zip(COLUMNS, cells, strict=True))
        seq, body = int(form["seq"]), json.loads(form["body"] or "null")
        kept: dict[str, object] = {name: form[name] for name in ("at", "kind", "previous", "body_hash", "hash")}
        line = made_line({**kept, "seq": seq, "execution": form["execution"] or None}, body)
        written = _row(_cells(line))
    except (csv.Error, ValueError, RecursionError):
        raise Malformed("it cannot be read, or is cut") from None
    if written != text:
        raise Malformed("it is not written as an export writes it: it was changed")
    return line


def _cells(line: Line) -> list[str]:
    fields = line.fields()
    ending = fields.get("exit_code", fields.get("signal"))
    of_people = {
        "by": fields.get("by"),
        "asker": inner(fields, "asker", "person"),
        "place": fields.get("place"),
        "node": inner(fields, "node", "name"),
        "rule": fields.get("rule"),
        "request": fields.get("request"),
        "reason": fields.get("reason", fields.get("detail")),
        "exit": ending,
    }
    kept: dict[str, str] = {
        "seq": str(line.seq),
        "at": line.at,
        "kind": line.kind,
        "execution": line.execution or "",
        "form": str(FORM),
        "previous": line.previous,
        "body": line.body or "",
        "body_hash": line.body_hash,
        "hash": line.hash,
    }
    return [kept[name] if name in kept else _harmless(of_people[name]) for name in COLUMNS]


def inner(fields: Mapping[str, object], name: str, part: str) -> object:
    """A field of a field; None where it is not there."""
    outer = fields.get(name)
    return outer.get(part) if isinstance(outer, dict) else None


def _harmless(value: object) -> str:
    """For eyes: what counts is the body. On one line, and computed by no spreadsheet."""
    text = "" if value is None else _HIDING.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", str(value))
    return f"'{text}" if text.lstrip(_BLANKS).startswith(_FORMULA) and not isinstance(value, int) else text


def _row(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()


def write_export(lines: Iterable[Line], form: Format, put: Callable[[bytes], object]) -> tuple[int, Head | None]:
    """Put out every line; how many it were, and the last of them."""
    count, last = 0, None

    def counted() -> Iterator[Line]:
        nonlocal count, last
        for line in lines:
            count, last = count + 1, line.head()
            yield line

    for text in texts_of(counted(), form):
        put(text.encode("utf-8"))
    return count, last
