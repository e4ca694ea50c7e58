"""How text fits into messages: what hides is shown, what is long is cut or split, and nothing goes missing unsaid.

Deliberately absent: what the words mean. Sizes are ours; channels declare limits in the same measure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace

from bot.domain.lookalikes import LIKE_LETTERS, LIKE_SIGNS
from bot.domain.message import Block, Capabilities, Code, Facts, Heading, Instant, Post, Prose, Span

BLOCK_OVERHEAD_CHARS = 24
"""Counted for each block beside its text: fence, label and line ends, in the wordiest markup that we speak."""
INSTANT_CHARS = 32
"""Counted for a moment: the longest of the networks' local-time markups (Slack's `<!date^…>`) with its fallback."""
MAX_PARTS = 60
"""Of one event. 256 KiB of output is 22 messages of the web chat; past this the rest stays on the node."""


_NOT_PLAIN = re.compile(r"[^\x20-\x7e\n\t]")
_BLANK = frozenset(
    map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0))
)
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""These and `_BLANK` are letters and marks by category, and show nothing:
https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt (Default_Ignorable_Code_Point)"""


def visible(text: str) -> str:
    """Characters that show nothing, or something else (control, format, bidi), made visible as ⟨U+202E⟩.

    ⟨ itself is shown so too: what is shown, read back, is the text and no other (F-083).
    """
    return _NOT_PLAIN.sub(lambda found: _named_or_shown(text, found.start()), text)


def in_a_line(text: str) -> str:
    """As `visible`, for words of others beside ours: a line end in them would begin what looks like our next line."""
    return visible(text).replace("\n", " ⏎ ").replace("\t", "⟨U+0009⟩")


def visible_command(text: str) -> str:
    """As `visible`, and what looks like a plain letter or sign and is none is named too: one command, one look.

    A word in one other script stays as it is where it could not be taken for a plain one.
    """
    if text.isascii():
        return visible(text)
    named = {found.start() for found in _NOT_PLAIN.finditer(text) if _misleads(text, found.start())}
    for word in _words(text):
        named.update(_borrowed(text, word))
    return "".join(
        f"⟨U+{ord(one):04X}⟩" if at in named else one if one in "\n\t" else _named_or_shown(text, at)
        for at, one in enumerate(text)
    )


def looks_like_itself(text: str) -> bool:
    """No list that shows it as it is could be read for another command."""
    return visible_command(text) == visible(text)


_BORROWED_SCRIPTS = ("CYRILLIC ", "GREEK ", "ARMENIAN ", "CHEROKEE ", "COPTIC ", "LISU ", "GEORGIAN ")
_MOST_MARKS = 3
"""On one letter: Vietnamese and Hebrew have two, Tibetan three. More are painted over the lines around it."""


def _words(text: str) -> Iterator[range]:
    """Runs of letters and digits with the marks that belong to them."""
    start = 0
    for at in range(len(text) + 1):
        if at == len(text) or not (text[at].isalnum() or text[at] == "_" or unicodedata.category(text[at])[0] == "M"):
            if start < at:
                yield range(start, at)
            start = at + 1


def _misleads(text: str, at: int) -> bool:
    """A full-width, mathematical, raised or circled form of a plain one, a sign that looks like one, or a mark that
    strikes through or rings one."""
    folded = unicodedata.normalize("NFKC", text[at])
    if text[at] in LIKE_SIGNS or folded.isascii() or (folded != text[at] and folded in LIKE_LETTERS):
        return True
    if not _is_mark(text[at]):
        return False
    base = at - 1
    while base >= 0 and at - base <= _MOST_MARKS and _is_mark(text[base]):
        base -= 1
    return base < 0 or text[base].isascii() or unicodedata.name(text[base], "LATIN ").startswith("LATIN ")


def _borrowed(text: str, word: range) -> Iterator[int]:
    """Where a word has letters of a script that it is not written in, or only such as look plain; and accents that are
    characters of their own, because the same letter exists as one."""
    letters = [at for at in word if text[at].isalpha() or (text[at].isalnum() and not text[at].isascii())]
    is_mixed = any(unicodedata.name(text[at], "").startswith("LATIN ") for at in letters)
    if is_mixed:
        yield from (at for at in letters if _is_of_another_script(text[at]))
        yield from (at for at in word if unicodedata.combining(text[at]))
    elif all(text[at] in LIKE_LETTERS for at in letters):
        yield from letters


def _is_of_another_script(letter: str) -> bool:
    return letter in LIKE_LETTERS or unicodedata.name(letter, "").startswith(_BORROWED_SCRIPTS)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) in {"Mn", "Me"}


def _named_or_shown(text: str, at: int) -> str:
    before = text[max(0, at - _MOST_MARKS) : at]
    if len(before) == _MOST_MARKS and all(map(_is_mark, before)) and _is_mark(text[at]):
        return f"⟨U+{ord(text[at]):04X}⟩"
    return _shown(text[at], before[-1:])


def _shown(character: str, before: str) -> str:
    if character in "\ufe0e\ufe0f" and before and unicodedata.category(before) == "So" and not _hides(before):
        return character  # part of how an emoji is written
    return f"⟨U+{ord(character):04X}⟩" if character == "⟨" or _hides(character) else character


def _hides(character: str) -> bool:
    # Cc control, Cf format (bidi, zero-width, tags), Co private use, Cn unassigned, Zl and Zp line separators; a space
    # that is not the plain one looks like it and is none to a shell.
    category = unicodedata.category(character)
    return (
        category in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        or (category == "Zs" and character != " ")
        or character in _BLANK
        or _SELECTORS.match(character) is not None
    )


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `30 days`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h" if hours else f"{days} days"


def size(post: Post) -> int:
    """Characters of a post as channels must count them at most."""
    return sum(_block_size(block) for block in post.blocks)


def split(post: Post, capabilities: Capabilities) -> tuple[Post, ...]:
    """Parts that each fit, in order. Long text is cut at line ends where there is one, never inside a character.

    The first part keeps the mention, the last one the buttons.
    """
    limit = capabilities.text_chars
    if size(post) <= limit:
        return (post,)
    parts: list[list[Block]] = [[]]
    room = limit
    for block in post.blocks:
        for piece in _pieces(block, limit):
            needed = _block_size(piece)
            if needed > room and parts[-1]:
                parts.append([])
                room = limit
            parts[-1].append(piece)
            room -= needed
    if len(parts) > MAX_PARTS:
        rest = f"[{len(parts) - MAX_PARTS + 1} further messages are left out: the output is too long for this chat]"
        parts = [*parts[: MAX_PARTS - 1], [Prose(spans=(rest,))]]
    last = len(parts) - 1
    return tuple(
        replace(
            post,
            blocks=tuple(blocks),
            mention=post.mention if at == 0 else None,
            buttons=post.buttons if at == last else (),
            attachment=post.attachment if at == last else None,
        )
        for at, blocks in enumerate(parts)
    )


def fit(post: Post, capabilities: Capabilities) -> Post:
    """The post in one message, for what is edited: first code is cut, then labelled lines, then words. Each is said.

    Headings are kept whole: they are ours and short.
    """
    for shorter in (_with_less_code, _without_facts, _with_fewer_words):
        over = size(post) - capabilities.text_chars
        if over <= 0:
            break
        post = replace(post, blocks=tuple(shorter(block, over) for block in post.blocks))
    return post


def _with_less_code(block: Block, over: int) -> Block:
    if not isinstance(block, Code):
        return block
    return replace(block, text=cut_middle(block.text, max(60, len(block.text) - over), ""))


def _without_facts(block: Block, _: int) -> Block:
    return Prose(spans=("[details left out here: they are too long]",)) if isinstance(block, Facts) else block


def _with_fewer_words(block: Block, over: int) -> Block:
    if not isinstance(block, Prose):
        return block
    return Prose(
        spans=tuple(
            cut_middle(span, max(100, len(span) - over), "") if isinstance(span, str) else span for span in block.spans
        )
    )


def cut_middle(text: str, limit: int, hint: str) -> str:
    """At most `limit` characters: a quarter from the head, the rest from the tail, cut at line ends where near."""
    if len(text) <= limit:
        return text
    notice_room = 80 + len(hint)
    kept = max(2, limit - notice_room)
    head, tail = text[: kept // 4], text[len(text) - (kept - kept // 4) :]
    if "\n" in head[len(head) // 2 :]:
        head = head[: head.rindex("\n")]
    if "\n" in tail[: len(tail) // 2]:
        tail = tail[tail.index("\n") + 1 :]
    return f"{head}\n[{len(text) - len(head) - len(tail)} characters left out here{hint}]\n{tail}"


def _block_size(block: Block) -> int:
    match block:
        case Heading() | Prose():
            chars = _spans_size(block.spans)
        case Facts():
            chars = sum(len(label) + 4 + _spans_size(spans) for label, spans in block.rows)
        case _:
            chars = len(block.text) + len(block.label)
    return chars + BLOCK_OVERHEAD_CHARS


def _spans_size(spans: tuple[Span, ...]) -> int:
    return sum(INSTANT_CHARS if isinstance(span, Instant) else len(span) for span in spans)


def _pieces(block: Block, limit: int) -> list[Block]:
    """The block, or several of its kind that each fit into an empty message."""
    if _block_size(block) <= limit:
        return [block]
    match block:
        case Code():
            room = limit - BLOCK_OVERHEAD_CHARS - len(block.label)
            return [Code(text=text, label=block.label) for text in _slices(block.text, room)]
        case Heading() | Prose():
            return [Prose(spans=spans) for spans in _span_slices(block.spans, limit - BLOCK_OVERHEAD_CHARS)]
        case _:
            return [piece for row in block.rows for piece in _pieces(_as_prose(row), limit)]


def _as_prose(row: tuple[str, tuple[Span, ...]]) -> Prose:
    return Prose(spans=(f"{row[0]}: ", *row[1]))


def _span_slices(spans: tuple[Span, ...], room: int) -> list[tuple[Span, ...]]:
    """The spans in order, in rows of at most `room` characters; a moment is never torn apart."""
    rows: list[tuple[Span, ...]] = [()]
    for span in spans:
        for piece in [span] if isinstance(span, Instant) else _slices(span, room):
            fits = _spans_size((*rows[-1], piece)) <= room
            rows[-1:] = [(*rows[-1], piece)] if fits else [rows[-1], (piece,)]
    return rows


def _slices(text: str, room: int) -> list[str]:
    """Slices of at most `room` characters whose concatenation is the text; at a line end where one is in reach."""
    slices: list[str] = []
    at = 0
    while at < len(text):
        end = min(len(text), at + room)
        if end < len(text):
            line_end = text.rfind("\n", at + room // 2, end)
            end = line_end + 1 if line_end >= 0 else end
        slices.append(text[at:end])
        at = end
    return slices
