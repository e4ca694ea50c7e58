"""What operators ask beside a gateway, of a store in which a story happened: by the real command line, in real rows."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from bot.cli.opened import WallClock
from bot.node.identity import load_or_create_key
from bot.store import open_store
from tests.cli.terminal import FINISHED, RUNNING, WAITING, Terminal
from tests.device import Device
from tests.store import made


def test_status_says_what_is_open_owed_and_connected(filled: Terminal) -> None:
    form = filled.homing("status", "--json").json()
    assert form["paused"] is None
    assert form["executions"]["awaiting_approval"] == 1
    assert form["executions"]["running"] == 1
    assert form["owed"]["dead"] == 1
    assert form["nodes"][0]["name"] == "web-1"
    shown = filled.homing("status").out
    assert "1 awaiting_approval, 1 running" in shown
    assert "1 dead" in shown
    assert "node        web-1: pending" in shown


async def test_nobody_is_connected_where_no_gateway_runs(filled: Terminal) -> None:
    assert filled.homing("nodes", "pair", made.NODE).code == 0
    store = open_store(filled.url, clock=WallClock(), gateway=True)
    try:
        # As a gateway does every half minute for a node that is connected.
        await store.write(lambda tx: tx.nodes.seen(made.NODE))
        running = filled.homing("status")
        assert running.out.startswith(f"gateway     runs, process {os.getpid()}\n")
        assert "web-1: paired, connected" in running.out
        assert filled.homing("status", "--json").json()["gateway"]["runs"] is True
        assert filled.homing("nodes", "list", "--json").json()[0]["connected"] is True
        assert findings(filled)["ok node web-1"] == "it is connected"
    finally:
        await store.close()
    stopped = filled.homing("status")
    assert stopped.out.startswith("gateway     not running; start it with `homing run`\n")
    assert "web-1: paired, last heard from" in stopped.out
    form = filled.homing("status", "--json").json()
    assert form["gateway"] == {"runs": False, "process": None, "page": None}
    assert form["nodes"][0]["connected"] is False
    assert "connected" not in filled.homing("nodes", "list").out
    assert filled.homing("nodes", "list", "--json").json()[0]["connected"] is False
    assert "ok node web-1" not in findings(filled)


def test_why_tells_the_whole_chain_to_the_receipt_of_the_message_that_told(filled: Terminal) -> None:
    form = filled.homing("why", FINISHED.lower(), "--json").json()
    assert form["closed"] is True
    assert form["execution"]["asked_by"] == "ann"
    assert form["execution"]["where"] == "agent:main:web:channel:ops"
    assert [step["what"] for step in form["steps"]] == [
        "requested",
        "ask",
        "approve",
        "dispatch",
        "start",
        "finish",
        "told",
    ]
    assert [(event["what"], event["receipts"]) for event in form["events"]] == [
        ("card", [{"part": 0, "message": "posted-1"}]),
        ("finished", [{"part": 0, "message": "posted-2"}]),
    ]


def test_why_reads_as_a_story_with_people_times_and_zone(filled: Terminal) -> None:
    shown = filled.homing("why", FINISHED).out
    lines = shown.splitlines()
    assert "asked by   Ann (ann)" in shown
    assert "where      agent:main:web:channel:ops, message m1" in shown
    assert "request    df -h" in shown
    assert "rule       owners decide" in shown
    assert "deciders   bob, web:cy" in shown
    assert "approve by bob" in shown
    assert "ended: ✅ Finished, exit 0, after 1.5 s" in shown
    assert "told the finished in agent:main:web:channel:ops as message posted-2" in shown
    assert any(zone in shown for zone in (" CET", " CEST"))
    assert lines[-1] == "The chain is closed: everything that was owed is told."
    # Output is shown at the return address, and nowhere else.
    assert "the output is told elsewhere" not in shown


def test_why_says_where_the_chain_is_still_open(filled: Terminal) -> None:
    assert "STILL OPEN: one of bob, web:cy is to decide" in filled.homing("why", WAITING).out
    running = filled.homing("why", RUNNING, "--json").json()
    assert running["closed"] is False
    assert "the node web-1 is to report the end" in running["open"][0]


@pytest.mark.parametrize(
    ("word", "said"), [("7K3", "is no id of an execution"), ("AAAAAA", "there is no execution AAAAAA")]
)
def test_why_of_something_else_is_one_line(filled: Terminal, word: str, said: str) -> None:
    ended = filled.homing("why", word)
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert said in ended.err
    assert "`homing executions`" in ended.err


def test_executions_and_pending_approvals_are_listed(filled: Terminal) -> None:
    every = filled.homing("executions", "--json").json()
    assert {one["id"] for one in every} == {FINISHED, WAITING, RUNNING}
    assert not [one for one in every if "output" in one]
    some = filled.homing("executions", "--state", "running", "--state", "finished", "--json").json()
    assert {one["id"] for one in some} == {FINISHED, RUNNING}
    pending = filled.homing("approvals", "pending").out
    assert WAITING in pending
    assert FINISHED not in pending
    assert [one["id"] for one in filled.homing("approvals", "pending", "--json").json()] == [WAITING]


async def test_an_empty_store_is_said_in_words_that_fit_it(terminal: Terminal) -> None:
    await open_store(terminal.url, clock=WallClock(), gateway=True).close()
    assert terminal.homing("executions").out == "No executions yet.\n"
    assert terminal.homing("executions", "--state", "running").out == "No execution is in that state.\n"
    assert terminal.homing("events", "list").out == "Nothing is owed.\n"
    assert terminal.homing("events", "list", "--state", "dead").out == "No event is in that state.\n"


def test_a_dead_event_is_listed_and_told_again_once(filled: Terminal) -> None:
    (dead,) = filled.homing("events", "list", "--state", "dead", "--json").json()
    assert "ChannelRejected: no such room" in filled.homing("events", "list").out
    again = filled.homing("events", "retell", str(dead["id"]))
    assert again.code == 0
    assert "is due again" in again.out
    (due,) = filled.homing("events", "list", "--json").json()
    assert (due["id"], due["state"]) == (dead["id"], "due")
    twice = filled.homing("events", "retell", str(dead["id"]))
    assert twice.code == 1
    assert "is due; only a dead one" in twice.err
    assert "there is no event 999" in filled.homing("events", "retell", "999").err


def test_a_node_is_paired_by_its_whole_fingerprint_and_revoked_for_ever(filled: Terminal) -> None:
    assert made.NODE in filled.homing("nodes", "list").out
    near = filled.homing("nodes", "pair", made.NODE[:-1])
    assert near.code == 1
    assert f"waiting to be paired: {made.NODE}" in near.err
    assert filled.homing("nodes", "pair", made.NODE, "--name", "web-9", "--json").json()["node"]["pairing"] == "paired"
    assert "there are: web-9" in filled.homing("nodes", "revoke", "web-1").err
    assert "is revoked" in filled.homing("nodes", "revoke", "web-9").out
    again = filled.homing("nodes", "pair", made.NODE)
    assert "was revoked, which is for ever" in again.err
    assert "remove node.key from its state directory, and start it again" in again.err
    assert filled.homing("nodes", "list", "--json").json()[0]["pairing"] == "revoked"


def test_pause_is_stored_with_who_and_why_until_resume(filled: Terminal) -> None:
    assert "paused" in filled.homing("pause", "freeze", "until", "Monday").out
    paused = filled.homing("status", "--json").json()["paused"]
    assert paused["reason"] == "freeze until Monday"
    assert "(terminal)" in paused["by"]
    assert "PAUSED since" in filled.homing("status").out
    assert filled.homing("resume", "--json").json() == {"ok": True, "was_paused": True}
    assert filled.homing("resume").out == "it was not paused\n"


def test_a_backup_is_a_copy_that_begins_paused_and_overwrites_nothing(filled: Terminal) -> None:
    form = filled.homing("backup", "copy.db", "--json").json()
    copy = filled.folder / "copy.db"
    assert form["bytes"] == copy.stat().st_size
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("SELECT count(*) FROM executions").fetchone() == (3,)
        assert database.execute("SELECT count(*) FROM switches WHERE name = 'paused'").fetchone() == (1,)
    again = filled.homing("backup", "copy.db")
    assert again.code == 1
    assert "exists already, and was left as it is" in again.err
    assert filled.homing("status", "--json").json()["paused"] is None


def test_an_invitation_is_a_link_that_holds_the_persons_own_id(filled: Terminal) -> None:
    form = filled.homing("invite", "ann", "--json").json()
    assert form["person"] == "web:annie"
    assert form["link"].startswith("http://127.0.0.1:8470/join#")
    guest = filled.homing("invite", "guest")
    assert guest.out.startswith("http://127.0.0.1:8470/join#")
    assert guest.err == "no gateway runs here: the link opens when one does, and assumes its port 8470\n"
    unknown = filled.homing("invite", "guest", HOMING_GATEWAY__PORT="0")
    assert (unknown.code, unknown.out) == (1, "")
    assert "only a running one knows its port" in unknown.err
    taken = filled.homing("invite", "annie")
    assert "web:annie is ann's id in [[people]]; write `homing invite ann`" in taken.err


def test_a_broken_store_is_one_line_with_the_remedy(terminal: Terminal) -> None:
    database = terminal.folder / "data" / "homing.db"
    database.parent.mkdir()
    database.write_bytes(b"this is no database" * 100)
    ended = terminal.homing("status")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "is no SQLite database, and was left as it is" in ended.err


def findings(terminal: Terminal) -> dict[str, str]:
    form = terminal.homing("doctor", "--json").json()
    return {f"{one['level']} {one['what']}": one["said"] for one in form["findings"]}


def test_the_doctor_names_what_can_be_mended_and_ends_with_a_fault(filled: Terminal) -> None:
    ended = filled.homing("doctor")
    assert ended.code == 1
    assert ended.err == ""
    found = findings(filled)
    assert found["fault owed"].startswith("1 dead")
    assert "ok store" in found
    assert "ok disk" in found
    assert "ok config file" in found
    assert found["warning gateway"] == "it does not run"
    assert found["warning node web-1"] == "it waits to be let in"
    assert found["warning nodes"].startswith("none is paired")
    assert "it is for trying out" in found["note local node"]
    assert "`homing events retell <id>`" in ended.out


def test_the_doctor_ends_well_where_nothing_is_wrong(filled: Terminal) -> None:
    filled.homing("events", "retell", str(filled.homing("events", "list", "--json").json()[0]["id"]))
    ended = filled.homing("doctor", "--json")
    assert (ended.code, ended.json()["ok"]) == (0, True)


def test_the_doctor_sees_a_pause_loose_rights_and_a_page_without_tls(filled: Terminal) -> None:
    filled.homing("pause", "freeze")
    (filled.folder / "data").chmod(0o755)
    config = filled.folder / "config.toml"
    config.write_text(config.read_text() + '[gateway]\nhost = "0.0.0.0"\npublic_url = "http://chat.example.org"\n')
    config.chmod(0o666)
    found = findings(filled)
    assert "freeze" in found["warning paused"]
    assert "mode 755" in found["warning data folder"]
    assert "mode 666" in found["warning config file"]
    assert "without a public_url that begins with https" in found["fault web chat"]


def test_the_doctor_names_deciders_whose_code_a_rule_wants_and_who_have_no_device(filled: Terminal) -> None:
    config = Path(filled.folder / "config.toml")
    rule = '[[rule]]\nname = "strict"\naction = "ask"\ndeciders = ["owner", "ann"]\nsecond_factor = true\n'
    config.write_text(config.read_text() + rule)
    load_or_create_key(filled.folder / "data" / "gateway.key")
    found = findings(filled)["warning second factor"]
    assert "the rule “strict” wants a code of who says yes, and none can come from: owner, ann" in found
    secret = filled.homing("totp", "enroll", "owner", "--json").json()["secret"]
    assert filled.homing("totp", "enroll", "owner", "--code", Device(secret).code(time.time())).code == 0
    assert "none can come from: ann" in findings(filled)["warning second factor"]


async def test_the_doctor_sees_who_holds_the_store(filled: Terminal) -> None:
    store = open_store(filled.url, clock=WallClock(), gateway=True)
    try:
        assert findings(filled)["ok gateway"].startswith("it runs, process ")
    finally:
        await store.close()


def test_the_doctor_names_the_faults_of_a_config_and_a_missing_store(terminal: Terminal) -> None:
    assert "there is no database" in findings(terminal)["fault store"]
    Path(terminal.folder / "config.toml").write_text("[gatway]\n")
    ended = terminal.homing("doctor", "--json")
    assert ended.code == 1
    assert "did you mean gateway?" in ended.json()["error"]


def test_colours_are_left_out_where_nobody_looks_or_no_color_is_set(filled: Terminal) -> None:
    assert "\x1b" not in filled.homing("executions").out
    assert "\x1b" not in filled.homing("executions", FORCE_COLOR="1", NO_COLOR="1").out
