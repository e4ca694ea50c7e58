"""`homing event`: words for a session's agent from a shell, and what it refuses."""

from __future__ import annotations

from bot.cli.opened import WallClock
from bot.domain.event import ClaimToken, Input, InputKind, NewInput
from bot.domain.session import (
    DEFAULT_ACCOUNT,
    AgentName,
    ChannelName,
    DeliveryId,
    MessageId,
    NativeId,
    Peer,
    PeerKind,
    PersonId,
    ReturnAddress,
    key_for,
)
from bot.ports import Tx
from bot.store import open_store
from tests.cli.terminal import Terminal

OPS = Peer(agent=AgentName("main"), channel=ChannelName("web"), kind=PeerKind.CHANNEL, id=NativeId("ops"))


async def heard(terminal: Terminal) -> None:
    """Somebody has written in ops."""
    new = NewInput(
        session=key_for(OPS),
        address=ReturnAddress(peer=OPS, message_id=MessageId("m7")),
        kind=InputKind.MESSAGE,
        channel=OPS.channel,
        account=DEFAULT_ACCOUNT,
        delivery=DeliveryId("d1"),
        person=PersonId("web:owner"),
        person_native="owner",
        person_name="owner",
        text="hello",
    )
    store = open_store(terminal.url, clock=WallClock(), gateway=True)
    await store.write(lambda tx: tx.inputs.add(new))
    await store.close()


async def waiting(terminal: Terminal) -> list[Input]:
    def look(tx: Tx) -> list[Input]:
        found: list[Input] = []
        for number in range(5):
            found += tx.inputs.claim(token=ClaimToken(str(number)), lease_s=1.0, limit=9)
        return found

    store = open_store(terminal.url, clock=WallClock(), gateway=True)
    found = await store.write(look)
    await store.close()
    return found


async def test_words_go_to_the_session_and_are_told_where_it_was_last_written_from(terminal: Terminal) -> None:
    await heard(terminal)
    ended = terminal.homing("event", "--session", key_for(OPS), "the backup", "has ended")
    assert (ended.code, ended.out) == (0, f"{key_for(OPS)} is told; a running gateway answers within a second\n")
    form = terminal.homing("event", "--session", "main", "--to", "web:channel:general", "--json", "look").json()
    assert form == {"ok": True, "session": "agent:main:main"}

    _, told, elsewhere = await waiting(terminal)
    assert (told.kind, told.text, told.session) == (InputKind.OPERATOR, "the backup has ended", key_for(OPS))
    assert told.address == ReturnAddress(peer=OPS, message_id=None)
    assert str(told.person).startswith("terminal:")
    assert elsewhere.address is not None
    assert elsewhere.address.peer.id == "general"


async def test_f027_what_has_no_place_or_no_sense_is_refused(terminal: Terminal) -> None:
    await heard(terminal)
    for words, said in (
        (("--session", "main", "look"), "agent:main:main: nobody has written to that session yet"),
        (("--session", "agent:main:web:channel:general", "look"), "nobody has written to that session yet"),
        (("--session", "ops", "look"), "--session is no session; write"),
        (("--session", "main", "--to", "ops", "look"), "--to names no channel; known here:"),
        (("--session", "main", "--to", "web:channel:ops", " "), "write between 1 and"),
    ):
        ended = terminal.homing("event", *words)
        assert ended.code == 1, words
        assert said in ended.err, ended.err
    assert len(await waiting(terminal)) == 1


SCHEDULED = """
[heartbeat]
every = "1h"
session = "agent:main:web:channel:general"
[[schedule]]
name = "week"
cron = "0 8 * * 1"
session = "agent:main:web:channel:ops"
text = "What waits?"
[[hook]]
name = "deploys"
session = "agent:main:web:channel:ops"
token = "token-0123456789abcdef"
text = "A deploy has ended."
"""


async def test_f027_config_check_refuses_a_session_that_nobody_has_written_to(terminal: Terminal) -> None:
    config = terminal.folder / "config.toml"
    config.write_text(config.read_text() + SCHEDULED)
    before = terminal.homing("config", "check")
    # No gateway has run yet: it is said that nobody looked, and nothing is made.
    assert before.code == 0
    assert "warning: schedule[0].session, hook[0].session, heartbeat.session: whether anybody has" in before.out
    assert not (terminal.folder / "data").exists() or not any((terminal.folder / "data").glob("*.db"))

    await open_store(terminal.url, clock=WallClock(), gateway=True).close()
    refused = terminal.homing("config", "check")
    assert refused.code == 1
    for key in ("schedule[0].session", "hook[0].session"):
        said = f"{key}: nobody has written to agent:main:web:channel:ops, so there is no place to tell it; name one"
        assert said in refused.err
    await heard(terminal)
    ended = terminal.homing("config", "check")
    assert ended.code == 0
    assert "heartbeat.session: nobody has written to agent:main:web:channel:general" in ended.out
    assert "schedule" not in ended.out.replace("schedules and hooks at", "")
