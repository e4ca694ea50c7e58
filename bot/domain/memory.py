"""What a model remembers of one place of one session: turns of few kinds of entries, kept within a budget of tokens.

A form of our own, so that a stored history outlives every version of a library and every change of model.
Deliberately absent: where it is kept, and how a provider is told of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bot.domain.session import PersonId
from bot.errors import Malformed

BYTES_A_TOKEN = 3
"""Of UTF-8. Tokenizers make some four of English, three of other languages and of logs; the smaller is the safe one."""
SHORTENED_CHARS = 600
"""What is kept of a long text of an older turn: its head and its tail, from which one knows what it was."""
_LINE_CHARS = 200
"""Of a line of a text that is shortened: a terminal's width and more."""
WHOLE_TURNS = 2
"""The newest, which people are talking about: their texts are not shortened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The prompt of a turn: what people wrote and what came home, as the model got it."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """One tool that the model used, and what it was answered."""

    tool: str
    arguments: str
    """A JSON object; `{}` where the model wrote none."""
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The model's last words of a turn."""

    text: str


Entry = Heard | Called | Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """One turn."""

    entries: tuple[Entry, ...]
    read_untrusted: bool
    """Whether it holds words of which nobody knows who wrote them: output, names, fields of a hook."""
    person: PersonId | None = None
    """Whose words it answers. To another person they are words that may want something in their name."""


def tokens(text: str) -> int:
    """How many tokens it is, at most, as far as one can say without its tokenizer."""
    return len(text.encode("utf-8", "replace")) // BYTES_A_TOKEN + 1


def tokens_of(turn: Remembered) -> int:
    return sum(tokens(text) for entry in turn.entries for text in _texts(entry))


def compacted(turns: Sequence[Remembered], *, budget_tokens: int) -> tuple[tuple[Remembered, ...], int]:
    """The newest of them that fit, oldest first, and how many older ones are left out.

    Long texts of older turns are shortened before any turn is left out.
    """
    shorter = [*map(_shortened, turns[:-WHOLE_TURNS]), *turns[-WHOLE_TURNS:]] if len(turns) > WHOLE_TURNS else turns
    kept: list[Remembered] = []
    left = budget_tokens
    for turn in reversed(shorter):
        left -= tokens_of(turn)
        if left < 0:
            break
        kept.insert(0, turn)
    return tuple(kept), len(turns) - len(kept)


def _texts(entry: Entry) -> tuple[str, ...]:
    match entry:
        case Called():
            return entry.tool, entry.arguments, entry.answer
        case _:
            return (entry.text,)


def _shortened(turn: Remembered) -> Remembered:
    return replace(turn, entries=tuple(_shorter(entry) for entry in turn.entries))


def _shorter(entry: Entry) -> Entry:
    match entry:
        case Heard():
            return replace(entry, text=_in_short(entry.text))
        case Called():
            return replace(entry, answer=_in_short(entry.answer))
        case _:
            return entry


def _in_short(text: str) -> str:
    """Its first and last lines, each from its beginning: what stood behind a bar still does."""
    if len(text) <= SHORTENED_CHARS:
        return text
    lines = [line if len(line) <= _LINE_CHARS else line[:_LINE_CHARS] + "…" for line in text.split("\n")]
    head = _as_many(lines, SHORTENED_CHARS // 2)
    tail = _as_many(lines[len(head) :][::-1], SHORTENED_CHARS // 2)[::-1]
    left_out = len(lines) - len(head) - len(tail)
    return "\n".join((*head, *([f"[{left_out} lines left out here]"] if left_out else []), *tail))


def _as_many(lines: Sequence[str], room: int) -> list[str]:
    kept: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    return kept


def remembered_to_text(turn: Remembered) -> str:
    return json.dumps(
        {
            "entries": [_entry_to_json(entry) for entry in turn.entries],
            "read_untrusted": turn.read_untrusted,
            "person": turn.person,
        },
        separators=(",", ":"),
    )


def remembered_from_text(text: str) -> Remembered:
    """The inverse of `remembered_to_text`. Raises `Malformed` for anything else."""
    match json.loads(text):
        case {"entries": list(entries), "read_untrusted": bool(read_untrusted), "person": None | str() as person}:
            return Remembered(
                entries=tuple(map(_entry_of_json, entries)),
                read_untrusted=read_untrusted,
                person=None if person is None else PersonId(person),
            )
    raise Malformed("a remembered turn is none that we know")


def _entry_to_json(entry: Entry) -> dict[str, str]:
    match entry:
        case Heard():
            return {"kind": "heard", "text": entry.text}
        case Called():
            form = {"kind": "called", "tool": entry.tool}
            return form | {"arguments": entry.arguments, "answer": entry.answer}
        case _:
            return {"kind": "told", "text": entry.text}


def _entry_of_json(form: Mapping[str, object]) -> Entry:
    match dict(form):
        case {"kind": "heard", "text": str(text)}:
            return Heard(text=text)
        case {"kind": "called", "tool": str(tool), "arguments": str(given), "answer": str(answer)}:
            return Called(tool=tool, arguments=given, answer=answer)
        case {"kind": "told", "text": str(text)}:
            return Told(text=text)
    raise Malformed(f"a remembered entry of kind {form.get('kind')!r}")
