"""What must hold at the end of a life: what people asked, against what rooms show and machines ran.

The store is asked last, and never believed: for what it says there must be something that a machine did or that stands
in a room.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from bot.domain.event import Event, EventState
from bot.domain.execution import FINAL, Execution, ExecutionId, ExecutionState
from bot.domain.message import PostKind
from bot.domain.session import MessageId, Peer, key_for
from bot.flow.express import nonce_for
from bot.inquiry import standing
from bot.ports import Tx
from bot.store.transaction import Connected
from tests.attack.flow_life import AFTER, CHAIN, HOURLY, Breach, Life, Said
from tests.attack.flow_world import Journal, Machine, Network, Shown, database
from tests.platforms.forms import text_of

S = ExecutionState
S_DEAD = EventState.DEAD
NOTHING_RAN = frozenset({S.DENIED, S.EXPIRED, S.CANCELLED, S.REFUSED})
REPEATED = "♻️ This may be a repeat"
MAX_PARTS = 8
"""More messages than any event of these lives takes."""


@dataclass
class Stored:
    """All rows, read once at the end."""

    executions: Sequence[Execution]
    events: Sequence[Event]
    receipts: dict[MessageId, Event]
    lost: Counter[ExecutionId]
    """How often each was told as lost."""
    tried: dict[MessageId, int]
    """How often the turn of a message was begun."""
    sessions: set[str]
    """Of every row that has one."""
    shown_dead: int
    """How many dead events an operator sees."""


def _read(tx: Tx) -> Stored:
    assert isinstance(tx.inputs, Connected)
    ask = tx.inputs.connection.execute
    executions = tx.executions.in_states(frozenset(S), limit=500)
    events = tx.events.listing(states=frozenset(EventState), limit=2_000)
    keys = {row[0] for table in ("inputs", "events", "sessions") for row in ask(text(f"SELECT session FROM {table}"))}  # noqa: S608 -- three names of ours
    rows = ask(text("SELECT delivery, attempt FROM inputs WHERE kind = 'message'"))
    return Stored(
        executions=executions,
        events=events,
        receipts={message: event for event in events for _, _, message in tx.events.receipts(event.id)},
        lost=Counter(one.id for one in executions for step in tx.executions.steps(one.id) if step.what == "lose"),
        tried={MessageId("m" + row.delivery[1:]): row.attempt for row in rows},
        sessions=keys,
        # Asked where there is one: it looks at everything.
        shown_dead=standing(tx).events[S_DEAD] if any(event.state is S_DEAD for event in events) else 0,
    )


def judge(life: Life) -> None:
    """Raises `Breach` with everything that is wrong."""
    stored = database().read(_read)
    wrong = [
        *_of_people(life, stored),
        *_of_machines(life, stored),
        *_of_addresses(life, stored),
        *_of_tellings(life, stored),
        *_of_receipts(life, stored),
        *_of_order(life, stored),
        *_of_the_queue(life, stored),
    ]
    if wrong:
        raise Breach("; ".join(wrong))


def _of_people(life: Life, stored: Stored) -> list[str]:
    """Every message led to one execution of its words at its place, or to a word that says why not."""
    wrong = []
    by_message: dict[MessageId | None, list[Execution]] = defaultdict(list)
    for one in stored.executions:
        by_message[one.origin.message_id].append(one)
    for said in life.said:
        message = said.message
        _, is_request, words = message.text.partition(": ")
        if not is_request:
            continue
        mine = by_message[message.message_id]
        asked = [one for one in mine if one.request.text == words]
        if len(asked) > 1:
            wrong.append(f"{message.message_id} was asked once, and is {len(asked)} executions")
        if not asked and not _was_answered(life, said):
            wrong.append(f"{message.message_id} led to nothing, and nobody said so")
        after = [one for one in mine if one.request.text == AFTER]
        ended = [one for one in asked if words == CHAIN and one.state is S.FINISHED]
        most = sum(1 + stored.lost[one.id] for one in ended)
        if len(after) > most or len(asked) + len(after) != len(mine):
            wrong.append(f"{message.message_id} led to {[one.request.text for one in mine]}")
        wrong += [
            f"{one.id} was asked at {message.peer}, and is to come home to {one.origin.peer}"
            for one in mine
            if one.origin.peer != message.peer
        ]
    hourly = by_message.pop(None, [])
    wrong += [f"{one.id} was asked by nobody" for one in hourly if one.origin.peer != HOURLY.to]
    known = {said.message.message_id for said in life.said}
    return wrong + [f"{name} was never said" for name in by_message.keys() - known]


def _was_answered(life: Life, said: Said) -> bool:
    """Seen late, or given up: in words, where it was asked. A word that the network refused is dead, and visible."""
    return any(
        one.post.kind is PostKind.REPLY or one.nonce in network.rejected
        for network in life.networks
        for one in network.shown
        if one.address.message_id == said.message.message_id and one.address.peer == said.message.peer
    ) or any(network.rejected for network in life.networks if network.name == said.message.peer.channel)


def _machine_of(life: Life, one: Execution) -> Machine:
    return life.machines[one.node]


def _of_machines(life: Life, stored: Stored) -> list[str]:
    """Started at most once, by what was asked; and nothing is told of a start or an end that was not."""
    wrong = []
    known = {one.id for one in stored.executions}
    for machine in life.machines.values():
        wrong += [f"{one} was started {times} times" for one, times in machine.starts.items() if times > 1]
        wrong += [f"{one} was started, and nobody asked for it" for one in machine.starts.keys() - known]
    for one in stored.executions:
        machine = _machine_of(life, one)
        starts, end = machine.starts[one.id], machine.ends.get(one.id)
        if starts and machine.commands[one.id].argv != one.request.argv:
            wrong.append(f"{one.id} ran something else than was asked")
        if one.state in NOTHING_RAN and starts:
            wrong.append(f"{one.id} is told as {one.state.value}, and it ran")
        if one.state is S.FINISHED:
            if end is None or one.result is None:
                wrong.append(f"{one.id} is told as finished, and did not end")
            elif (one.result.exit_code, one.result.output) != (end.exit_code, end.output):
                wrong.append(f"{one.id} ended otherwise than it is told")
        elif end is not None and machine.is_connected and machine.journal[one.id] is Journal.FINISHED:
            wrong.append(f"{one.id} ended, and its people were told that it is {one.state.value}")
        if one.state not in FINAL and one.state is not S.LOST:
            wrong.append(f"{one.id} is {one.state.value} for ever")
    return wrong


def _of_addresses(life: Life, stored: Stored) -> list[str]:
    """Every message stands where it was asked, byte for byte, and answers the one that asked."""
    wrong = []
    places = {said.message.message_id: said.message.peer for said in life.said}
    origins = {one.id: one.origin for one in stored.executions}
    for network in life.networks:
        posted = {one.message_id: one for one in network.shown}
        for one in network.shown:
            anchor, peer = one.address.message_id, one.address.peer
            asked_at = HOURLY.to if anchor is None else places.get(anchor)
            if anchor in posted:
                # A line in the place of an edit answers the card.
                asked_at = posted[anchor].address.peer
            if asked_at != peer or (peer.channel, peer.account) != (network.name, network.account):
                wrong.append(f"a {one.post.kind.value} stands at {peer}, and {anchor} was asked at {asked_at}")
            if one.post.execution_id is not None and anchor not in posted:
                origin = origins.get(ExecutionId(one.post.execution_id))
                if origin is None or origin.peer != peer or origin.message_id != anchor:
                    wrong.append(f"a {one.post.kind.value} of {one.post.execution_id} stands at {peer} under {anchor}")
        for peer, message, post in network.edits:
            if message not in posted or posted[message].address.peer != peer:
                wrong.append(f"{message} was edited at {peer}, where it does not stand")
            elif posted[message].post.execution_id != post.execution_id:
                wrong.append(f"the card of {posted[message].post.execution_id} shows {post.execution_id}")
    return wrong


def _plain(shown: Shown) -> str:
    """Its words without the mark of a repeat."""
    lines = text_of(shown.post).split("\n")
    return "\n".join(line for line in lines if not line.startswith(REPEATED))


def _network_of(life: Life, peer: Peer) -> Network:
    return next(one for one in life.networks if (one.name, one.account) == (peer.channel, peer.account))


def _of_tellings(life: Life, stored: Stored) -> list[str]:
    """Every end is told: once where the network can be asked, else at least once, and every copy but one is marked."""
    wrong = []
    dead = {event.identity for event in stored.events if event.state is EventState.DEAD}
    for one in stored.executions:
        network = _network_of(life, one.origin.peer)
        told: dict[str, list[Shown]] = defaultdict(list)
        for shown in network.visible():
            if shown.post.execution_id == one.id and shown.post.kind in (PostKind.RESULT, PostKind.NOTICE):
                told[_plain(shown)].append(shown)
        wrong += _repeats(one, told, network, most=max(1, stored.lost[one.id]))
        results = [words for words, copies in told.items() if copies[0].post.kind is PostKind.RESULT]
        end = _machine_of(life, one).ends.get(one.id)
        truth = () if end is None else (f"exit {end.exit_code} · {one.id}", end.output.text().strip())
        for words in results:
            if not truth or not all(said in words for said in truth):
                wrong.append(f"{one.id} was told as what it was not: {words!r}")
        if any(name.startswith(f"outcome:{one.id}:{one.state.value}") for name in dead):
            continue
        if one.state is S.FINISHED:
            if len(results) != 1:
                wrong.append(f"{one.id} has finished, and its people see {len(results)} results")
        elif not any(copies[-1].post.status == one.state.value for copies in told.values()):
            wrong.append(f"{one.id} is {one.state.value}, and nobody was told")
    return wrong


def _repeats(one: Execution, told: dict[str, list[Shown]], network: Network, *, most: int) -> list[str]:
    wrong = []
    for copies in told.values():
        marked = sum(REPEATED in text_of(copy.post) for copy in copies)
        allowed = most if copies[0].post.status == S.LOST.value else 1
        if len(copies) - (0 if network.can_find else marked) > allowed:
            wrong.append(f"{one.id} was told {len(copies)} times at {network.name}, {marked} of them marked")
        if network.can_find and marked:
            wrong.append(f"{one.id} is marked as a repeat, and {network.name} could have been asked")
    return wrong


def _of_receipts(life: Life, stored: Stored) -> list[str]:
    """Told means that it stands there; and what stands there was told by an event of this store."""
    wrong = []
    shown = {one.message_id: one for network in life.networks for one in network.shown}
    told = {event.id for event in stored.events if event.state is EventState.TOLD}
    for message, event in stored.receipts.items():
        if message not in shown or shown[message].address.peer != event.address.peer:
            wrong.append(f"{event.identity} has a receipt of nothing that stands at its address")
        elif event.id in told and shown[message].is_gone:
            wrong.append(f"{event.identity} is told, and its message came back")
    proved = {event.id for event in stored.receipts.values()}
    wrong += [f"{event.identity} is told by nothing" for event in stored.events if event.id in told - proved]
    for network in life.networks:
        for one in network.visible():
            if network.can_find and one.message_id not in stored.receipts:
                wrong.append(f"{one.message_id} stands at {one.address.peer}, and nobody has a receipt for it")
    return wrong


def _of_order(life: Life, stored: Stored) -> list[str]:
    """At one address what was owed first is told first, but for what came back or was refused."""
    wrong = []
    by_nonce = {nonce_for(event.identity, part): event for event in stored.events for part in range(MAX_PARTS)}
    for network in life.networks:
        last: dict[Peer, Event] = {}
        firsts: dict[Peer, list[ExecutionId]] = defaultdict(list)
        seen = set()
        for one in network.shown:
            event = by_nonce.get(one.nonce)
            if event is None:
                wrong.append(f"{text_of(one.post)!r} was sent, and is owed by nobody")
                continue
            if one.nonce in network.bounced or event.id in seen:
                continue
            seen.add(event.id)
            before = last.get(one.address.peer)
            if before is not None and before.sequence > event.sequence:
                wrong.append(f"{event.identity} was told after {before.identity}, which was owed later")
            last[one.address.peer] = event
            if one.post.kind is PostKind.RESULT:
                firsts[one.address.peer].append(ExecutionId(one.post.execution_id or ""))
        wrong += [bad for ended in firsts.values() for bad in _as_they_ended(life, stored, ended)]
    return wrong


def _as_they_ended(life: Life, stored: Stored, told: Sequence[ExecutionId]) -> list[str]:
    """By the machines' record: whose end was acknowledged before another's was first reported is told before it."""
    machines = {one.id: _machine_of(life, one) for one in stored.executions}
    wrong = []
    for at, later in enumerate(told):
        for earlier in told[at + 1 :]:
            acked, began = machines[earlier].acked_at.get(earlier), machines[later].first_told_at.get(later)
            if acked is not None and began is not None and acked < began:
                wrong.append(f"{later} was told before {earlier}, which had ended before")
    return wrong


def _of_the_queue(life: Life, stored: Stored) -> list[str]:
    """Nothing is left, but dead and visible where a network refused it; and no row lies under a foreign key."""
    wrong = []
    refused = {nonce for network in life.networks for nonce in network.rejected}
    dead = 0
    for event in stored.events:
        if event.session not in {HOURLY.session, _key_of(event.address.peer)}:
            wrong.append(f"{event.identity} is owed to the session {event.session}")
        if event.state is EventState.DEAD:
            dead += 1
            if not any(nonce_for(event.identity, part) in refused for part in range(MAX_PARTS)):
                wrong.append(f"{event.identity} is dead, and nobody refused it: {event.trouble}")
    if dead != stored.shown_dead:
        wrong.append(f"{dead} events are dead, and an operator sees {stored.shown_dead}")
    allowed = {HOURLY.session, *(_key_of(said.message.peer) for said in life.said)}
    wrong += [f"something lies in the queue of {key}" for key in stored.sessions - allowed]
    return wrong


def _key_of(peer: Peer) -> str:
    return key_for(peer)
