"""The grammar of what people type: exact words and whole ids; nothing else decides, and near misses are offered."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.domain.execution import ID_ALPHABET, ID_CHARS, ExecutionId
from bot.domain.words import (
    USAGE,
    Again,
    Approve,
    Decision,
    Deny,
    Pause,
    Plain,
    Resume,
    Run,
    Several,
    ShowWhole,
    Stop,
    Unclear,
    Urgent,
    Why,
    Words,
    parse_id,
    parse_words,
)

ID = ExecutionId("7K3QAC")
RUN_USAGE = "run <command>   or   run on <node>: <command>"

MANY = " ".join(f"7K3Q{first}{second}" for first in "2345679A" for second in "2345679A")
"""Sixty-four, as many as one message decides."""
A, B, C = ExecutionId("7K3QAC"), ExecutionId("7K3QAF"), ExecutionId("7K3QAH")

TAKEN: list[tuple[str, Words]] = [
    ("run uptime", Run(command="uptime", node=None)),
    ("  run   df -h  ", Run(command="df -h", node=None)),
    ("Run uptime", Run(command="uptime", node=None)),
    ("RUN uptime", Run(command="uptime", node=None)),
    ("/run uptime", Run(command="uptime", node=None)),
    ("!run uptime", Run(command="uptime", node=None)),
    ("run: uptime", Run(command="uptime", node=None)),
    ("run\tuptime", Run(command="uptime", node=None)),
    ("run\nuptime\nid", Run(command="uptime\nid", node=None)),
    ("run\r\nuptime", Run(command="uptime", node=None)),
    ("run\u00a0uptime", Run(command="uptime", node=None)),
    ("run for x in 1 2\ndo echo $x\ndone", Run(command="for x in 1 2\ndo echo $x\ndone", node=None)),
    ("run cat <<E\n  x\n\n y\nE", Run(command="cat <<E\n  x\n\n y\nE", node=None)),
    ("run echo `date` 'a  b'", Run(command="echo `date` 'a  b'", node=None)),
    ("run echo on web-1: x", Run(command="echo on web-1: x", node=None)),
    ("run only: x", Run(command="only: x", node=None)),
    ("run on-call", Run(command="on-call", node=None)),
    ("run approve 7K3QAC", Run(command="approve 7K3QAC", node=None)),
    ("run on web-1: uptime", Run(command="uptime", node="web-1")),
    ("run on web-1 : uptime", Run(command="uptime", node="web-1")),
    ("run on web-1:uptime", Run(command="uptime", node="web-1")),
    ("run on web-1:\nuptime\nid", Run(command="uptime\nid", node="web-1")),
    ("run\non web-1: uptime", Run(command="uptime", node="web-1")),
    ("run on\tweb-1:\tuptime", Run(command="uptime", node="web-1")),
    ("Run On Web-1: LS", Run(command="LS", node="Web-1")),
    ("run on web-1: echo a: b", Run(command="echo a: b", node="web-1")),
    ("run on grün🦆: ls", Run(command="ls", node="grün🦆")),
    (f"run on {'n' * 64}: ls", Run(command="ls", node="n" * 64)),
    ("`run df -h`", Run(command="df -h", node=None)),
    ("```\nrun df -h\nid\n```", Run(command="df -h\nid", node=None)),
    ("approve 7K3QAC", Approve(id=ID)),
    ("approve 7k3qac", Approve(id=ID)),
    ("APPROVE 7K3QAC once", Approve(id=ID)),
    ("approve 7K3QAC Once", Approve(id=ID)),
    ("approve: 7K3QAC", Approve(id=ID)),
    ("approve\t7K3QAC", Approve(id=ID)),
    ("approve\n7K3QAC", Approve(id=ID)),
    ("/approve 7K3QAC", Approve(id=ID)),
    ("!approve 7K3QAC", Approve(id=ID)),
    ("approve `7K3QAC`", Approve(id=ID)),
    ("approve '7K3QAC'", Approve(id=ID)),
    ('approve "7K3QAC"', Approve(id=ID)),
    ("approve “7K3QAC”", Approve(id=ID)),
    ("approve ‘7K3QAC’", Approve(id=ID)),
    ("approve «7K3QAC»", Approve(id=ID)),
    ("approve <7K3QAC>", Approve(id=ID)),
    ("`approve 7K3QAC`", Approve(id=ID)),
    ("```approve 7K3QAC```", Approve(id=ID)),
    ("“approve 7K3QAC once”", Approve(id=ID)),
    ("‘/approve 7K3QAC’", Approve(id=ID)),
    ("approve 7K3QAC deny", Deny(id=ID, reason="")),
    ("deny 7K3QAC", Deny(id=ID, reason="")),
    ("deny 7K3QAC not during the freeze", Deny(id=ID, reason="not during the freeze")),
    ("deny 7K3QAC\nnot now\nlater", Deny(id=ID, reason="not now\nlater")),
    ("deny 7K3QAC once", Deny(id=ID, reason="once")),
    ('deny `7K3QAC` "Not NOW"', Deny(id=ID, reason='"Not NOW"')),
    (f"deny 7K3QAC {'x' * 600}", Deny(id=ID, reason="x" * 500)),
    ("stop 7K3QAC", Stop(id=ID)),
    ("output 7K3QAC", ShowWhole(id=ID)),
    ("again 7K3QAC", Again(id=ID)),
    ("why 7k3qac", Why(id=ID)),
    ("pause", Pause(reason="")),
    ("pause  the database moves ", Pause(reason="the database moves")),
    (f"pause {'x' * 600}", Pause(reason="x" * 500)),
    ("resume", Resume()),
    ("pending", Plain(word="pending")),
    ("Nodes", Plain(word="nodes")),
    ("/executions", Plain(word="executions")),
    ("whoami", Plain(word="whoami")),
    ("help:", Plain(word="help")),
]
UNCLEAR: list[tuple[str, str | None]] = [
    ("", None),
    ("   ", None),
    ("`", None),
    ("!", None),
    ("ok", None),
    ("yes", None),
    ("y", None),
    ("sure, go ahead", None),
    ("👍", None),
    ("hello there", None),
    ("7K3QAC", None),
    ("please run uptime", None),
    ("step 1: check the disk", None),
    ("notes from the call", None),
    ("improve it", None),
    ("hell no", None),
    ("I approve 7K3QAC", None),
    ("@ada approve 7K3QAC", None),
    ("> approve 7K3QAC", None),
    ("run", RUN_USAGE),
    ("run on", RUN_USAGE),
    ("run on web-1", RUN_USAGE),
    ("run on web-1:", RUN_USAGE),
    ("run on web-1:  \n ", RUN_USAGE),
    (f"run on {'n' * 65}: ls", RUN_USAGE),
    ("run on web-1 uptime", "run on web-1: uptime"),
    ("run on web-1 echo a: b", "run on web-1: echo a: b"),
    ("runn uptime", "run uptime"),
    ("rum on web-1: ls", None),
    ("runs on web-1 ls", "run on web-1: ls"),
    ("approve", "approve <id>"),
    ("approve it", "approve <id>"),
    ("approve all", "approve <id>"),
    ("approve 7K3QA", "approve <id>"),
    ("approve 7K3QACC", "approve <id>"),
    ("approve 7K3QA?", "approve <id>"),
    ("approve 7K3QA0", "approve <id>"),
    ("approve 7K3 QAC", "approve <id>"),
    ("approve 7K3-QAC", "approve <id>"),
    ("approve #7K3QAC", "approve <id>"),
    ("approve 7K3QAC.", "approve <id>"),
    ("approve 7K3QAC,7K3QAF always", "approve 7K3QAC 7K3QAF"),
    ("approve 7K3QAC 7K3QAF code 123456", "approve 7K3QAC 7K3QAF"),
    ("approve 7K3QAC 7K3QAF please", "approve 7K3QAC 7K3QAF"),
    ("stop 7K3QAC, 7K3QAF now", "stop 7K3QAC 7K3QAF"),
    ("approve ,7K3QAC 7K3QAF", "approve <id>"),
    (f"approve {MANY} 222222", f"approve {MANY}"),
    ("approve ﬀ2345", "approve <id>"),
    ("approve ７K3QAC", "approve <id>"),
    ("approve\u200b 7K3QAC", "approve 7K3QAC"),
    ("approve 7K3QAC alway", "approve 7K3QAC"),
    ("approve 7K3QAC please", "approve 7K3QAC"),
    ("approve 7K3QAC because", "approve 7K3QAC"),
    ("approve 7K3QAC code", "approve 7K3QAC"),
    ("approve 7K3QAC code 12345x6 deny", "approve 7K3QAC"),
    ("approve 7K3QAC 7K3QAC", "approve 7K3QAC"),
    ("approve 7K3QAC\nthanks", "approve 7K3QAC"),
    ("approve 7K3QAC once more", "approve 7K3QAC"),
    ("aprove 7k3qac", "approve 7k3qac"),
    ("aproved it", "approve <id>"),
    ("deny", "deny <id> [reason]"),
    ("deny it", "deny <id> [reason]"),
    ("denied 7K3QAC", None),
    ("deney 7K3QAC too late", "deny 7K3QAC too late"),
    ("`approve 7K3QAC` or `deny 7K3QAC`", "approve 7K3QAC"),
    ("'deny 7K3QAC' means no, doesn't it'", "deny 7K3QAC' means no, doesn't it'"),
    ("stop", "stop <id>"),
    ("stop!", "stop <id>"),
    ("stop the presses", "stop <id>"),
    ("stop 7K3QAC now", "stop 7K3QAC"),
    ("output", "output <id>"),
    ("output 7K3QAC please", "output 7K3QAC"),
    ("again", "again <id>"),
    ("again and again", "again <id>"),
    ("again 7K3QAC 2", "again 7K3QAC"),
    ("pendign", "pending"),
    ("node", "nodes"),
    ("exections", "executions"),
    ("nodes please", "nodes"),
    ("help me", "help"),
    ("helpp me", "help"),
    ("resume work tomorrow", "resume"),
    ("resumes work", "resume"),
]


SEVERAL: list[tuple[str, Words]] = [
    ("approve 7K3QAC,7K3QAF", Several(ids=(A, B), each=Approve(id=A))),
    ("/approve 7k3qac 7K3QAF , `7K3QAH`", Several(ids=(A, B, C), each=Approve(id=A))),
    ("approve 7K3QAC 7K3QAF 7K3QAC", Several(ids=(A, B), each=Approve(id=A))),
    ("approve 7K3QAC, 7K3QAF because it is full", Several(ids=(A, B), each=Approve(id=A, reason="it is full"))),
    ("approve 7K3QAC 7K3QAF once", Several(ids=(A, B), each=Approve(id=A))),
    ("approve 7K3QAC 7K3QAF deny", Several(ids=(A, B), each=Deny(id=A, reason=""))),
    ("deny 7K3QAC, 7K3QAF not now", Several(ids=(A, B), each=Deny(id=A, reason="not now"))),
    ("deny 7K3QAC, 7K3QAF", Several(ids=(A, B), each=Deny(id=A, reason=""))),
    # A reason may begin with a word that looks like an id.
    ("deny 7K3QAC chakra is down", Deny(id=A, reason="chakra is down")),
    ("deny 7K3QAC, 7K3QAF chakra is down", Several(ids=(A, B), each=Deny(id=A, reason="chakra is down"))),
    ("stop 7K3QAC 7K3QAF", Several(ids=(A, B), each=Stop(id=A))),
    ("stop 7K3QAC,", Unclear(meant="stop <id>")),
    (f"approve {MANY}", Several(ids=tuple(map(ExecutionId, MANY.split())), each=Approve(id=ExecutionId("7K3Q22")))),
]


@pytest.mark.parametrize(("text", "words"), SEVERAL, ids=[repr(text)[:60] for text, _ in SEVERAL])
def test_several_ids_in_one_message_are_several_decisions(text: str, words: Words) -> None:
    assert parse_words(text) == words


@pytest.mark.parametrize(("text", "words"), TAKEN, ids=[repr(text)[:60] for text, _ in TAKEN])
def test_exact_words_are_taken(text: str, words: Words) -> None:
    assert parse_words(text) == words


@pytest.mark.parametrize(("text", "meant"), UNCLEAR, ids=[repr(text)[:60] for text, _ in UNCLEAR])
def test_f080_anything_else_is_answered_with_what_was_meant_and_never_guessed(text: str, meant: str | None) -> None:
    assert parse_words(text) == Unclear(meant=meant)


LOOSE = [
    *(
        "ok",
        "okay",
        "yes",
        "y",
        "yep",
        "go",
        "do it",
        "sure",
        "lgtm",
        "+1",
        "👍",
        "✅",
        "approved",
        "allow",
        "allow once",
    ),
    *("approve it", "approve this", "approve that one", "approve please", "approve all", "approve *", "approve latest"),
    *(
        "yes 7K3QAC",
        "ok 7K3QAC",
        "7K3QAC",
        "7K3QAC approve",
        "once",
        "always",
        "please approve 7K3QAC",
        "approve7K3QAC",
    ),
    *("don't approve 7K3QAC", "not approve 7K3QAC", "approve 7K3QAC?", "approve 7K3QAC not", "approve 7K3QAC, no"),
    *("no", "nope", "deny it", "cancel", "stop it", "stop everything", "never mind"),
]


@pytest.mark.parametrize("text", LOOSE)
def test_f075_free_text_never_decides(text: str) -> None:
    assert not isinstance(parse_words(text), Decision)


talk = st.lists(
    st.sampled_from(
        [
            "approve",
            "deny",
            "stop",
            "once",
            "yes",
            "it",
            "7K3QAC",
            "7k3qac",
            "7K3QA",
            " ",
            "\n",
            "\t",
            "`",
            "'",
            "“",
            "”",
        ]
    )
    | st.text(max_size=4),
    max_size=6,
).map("".join)


@given(talk)
@example("approve 7K3QAC")
@example("'approve 7K3QAC\nonce'")
def test_f075_a_decision_holds_a_word_and_a_whole_id_and_at_most_once_or_deny_behind_it(text: str) -> None:
    words = parse_words(text)
    if not isinstance(words, Decision):
        return
    bare = [part.strip("`'\"‘’“”«»<>") for part in text.split()]
    bare = [part for part in bare if part]
    assert bare[0].strip("/!:").lower() in {"approve", "deny", "stop"}
    assert bare[1].upper() == words.id
    if isinstance(words, Approve):
        assert [part.lower() for part in bare[2:]] in ([], ["once"])


@given(st.text() | talk | st.builds(" ".join, st.tuples(st.sampled_from(sorted(USAGE)), st.text(max_size=30))))
def test_any_text_is_read_and_what_is_offered_is_a_line_that_we_take_or_the_usage(text: str) -> None:
    words = parse_words(text)
    if isinstance(words, Unclear) and words.meant is not None and words.meant not in USAGE.values():
        # The colon that was forgotten may stand before further white space, which is then not repeated.
        assert not isinstance(parse_words(words.meant), Unclear)


@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: text.strip() and text.split()[0] != "on"))
def test_a_command_is_taken_to_the_letter(command: str) -> None:
    words = parse_words(f"run on web-1: {command}")
    assert words == Run(command=command.strip(), node="web-1")


ids = st.text(st.sampled_from(ID_ALPHABET), min_size=ID_CHARS, max_size=ID_CHARS)


@given(ids, st.sampled_from(["{}", "`{}`", "'{}'", "“{}”", "<{}>", "``{}``"]))
def test_f049_the_id_that_is_shown_always_resolves_whatever_its_case_and_quotes(one: str, around: str) -> None:
    for shown in (one, one.lower(), one.capitalize()):
        assert parse_id(around.format(shown)) == one
        assert parse_words(f"approve {around.format(shown)}") == Approve(id=ExecutionId(one))


@given(ids, st.integers(0, ID_CHARS - 1))
def test_f049_departure_a_prefix_never_resolves_not_even_one_that_fits_only_one_id(one: str, kept: int) -> None:
    """The field's row lists the matches of an ambiguous prefix; our ids are short enough to be typed whole."""
    assert parse_id(one[:kept]) is None
    assert parse_id(one + one[:1]) is None


@given(st.text(max_size=8))
def test_nothing_but_six_characters_of_the_alphabet_is_an_id(text: str) -> None:
    found = parse_id(text)
    if found is not None:
        assert text.strip("`'\"‘’“”«»<>").upper() == found
        assert text.isascii() or not text.strip("‘’“”«»").upper().strip(ID_ALPHABET + "`'\"<>‘’“”«»")


@pytest.mark.parametrize("inner", [" ", "\t", "\n", "\u200b", "-", "."])
def test_f049_ids_are_not_trimmed_within(inner: str) -> None:
    assert parse_id(f"7K3{inner}QAC") is None


def test_ids_are_unambiguous_in_writing_and_speech() -> None:
    assert len(set(ID_ALPHABET)) == len(ID_ALPHABET) == 18
    assert set(ID_ALPHABET) <= set(string.ascii_uppercase + string.digits)
    for alike in ("0OQD", "1ILJ", "8B", "5S", "2Z", "BCDEGPTV", "MN", "UVW"):
        assert len(set(alike) & set(ID_ALPHABET)) <= 1, alike


def test_what_does_not_wait_behind_a_turn_is_what_decides_stops_or_pauses() -> None:
    urgent = ["approve 7K3QAC", "deny 7K3QAC", "stop 7K3QAC", "pause", "resume"]
    assert all(isinstance(parse_words(text), Urgent) for text in urgent)
    patient = [
        "run ls",
        "output 7K3QAC",
        "again 7K3QAC",
        "why 7K3QAC",
        "why is it down?",
        "why",
        "pending",
        "help",
        "ok",
        "approve it",
    ]
    assert not any(isinstance(parse_words(text), Urgent) for text in patient)


def test_every_word_of_the_usage_is_understood_as_itself() -> None:
    for word, usage in USAGE.items():
        assert usage.startswith(word)
        named = {"revoke": f"G{ID}", "review": f"B{ID}"}.get(word, ID)
        line = usage.replace("<id>", named).replace("[reason]", "").split("   or   ", 1)[0].replace("<command>", "ls")
        line = line.replace("ok|misuse", "ok").replace("[15m]", "15m")
        assert not isinstance(parse_words(line), Unclear)


@pytest.mark.parametrize("talk", ["why", "why is it down?", "Why not", "why 7K3QAC now"])
def test_why_without_an_id_is_talk_among_people(talk: str) -> None:
    assert parse_words(talk) == Unclear(meant=None)


def test_a_yes_may_carry_how_a_code_and_a_reason_in_this_order() -> None:
    assert parse_words(f"approve {ID} once") == Approve(id=ID)
    assert parse_words(f"approve {ID} because the disk is full") == Approve(id=ID, reason="the disk is full")
    assert parse_words(f"approve {ID} code 123456") == Approve(id=ID, code="123456")
    assert parse_words(f"approve {ID} Always code ab12-cd34 Because why\nnot") == Approve(
        id=ID, always=True, code="ab12-cd34", reason="why\nnot"
    )
    assert parse_words(f"approve {ID} always: systemctl restart *") == Approve(
        id=ID, always=True, pattern="systemctl restart *"
    )
    assert parse_words(f"approve {ID} because {'x' * 600}") == Approve(id=ID, reason="x" * 500)


@pytest.mark.parametrize(
    "tail", ["code", "because", "code 12", "code 123456because x", "always code", "yes", "always: ", "twice"]
)
def test_f075_anything_else_behind_the_id_approves_nothing(tail: str) -> None:
    assert parse_words(f"approve {ID} {tail}") in (Unclear(meant=f"approve {ID}"), Approve(id=ID, always=True))
    assert tail == "always: " or isinstance(parse_words(f"approve {ID} {tail}"), Unclear)
