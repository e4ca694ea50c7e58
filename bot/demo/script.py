"""What happens in the demo, in order, and the claims that are checked at its end against what stands in the rooms.

Deliberately absent: anything mocked. Every line shown was read from the web chat's page by HTTP.
"""

from __future__ import annotations

import asyncio
import shlex
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bot.demo.chat import DemoError, Seen, Visitor
from bot.demo.gateway import GatewayProcess

ROOMS = ("ops", "deploys", "lab")
CONFIG = """
owners = ["owner"]

[gateway]
port = PORT
data_dir = "DATA"

[[people]]
name = "owner"
ids = ["web:owner"]

[[rule]]
name = "in the lab an ask waits four seconds"
where = ["web:channel:lab"]
action = "ask"
expires_after = "4s"
"""
_LOOKS, _LOOK_S = 60, 0.25
_KILLS = 6
"""The kill must hit the milliseconds between finish and relay; a miss is seen and tried again."""


@dataclass(slots=True)
class Asked:
    """One command of the demo, and what must become of it."""

    title: str
    room: str
    by: str
    message_id: int
    token: str
    """A word that only this command writes: by it the result is found, wherever it stands."""
    runs: int
    """How often it must have run."""
    thread: str | None = None
    execution: str = ""
    exit_status: str = "exit 0"


@dataclass(slots=True)
class Demo:
    gateway: GatewayProcess
    home: Path
    say: Callable[[str], None]
    people: dict[str, Visitor] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    # --- the pieces --------------------------------------------------------------------------------

    async def invite(self, name: str) -> Visitor:
        link = str((await self.gateway.homing("invite", name))["link"])
        visitor = Visitor(name, self.gateway.base_url)
        self.people[name] = visitor
        await visitor.join(link)
        return visitor

    async def ask(
        self, by: str, room: str, title: str, words: str, *, runs: int = 1, thread: str | None = None
    ) -> Asked:
        """`words` are shell; the demo adds a mark that counts how often it ran and a token that finds its output."""
        token = f"token-{len(self.asked) + 1}-{room}"
        command = f"echo {token} >> {shlex.quote(str(self.home / token))}; echo {token}; {words}"
        message_id = await self.people[by].say(room, f"run {command}", thread=thread)
        asked = Asked(title=title, room=room, by=by, message_id=message_id, token=token, runs=runs, thread=thread)
        self.asked.append(asked)
        self.say(f"  {_place(asked):<22} {by} asks: {title}")
        return asked

    async def wait_for_node(self) -> None:
        """Until the chat itself says that the node is connected."""
        owner = self.people["owner"]
        for _ in range(_LOOKS):
            asked = await owner.say("general", "nodes")
            answer = await owner.wait_for("general", _is_reply_after(asked), "the list of nodes")
            if "not connected" not in answer.text:
                return
            await asyncio.sleep(_LOOK_S)
        raise DemoError("the node did not connect")

    async def card(self, asked: Asked) -> Seen:
        owner = self.people["owner"]
        seen = await owner.wait_for(
            asked.room,
            lambda seen: seen.kind == "card" and f"echo {asked.token};" in seen.text and bool(seen.buttons),
            f"the card of “{asked.title}”",
            thread=asked.thread,
        )
        asked.execution = seen.execution or ""
        return seen

    async def decide(self, asked: Asked, action: str, *, reason: str = "") -> None:
        note = await self.people["owner"].press(await self.card(asked), action, reason=reason)
        self.say(f"  {_place(asked):<22} owner presses {action}: {note}")

    async def told(self, asked: Asked, kind: str) -> Seen:
        """The message that tells this execution's end, in the place that asked."""
        seen = await self.people[asked.by].wait_for(
            asked.room,
            lambda seen: seen.kind == kind and seen.execution == asked.execution,
            f"the end of “{asked.title}”",
            thread=asked.thread,
        )
        lines = [line for line in seen.text.splitlines() if line and not line.startswith("echo token")]
        self.say(f"  {_place(asked):<22} ◂ {lines[0]}")
        for line in lines[1:]:
            if line.startswith(("Reason", asked.token, "ls:")) or "survived" in line:
                self.say(f"  {'':<22}   {line}")
        return seen

    # --- the story ---------------------------------------------------------------------------------

    async def begin(self) -> None:
        self.say(
            "1. A gateway, its node and the web chat start, each for real; three people come in by one-time links."
        )
        await self.gateway.start()
        for name in ("owner", "ada", "ben"):
            await self.invite(name)
        for room in ROOMS:
            await self.people["owner"].open_room(room)
        await self.wait_for_node()

    async def several_at_once(self) -> None:
        self.say("2. Two rooms and a thread ask at the same time; the owner approves; each result comes home.")
        root = await self.people["ada"].say("ops", "disk alert on the build machine, I look here")
        several = [
            await self.ask("ada", "ops", "who am I and where", "id -un; sleep 0.5"),
            await self.ask("ada", "ops", "in the thread: free space", "df -h / | tail -1", thread=str(root)),
            await self.ask("ben", "deploys", "how long is it up", "uptime; sleep 0.5"),
        ]
        await asyncio.gather(*(self.decide(asked, "approve") for asked in several))
        for asked in several:
            await self.told(asked, "result")

    async def failing(self) -> None:
        self.say("3. A command that fails says so, with its exit status and what it wrote.")
        asked = await self.ask("ben", "deploys", "a directory that is not there", "ls /no/such/place; exit 3")
        asked.exit_status = "exit 3"
        await self.decide(asked, "approve")
        await self.told(asked, "result")

    async def denied_and_expired(self) -> None:
        self.say("4. A denial tells its reason; what nobody decides expires; neither ever runs.")
        denied = await self.ask("ben", "ops", "clear the cache", "echo cleared", runs=0)
        await self.decide(denied, "deny", reason="not during the freeze")
        seen = await self.told(denied, "notice")
        _must("not during the freeze" in seen.text, "the denial tells its reason")
        expired = await self.ask("ada", "lab", "something nobody decides", "echo never", runs=0)
        await self.card(expired)
        await self.told(expired, "notice")

    async def killed_between(self) -> None:
        self.say("5. kill -9 of the gateway between finish and relay, and its restart.")
        for number in range(1, _KILLS + 1):
            asked = await self.ask("ada", "ops", f"something that must survive, try {number}", "echo survived")
            await self.decide(asked, "approve")
            state = await self.gateway.kill_between_finish_and_relay(asked.execution)
            self.say(f"  gateway killed; the result of {asked.execution} is in the store as: {state}")
            await self.gateway.start()
            self.say("  gateway started again")
            await self.told(asked, "result")
            await self.wait_for_node()
            if state != "told":
                return
        raise DemoError(f"the kill missed the moment between finish and relay {_KILLS} times")

    # --- the claims --------------------------------------------------------------------------------

    async def check(self) -> list[tuple[bool, str]]:
        """What the demo claims, each looked up again now."""
        everything = await self._everything()
        claims = [self._ran(asked) for asked in self.asked]
        claims += [self._told_once(asked, everything) for asked in self.asked]
        claims += [self._nowhere_else(asked, everything) for asked in self.asked if asked.runs]
        return claims

    async def _everything(self) -> list[Seen]:
        owner = self.people["owner"]
        seen: list[Seen] = []
        for room in (*ROOMS, "general"):
            top = await owner.messages(room)
            seen += top
            for thread in {asked.thread for asked in self.asked if asked.thread and asked.room == room}:
                seen += [one for one in await owner.messages(room, thread=thread) if str(one.id) != thread]
        return seen

    def _ran(self, asked: Asked) -> tuple[bool, str]:
        mark = self.home / asked.token
        runs = len(mark.read_text().splitlines()) if mark.exists() else 0
        wanted = "ran once" if asked.runs else "never ran"
        return runs == asked.runs, f"{asked.execution} “{asked.title}” {wanted}"

    def _told_once(self, asked: Asked, everything: list[Seen]) -> tuple[bool, str]:
        ends = [one for one in everything if one.execution == asked.execution and one.kind in ("result", "notice")]
        home = [one for one in ends if (one.room, one.thread) == (asked.room, asked.thread)]
        right = len(ends) == len(home) == 1 and (not asked.runs or asked.exit_status in home[0].text)
        return right, f"{asked.execution} was told once, in {_place(asked)}"

    def _nowhere_else(self, asked: Asked, everything: list[Seen]) -> tuple[bool, str]:
        elsewhere = [
            one
            for one in everything
            if asked.token in one.text and (one.room, one.thread) != (asked.room, asked.thread)
        ]
        return not elsewhere, f"{asked.execution}'s output stands nowhere else"


async def run_demo(say: Callable[[str], None]) -> bool:
    """Tell the story through `say`, line by line. True if every claim held. Raises `HomingError` where it is stuck."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="homing-demo-") as folder:
        demo = Demo(gateway=GatewayProcess(Path(folder), CONFIG), home=Path(folder), say=say)
        try:
            await demo.begin()
            await demo.several_at_once()
            await demo.failing()
            await demo.denied_and_expired()
            await demo.killed_between()
            say("6. The claims, looked up again in every room:")
            claims = await demo.check()
        finally:
            for visitor in demo.people.values():
                await visitor.close()
            await demo.gateway.stop()
    for held, words in claims:
        say(f"  {'✅ holds ' if held else '❌ FAILED'} {words}")
    failed = sum(not held for held, _ in claims)
    say(f"{len(claims) - failed} of {len(claims)} claims hold, in {time.monotonic() - began:.0f} s.")
    return failed == 0


def _is_reply_after(message_id: int) -> Callable[[Seen], bool]:
    return lambda seen: seen.id > message_id and seen.kind == "reply"


def _place(asked: Asked) -> str:
    return f"#{asked.room}" + ("" if asked.thread is None else f", thread {asked.thread}")


def _must(held: bool, what: str) -> None:
    if not held:
        raise DemoError(f"a claim failed: {what}")
