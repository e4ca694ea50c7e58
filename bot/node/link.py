"""One node's connection as the gateway holds it: questions with their answers, frames out, frames in.

Deliberately absent: which connection counts for a node, and when it is paired (see `hub`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import aiohttp
from aiohttp import web

from bot.domain.execution import ExecutionId
from bot.domain.node import Pairing
from bot.errors import MalformedFrame, NodeSilent
from bot.node.frames import (
    MAX_ASKED,
    Accepted,
    Answers,
    Ask,
    Busy,
    Declined,
    Finished,
    Frame,
    Inspected,
    NotKnown,
    Progress,
    Refused,
    Started,
)
from bot.node.identity import KeyPair, new_nonce
from bot.node.lines import Lines
from bot.node.protocol import Close, GatewayEnd, State

log = logging.getLogger(__name__)

SEND_S = 10.0
"""A node that takes no bytes for so long is cut off; it comes back and is asked what it knows."""
_MAX_QUESTIONS = 128
"""As many as a node answers at the same time; the gateway has 32 inspections and 64 offers under way at most."""

Answer = Inspected | Accepted | Declined | Busy


class Link:
    """Not usable after `close`; calls then raise `NodeSilent`."""

    def __init__(self, socket: web.WebSocketResponse, key: KeyPair) -> None:
        self.end = GatewayEnd(key, new_nonce())
        self._socket = socket
        self._questions: dict[int, asyncio.Future[Answer]] = {}
        self._number = 0
        self._asked: set[ExecutionId] = set()
        self.is_paired = False
        """By the store's word; the node hears it with its welcome."""

    @property
    def is_open(self) -> bool:
        return self.end.state is State.OPEN and not self._socket.closed

    @property
    def is_waiting(self) -> bool:
        """Proved, and not welcomed as paired yet."""
        return self.end.state in {State.PROVEN, State.PENDING} and not self._socket.closed

    async def receive(self) -> Frame:
        """The next frame. Raises `NodeSilent` when the connection is over."""
        message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            return self.end.read(message.data)
        if message.type is aiohttp.WSMsgType.BINARY:
            raise MalformedFrame("a node sent bytes where frames are text")
        raise NodeSilent("the node's connection is over")

    async def send(self, frame: Frame) -> None:
        await self._send_text(self.end.write(frame))

    async def challenge(self) -> None:
        await self._send_text(self.end.challenge())

    async def welcome(self, pairing: Pairing) -> None:
        await self._send_text(self.end.welcome(pairing))

    async def ask_about(self, executions: tuple[tuple[ExecutionId, bool], ...]) -> None:
        """What became of these; only answers about them are passed on."""
        for at in range(0, len(executions), MAX_ASKED):
            asked = executions[at : at + MAX_ASKED]
            self._asked.update(execution for execution, _ in asked)
            await self.send(Ask(executions=asked))

    async def question(self, frame: Callable[[int], Frame], *, within_s: float) -> Answer:
        """Send what `frame` makes of a number, and wait for the answer of that number. Raises `NodeSilent`."""
        if len(self._questions) >= _MAX_QUESTIONS:
            raise NodeSilent("the node has more questions open than it answers at once")
        self._number += 1
        number = self._number
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._questions[number] = future
        try:
            async with asyncio.timeout(within_s):
                await self.send(frame(number))
                return await future
        except TimeoutError:
            raise NodeSilent(f"the node did not answer within {within_s:g} s") from None
        finally:
            del self._questions[number]

    async def take(self, frame: Frame, lines: Lines) -> None:
        """One frame of the open connection."""
        match frame:
            case Inspected() | Accepted() | Declined() | Busy():
                future = self._questions.get(frame.number)
                # One that nobody waits for any more came too late: what was promised in it expires by itself.
                if future is not None and not future.done():
                    future.set_result(frame)
            case Answers():
                for execution, known in frame.answers:
                    if execution in self._asked:
                        self._asked.discard(execution)
                        await lines.bring(execution, known)
                    else:
                        log.warning("node.answer_not_asked", extra={"execution_id": execution})
            case Started() | Progress() | Finished() | Refused() | NotKnown():
                await lines.bring(frame.execution, frame)
            case _:
                raise MalformedFrame("a frame that has no place in an open connection")

    async def close(self, code: int, reason: str) -> None:
        """The reason is ours and short; whoever waits for an answer hears that there is none."""
        self.give_up()
        await self._socket.close(code=code, message=reason.encode()[:120])

    def give_up(self) -> None:
        for future in self._questions.values():
            if not future.done():
                future.set_exception(NodeSilent("the node's connection ended before it answered"))

    async def _send_text(self, text: str) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                await self._socket.send_str(text)
        except TimeoutError:
            await self.close(Close.SLOW, "a frame was not taken in time")
            raise NodeSilent(f"the node took no bytes for {SEND_S:g} s") from None
        except (aiohttp.ClientError, ConnectionError, RuntimeError) as fault:
            # RuntimeError: aiohttp's word for a socket that was never opened or is closing.
            raise NodeSilent("the node's connection is over") from fault
