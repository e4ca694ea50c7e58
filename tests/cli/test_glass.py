"""`homing glass`, and what status, doctor, why and policy explain say of break-glass, by the real command line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.cli.opened import WallClock
from bot.config import load_settings, to_policy
from bot.domain.event import EventTrigger
from bot.domain.execution import ExecutionState
from bot.domain.glass import Glass, GlassId, GlassTrigger
from bot.domain.session import PersonId
from bot.flow.glass import announce, close, under
from bot.ports import Tx
from bot.store import open_store
from tests.cli.terminal import CONFIG, TOKEN, Terminal
from tests.store import made
from tests.store.test_glasses import GLASS

LATE, ANNS = GlassId("B222222"), GlassId("B333333")
TABLE = """
[break_glass]
people = ["ann"]
announce_to = ["web:channel:all"]
open_for = "20m"
"""


@pytest.fixture
async def with_glasses(terminal: Terminal) -> Terminal:
    """One of bob that is open, with an approval under it; one that is overdue; one of ann that waits."""
    (terminal.folder / "config.toml").write_text(CONFIG + TABLE)
    policy = to_policy(load_settings(terminal.folder / "config.toml", {}))
    store = open_store(terminal.url, clock=WallClock(), gateway=True)
    now = WallClock().now()

    def opened(tx: Tx, glass: Glass) -> Glass:
        tx.glasses.add(glass)
        announce(tx, glass, "opened", f"{glass.id} is opened")
        return glass

    def fill(tx: Tx) -> None:
        live = opened(tx, replace(GLASS, opened_at=now, expires_at=now + 900, reason="the \x1b[31mdisk"))
        execution = made.execution("7K3QAC", state=ExecutionState.APPROVED)
        execution = replace(execution, glass=live.id, decided_by=PersonId("bob"), decided_at=now)
        tx.executions.insert(execution)
        under(tx, live, execution)
        late = opened(
            tx, replace(GLASS, id=LATE, place=made.peer("dev"), opened_at=now - 9_000, expires_at=now - 8_000)
        )
        late = close(tx, policy, late, GlassTrigger.LAPSE, by=None)
        tx.glasses.move(replace(late, review_by=now - 7_000), GlassTrigger.MISS, by=None)
        anns = opened(tx, replace(GLASS, id=ANNS, person=PersonId("ann"), opened_at=now - 60, expires_at=now + 60))
        close(tx, policy, anns, GlassTrigger.END, by="ann")

    try:
        await store.write(fill)
    finally:
        await store.close()
    return terminal


def states(terminal: Terminal, *words: str) -> dict[str, str]:
    return {one["id"]: one["state"] for one in terminal.homing("glass", "list", *words, "--json").json()}


async def test_the_list_shows_what_is_open_and_what_is_not_reviewed(with_glasses: Terminal) -> None:
    assert states(with_glasses) == {GLASS.id: "open", ANNS: "ended", LATE: "overdue"}
    assert "CET" in with_glasses.homing("glass", "list").out


async def test_one_is_shown_with_what_was_approved_under_it(with_glasses: Terminal) -> None:
    ended = with_glasses.homing("glass", "show", f"`{GLASS.id.lower()}`")
    assert (ended.code, ended.err) == (0, "")
    assert "\x1b" not in ended.out
    announced = "announced  agent:main:web:channel:all"
    for said in ("who        bob", "approved   1", "7K3QAC  approved  on web-1: df -h", announced):
        assert said in ended.out, said
    form = with_glasses.homing("glass", "show", GLASS.id, "--json").json()
    assert (form["uses"], [one["id"] for one in form["executions"]]) == (1, ["7K3QAC"])
    for words, said in (("B444444", "there is no break-glass B444444"), ("G7K3QA2", "is no id of a break-glass")):
        assert said in with_glasses.homing("glass", "show", words).err


async def test_an_operator_ends_one_and_reviews_it_and_both_are_owed_where_it_is_announced(
    with_glasses: Terminal,
) -> None:
    waiting = with_glasses.homing("glass", "review", GLASS.id, "--verdict", "ok", "--note", "x")
    assert f"{GLASS.id} waits for no review; end it first" in waiting.err
    assert with_glasses.homing("glass", "end", GLASS.id).out == f"{GLASS.id} is over, and that is announced\n"
    again = with_glasses.homing("glass", "end", GLASS.id)
    assert (again.code, "is over already" in again.err) == (1, True)
    empty = with_glasses.homing("glass", "review", GLASS.id, "--verdict", "ok", "--note", " ")
    assert "--note is empty" in empty.err
    reviewed = with_glasses.homing("glass", "review", GLASS.id, "--verdict", "misuse", "--note", "no need", "--json")
    form = reviewed.json()["glass"]
    assert (form["state"], form["finding"], form["note"]) == ("reviewed", "misuse", "no need")
    assert form["reviewed_by"].endswith("(terminal)")
    twice = with_glasses.homing("glass", "review", GLASS.id, "--verdict", "ok", "--note", "x")
    assert (twice.code, "it is reviewed" in twice.err) == (1, True)
    assert states(with_glasses) == {ANNS: "ended", LATE: "overdue"}
    assert states(with_glasses, "--all")[GLASS.id] == "reviewed"
    assert "found      misuse, by" in with_glasses.homing("glass", "show", GLASS.id).out
    store = open_store(with_glasses.url, clock=WallClock(), gateway=True)
    try:
        owed = await store.read(lambda tx: [one.identity for one in tx.events.listing(states=made.ALL_CLAIMABLE)])
    finally:
        await store.close()
    marks = [one.split(":")[3] for one in owed if GLASS.id in one]
    assert sorted(set(marks)) == ["approved", "ended", "opened", "reviewed"]


async def test_nobody_reviews_their_own_at_the_terminal_either(with_glasses: Terminal) -> None:
    ended = with_glasses.homing("glass", "review", ANNS, "--verdict", "ok", "--note", "x", LOGNAME="ann")
    assert (ended.code, "is ann's own; somebody else reviews it" in ended.err) == (1, True)


async def test_status_and_doctor_say_what_is_open_and_what_nobody_looked_at(with_glasses: Terminal) -> None:
    status = with_glasses.homing("status")
    assert f"BREAK-GLASS {GLASS.id} of bob: open until " in status.out
    assert f"BREAK-GLASS {LATE} of bob: NOT REVIEWED, due since " in status.out
    assert f"BREAK-GLASS {ANNS} of ann: over, to be reviewed until " in status.out
    assert len(with_glasses.homing("status", "--json").json()["glasses"]) == 3
    doctor = with_glasses.homing("doctor")
    assert doctor.code == 1
    assert (
        f"fault    break-glass {LATE}: of bob (the disk is full): its review is overdue since 1 h 56 min" in doctor.out
    )
    assert f"warning  break-glass {GLASS.id}: bob may approve alone for 1" in doctor.out
    assert f"note     break-glass {ANNS}: of ann" in doctor.out
    assert "of its announcements" not in doctor.out


async def test_an_announcement_that_is_dead_is_a_fault_of_its_own(with_glasses: Terminal) -> None:
    store = open_store(with_glasses.url, clock=WallClock(), gateway=True)

    def bury(tx: Tx) -> None:
        (event,) = tx.events.claim(
            token=TOKEN, lease_s=60, limit=1, channels=made.ALL_CHANNELS, states=made.ALL_CLAIMABLE
        )
        tx.events.move(event, EventTrigger.BURY, token=TOKEN, trouble="the room is gone")

    try:
        await store.write(bury)
    finally:
        await store.close()
    assert "fault    break-glass: 1 of its announcements did not reach their place (events 1)" in (
        with_glasses.homing("doctor").out
    )


async def test_why_says_under_which_one_it_was_approved(with_glasses: Terminal) -> None:
    assert f"glass      approved under break-glass {GLASS.id} by bob alone" in with_glasses.homing("why", "7K3QAC").out
    assert with_glasses.homing("why", "7K3QAC", "--json").json()["execution"]["glass"] == GLASS.id


async def test_policy_explain_says_who_could_break_it_where_it_is_asked_about(with_glasses: Terminal) -> None:
    rules = '[[rule]]\nname = "no"\naction = "deny"\ncommand = "reboot"\n'
    (with_glasses.folder / "config.toml").write_text(CONFIG + TABLE + 'where = "slack"\nnode = "web-1"\n' + rules)

    def explained(place: str, node: str, command: str) -> list[str]:
        ended = with_glasses.homing(
            "policy", "explain", "--from", place, "--person", "owner", "--node", node, "--", command
        )
        return [line for line in ended.out.splitlines() if line.startswith("glass")]

    said = "glass      ann could break it for 20 min at most, announced in agent:main:web:channel:all"
    assert explained("slack:channel:C1", "web-1", "df -h") == [said]
    assert explained("web:channel:ops", "web-1", "df -h") == []
    assert explained("slack:channel:C1", "db-1", "df -h") == []
    assert explained("slack:channel:C1", "web-1", "reboot") == []
    asked = ("--from", "slack:channel:C1", "--person", "owner", "--node", "web-1", "--json", "--", "df -h")
    form = with_glasses.homing("policy", "explain", *asked).json()
    assert form["break_glass"] == ["ann"]


async def test_without_the_table_there_is_nothing_and_it_says_so(filled: Terminal) -> None:
    assert filled.homing("glass", "list").out == "No glass is open, and none waits for its review.\n"
