"""A line of the audit: what it says of an execution, how it is written, and which texts are none."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from bot.domain.audit import (
    GENESIS,
    MAX_TEXT_CHARS,
    Fields,
    Head,
    Line,
    about,
    about_briefly,
    body_hash,
    body_text,
    canonical,
    follow,
    line_from_text,
    line_hash,
    line_to_text,
)
from bot.domain.audit_check import (
    Broken,
    Sound,
    check,
    head_from_text,
    head_to_text,
    heads_from_texts,
    redactions,
)
from bot.domain.command import CommandHash, FileDigest, Request, parse_request
from bot.domain.execution import Chunk, Ending, Execution, ExecutionId, ExecutionResult, Output, Stream
from bot.domain.session import PersonId
from bot.domain.unmasked import HIDDEN
from bot.errors import Malformed
from tests.store import made

AT = "2027-01-15T08:00:00.000Z"
ONE = ExecutionId("7K3Q9A")


def keyed(digest: CommandHash) -> str:
    return f"keyed({digest[:4]})"


def told(execution: Execution, kind: str = "ask", detail: str | None = None) -> dict[str, object]:
    """As it comes back from the body."""
    body = body_text("bob", about(execution, kind=kind, detail=detail, keyed=keyed), salt="00")
    fields = json.loads(body)
    assert isinstance(fields, dict)
    return fields


def chain(*kinds: str, execution: ExecutionId | None = ONE) -> list[Line]:
    lines: list[Line] = []
    for number, kind in enumerate(kinds):
        last = lines[-1].head() if lines else None
        lines.append(follow(last, at=AT, kind=kind, execution=execution, body=body_text("bob", {"n": number}, salt="")))
    return lines


def test_the_hash_of_a_line_is_what_the_page_says() -> None:
    """Spelled out once, so that a verifier in another language can be made from docs/AUDIT.md alone."""
    (line,) = chain("ask")
    assert line.body == '{"by":"bob","n":0,"salt":""}'
    assert line.body_hash == hashlib.sha256(b'{"by":"bob","n":0,"salt":""}').hexdigest()
    hashed = f'[1,1,"{AT}","ask","7K3Q9A","{GENESIS}","{line.body_hash}"]'
    assert line.hash == hashlib.sha256(hashed.encode()).hexdigest()
    assert line_to_text(line) == (
        f'{{"at":"{AT}","body":{{"by":"bob","n":0,"salt":""}},"body_hash":"{line.body_hash}",'
        f'"execution":"7K3Q9A","form":1,"hash":"{line.hash}","kind":"ask","previous":"{GENESIS}","seq":1}}'
    )


def test_a_line_says_who_where_what_and_by_which_rule() -> None:
    fields = told(replace(made.execution(), reason="too late", approved_by=(PersonId("bob"),)), detail="bob, web:cy")
    assert fields["by"] == "bob"
    assert fields["place"] == "agent:main:web:channel:ops"
    assert fields["node"] == {"name": "web-1", "fingerprint": "node-1"}
    assert (fields["quorum"], fields["approved_by"], fields["deciders"]) == (1, ["bob"], ["bob", "web:cy"])
    assert (fields["detail"], fields["reason"], fields["request"]) == ("bob, web:cy", "too late", "df -h")
    command = fields["command"]
    assert isinstance(command, dict)
    assert (command["argv"], command["cwd"], command["env"]) == (["df", "-h"], "/srv", ["LANG", "PATH"])
    assert fields["command_hash"] == made.execution().command_hash
    assert not {"four_eyes", "grant", "decided_by", "message_id", "exit_code"} & fields.keys(), "left out, not empty"


def test_a_reason_that_is_the_detail_stands_once() -> None:
    fields = told(replace(made.execution(), reason="no"), detail="no")
    assert fields["detail"] == "no"
    assert "reason" not in fields


def test_before_the_inspection_there_is_a_request_and_no_command() -> None:
    fields = told(replace(made.execution(), command=None, command_hash=None))
    assert fields["request"] == "df -h"
    assert not {"command", "command_hash"} & fields.keys()


def test_the_end_is_told_with_the_hash_of_the_output_that_is_kept_and_without_the_output() -> None:
    output = Output(head=(Chunk(stream=Stream.OUT, text="a\x00b"),), omitted_bytes=7, tail=())
    result = ExecutionResult(
        ending=Ending.SIGNALLED, exit_code=None, signal="SIGKILL", duration_s=1.2345, output=output
    )
    ended = replace(made.execution(), result=result)
    fields = told(ended, kind="finish")
    kept = "a\u2400b\n[7 bytes omitted]\n".encode()
    assert fields["output_sha256"] == hashlib.sha256(kept).hexdigest()
    assert (fields["output_bytes"], fields["omitted_bytes"]) == (len(kept), 7)
    assert (fields["ending"], fields["signal"], fields["duration_ms"]) == ("signalled", "SIGKILL", 1234)
    assert "exit_code" not in fields
    assert "ending" not in told(ended, kind="told")
    assert told(replace(ended, result=made.result()), kind="finish")["exit_code"] == 0
    assert "ending" not in told(replace(ended, result=None), kind="finish")


def test_the_line_of_a_step_that_comes_alone_says_which_execution_it_was() -> None:
    known = {"asker": "ann", "session": "agent:main:main", "node": "f00d", "node_name": "web-1", "rule": "owners"}
    assert about_briefly(**known, shown_hash=None, detail=None) == {
        "asker": {"person": "ann"},
        "session": "agent:main:main",
        "node": {"name": "web-1", "fingerprint": "f00d"},
        "rule": "owners",
    }
    fields = about_briefly(**known, shown_hash="ab", detail="outcome")
    assert (fields["command_hash"], fields["detail"]) == ("ab", "outcome")


def masked(asked: Request, shown: Request, *files: str, executable: str = "/usr/bin/df") -> dict[str, Any]:
    command = replace(
        made.command(asked.argv),
        script=asked.script,
        executable=executable,
        files=tuple(FileDigest(path=path, sha256="0" * 64) for path in (executable, *files)),
    )
    execution = replace(made.execution(), request=asked, masked=shown, command=command)
    fields = told(execution)
    assert "s3cret" not in canonical(fields)
    found = fields["command"]
    assert isinstance(found, dict)
    return found


def test_what_was_masked_is_masked_everywhere_and_its_hash_is_keyed() -> None:
    asked, shown = parse_request("df -h s3cret"), parse_request("df -h •••")
    command = masked(asked, replace(shown, argv=("df", "-h", "•••"), script=None))
    assert command["argv"] == ["df", "-h", "•••"]
    assert command["executable"] == "/usr/bin/df"
    fields = told(replace(made.execution(), masked=shown))
    digest = made.execution().command_hash
    assert digest is not None
    assert fields["command_hash"] == f"keyed({digest[:4]})"
    assert fields["request"] == "df -h •••"


def test_a_path_that_the_node_made_of_a_masked_word_is_hidden() -> None:
    asked = Request(text="sh s3cret.sh lib/a.sh", argv=("sh", "s3cret.sh", "lib/a.sh"), script=None)
    shown = Request(text="sh ••• lib/a.sh", argv=("sh", "•••", "lib/a.sh"), script=None)
    command = masked(asked, shown, "/srv/s3cret.sh", "/srv/lib/a.sh", executable="/bin/dash")
    assert [file["path"] for file in command["files"]] == ["/bin/dash", HIDDEN, "/srv/lib/a.sh"]
    asked = Request(text="./s3cret", argv=("./s3cret",), script=None)
    command = masked(asked, Request(text="•••", argv=("•••",), script=None), executable="/srv/s3cret")
    assert command["executable"] == HIDDEN
    wiped = Request(text="‹secret›", argv=("‹secret›",), script=None)
    command = masked(wiped, wiped, executable="/srv/s3cret")
    assert command["executable"] == HIDDEN, "after the end the row holds the mark as well"
    text, hidden = "cat s3cret | sh a.sh", "cat ••• | sh a.sh"
    asked = Request(text=text, argv=("/bin/sh", "-c", text), script=text)
    shown = Request(text=hidden, argv=("/bin/sh", "-c", hidden), script=hidden)
    command = masked(asked, shown, "/srv/a.sh", executable="/bin/dash")
    assert [file["path"] for file in command["files"]] == ["/bin/dash", "/srv/a.sh"]
    assert command["script"] == hidden


def test_a_body_holds_only_what_every_database_and_every_reader_keeps_the_same() -> None:
    deep: Fields = {"text": "a\x00\ud800", "list": [1, None, True], "more": {"k\x00": "x" * (MAX_TEXT_CHARS + 5)}}
    fields = json.loads(body_text("bob\x00", {**deep, "by": "eve", "salt": "none"}, salt="5a17"))
    assert fields["text"] == "a\u2400\ufffd"
    assert fields["list"] == [1, None, True]
    assert fields["more"]["k\u2400"] == "x" * MAX_TEXT_CHARS + "… [5 more characters]"
    assert (fields["by"], fields["salt"]) == ("bob\u2400", "5a17"), "nobody writes in another's name"
    for odd, kept in (
        (1.5, "1.5"),
        (-2e300, "-2e+300"),
        (float("nan"), "nan"),
        (-float("inf"), "-inf"),
        ("1.5", "1.5"),
    ):
        assert json.loads(body_text(None, {"limit": [odd]}, salt=""))["limit"] == [kept]


def test_a_body_that_is_known_but_for_a_word_cannot_be_guessed_by_its_hash() -> None:
    assert body_hash(body_text("bob", {"reason": "x"}, salt="1")) != body_hash(
        body_text("bob", {"reason": "x"}, salt="2")
    )


def test_a_line_comes_back_from_its_text() -> None:
    (line,) = chain("ask")
    assert line_from_text(line_to_text(line)) == line
    assert line.fields() == {"by": "bob", "n": 0, "salt": ""}
    gone = replace(line, body=None, execution=None)
    assert line_from_text(line_to_text(gone)) == gone
    assert gone.fields() == {}
    assert replace(line, body="[1]").fields() == {}


def test_a_text_that_no_export_writes_is_no_line() -> None:
    (line,) = chain("ask")
    text = line_to_text(line)
    form = json.loads(text)
    for wrong in (
        "",
        text[:-1],
        "[" * 100_000,
        "[]",
        canonical({**form, "note": "x"}),
        canonical({**form, "form": 2}),
        canonical({**form, "seq": True}),
        canonical({**form, "at": "yesterday"}),
        canonical({**form, "hash": "ABCD"}),
        canonical({**form, "execution": 5}),
        canonical({**form, "body": "x"}),
        text.replace('"n":0', '"n":0,"n":0'),
        text.replace('"n":0', '"n": 0'),
        text.replace('"bob"', '"\\u0062ob"'),
        text.replace('"form":1', '"form":true'),
        json.dumps(form),
    ):
        with pytest.raises(Malformed):
            line_from_text(wrong)


def test_a_chain_is_sound_whole_in_part_and_empty() -> None:
    lines = chain("ask", "approve", "dispatch", "finish")
    sound = check(lines, redactions(lines))
    assert sound == Sound(lines=4, first=lines[0].head(), head=lines[3].head(), redacted=0, heads=0, heads_before=0)
    part = check(lines[2:], redactions(lines[2:]), [lines[0].head(), lines[1].head(), lines[3].head()])
    assert isinstance(part, Sound)
    assert (part.lines, part.heads, part.heads_before) == (2, 2, 1), "the line before the first is in its `previous`"
    assert check([], redactions([])) == Sound(lines=0, first=None, head=None, redacted=0, heads=0, heads_before=0)


def broken(lines: list[Line], *heads: Head) -> Broken:
    found = check(lines, redactions(lines), heads)
    assert isinstance(found, Broken)
    return found


def test_the_first_broken_line_is_named_with_what_is_wrong() -> None:
    lines = chain("ask", "approve", "dispatch", "finish")
    one, two, three, four = lines
    other = chain("ask", "deny", "dispatch", "finish")
    assert broken([one, replace(two, kind="deny"), three, four]).number == 2
    assert "it was changed" in broken([one, replace(two, kind="deny"), three, four]).what
    assert "its body was changed" in broken([one, replace(two, body="{}"), three, four]).what
    assert broken([one, three, four]) == Broken(
        number=2, seq=3, what="line 2 is missing before it, or stands elsewhere"
    )
    assert broken([one, three, two, four]).seq == 3
    assert "twice" in broken([one, two, two, three]).what
    assert broken([one, two, other[2], four]) == Broken(
        number=3, seq=3, what="it does not follow line 2: one of the two was replaced"
    )
    forged = follow(Head(seq=4, at=AT, hash=GENESIS), at=AT, kind="ask", execution=None, body="{}")
    assert "claims to be the first" in broken([forged]).what
    zero = line_hash(seq=0, at=AT, kind="ask", execution=None, previous=one.hash, body_hash=one.body_hash)
    under = replace(one, seq=0, execution=None, previous=one.hash, hash=zero)
    assert "claims to be the first" in broken([under]).what


def test_a_line_that_cannot_be_read_is_named_by_its_place_in_the_file() -> None:
    texts = [line_to_text(line) for line in chain("ask", "approve", "deny")]
    texts[1] = texts[1][:-9]
    found = check((line_from_text(text) for text in texts), redactions([]))
    assert found == Broken(number=2, seq=None, what="it cannot be read, or is cut")


def test_a_cut_tail_and_a_past_that_was_written_anew_show_by_heads() -> None:
    lines = chain("ask", "approve", "dispatch", "finish")
    assert isinstance(check(lines[:3], redactions(lines)), Sound), "a chain alone cannot know its end"
    cut = broken(lines[:3], lines[3].head())
    assert (cut.number, cut.seq) == (4, 4)
    assert "the end is missing" in cut.what
    assert (broken([], lines[1].head()).number, broken([], lines[1].head()).seq) == (1, None)
    anew = chain("ask", "deny", "dispatch", "finish")
    assert isinstance(check(anew, redactions(anew)), Sound), "whoever writes all of it anew makes a sound chain"
    assert "the past was rewritten" in broken(anew, lines[3].head()).what
    assert broken(anew, lines[1].head(), lines[3].head()).seq == 2
    assert broken(anew[2:], lines[1].head()).seq == 3
    assert broken(lines, lines[1].head(), anew[1].head()).seq == 2


def redacted(*ranges: tuple[int, int, ExecutionId | None], gone: set[int]) -> list[Line]:
    """Six lines of two executions, then one for each range."""
    lines: list[Line] = []
    for number in range(6):
        last = lines[-1].head() if lines else None
        body = body_text("bob", {"n": number}, salt="")
        lines.append(follow(last, at=AT, kind="told", execution=ExecutionId("AB"[number % 2]), body=body))
    for first, end, execution in ranges:
        body = body_text("op", {"first": first, "last": end, "reason": "x"}, salt="")
        lines.append(follow(lines[-1].head(), at=AT, kind="redacted", execution=execution, body=body))
    return [replace(line, body=None) if line.seq in gone else line for line in lines]


def test_a_body_may_be_gone_where_a_later_line_says_so() -> None:
    for ranges, gone in (
        ([(1, 3, None)], {1, 2, 3}),
        ([(1, 2, None), (3, 4, None), (2, 3, None)], {1, 2, 3, 4}),
        ([(1, 2, None), (5, 6, None)], {1, 2, 5, 6}),
        ([(1, 6, ExecutionId("A"))], {1, 3, 5}),
        ([(1, 2, ExecutionId("A")), (3, 6, ExecutionId("A"))], {1, 3, 5}),
    ):
        lines = redacted(*ranges, gone=gone)
        sound = check(lines, redactions(lines))
        assert isinstance(sound, Sound), (ranges, gone, sound)
        assert sound.redacted == len(gone)


def test_a_body_that_is_gone_without_a_word_is_broken() -> None:
    for ranges, gone, seq in (
        ([], {2}, 2),
        ([(1, 2, None), (5, 6, None)], {1, 3}, 3),
        ([(3, 6, None)], {1}, 1),
        ([(1, 6, ExecutionId("A"))], {1, 2}, 2),
        ([(1, 2, ExecutionId("A"))], {3}, 3),
        ([(1, 6, None)], {7}, 7),
        ([(1, 6, None), (1, 7, None)], {7}, 7),
        ([(2, 9, None)], {3}, 3),
        ([(5, 2, None)], {3}, 3),
    ):
        assert broken(redacted(*ranges, gone=gone)).seq == seq, (ranges, gone)
    alone = chain("told", "told", execution=None)
    assert broken([replace(alone[0], body=None), alone[1]]).seq == 1


def test_heads_are_read_as_they_are_written_and_as_people_type_them() -> None:
    head = chain("ask")[0].head()
    assert head_from_text(head_to_text(head)) == head
    assert head_from_text(f" 1:{head.hash}\n") == replace(head, at="–")
    assert head_from_text(canonical({**json.loads(head_to_text(head)), "received_from": "gw"})) == head
    texts = [head_to_text(head), "", f"2:{head.hash}"]
    assert [one.seq for one in heads_from_texts(texts)] == [1, 2]
    for wrong in ("", "1", "x:" + head.hash, "1:abc", f"{'9' * 30}:{head.hash}", "{}", "[" * 100_000, '{"seq":0}'):
        with pytest.raises(Malformed):
            head_from_text(wrong)
    for changed in ({"hash": "x"}, {"at": "x"}, {"seq": 0}):
        with pytest.raises(Malformed, match="line 2 of the heads"):
            list(heads_from_texts([texts[0], canonical({**json.loads(texts[0]), **changed})]))
