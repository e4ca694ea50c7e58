"""`homing node`: connect, prove, wait to be paired, serve, and come back whatever happens to the connection.

What runs goes on while nothing is connected. Deliberately absent: what a frame makes the node do (see `desk`), and the
command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp

from bot.domain.command import NodeFingerprint
from bot.domain.node import Pairing
from bot.domain.retry import delay_s
from bot.errors import HomingError, MalformedFrame
from bot.loop import Tasks, Wake, forever
from bot.node.desk import Desk
from bot.node.faults import Revoked, Untrusted, words_of
from bot.node.files import held
from bot.node.frames import MAX_FRAME_BYTES, VERSION, Ack, Ask, Challenge, Frame, Go, Inspect, Offer, Stop, Welcome
from bot.node.identity import KeyPair, check_gateway, fingerprint, load_or_create_key, new_nonce
from bot.node.inspect import Inspector
from bot.node.outbox import Outbox
from bot.node.protocol import Close, NodeEnd
from bot.node.rules_file import RulesFile
from bot.node.rules_shown import opening_words
from bot.node.settings import NodeSettings
from bot.node.spawn import forbid_core_dumps
from bot.node.spool import Spool
from bot.node.tree import become_subreaper

log = logging.getLogger(__name__)

KEY_FILE = "node.key"
PIN_FILE = "gateway.pin"
_HEARTBEAT_S = 15.0
"""A half-open connection is noticed after one and a half of it (aiohttp waits half of it for the pong)."""
_CONNECT_S = 10.0
_HANDSHAKE_S = 15.0
"""More than the gateway's own bound, so that its reason is what is told."""
_SEND_S = 30.0
"""4 MiB at 1.2 Mbit/s; a gateway that takes no frame for so long is not there."""
_NETWORK_PAUSE_S = 60.0
"""The longest wait for a gateway that is away. After it is back, that is how long a node may still be missing."""
_HOPELESS_ATTEMPT = 9
"""Where the doubling of the pause has come to minutes: a revoked key is revoked for ever."""
_STEADY_S = 30.0
"""A connection that was open for so long ends the backing off."""
_CLOSING_S = 30.0
"""The grace of every command runs at the same time; then what can be written has been written."""
_GOODBYE_S = 3.0
"""For the last reports before the program ends; they are on the disk anyhow."""
_TIDY_S = 1.0
_MAX_ANSWERS = 128
"""Inspections and offers at the same time; the gateway sends no more."""

Tell = Callable[[str], None]


def _silent(_line: str) -> None:
    """Nobody is told; the log has it."""


async def run_node(settings: NodeSettings, *, tell: Tell = _silent) -> None:
    """Until SIGTERM or SIGINT, or cancelled. `tell` gets one line for each thing that a person should know.

    Raises `NodeUnusable`, `StateDirBusy` or `ConfigError` where it cannot run here. On the way out every command is
    stopped and its end is in the journal.
    """
    rules = RulesFile.found(settings.rules_file, settings.state_dir)
    words = tuple(opening_words(rules, settings))
    forbid_core_dumps()
    with held(settings.state_dir):
        for line in words:
            tell(line)
        log.info("node.policy", extra={"commands": len(rules.current().commands), "warnings": len(words) - 1})
        key = load_or_create_key(settings.state_dir / KEY_FILE)
        spool = await asyncio.to_thread(Spool, settings.state_dir, spool_bytes=settings.spool_bytes)
        become_subreaper()
        outbox = Outbox(spool)
        desk = Desk(settings, Inspector(settings, key.fingerprint, rules), spool, outbox)
        client = Client(settings, rules, key, desk, outbox, tell)
        async with _asked_to_end() as ending, client.running():
            try:
                await ending.wait()
                tell("stopping: commands that run are ended and reported")
            finally:
                with contextlib.suppress(TimeoutError):
                    # Bounded: where the journal has gone, the last word of an execution can never be written.
                    await asyncio.wait_for(desk.launches.close(), _CLOSING_S)
            await client.say_goodbye()


class Client:
    """The connection of one node, made anew for ever."""

    def __init__(
        self, settings: NodeSettings, rules: RulesFile, key: KeyPair, desk: Desk, outbox: Outbox, tell: Tell
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._key = key
        self._desk = desk
        self._outbox = outbox
        self._tell = tell
        self._told = ""
        self._attempt = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with aiohttp.ClientSession() as session:

            async def connect() -> bool:
                return await self._connect_once(session)

            tasks = [
                asyncio.create_task(forever("connect", connect, Wake(), poll_s=_TIDY_S), name="connect"),
                asyncio.create_task(forever("tidy", self._tidy, Wake(), poll_s=_TIDY_S), name="tidy"),
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def say_goodbye(self) -> None:
        """Wait a moment for the acknowledgements of the last reports."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _GOODBYE_S
        while self._outbox.next_at() is not None and loop.time() < until:  # noqa: ASYNC110 -- bounded, once, at the end
            await asyncio.sleep(0.05)

    async def _tidy(self) -> bool:
        self._desk.tidy()
        return False

    async def _connect_once(self, session: aiohttp.ClientSession) -> bool:
        """One connection from its beginning to its end, and the pause after it."""
        began = asyncio.get_running_loop().time()
        self._say(f"connecting to {self._settings.gateway_url}", "node.connecting")
        longest_s, is_revoked = _NETWORK_PAUSE_S, False
        try:
            await self._connect(session)
        except HomingError as fault:
            is_revoked = isinstance(fault, Revoked)
            # Nothing that a repeat would change soon: doubled up to five minutes.
            longest_s = float("inf")
            self._say(str(fault), "node.refused")
        except (aiohttp.ClientError, OSError, TimeoutError) as fault:
            self._say(f"no connection to the gateway ({words_of(fault)}); trying again", "node.away")
        lasted_s = asyncio.get_running_loop().time() - began
        self._attempt = 1 if lasted_s > _STEADY_S else self._attempt + 1
        if is_revoked:
            self._attempt = max(self._attempt, _HOPELESS_ATTEMPT)
        pause_s = delay_s(self._attempt, jitter=random.random())  # noqa: S311 -- spreads load, guards nothing
        await asyncio.sleep(min(longest_s, pause_s))
        return True

    async def _connect(self, session: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(_CONNECT_S):
            socket = await session.ws_connect(
                self._settings.gateway_url,
                heartbeat=_HEARTBEAT_S,
                max_msg_size=MAX_FRAME_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
            )
        async with socket:
            connection = _Connection(socket, NodeEnd(self._key, new_nonce(), self._settings.name))
            try:
                async with asyncio.timeout(_HANDSHAKE_S):
                    welcome = await self._prove(connection)
                await self._serve(connection, welcome)
            except (MalformedFrame, Untrusted) as fault:
                code = Close.MALFORMED if isinstance(fault, MalformedFrame) else Close.UNTRUSTED
                await socket.close(code=code, message=str(fault).encode()[:120])
                raise

    async def _prove(self, connection: _Connection) -> Welcome:
        await connection.send_text(connection.end.hello())
        challenge = await connection.receive()
        if not isinstance(challenge, Challenge):
            raise MalformedFrame("the gateway answered the hello with something else than its challenge")
        check_gateway(
            self._settings.state_dir / PIN_FILE,
            challenge.public_key,
            self._settings.expected_gateway,
            obeyed=self._rules.current().gateways,
        )
        await connection.send_text(connection.end.proof())
        welcome = await connection.receive()
        if not isinstance(welcome, Welcome):
            raise MalformedFrame("the gateway answered the proof with something else than a welcome")
        return welcome

    async def _serve(self, connection: _Connection, welcome: Welcome) -> None:
        if welcome.pairing is Pairing.PENDING:
            mine = self._key.fingerprint
            self._say(f"waiting for approval; on the gateway: homing nodes pair {mine}", "node.pending")
            await connection.receive()
        self._say(f"paired and connected as {self._key.fingerprint}", "node.paired")
        self._outbox.connected()
        # Before the gateway's question is answered: a report says why, the answer only what.
        await self._send_due(connection)
        answers = Tasks("answers", limit=_MAX_ANSWERS)
        sending = Tasks("sending", limit=1)
        sending.start(self._send_what_is_owed(connection))
        try:
            await self._read(connection, answers)
        finally:
            await sending.close()
            await answers.close()

    async def _read(self, connection: _Connection, answers: Tasks) -> None:
        while True:
            frame = await connection.receive()
            match frame:
                case Inspect() | Offer():
                    if answers.free > 0:
                        answers.start(self._answer(connection, frame))
                    else:
                        # Silence is an answer that the gateway knows; nothing was promised.
                        log.warning("node.crowded", extra={"execution_id": frame.execution})
                case Go():
                    self._desk.go(frame, connection.gateway)
                case Stop():
                    self._desk.stop(frame)
                case Ask():
                    await connection.send(self._desk.answer(frame))
                case Ack():
                    self._desk.acknowledged(frame)
                case _:
                    raise MalformedFrame("a frame of the gateway that asks for nothing")

    async def _answer(self, connection: _Connection, asked: Inspect | Offer) -> None:
        answer = await (
            self._desk.inspect(asked, connection.gateway)
            if isinstance(asked, Inspect)
            else self._desk.offer(asked, connection.gateway)
        )
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            await connection.send(answer)

    async def _send_what_is_owed(self, connection: _Connection) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._outbox.wake.clear()
                await self._send_due(connection)
                next_at = self._outbox.next_at()
                await self._outbox.wake.wait(60.0 if next_at is None else max(0.01, next_at - loop.time()))
        except (aiohttp.ClientError, TimeoutError):
            log.info("node.send_failed")
        finally:
            # The reader has to notice too.
            await connection.socket.close()

    async def _send_due(self, connection: _Connection) -> None:
        for frame in self._outbox.due(asyncio.get_running_loop().time()):
            await connection.send(frame)

    def _say(self, line: str, event: str) -> None:
        """Once for each change, to people and in the log: a gateway that is away for a day is one line."""
        is_news = line != self._told and not (event == "node.connecting" and self._told)
        if is_news:
            self._told = line
            self._tell(line)
        log.log(logging.INFO if is_news else logging.DEBUG, event, extra={"node": self._key.fingerprint})


class _Connection:
    """One socket and its machine."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, end: NodeEnd) -> None:
        self.socket = socket
        self.end = end

    @property
    def gateway(self) -> NodeFingerprint:
        """Whose key it has proved."""
        return fingerprint(self.end.gateway_key)

    async def send(self, frame: Frame) -> None:
        await self.send_text(self.end.write(frame))

    async def send_text(self, text: str) -> None:
        async with asyncio.timeout(_SEND_S):
            await self.socket.send_str(text)

    async def receive(self) -> Frame:
        message = await self.socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            return self.end.read(message.data)
        if message.type is aiohttp.WSMsgType.BINARY:
            raise MalformedFrame("the gateway sent bytes where frames are text")
        raise _lost(self.socket.close_code, message)


def _lost(code: int | None, message: aiohttp.WSMessage) -> Exception:
    told = message.extra if message.type is aiohttp.WSMsgType.CLOSE and isinstance(message.extra, str) else ""
    # It is written to a terminal, and whoever sent it has perhaps proved nothing yet.
    said = "".join(character if character.isprintable() else "?" for character in told[:120])
    match code:
        case Close.REVOKED:
            return Revoked(
                "an operator revoked this node's key; to come back as a new node, stop it, remove node.key from its "
                "state directory, and start it again"
            )
        case Close.SUPERSEDED:
            return Untrusted("another node has connected with this node's key; each node needs a state directory alone")
        case Close.VERSION:
            # A gateway of before version 2 names no side: it is the older one, because it said so to a node of 2.
            why = said if "upgrade the " in said else "the gateway is older than this node: upgrade the gateway"
            return Untrusted(f"no version of the protocol in common with this node's {VERSION}: {why}")
        case Close.UNTRUSTED | Close.MALFORMED | Close.CROWDED:
            return Untrusted(f"the gateway refuses this node (code {code}): {said}")
        case _:
            return aiohttp.ClientConnectionError(f"lost the connection, code {code}")


@asynccontextmanager
async def _asked_to_end() -> AsyncIterator[asyncio.Event]:
    """SIGTERM or SIGINT, taken for as long as the node runs."""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, ending.set)
    try:
        yield ending
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
