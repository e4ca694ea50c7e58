"""`homing audit` as an operator has it: shown, exported, checked on another machine, redacted.

One story is told by real processes; what has many cases, by the same entry in this process, which starts in no time.
"""

from __future__ import annotations

import asyncio
import csv
import json
import stat
from pathlib import Path

import pytest

from bot.cli.main import answer
from bot.cli.opened import WallClock
from bot.domain.audit import Line, line_from_text, line_to_text
from bot.domain.audit_check import head_to_text
from bot.store import open_store
from tests.cli.terminal import FINISHED, Ended, Terminal


class Here:
    """`homing` in this process, in the terminal's folder."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def homing(self, *words: str) -> Ended:
        self._capture.readouterr()
        code = answer(words)
        return Ended(code, *self._capture.readouterr())


@pytest.fixture
def here(terminal: Terminal, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.chdir(terminal.folder)
    return Here(capfd)


async def note(terminal: Terminal, *names: str) -> None:
    store = open_store(terminal.url, clock=WallClock(), gateway=True)
    try:
        for name in names:
            await store.write(lambda tx, by=name: tx.audit.note("policy_loaded", by, {"reason": "=1+1\n⟨"}))  # type: ignore[misc]
    finally:
        await store.close()


@pytest.fixture
async def exported(filled: Terminal) -> tuple[Terminal, Path, list[Line]]:
    """The story's audit in a file, beside nothing else: a machine that never saw the gateway."""
    ended = filled.homing("audit", "export", "--out", "audit.jsonl", "--json")
    assert ended.code == 0, ended.err
    file = filled.folder / "audit.jsonl"
    lines = [line_from_text(text) for text in file.read_text(encoding="utf-8").splitlines()]
    form = ended.json()
    assert (form["ok"], form["lines"], form["head"]["hash"]) == (True, len(lines), lines[-1].hash)
    for name in ("config.toml", "data/homing.db"):
        (filled.folder / name).unlink()
    return filled, file, lines


def test_a_finished_story_stands_in_an_export_and_verifies_without_the_gateway(
    exported: tuple[Terminal, Path, list[Line]],
) -> None:
    terminal, file, lines = exported
    kinds = [line.kind for line in lines if line.execution == FINISHED]
    assert kinds == ["requested", "ask", "yes", "approve", "dispatch", "start", "finish", "told"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    ended = terminal.homing("audit", "verify", "audit.jsonl")
    assert (ended.code, ended.err) == (0, "")
    assert f"{len(lines)} lines hold, 1 (" in ended.out
    assert f"head {len(lines)}:{lines[-1].hash}" in ended.out
    assert "shows only against heads" in ended.out
    form = terminal.homing("audit", "verify", "audit.jsonl", "--json").json()
    assert (form["ok"], form["lines"], form["head"]["seq"]) == (True, len(lines), len(lines))
    assert "the output is told elsewhere" not in file.read_text()


def test_the_first_broken_line_is_named_and_ends_with_1(
    here: Here, exported: tuple[Terminal, Path, list[Line]]
) -> None:
    _, file, lines = exported
    good = file.read_text(encoding="utf-8")
    third = line_to_text(lines[2])
    assert '"kind":"yes"' in third
    for bad, said in (
        (good.replace('"by":"bob"', '"by":"eve"', 1), "line 3 (line 3 of the audit): its body was changed"),
        (good.replace(third + "\n", ""), "line 3 (line 4 of the audit): line 3 is missing before it"),
        (good.replace(third, f"{third}\n{third}"), "line 4 (line 3 of the audit): it stands twice"),
        (good[:-1], f"line {len(lines)}: it is cut"),
        (good[:-20], f"line {len(lines)}: it is cut"),
        ("\n" + good, "line 1: it cannot be read"),
        (good.replace(third, third + "\r"), "line 3: it is not written as an export writes it"),
    ):
        file.write_text(bad, encoding="utf-8", newline="")
        ended = here.homing("audit", "verify", "audit.jsonl")
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.startswith(f"homing: audit.jsonl: {said}"), ended.err
        assert ended.err.count("\n") == 1
    file.write_bytes(b"\xff\n")
    refused = here.homing("audit", "verify", "audit.jsonl", "--json")
    assert refused.code == 1
    assert refused.json()["broken"] == {"line": 1, "seq": None, "what": "it is no UTF-8"}


def test_a_cut_end_shows_by_a_head_that_was_kept(here: Here, exported: tuple[Terminal, Path, list[Line]]) -> None:
    terminal, file, lines = exported
    heads = terminal.folder / "heads.jsonl"
    heads.write_text("".join(head_to_text(lines[at].head()) + "\n" for at in (1, -1)))
    for words in (("--head", f"{lines[-1].seq}:{lines[-1].hash}"), ("--heads", "heads.jsonl")):
        assert "heads fit" in here.homing("audit", "verify", "audit.jsonl", *words).out
    file.write_text("".join(line_to_text(line) + "\n" for line in lines[:-1]))
    assert here.homing("audit", "verify", "audit.jsonl").code == 0
    ended = here.homing("audit", "verify", "audit.jsonl", "--heads", "heads.jsonl")
    assert ended.code == 1
    assert "the end is missing" in ended.err
    early = here.homing("audit", "verify", "audit.jsonl", "--heads", "heads.jsonl", "--until", "2020-01-01")
    assert early.code == 0, "an export that is older than the heads"
    heads.write_text("not a head\n")
    wrong = here.homing("audit", "verify", "audit.jsonl", "--heads", "heads.jsonl")
    assert (wrong.code, "heads.jsonl: line 1 of the heads is no head" in wrong.err) == (1, True)
    typed = here.homing("audit", "verify", "audit.jsonl", "--head", "7")
    assert (typed.code, "--head is no head; one is 4711:" in typed.err) == (1, True)


def test_a_table_is_checked_to_the_letter_too_and_computes_nothing(here: Here, filled: Terminal) -> None:
    asyncio.run(note(filled, "\uff1dcmd|' /C calc'!A0", " =1"))
    asyncio.run(note(filled, "=cmd|' /C calc'!A0", "-1"))
    ended = here.homing("audit", "export", "--format", "csv")
    assert ended.code == 0
    file = filled.folder / "audit.csv"
    file.write_text(ended.out, encoding="utf-8", newline="")
    rows = list(csv.DictReader(ended.out.splitlines()))
    assert rows[0]["request"] == "df -h"
    assert rows[0]["node"] == "web-1"
    assert [row["by"] for row in rows[-4:-2]] == ["'\uff1dcmd|' /C calc'!A0", "' =1"]
    assert [row["by"] for row in rows[-2:]] == ["'=cmd|' /C calc'!A0", "'-1"]
    assert rows[-1]["reason"] == "'=1+1⟨U+000A⟩⟨"
    assert next(row["exit"] for row in rows if row["kind"] == "finish") == "0"
    assert here.homing("audit", "verify", "audit.csv").code == 0
    assert "head " in ended.err
    for old, new in (("df -h", "df -k"), ("'-1", "'-2"), (",0,1,", ",1,1,"), (rows[3]["hash"], "0" * 64)):
        assert old in ended.out
        file.write_text(ended.out.replace(old, new, 1), encoding="utf-8", newline="")
        found = here.homing("audit", "verify", "audit.csv")
        assert (found.code, found.err.count("\n")) == (1, 1), (old, found)
        assert "line " in found.err
    file.write_text(ended.out.splitlines()[0] + "\nx,y\n")
    assert here.homing("audit", "verify", "audit.csv", "--json").json()["broken"]["line"] == 2


def test_a_part_since_a_time_says_where_it_begins(here: Here, filled: Terminal) -> None:
    part = here.homing("audit", "export", "--since", "2099-01-01", "--out", "none.jsonl")
    assert (part.code, part.out) == (0, "")
    assert part.err.startswith("0 lines")
    assert "no line" in here.homing("audit", "verify", "none.jsonl").out
    assert here.homing("audit", "export", "--since", "1h", "--out", "all.jsonl").code == 0
    texts = (filled.folder / "all.jsonl").read_text().splitlines(keepends=True)
    assert len(texts) > 5
    (filled.folder / "part.jsonl").write_text("".join(texts[3:]))
    ended = here.homing("audit", "verify", "part.jsonl")
    assert ended.code == 0
    assert "what stood before line 4 is not in it" in ended.out
    refused = here.homing("audit", "export", "--out", "all.jsonl")
    assert (refused.code, "exists already" in refused.err) == (1, True)
    assert "is no time" in here.homing("audit", "export", "--since", "soon").err
    assert "name one with --out" in here.homing("audit", "export", "--json").err


@pytest.mark.usefixtures("filled")
def test_the_store_itself_is_checked_and_shown(here: Here) -> None:
    assert here.homing("audit", "verify").code == 0
    out = here.homing("audit", "show", "--execution", FINISHED.lower()).out
    assert "on web-1: df -h; bob, web:cy" in out
    assert "exit_code 0" in out
    assert "yes " in out
    assert "CET" in out or "CEST" in out
    shown = here.homing("audit", "show", "--limit", "2", "--json").json()
    assert len(shown) == 2
    assert shown[1]["previous"] == shown[0]["hash"]
    assert "no such line" in here.homing("audit", "show", "--since", "2099-01-01").out
    assert "is no id" in here.homing("audit", "show", "--execution", "x").err


@pytest.mark.usefixtures("filled")
def test_what_an_operator_changes_at_the_terminal_stands_in_it(here: Here) -> None:
    here.homing("pause", "freeze")
    here.homing("resume")
    here.homing("nodes", "pair", "node-1")
    here.homing("nodes", "revoke", "node-1")
    lines = here.homing("audit", "show", "--limit", "4", "--json").json()
    assert [line["kind"] for line in lines] == ["paused", "resumed", "node_paired", "node_revoked"]
    assert all(line["body"]["by"].endswith("terminal)") for line in lines)
    assert "paused" in here.homing("audit", "show", "--limit", "4").out


def test_an_execution_is_redacted_with_a_reason_and_the_rest_still_verifies(here: Here, filled: Terminal) -> None:
    for words, said in (
        ((), "name one of them"),
        ((FINISHED, "--line", "1", "--why", "x"), "name one of them"),
        ((FINISHED,), "say why"),
        (("QQQQQQ", "--why", "x"), "has nothing of execution QQQQQQ"),
        (("--line", "99", "--why", "x"), "has nothing of line 99"),
    ):
        refused = here.homing("audit", "redact", *words)
        assert (refused.code, said in refused.err) == (1, True), (words, refused)
    ended = here.homing("audit", "redact", FINISHED, "--why", "a password stood there")
    assert ended.code == 0
    assert ended.out.startswith("8 lines say nothing any more")
    assert here.homing("audit", "redact", "--line", "9", "--why", "that too", "--json").json() == {
        "ok": True,
        "redacted": 1,
    }
    verified = here.homing("audit", "verify").out
    assert "9 of them were redacted, and later lines say so" in verified
    out = here.homing("audit", "show").out
    assert "(redacted)" in out
    assert "a password stood there" in out
    here.homing("audit", "export", "--out", "audit.jsonl")
    (filled.folder / "data" / "homing.db").unlink()
    assert here.homing("audit", "verify", "audit.jsonl").code == 0
    texts = (filled.folder / "audit.jsonl").read_text().splitlines()
    assert json.loads(texts[0])["body"] is None
