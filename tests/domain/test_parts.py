"""How text fits: what hides is shown and reads back, what is long is split or cut, and nothing goes missing unsaid."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.domain.command import CommandHash
from bot.domain.message import (
    Action,
    Block,
    Button,
    Capabilities,
    Code,
    Facts,
    Heading,
    Instant,
    Post,
    PostKind,
    Prose,
    Span,
)
from bot.domain.parts import (
    BLOCK_OVERHEAD_CHARS,
    MAX_PARTS,
    cut_middle,
    duration,
    fit,
    size,
    split,
    visible,
    visible_command,
)

# --- what hides -----------------------------------------------------------------------------------

HIDING = {
    "bidi": "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c",
    "no width": "\u200b\u200c\u200d\u2060\u2061\u2064\ufeff\u00ad\u034f\u180e",
    "fillers": "\u115f\u1160\u3164\uffa0\u2800\u17b4\u17b5",
    "selectors": "\ufe00\ufe0e\ufe0f\U000e0100\U000e01ef\u180b\u180f",
    "tags": "\U000e0001\U000e0041\U000e007f",
    "control": "\x00\x01\x07\x08\x0b\x0c\r\x1b\x7f\x85\x9b",
    "lines": "\u2028\u2029",
    "spaces": "\u00a0\u1680\u2000\u2003\u2007\u2009\u200a\u202f\u205f\u3000",
    "private": "\ue000\U000f0000",
    "no character": "\ufffe\U0001ffff",
    "half pairs": "\ud800\udfff",
    "our own sign": "⟨",
}
MARK = re.compile(r"⟨U\+([0-9A-F]{4,6})⟩")


def read_back(shown: str) -> str:
    return MARK.sub(lambda found: chr(int(found[1], 16)), shown)


@pytest.mark.parametrize("kind", HIDING)
def test_f083_what_hides_is_made_visible(kind: str) -> None:
    for character in HIDING[kind]:
        shown = visible(f"rm{character}-rf")
        assert shown == f"rm⟨U+{ord(character):04X}⟩-rf"


@pytest.mark.parametrize(
    "text", ["ls -la /tmp\n\tcat x", "grüße", "日本語", "e\u0301", "🦆", "⚠️ ❤️ ☑︎ 👍🏽", "→ “quoted” …", "~!@#$%^&*()"]
)
def test_what_can_be_seen_is_left_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_a_selector_is_left_only_behind_a_symbol_whose_look_it_chooses() -> None:
    assert visible("❤\ufe0f") == "❤\ufe0f"
    assert visible("a\ufe0f") == "a⟨U+FE0F⟩"
    assert visible("\ufe0f") == "⟨U+FE0F⟩"
    assert visible("❤\ufe0f\ufe0f") == "❤\ufe0f⟨U+FE0F⟩"
    assert visible("\u2800\ufe0f") == "⟨U+2800⟩⟨U+FE0F⟩", "a blank is no symbol"


any_text = st.text(st.characters() | st.sampled_from("".join(HIDING.values()) + "⟩U+0041❤"))


@given(any_text)
@example("⟨U+202E⟩")
@example("\u202e")
def test_f083_what_is_shown_reads_back_as_the_text_and_no_other(text: str) -> None:
    assert read_back(visible(text)) == text


@given(any_text)
def test_f083_nothing_that_is_shown_hides(text: str) -> None:
    for at, character in enumerate(shown := visible(text)):
        if character in "\n\t" or (character in "\ufe0e\ufe0f" and unicodedata.category(shown[at - 1]) == "So"):
            continue
        assert character.isprintable(), f"U+{ord(character):04X}"
        assert character not in "".join(HIDING.values()) or character == "⟨"


# --- what looks like something else ---------------------------------------------------------------

ALIKE = {
    "Cyrillic in a Latin word": ("r\u043e\u043et", "r⟨U+043E⟩⟨U+043E⟩t"),
    "one Latin letter in a Cyrillic word": ("\u0440\u0430c\u0441", "⟨U+0440⟩⟨U+0430⟩c⟨U+0441⟩"),
    "a word all of look-alikes": ("\u0441\u0430t", "⟨U+0441⟩⟨U+0430⟩t"),
    "a word of another script that looks plain": ("\u0441\u0430\u0440", "⟨U+0441⟩⟨U+0430⟩⟨U+0440⟩"),
    "Greek": ("d\u03bfcker", "d⟨U+03BF⟩cker"),
    "Cherokee": ("\u13aas", "⟨U+13AA⟩s"),
    "full width": ("\uff52\uff4d", "⟨U+FF52⟩⟨U+FF4D⟩"),
    "full width signs": ("a\uff1bb\uff5cc", "a⟨U+FF1B⟩b⟨U+FF5C⟩c"),
    "mathematical": ("\U0001d42bm", "⟨U+1D42B⟩m"),
    "raised": ("10\u00b2", "10⟨U+00B2⟩"),
    "dotless": ("p\u0131ng", "p⟨U+0131⟩ng"),
    "dashes": ("ls \u2013a \u2014b \u2212c \u2010d", "ls ⟨U+2013⟩a ⟨U+2014⟩b ⟨U+2212⟩c ⟨U+2010⟩d"),
    "quotes": ("echo \u2019x\u201d", "echo ⟨U+2019⟩x⟨U+201D⟩"),
    "slashes": ("\u2215etc\u2044x", "⟨U+2215⟩etc⟨U+2044⟩x"),
    "dots": ("\u2024/x\u2026", "⟨U+2024⟩/x⟨U+2026⟩"),
    "an accent of its own": ("caf\u0065\u0301", "cafe⟨U+0301⟩"),
    "small capitals": ("\u1d04at \u1d0f", "⟨U+1D04⟩at ⟨U+1D0F⟩"),
    "a script that is not written any more": ("ls \U00010415", "ls ⟨U+10415⟩"),
    "Lisu, a word": ("\ua4e1\ua4e2", "⟨U+A4E1⟩⟨U+A4E2⟩"),
    "mathematical Greek": ("\U0001d6a8b", "⟨U+1D6A8⟩b"),
    "a digit of another script": ("8\u09668", "8⟨U+0966⟩8"),
    "a stroke of a Chinese letter": ("rm \u4e00rf", "rm ⟨U+4E00⟩rf"),
    "a long sound for a dash": ("rm \u30fcrf", "rm ⟨U+30FC⟩rf"),
    "struck out": ("rm -\u0336r\u0336f x", "rm -⟨U+0336⟩r⟨U+0336⟩f x"),
    "a ring around it": ("rm\u20dd -\u20d2rf", "rm⟨U+20DD⟩ -⟨U+20D2⟩rf"),
    "a mark on nothing": ("\u0301 x", "⟨U+0301⟩ x"),
    "more marks than any letter has": ("हि" + "\u0901" * 5, "हि\u0901\u0901\u0901" + "⟨U+0901⟩" * 2),
}


@pytest.mark.parametrize("kind", ALIKE)
def test_f083_what_looks_plain_in_a_command_and_is_not_is_named(kind: str) -> None:
    text, shown = ALIKE[kind]
    assert visible_command(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "ls -la /tmp\n\tcat x",
        "echo grüße",
        "echo \u043f\u0440\u0438\u0432\u0435\u0442",
        "echo 日本語ab",
        "echo 二〇二四 ノート データ",
        "echo दुःख తెలుగు १२०",
        "echo ấ ñ ß æ łódź",
        "echo हिन्दी",
        "x ‹secret: token› y",
        "echo 🦆 ❤\ufe0f",
    ],
)
def test_a_command_in_another_script_that_looks_like_itself_stays_readable(text: str) -> None:
    assert visible_command(text) == text


def test_f083_no_text_is_buried_under_the_marks_of_another_one() -> None:
    """Dozens of marks on one letter are painted over the lines around it."""
    assert visible("Z\u0336\u0336\u0336" + "\u0336" * 50 + "x") == "Z\u0336\u0336\u0336" + "⟨U+0336⟩" * 50 + "x"
    assert visible("हिन्दी דוגמה ế") == "हिन्दी דוגמה ế"


def test_f083_output_in_other_scripts_stays_readable_where_a_command_would_be_spelled_out() -> None:
    assert visible("r\u043e\u043et – “x”…") == "r\u043e\u043et – “x”…"


@given(any_text | st.text(st.sampled_from("rm сао\uff52\u2013\u0301é ⟨⟩U+0430\n\t")))
def test_f083_a_shown_command_reads_back_as_the_command_and_no_other(text: str) -> None:
    assert read_back(visible_command(text)) == text


# --- splitting ------------------------------------------------------------------------------------

BUTTONS = (Button(action=Action.AGAIN, execution_id="7K3QAC", shown=CommandHash("0" * 64)),)
limits = st.integers(500, 1_200).map(lambda chars: Capabilities(text_chars=chars, code_chars=chars // 2))
long_text = st.one_of(
    st.text(st.sampled_from("ab\n 🦆"), max_size=3_000),
    st.integers(0, 6_000).map(lambda count: "x" * count),
    st.integers(0, 900).map(lambda count: "a line\n" * count),
)
spans = st.lists(long_text | st.builds(Instant, st.just(1.0)), max_size=4).map(tuple)
rows = st.lists(st.tuples(st.sampled_from(["Node", "Directory"]), spans), max_size=3).map(tuple)
blocks = st.lists(
    st.one_of(
        st.builds(Heading, spans=spans),
        st.builds(Prose, spans=spans),
        st.builds(Facts, rows=rows),
        st.builds(Code, text=long_text, label=st.sampled_from(["Output", "Command", "Errors (stderr)"])),
    ),
    max_size=4,
).map(tuple)


def post_of(*some: Block, mention: str | None = "77") -> Post:
    return Post(kind=PostKind.RESULT, blocks=some, buttons=BUTTONS, execution_id="7K3QAC", mention=mention)


def all_spans(some: tuple[Block, ...]) -> list[Span]:
    found: list[Span] = []
    for block in some:
        if isinstance(block, (Heading, Prose)):
            found += block.spans
        elif isinstance(block, Facts):
            found += [span for _, spans in block.rows for span in spans]
    return found


def all_code(some: tuple[Block, ...]) -> str:
    return "".join(block.text for block in some if isinstance(block, Code))


@given(blocks, limits)
def test_every_part_fits_and_all_parts_together_are_the_post(some: tuple[Block, ...], limit: Capabilities) -> None:
    parts = split(post_of(*some), limit)
    assert all(size(part) <= limit.text_chars for part in parts)
    together = tuple(block for part in parts for block in part.blocks)
    if len(parts) == MAX_PARTS:
        assert any(isinstance(span, str) and "are left out" in span for span in all_spans(parts[-1].blocks))
        return
    assert all_code(together) == all_code(some)
    words = "".join(span for span in all_spans(together) if isinstance(span, str))
    wanted = "".join(span for span in all_spans(some) if isinstance(span, str))
    # A list of facts that is torn says its labels in the text.
    assert words.replace("Node: ", "").replace("Directory: ", "") == wanted
    moments = [span for span in all_spans(together) if isinstance(span, Instant)]
    assert moments == [span for span in all_spans(some) if isinstance(span, Instant)]


@given(blocks, limits)
def test_the_first_part_mentions_and_the_last_one_has_the_buttons(some: tuple[Block, ...], limit: Capabilities) -> None:
    parts = split(post_of(*some), limit)
    assert [part.mention for part in parts] == ["77"] + [None] * (len(parts) - 1)
    assert [part.buttons for part in parts] == [()] * (len(parts) - 1) + [BUTTONS]
    assert {(part.kind, part.execution_id) for part in parts} == {(PostKind.RESULT, "7K3QAC")}


def test_code_is_split_at_the_end_of_a_line_where_one_is_in_reach() -> None:
    parts = split(post_of(Code(text="a line\n" * 200, label="Output")), Capabilities(text_chars=500, code_chars=500))
    assert all(all_code(part.blocks).endswith("a line\n") for part in parts)
    assert all(size(part) > 250 for part in parts[:-1])


def test_more_parts_than_anybody_reads_are_left_out_and_that_is_said() -> None:
    limit = Capabilities(text_chars=500, code_chars=500)
    text = "x" * 100_000
    parts = split(post_of(Code(text=text, label="Output")), limit)
    assert len(parts) == MAX_PARTS
    [said] = all_spans(parts[-1].blocks)
    assert isinstance(said, str)
    left_out = int(re.sub(r"\D", "", said))
    shown = sum(len(all_code(part.blocks)) for part in parts)
    room = 500 - BLOCK_OVERHEAD_CHARS - len("Output")
    assert -(-len(text) // room) == MAX_PARTS - 1 + left_out
    assert text.startswith("x" * shown)
    assert parts[-1].buttons == BUTTONS


# --- one message ----------------------------------------------------------------------------------

reasonable = st.tuples(
    st.builds(Heading, spans=st.tuples(st.text(max_size=60))),
    st.builds(Prose, spans=st.tuples(st.sampled_from(["Denied by ", ""]), long_text, st.just(Instant(1.0)))),
    st.builds(Code, text=long_text, label=st.just("Command")),
    st.builds(Facts, rows=rows),
)


@given(reasonable, limits)
def test_what_is_edited_fits_one_message_and_says_what_is_left_out(
    some: tuple[Block, ...], limit: Capabilities
) -> None:
    whole = post_of(*some)
    one = fit(whole, limit)
    assert size(one) <= limit.text_chars
    if size(whole) <= limit.text_chars:
        assert one == whole
    else:
        shown = all_code(one.blocks) + "".join(span for span in all_spans(one.blocks) if isinstance(span, str))
        assert "left out here" in shown
    assert one.blocks[0] == some[0], "a heading is kept"
    assert (one.buttons, one.mention) == (whole.buttons, whole.mention)


def test_code_is_cut_before_anything_else() -> None:
    facts = Facts(rows=(("Node", ("web-1",)),))
    one = fit(post_of(Code(text="x" * 900, label="Command"), facts), Capabilities(text_chars=500, code_chars=300))
    assert one.blocks[1] == facts
    assert "left out here" in all_code(one.blocks)


@given(long_text, st.integers(50, 2_000), st.sampled_from(["", "; the whole is behind: output 7K3QAC"]))
def test_a_cut_keeps_head_and_tail_and_counts_what_is_missing(text: str, limit: int, hint: str) -> None:
    cut = cut_middle(text, limit, hint)
    if len(text) <= limit:
        assert cut == text
        return
    assert len(cut) <= max(limit, 50 + len(hint))
    found = re.search(r"\n\[(\d+) characters left out here" + re.escape(hint) + r"\]\n", cut)
    assert found is not None
    head, tail = cut[: found.start()], cut[found.end() :]
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(head) + int(found[1]) + len(tail) == len(text)


def test_a_cut_is_made_at_line_ends_where_they_are_near() -> None:
    cut = cut_middle("".join(f"line {number:03}\n" for number in range(200)), 400, "")
    head, notice, tail = re.split(r"\n(\[.*\])\n", cut)
    assert all(re.fullmatch(r"line \d{3}", line) for line in (head + "\n" + tail).splitlines())
    assert "left out here" in notice


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0.0 s"),
        (0.04, "0.0 s"),
        (0.42, "0.4 s"),
        (9.94, "9.9 s"),
        (12.3, "12 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (60.0, "1 min"),
        (200.0, "3 min 20 s"),
        (3_599.7, "1 h"),
        (7_500.0, "2 h 5 min"),
        (90_000.0, "25 h"),
        (2_592_000.0, "30 days"),
        (180_059.0, "2 days 2 h"),
    ],
)
def test_lengths_of_time_are_short_words(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
