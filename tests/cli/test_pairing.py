"""`homing pairing`, and the accounts in `status` and `doctor`: by the real command line, in real rows."""

from __future__ import annotations

from dataclasses import replace

from bot.cli.opened import WallClock
from bot.domain.event import EventState, Say
from bot.domain.message import Sender
from bot.domain.session import AccountName, ChannelName, MessageId, ReturnAddress, key_for
from bot.store import open_store
from tests.cli.terminal import CONFIG, Terminal
from tests.store import made

CODE, OTHER = "7K3Q9A2C", "ZZZZZZZZ"
SLACK = '[[slack]]\nbot_token = "xoxb-fake"\napp_token = "xapp-fake"\nrooms = ["C0AB"]\n'


async def ask(terminal: Terminal, code: str = CODE, native: str = "U9", account: str = "default") -> ReturnAddress:
    """Somebody writes to the bot alone and is given a code."""
    peer = replace(made.peer("D1"), channel=ChannelName("slack"), account=AccountName(account))
    home = ReturnAddress(peer=peer, message_id=MessageId("m1"))
    store = open_store(terminal.url, clock=WallClock(), gateway=True)
    try:
        sender = Sender(native=native, name="Eve \x1b[31m")
        assert await store.write(
            lambda tx: tx.pairings.ask(address=home, session=key_for(peer), sender=sender, code=code)
        )
    finally:
        await store.close()
    return home


async def owed(terminal: Terminal) -> list[tuple[ReturnAddress, str]]:
    store = open_store(terminal.url, clock=WallClock(), gateway=False)
    try:
        events = await store.read(lambda tx: tx.events.listing(states=frozenset(EventState)))
    finally:
        await store.close()
    return [(one.address, one.payload.text) for one in events if isinstance(one.payload, Say)]


async def test_a_code_is_approved_once_and_the_person_is_told_where_they_wrote(terminal: Terminal) -> None:
    home = await ask(terminal)
    (waiting,) = terminal.homing("pairing", "list", "--json").json()
    assert (waiting["person"], waiting["account"], waiting["state"], waiting["code"]) == (
        "slack:U9",
        "default",
        "waiting",
        CODE,
    )
    ended = terminal.homing("pairing", "approve", f" {CODE.lower()}")
    assert (ended.code, ended.err) == (0, "")
    assert "slack:U9" in ended.out
    assert "is let in" in ended.out
    assert "\x1b" not in ended.out

    again = terminal.homing("pairing", "approve", CODE)
    assert (again.code, again.out) == (1, "")
    assert again.err.startswith("homing: no such code waits: it was used, or its hour is over;")
    assert again.err.count("\n") == 1
    ((address, text),) = await owed(terminal)
    assert address == home
    assert text.startswith("You are let in")
    (paired,) = terminal.homing("pairing", "list", "--json").json()
    assert (paired["state"], paired["code"], paired["expires_at"]) == ("paired", None, None)
    assert paired["paired_by"].endswith("terminal)")


async def test_the_list_is_for_people_and_shows_no_control_characters(terminal: Terminal) -> None:
    await ask(terminal)
    shown = terminal.homing("pairing", "list").out
    assert "slack:U9" in shown
    assert CODE in shown
    assert "waiting" in shown
    assert "CET" in shown
    assert "\x1b" not in shown


async def test_an_approval_says_whom_with_json(terminal: Terminal) -> None:
    await ask(terminal)
    form = terminal.homing("pairing", "approve", CODE, "--json").json()
    assert form["ok"] is True
    assert form["pairing"]["person"] == "slack:U9"
    refused = terminal.homing("pairing", "approve", CODE, "--json")
    assert (refused.code, refused.json()["ok"]) == (1, False)


async def test_what_is_no_code_is_said_and_nothing_is_looked_up(terminal: Terminal) -> None:
    await ask(terminal)
    for text in ("", "7K3Q9A2", "7K3Q9A2CC", "7K3Q9A2O", "slack:U9"):
        ended = terminal.homing("pairing", "approve", text)
        assert ended.code == 1
        assert ended.err == "homing: that is no code; one has 8 letters and digits, as the person was given it\n"


async def test_a_person_is_revoked_by_id_and_account(terminal: Terminal) -> None:
    await ask(terminal)
    await ask(terminal, OTHER, account="second")
    terminal.homing("pairing", "approve", CODE)
    terminal.homing("pairing", "approve", OTHER)

    ended = terminal.homing("pairing", "revoke", "slack:U9", "--account", "second")
    assert (ended.code, ended.err) == (0, "")
    assert [one["account"] for one in terminal.homing("pairing", "list", "--json").json()] == ["default"]
    again = terminal.homing("pairing", "revoke", "slack:U9", "--account", "second")
    assert again.code == 1
    assert "slack:U9 of the account second is not paired; there are: slack:U9 (account default)" in again.err
    assert terminal.homing("pairing", "revoke", "slack:U9", "--json").json()["pairing"]["state"] == "paired"
    assert "Nobody waits" in terminal.homing("pairing", "list").out


async def test_the_status_names_the_accounts_and_whom_they_hear(terminal: Terminal) -> None:
    await terminal.fill()
    (terminal.folder / "config.toml").write_text(CONFIG + SLACK, encoding="utf-8")
    form = terminal.homing("status", "--json").json()
    assert [(one["channel"], one["account"]) for one in form["accounts"]] == [("web", "default"), ("slack", "default")]
    shown = terminal.homing("status").out
    assert "account     slack (default): alone pairing; rooms allowlist (1 rooms, 0 spaces)" in shown
