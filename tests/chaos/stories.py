"""What people do and what goes wrong around them, so that every named point is passed.

Each story begins and ends at rest. Where a process is killed on order the story goes on with the next one. Deliberately
absent: which point it is killed at (see `cover`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bot.demo.chat import DemoError
from bot.domain.execution import ExecutionState
from bot.domain.message import Action
from channels.web.access import invite
from tests.chaos.fuse import Deed, Order
from tests.chaos.people import AWAY, OnNetwork, Page, People
from tests.chaos.points import Moment, commit
from tests.chaos.records import compare, forget
from tests.chaos.world import Asked, Stuck, World, a_world
from tests.platforms.driver import Order as Fault
from tests.platforms.faults import Fault as Wrong

S = ExecutionState
ENDS = (S.FINISHED, S.REFUSED, S.LOST, S.EXPIRED, S.CANCELLED, S.DENIED)
"""Where a kill in the wrong moment may lead as well: the node did not answer in time, say, and that is told."""
ENDED = {state.value for state in ENDS}
Tell = Callable[[World], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    name: str
    tell: Tell
    first: tuple[tuple[str, Order], ...] = ()
    """What is ordered before anything else: a kill or a fault that the story is about, as (process, order)."""


_COMMIT = commit("flow.dispatch.Dispatch._offer_and_go _commit")
_TURN = commit("flow.turn.Turns._answer _commit")


async def plain(world: World, *, people: People, place: int, may_be_lost: bool = False) -> None:
    """Asked, approved, run, told."""
    asked = await world.ask(people, people.places()[place])
    asked.may_be_lost = may_be_lost
    await world.decide(asked)
    await world.until_state(asked, *ENDS)


async def by_a_tick(world: World, *, people: People) -> None:
    """Approved by a reaction; and one on the result, which decides nothing."""
    asked = await world.ask(people, people.places()[0])
    waiting = {S.PREPARING.value, S.AWAITING_APPROVAL.value}

    async def decided() -> bool:
        card = await world.card(asked)
        if card is not None and world.state(asked) in waiting:
            await people.react(asked.peer, card, "✅")
            await asyncio.sleep(0.3)
        return world.state(asked) not in waiting

    await world.until_async(decided, "a tick decides")
    await world.settled()
    result = (await people.shown(asked.peer))[-1]
    with contextlib.suppress(*AWAY):
        await people.react(asked.peer, result.id, "✅")
    await asyncio.sleep(0.5)


async def stopped(world: World, *, people: People) -> None:
    """It runs for long, its card shows its output, and it is stopped."""
    asked = await world.ask(people, people.places()[0], 45.0)
    await world.decide(asked)
    await world.until_state(asked, S.RUNNING, *ENDS)
    await asyncio.sleep(1.6)
    await _stop(world, asked)


async def _stop(world: World, asked: Asked) -> None:
    async def over() -> bool:
        if world.state(asked) not in ENDED:
            await asked.people.say(asked.peer, f"stop {asked.id}")
            await asyncio.sleep(0.5)
        return world.state(asked) in ENDED

    await world.until_async(over, f"{asked.id} is stopped")


async def denied(world: World) -> None:
    asked = await world.ask(world.web, world.web.places()[1])
    await world.decide(asked, Action.DENY)


async def changed_meanwhile(world: World) -> None:
    """What was approved is not what stands there now: the node declines the offer."""
    script = world.home / "changing"
    script.write_text((world.home / "mark").read_text())
    script.chmod(0o755)
    asked = await world.ask(world.web, world.web.places()[0], words=f"{script} {{token}} 0")
    await world.until_asked(asked)
    script.write_text(script.read_text() + "# another\n")
    await world.decide(asked)
    await world.until_state(asked, S.REFUSED, S.FINISHED, S.LOST)


async def not_there(world: World) -> None:
    """The node finds no such program, and says so at once."""
    await world.ask(world.web, world.web.places()[0], words="/nowhere/at/all {token}")


async def cannot_start(world: World) -> None:
    """It is a file that may be run, and the system does not start it."""
    script = world.home / "broken"
    script.write_bytes(b"\x7fELF no program\n")
    script.chmod(0o755)
    asked = await world.ask(world.web, world.web.places()[0], words=f"{script} {{token}}")
    await world.decide(asked)
    await world.until_state(asked, S.REFUSED, S.FINISHED, S.LOST)


async def crowd(world: World) -> None:
    """More at once than the node takes, in a room where nobody is asked."""
    free = world.web.room("free")
    asked = await asyncio.gather(*(world.ask(world.web, free, 4.0) for _ in range(6)))
    for one in asked:
        await world.until_state(one, *ENDS)


async def same_words(world: World) -> None:
    """One person says the same twice, and means it twice."""
    for _ in range(2):
        await world.web.say(world.web.room("free"), "run /bin/true")
    await world.settled()
    asked = world.scalar("SELECT count(*) FROM executions WHERE request LIKE '%/bin/true%'")
    if int(str(asked)) % 2:
        raise Stuck(f"/bin/true was asked for by twos, and {asked} executions stand for it")


async def elsewhere(world: World) -> None:
    """While it runs people speak in other places of the same network."""
    for people, place in ((world.web, 1), (world.on("slack"), 1)):
        asked = await world.ask(people, people.places()[0], 0.8)
        await world.decide(asked)
        await world.until_async(lambda: people.say(people.places()[place], "help"), "heard elsewhere")  # noqa: B023
        await world.until_state(asked, *ENDS)


async def flood(world: World) -> None:
    """Discord answers nothing for a while, and two dozen things are owed in one room by then."""
    people, answers = world.on("discord"), asyncio.Event()

    async def waits(method: str, path: str) -> None:
        if method == "POST" and path.endswith("/messages"):
            await answers.wait()

    world.discord.rest.before_answer = waits
    try:
        async with asyncio.timeout(18.0):
            asking = [world.ask(people, people.places()[0], words="/nowhere/at/all {token}") for _ in range(24)]
            for asked in await asyncio.gather(*asking):
                await world.until_state(asked, S.REFUSED)
    finally:
        world.discord.rest.before_answer = None
        answers.set()


async def node_dies(world: World) -> None:
    """The node dies while it runs: nobody knows how it ended, and people are told so."""
    asked = await world.ask(world.web, world.web.places()[0], 0.5)
    asked.may_be_lost = True
    await world.decide(asked)
    await world.until_state(asked, *ENDS)


async def journal_gone(world: World) -> None:
    """The node dies while it runs, and its journal with it."""
    asked = await world.ask(world.web, world.web.places()[0], 1.0)
    asked.may_be_lost = True
    await world.decide(asked)
    await world.until_state(asked, S.RUNNING, *ENDS)
    await world.down("node")
    # Its report may have been in there.
    asked.is_cut_off = True
    for kept in (world.state_dir / "journal").glob(f"{asked.id}.*"):
        kept.unlink()
    world.up("node")
    await world.until_state(asked, *ENDS)


async def revoked(world: World) -> None:
    """Its key is revoked while it runs; then it comes back as a new node, and waits to be paired."""
    asked = await world.ask(world.web, world.web.places()[0], 1.0)
    asked.may_be_lost = True
    await world.decide(asked)
    await world.until_state(asked, S.RUNNING, *ENDS)
    asked.is_cut_off = True
    node = str(world.scalar("SELECT node FROM executions WHERE id = ?", asked.id))
    await world.store.write(lambda tx: tx.nodes.revoke(node))  # type: ignore[arg-type]  # -- as the row has it
    await world.until_state(asked, *ENDS)
    await world.down("node")
    (world.state_dir / "node.key").unlink()
    world.up("node")
    await world.until(lambda: (world.state_dir / "node.key").exists(), "a new key")
    await world.pair()
    await plain(world, people=world.web, place=0)


async def restarted(world: World) -> None:
    """The gateway and the node are killed and come back, with something under way on both sides."""
    asked = await world.ask(world.web, world.web.places()[0], 1.5)
    await world.decide(asked)
    await world.until_state(asked, S.RUNNING, *ENDS)
    await world.kill("gateway")
    await world.until_async(world.is_listening, "the gateway is back")
    asked.may_be_lost = True
    await world.kill("node")
    await world.until_state(asked, *ENDS)


async def reloaded(world: World) -> None:
    """The rules are read anew, twice: another rule, and as before."""
    config = world.home / "config.toml"
    before = config.read_text()
    more = '\n[[rule]]\nname = "nothing runs in the lobby"\nwhere = ["web:channel:lobby"]\naction = "deny"\n'
    for text in (before + more, before):
        config.write_text(text)
        # Before it listens, the program may not have come to its first line.
        await world.until_async(world.is_listening, "the gateway is there")
        with contextlib.suppress(ProcessLookupError):
            os.kill(world.running["gateway"].pid, signal.SIGHUP)
        await asyncio.sleep(0.4)
    await world.until_async(world.is_listening, "the gateway is there")


async def escalated(world: World) -> None:
    asked = await world.ask(world.web, world.web.room("slow"))
    await world.until(
        lambda: world.scalar("SELECT is_escalated FROM executions WHERE id = ?", asked.id), "further people are asked"
    )
    await world.decide(asked)


async def expired(world: World) -> None:
    asked = await world.ask(world.web, world.web.room("short"))
    await world.until_state(asked, *ENDS)


async def visitor(world: World) -> None:
    """Somebody comes by a link, opens a room and goes. A link whose answer was lost is used up: there is another."""
    number = len(world.tokens)
    world.tokens.add(f"visitor{number}")
    page = Page(f"carol{number}", world.web.base_url)

    async def comes() -> bool:
        link = await invite(world.store.chat_log, native=page.name, name=page.name, now=world.clock.now())
        await page.join(link)
        return True

    async def goes() -> bool:
        try:
            await page._post("/web/sign-out", {})
        except DemoError as fault:
            # Gone already: the answer of the first time was lost.
            return "sign" in str(fault).lower()
        return True

    try:
        await world.until_async(comes, "signed in")
        await world.until_async(lambda: _done(page.open_room(f"annex{number}")), "a new room")
        await world.until_async(goes, "signed out")
    finally:
        await page.close()


async def _done(doing: Awaitable[object]) -> bool:
    await doing
    return True


# --- faults of the networks ------------------------------------------------------------------------


async def troubled(world: World, *, people: OnNetwork, fault: Fault) -> None:
    """The next message of the bot meets a fault of its network: the card, and then the result."""
    asked = await world.ask(people, people.places()[0])
    await world.until_asked(asked)
    people.network.order(fault)
    await world.decide(asked)
    await world.until_state(asked, *ENDS)


async def edits_fail(world: World) -> None:
    people = world.on("slack")
    asked = await world.ask(people, people.places()[0])
    await world.until_asked(asked)
    world.slack.server.order(Wrong.UNAVAILABLE, "chat.update", times=2)
    await world.decide(asked)
    await world.until_state(asked, *ENDS)


async def archived(world: World) -> None:
    """The room is archived while the command runs: the result waits until somebody writes there again."""
    people = world.on("slack")
    place = people.places()[1]
    room = world.slack.conversation(place)
    asked = await world.ask(people, place, 0.7)
    await world.decide(asked)
    await world.until_state(asked, S.RUNNING, *ENDS)
    room.is_archived = True
    try:
        await world.until_state(asked, *ENDS)
        await world.until(lambda: world.put_away(asked), "it is held")
    finally:
        room.is_archived = False
    await _until_told(world, asked)


async def _until_told(world: World, asked: Asked) -> None:
    """Somebody writes there, again where that was not heard, until nothing of it is held any more."""
    held = "SELECT count(*) FROM events WHERE execution_id = ? AND state <> 'told'"

    async def told() -> bool:
        if not world.scalar(held, asked.id):
            return True
        await asked.people.say(asked.peer, "help")
        await asyncio.sleep(0.4)
        return not world.scalar(held, asked.id)

    await world.until_async(told, f"{asked.id} is told after all")


async def gone(world: World) -> None:
    """The bot may not write there any more: the result is dead, and visible to an operator."""
    people = world.on("discord")
    place = people.places()[1]
    room = world.discord.place(place)
    asked = await world.ask(people, place, 0.7)
    asked.may_be_dead = True
    await world.decide(asked)
    await world.until_state(asked, S.RUNNING, *ENDS)
    room.refuses_with = 50013
    try:
        await world.until_state(asked, *ENDS)
        await world.until(lambda: world.put_away(asked), "it is dead")
    finally:
        room.refuses_with = None


async def window_closed(world: World) -> None:
    """WhatsApp takes no word of ours a day after theirs: it is held, and told when they write."""
    people = world.on("whatsapp")
    place = people.places()[1]
    asked = await world.ask(people, place, 0.7)
    await world.decide(asked)
    await world.until_state(asked, S.RUNNING, *ENDS)
    world.whatsapp.server.account("default").hears(str(place.id), 0.0)
    await world.until_state(asked, *ENDS)
    await world.settled()
    await _until_told(world, asked)


async def unconfirmed(world: World) -> None:
    """WhatsApp's word that it was delivered does not come: it is asked for."""
    people = world.on("whatsapp")
    asked = await world.ask(people, people.places()[0])
    await world.until(lambda: world.told(asked, "card:") or world.state(asked) in ENDED, "its card is told")
    world.whatsapp.server.carrier.is_quiet = True
    try:
        await world.decide(asked)
        await world.until_state(asked, *ENDS)
        await _until_asked_after(world, asked)
    finally:
        world.whatsapp.server.carrier.is_quiet = False
        world.ahead(0.0)


async def _until_asked_after(world: World, asked: Asked) -> None:
    """Minutes pass until the network's answer has settled it; each asks once more."""

    async def put_away() -> bool:
        world.ahead(world.ahead_s + 61.0)
        await asyncio.sleep(1.5)
        return world.put_away(asked)

    await world.until_async(put_away, "the network is asked")


async def stranger(world: World) -> None:
    """Somebody unknown writes to the bot alone, and gets a code."""
    number = len(world.discord.world.people)
    unknown = world.discord.person(f"stranger{number}")

    async def coded() -> bool:
        await world.discord.say(world.discord.direct(unknown), unknown, "hello")
        await asyncio.sleep(0.5)
        return bool(world.scalar("SELECT count(*) FROM pairings WHERE native = ?", unknown))

    await world.until_async(coded, "a code")


# --- faults of the store ---------------------------------------------------------------------------


# --- time passes -----------------------------------------------------------------------------------


async def silent(world: World) -> None:
    """The node is away for longer than anybody waits: lost, and told after all when it comes back."""
    asked = await world.ask(world.web, world.web.places()[0], 1.0)
    asked.may_be_lost = True
    await world.decide(asked)
    await world.until_state(asked, S.RUNNING, *ENDS)
    await world.down("node")

    async def given_up() -> bool:
        # A gateway that has just started waits anew: it could not hear what was said before.
        world.ahead(world.ahead_s + 400.0)
        await asyncio.sleep(0.7)
        return world.state(asked) in ENDED

    await world.until_async(given_up, "nobody waits any longer")
    world.up("node")


async def next_day(world: World) -> None:
    """The agent's own cadence, and what is planned for the night."""
    await _compared(world)
    world.ahead(world.ahead_s + 86_400.0)
    await asyncio.sleep(1.5)


async def glass(world: World) -> None:
    """Somebody breaks glass and forgets it: it ends by itself, and that is announced."""
    opened = "SELECT count(*) FROM glasses WHERE state = 'open'"

    async def broken() -> bool:
        await world.web.owner.say("general", "break-glass the database is on fire")
        await asyncio.sleep(0.3)
        return bool(world.scalar(opened))

    await world.until_async(broken, "glass is broken")
    world.ahead(world.ahead_s + 120.0)
    await world.until(lambda: not world.scalar(opened), "it is over")
    # Nobody reviews it either: that is announced as well.
    world.ahead(world.ahead_s + 3_600.0)
    await world.until(lambda: not world.scalar("SELECT count(*) FROM glasses WHERE state = 'ended'"), "it is overdue")


async def turn_gives_up(world: World) -> None:
    """The store fails at every commit of the turn: whoever wrote is told to ask again."""
    web, peer = world.web, world.web.places()[0]
    replies = "SELECT count(*) FROM events WHERE payload LIKE '%could not answer%'"
    before = int(str(world.scalar(replies)))
    await web.say(peer, "help")

    async def told() -> bool:
        # Each failure waits longer than the one before; here it does not.
        world.ahead(world.ahead_s + 60.0)
        await asyncio.sleep(0.3)
        return int(str(world.scalar(replies))) > before or world.owed() is None

    await world.until_async(told, "people are told")


async def forgotten(world: World) -> None:
    """Three days later: what ended is forgotten, and what the audit said of it is redacted."""
    await _compared(world)
    world.ahead(world.ahead_s + 3 * 86_400.0)
    await asyncio.sleep(1.0)
    # The audit is looked through once a day, and by a gateway that has just started.
    await world.kill("gateway")
    await world.until_async(world.is_listening, "the gateway is back")
    await asyncio.sleep(1.0)


async def _compared(world: World) -> None:
    """Before the store forgets anything."""
    await world.settled()
    faults = await forget(world)
    if faults:
        raise Stuck("; ".join(faults))


async def never_confirmed(world: World) -> None:
    """A day without a word from WhatsApp: dead, and visible."""
    await _compared(world)
    people = world.on("whatsapp")
    asked = await world.ask(people, people.places()[0])
    asked.may_be_dead = True
    await world.until(lambda: world.told(asked, "card:") or world.state(asked) in ENDED, "its card is told")
    carrier = world.whatsapp.server.carrier
    carrier.is_quiet, carrier.plan = True, ("sent",)
    try:
        await world.decide(asked)
        await world.until_state(asked, *ENDS)
        await asyncio.sleep(0.5)
        world.ahead(world.ahead_s + 90_000.0)
        await _until_asked_after(world, asked)
    finally:
        carrier.is_quiet, carrier.plan = False, ("sent", "delivered")


def _fails(point: str, moment: Moment) -> tuple[tuple[str, Order], ...]:
    return (("gateway", Order(point=f"{moment} {point}", deed=Deed.FAIL)),)


def _dies(who: str, point: str) -> tuple[tuple[str, Order], ...]:
    return ((who, Order(point=point)),)


def web_stories(world: World) -> list[Story]:
    """What takes no network of others."""
    web, found = world.web, []

    def add(name: str, tell: Tell, first: tuple[tuple[str, Order], ...] = ()) -> None:
        found.append(Story(name=name, tell=tell, first=first))

    add("web", partial(plain, people=web, place=0))
    add("web thread", partial(plain, people=web, place=2))
    for story in (denied, not_there, changed_meanwhile, cannot_start, expired, escalated, same_words, reloaded):
        add(story.__name__, story)
    for story in (visitor, crowd, restarted, journal_gone, revoked):
        add(story.__name__, story)
    add("stopped", partial(stopped, people=web))
    add("no go", partial(plain, people=web, place=0), _dies("gateway", f"{Moment.AFTER} {_COMMIT}"))
    add("sent twice", partial(plain, people=web, place=0), _dies("gateway", f"{Moment.AFTER} web sends"))
    add("lost commit", partial(plain, people=web, place=0, may_be_lost=True), _fails(_COMMIT, Moment.AFTER))
    add("turn fails", partial(plain, people=web, place=0), _fails(_TURN, Moment.BEFORE))
    add("node dies", node_dies, _dies("node", f"{Moment.AFTER} journal running"))
    return found


def network_stories(world: World) -> list[Story]:
    """On the networks of others, and what they do to us."""
    found = []
    for name in world.speaks:
        people = world.on(name)
        told = {name: partial(plain, people=people, place=0), f"{name} place": partial(plain, people=people, place=2)}
        if name != "whatsapp":
            told[f"{name} tick"] = partial(by_a_tick, people=people)
        told[f"{name} lost answer"] = partial(troubled, people=people, fault=Fault.LOST_ANSWER)
        told[f"{name} away"] = partial(troubled, people=people, fault=Fault.UNAVAILABLE)
        found += [Story(name=each, tell=tell) for each, tell in told.items()]
    others = (elsewhere, flood, edits_fail, archived, gone, window_closed, unconfirmed, stranger)
    return [*found, *(Story(name=story.__name__, tell=story) for story in others)]


def stories_of_time(world: World) -> list[Story]:
    """In a world whose clock only goes on."""
    del world  # each is told of the same places
    fails = _fails(_TURN, Moment.BEFORE) * 5
    return [
        Story(name="never confirmed", tell=never_confirmed),
        Story(name="silent", tell=silent),
        Story(name="glass", tell=glass),
        Story(name="next day", tell=next_day),
        Story(name="turn gives up", tell=turn_gives_up, first=fails),
        Story(name="forgotten", tell=forgotten),
    ]


async def birth(home: Path, point: str) -> list[str]:
    """The first start of a gateway in an empty folder, with a node of its own; then a command runs on that node."""
    async with a_world(home, speaks=(), has_local_node=True, first=Order(point=point)) as world:
        web = world.web
        asked = await world.ask(web, web.room("general"), words=f"on local: {world.command('{token}')}")
        await world.decide(asked)
        await world.until_state(asked, *ENDS)
        await world.settled()
        if world.ledger("gateway").orders():
            return ["it was never there"]
        return await compare(world)
