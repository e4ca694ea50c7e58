"""The gateway's end of all nodes: who is connected, who is paired, what is asked of them, what they report.

Implements `NodeHub`. Mount `hub.routes()`; close the hub before the server, or its sockets hold the server up.
Deliberately absent: what an execution is. `Reports` decides what a report changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from aiohttp import web

from bot.domain.command import Command, CommandHash, Limits, NodeFingerprint, Request
from bot.domain.execution import ExecutionId
from bot.domain.node import Pairing
from bot.errors import HomingError, MalformedFrame, NodeAbsent, NodeSilent
from bot.loop import Tasks, Wake, forever
from bot.node.faults import Untrusted
from bot.node.frames import MAX_FRAME_BYTES, Accepted, Declined, Go, Hello, Inspect, Inspected, Offer, Proof, Stop
from bot.node.identity import KeyPair
from bot.node.lines import Lines
from bot.node.link import Answer, Link
from bot.node.protocol import Close
from bot.ports import Acceptance, NodeRefusal, Reports

log = logging.getLogger(__name__)

PATH = "/node"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubBounds:
    """Time-outs in seconds and counts, each with its reason."""

    inspect_s: float = 10.0
    """Hashing 256 MiB takes half a second; who waits for a card waits no longer than this."""
    offer_s: float = 10.0
    """As long as the node's acceptance is good for: a later answer would be of no use."""
    handshake_s: float = 10.0
    """Four frames; a satellite link needs 3 s."""
    pairing_s: float = 0.5
    """Between looks at the pairing of a connected node: how long a revoked one may still be served."""
    seen_s: float = 30.0
    """Between notes that a node is alive, for `homing nodes`."""
    heartbeat_s: float = 15.0
    """A half-open connection is noticed after one and a half of it."""
    strangers_an_address: int = 16
    """Connections that have not proved a key yet. Nodes behind one address come back together after an outage."""
    strangers: int = 256
    waiting: int = 64
    """Connected nodes that wait for an operator: more than anybody approves at once."""
    new_keys_an_hour: int = 120
    """Rows that strangers can make us write."""


class Hub:
    """One for a gateway. `reports` is where reports go; `on_connect` wakes the loops when a node is ready."""

    def __init__(
        self,
        key: KeyPair,
        reports: Reports,
        *,
        on_connect: Callable[[], None],
        bounds: HubBounds | None = None,
    ) -> None:
        self._key = key
        self._reports = reports
        self._on_connect = on_connect
        self._bounds = bounds or HubBounds()
        self._proven: dict[NodeFingerprint, tuple[Link, Wake]] = {}
        """The newest connection of each key that was proved, paired or not, and who waits to open it."""
        self._watching: asyncio.Task[None] | None = None
        """Runs while anybody is connected."""
        self._next_note = 0.0
        self._ready: dict[NodeFingerprint, Link] = {}
        """Those of them that are paired and were asked about what is open."""
        self._strangers: Counter[str] = Counter()
        self._new_keys: deque[float] = deque()
        self._closing = Tasks("superseded", limit=self._bounds.strangers)
        self._is_closing = False

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self.connect)]

    async def close(self) -> None:
        self._is_closing = True
        for link, _ in list(self._proven.values()):
            await link.close(Close.GOING_AWAY, "the gateway is stopping")
        await self._closing.close()

    # --- what the core asks of nodes ---------------------------------------------------------------

    def connected(self) -> Collection[NodeFingerprint]:
        return [node for node, link in self._ready.items() if link.is_open]

    async def inspect(
        self, node: NodeFingerprint, execution_id: ExecutionId, request: Request, limits: Limits
    ) -> Command | NodeRefusal:
        answer = await self._ask(
            node,
            lambda number: Inspect(number=number, execution=execution_id, request=request, limits=limits),
            within_s=self._bounds.inspect_s,
        )
        match answer:
            case Inspected():
                return answer.command
            case NodeRefusal():
                return answer
            case _:
                raise NodeSilent("the node answered an inspection with something else")

    async def offer(
        self, node: NodeFingerprint, execution_id: ExecutionId, command: Command, command_hash: CommandHash
    ) -> Acceptance | NodeRefusal:
        answer = await self._ask(
            node,
            lambda number: Offer(number=number, execution=execution_id, command=command, hash=command_hash),
            within_s=self._bounds.offer_s,
        )
        match answer:
            case Accepted():
                return Acceptance(token=answer.token)
            case NodeRefusal():
                return answer
            case _:
                # All its places are taken: the same as silence, so the offer is repeated.
                raise NodeSilent("the node has no place free now")

    async def go(self, node: NodeFingerprint, execution_id: ExecutionId, acceptance: Acceptance) -> None:
        await self._link(node).send(Go(execution=execution_id, token=acceptance.token))

    async def stop(self, node: NodeFingerprint, execution_id: ExecutionId) -> None:
        await self._link(node).send(Stop(execution=execution_id))

    def _link(self, node: NodeFingerprint) -> Link:
        link = self._ready.get(node)
        if link is None or not link.is_open:
            raise NodeAbsent("the node is not connected here")
        return link

    async def _ask(
        self, node: NodeFingerprint, frame: Callable[[int], Inspect | Offer], *, within_s: float
    ) -> Answer | NodeRefusal:
        try:
            answer = await self._link(node).question(frame, within_s=within_s)
        except MalformedFrame as fault:
            return NodeRefusal(reason=f"the command cannot be brought to the node: {fault}")
        if isinstance(answer, Declined):
            return NodeRefusal(reason=answer.reason, already_started=answer.already_started)
        return answer

    # --- one connection ----------------------------------------------------------------------------

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """The WebSocket of one node, from its first byte to its last."""
        address = request.remote or ""
        bounds = self._bounds
        if self._is_closing:
            raise web.HTTPServiceUnavailable(text="the gateway is stopping\n")
        if self._strangers[address] >= bounds.strangers_an_address or self._strangers.total() >= bounds.strangers:
            log.warning("node.crowd")
            raise web.HTTPServiceUnavailable(text="too many connections that have not proved a key\n")
        self._strangers[address] += 1
        is_stranger = True

        def proved() -> None:
            nonlocal is_stranger
            if is_stranger:
                is_stranger = False
                self._strangers[address] -= 1
                if not self._strangers[address]:
                    del self._strangers[address]

        try:
            socket = web.WebSocketResponse(
                heartbeat=bounds.heartbeat_s, max_msg_size=MAX_FRAME_BYTES, compress=False, timeout=2.0
            )
            await socket.prepare(request)
            await self._converse(Link(socket, self._key), proved)
        finally:
            proved()
        return socket

    async def _converse(self, link: Link, proved: Callable[[], None]) -> None:
        try:
            async with asyncio.timeout(self._bounds.handshake_s):
                if not await self._prove(link):
                    return
            proved()
            await self._serve(link)
        except TimeoutError:
            await link.close(Close.SLOW, "the handshake took too long")
        except MalformedFrame as fault:
            log.warning("node.malformed", extra={"fault": str(fault)})
            await link.close(Close.MALFORMED, str(fault))
        except Untrusted as fault:
            log.warning("node.untrusted", extra={"fault": str(fault)})
            await link.close(Close.UNTRUSTED, str(fault))
        except NodeSilent:
            return
        except HomingError:
            # The store does not take it now; the node comes back.
            log.exception("node.not_served")
            await link.close(Close.TROUBLE, "the gateway cannot serve a node now")
        finally:
            link.give_up()

    async def _prove(self, link: Link) -> bool:
        hello = await link.receive()
        if not isinstance(hello, Hello):
            raise MalformedFrame("a connection begins with a hello")
        no_version = link.end.no_version()
        if no_version is not None:
            log.warning("node.version", extra={"node": link.end.node, "spoken": max(hello.versions)})
            await link.close(Close.VERSION, no_version)
            return False
        await link.challenge()
        proof = await link.receive()
        if not isinstance(proof, Proof):
            raise MalformedFrame("a challenge is answered with a proof")
        return True

    async def _serve(self, link: Link) -> None:
        """A connection whose key is proved: until it ends, is superseded, or is cut off."""
        node, hello = link.end.node, link.end.hello
        if hello is None or not await self._may_wait(link):
            return
        known = await self._reports.hello(node, hello.public_key, hello.name)
        if known.pairing is Pairing.REVOKED:
            await link.close(Close.REVOKED, "this key was revoked")
            return
        older, wake = self._proven.get(node), Wake()
        self._proven[node] = link, wake
        # The newer one counts from now on: a machine that slept has left an old connection that looks alive.
        self._ready.pop(node, None)
        if older is not None:
            # Beside the new one: the old one may be half open, and its close then waits in vain.
            self._closing.start(older[0].close(Close.SUPERSEDED, "the same key has connected again"))
        lines = Lines(node, self._reports, link.send)
        link.is_paired = known.pairing is Pairing.PAIRED
        # At once, or when an operator has paired the node.
        opening = asyncio.create_task(self._serve_when_paired(link, wake), name="opening")
        if self._watching is None:
            watch = forever("node.pairing", self._watch, Wake(), poll_s=self._bounds.pairing_s)
            self._watching = asyncio.create_task(watch, name="pairing")
        try:
            if known.pairing is Pairing.PENDING:
                await link.welcome(Pairing.PENDING)
                log.info("node.pending", extra={"node": node})
            while True:
                await link.take(await link.receive(), lines)
        finally:
            await self._leave(link, opening, lines)

    async def _may_wait(self, link: Link) -> bool:
        """Strangers are bounded before anything is written for them."""
        node = link.end.node
        known = await self._reports.pairing_of(node)
        if known is not None and known.pairing is not Pairing.PENDING:
            return True
        now = asyncio.get_running_loop().time()
        while self._new_keys and self._new_keys[0] < now - 3_600.0:
            self._new_keys.popleft()
        waiting = self._proven.keys() - self._ready.keys() - {node}
        is_new = known is None
        if len(waiting) >= self._bounds.waiting or (is_new and len(self._new_keys) >= self._bounds.new_keys_an_hour):
            await link.close(Close.CROWDED, "too many nodes wait to be paired")
            return False
        if is_new:
            self._new_keys.append(now)
        return True

    def _is_newest(self, link: Link) -> bool:
        newest = self._proven.get(link.end.node)
        return newest is not None and newest[0] is link

    async def _open(self, link: Link) -> None:
        """Asked first, served then: an offer that is made from now on comes after the question on the same socket."""
        node = link.end.node
        executions = tuple(await self._reports.open_executions(node))
        if not self._is_newest(link):
            return
        await link.welcome(Pairing.PAIRED)
        await link.ask_about(executions)
        if self._is_newest(link):
            self._ready[node] = link
            log.info("node.connected", extra={"node": node, "asked": len(executions)})
            self._on_connect()

    async def _serve_when_paired(self, link: Link, wake: Wake) -> None:
        async def open_it() -> bool:
            if link.is_waiting and link.is_paired:
                await self._open(link)
            return False

        # Woken by the watch; a fault, as of a store that is away, is tried again by itself.
        await forever("node.opening", open_it, wake, poll_s=self._bounds.seen_s)

    async def _watch(self) -> bool:
        """The pairings as they stand in the store, again and again: one read for all who are connected."""
        pairings = await self._reports.pairings()
        for node, (link, wake) in list(self._proven.items()):
            pairing = pairings.get(node, Pairing.REVOKED)
            if pairing is Pairing.PAIRED and link.is_waiting and not link.is_paired:
                link.is_paired = True
                wake.wake()
            if pairing is Pairing.REVOKED or (pairing is Pairing.PENDING and link.is_open):
                self._ready.pop(node, None)
                if link.is_open or link.is_waiting:
                    log.warning("node.revoked", extra={"node": node})
                    self._closing.start(link.close(Close.REVOKED, "this key was revoked"))
        now = asyncio.get_running_loop().time()
        if now >= self._next_note and self._proven:
            self._next_note = now + self._bounds.seen_s
            await self._reports.seen(list(self._proven))
        return False

    async def _leave(self, link: Link, opening: asyncio.Task[None], lines: Lines) -> None:
        node = link.end.node
        if self._ready.get(node) is link:
            del self._ready[node]
        is_newest = self._is_newest(link)
        if is_newest:
            del self._proven[node]
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        if not self._proven and self._watching is not None:
            self._watching.cancel()
            self._watching = None
        await lines.close()
        log.info("node.left", extra={"node": node})
        if is_newest and not self._is_closing:
            await self._reports.seen([node])
