"""The gate at the intake: who is heard, who is given a code, and a bounded note of who was not heard.

Deliberately absent: the rules, which are the domain's; and any way to change access, which only the terminal has.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass, field

from bot.domain.event import NewEvent, Payload, Say
from bot.domain.gate import CODE_CHARS, Admit, AskToPair, Closed, Gate, Ignore, PersonPairing, draw_code
from bot.domain.message import ButtonPress, InboundMessage, Reaction, Sender
from bot.domain.policy import Policy
from bot.domain.session import Peer, ReturnAddress, SessionKey
from bot.domain.words import Words
from bot.ports import Store, Tx

log = logging.getLogger(__name__)

NOTED_EVERY_S = 60.0
"""One line a minute for each account and reason: a busy room would fill the log with what is none of ours."""
NOT_HEARD = "You may not ask for anything here. An operator of this bot says who may."

Verdict = Admit | Ignore | AskToPair


@dataclass(frozen=True, slots=True)
class Admissions:
    """The gate over the store. It remembers in memory only what it has logged."""

    store: Store
    policy: Policy
    gate: Gate
    _noted: dict[tuple[str, str, Closed], float] = field(default_factory=dict)

    async def hears(self, message: InboundMessage, words: Words) -> bool | AskToPair:
        """Whether this is an input; `AskToPair` for whom it is not yet."""
        verdict = self.gate.hear(self.policy, message, words)
        if isinstance(verdict, Admit):
            return True
        if isinstance(verdict, AskToPair):
            paired = await self._is_paired(message.peer, message.sender)
            if paired is None:
                return verdict
            if paired:
                return True
            verdict = Ignore(Closed.PAIRING_PENDING)
        self.note(message.peer, verdict.reason)
        return False

    async def takes(self, pressed: ButtonPress | Reaction) -> bool:
        """Whether this press or reaction is looked at."""
        if isinstance(pressed, ButtonPress):
            verdict = self.gate.take_press(self.policy, pressed)
        else:
            verdict = self.gate.take_reaction(self.policy, pressed)
        if isinstance(verdict, AskToPair):
            # A press asks for no code: only words that were written to us do.
            paired = await self._is_paired(pressed.peer, pressed.sender)
            verdict = Admit() if paired else Ignore(Closed.NOT_ON_THE_LIST)
        if isinstance(verdict, Admit):
            return True
        self.note(pressed.peer, verdict.reason)
        return False

    def completes(self, tx: Tx, peer: Peer, sender: Sender, space: str | None) -> bool:
        """Whether what this person types there is completed with names of ours."""
        pairing = tx.pairings.get(peer.channel, peer.account, sender.native)
        is_paired = pairing is not None and pairing.paired_at is not None
        return self.gate.may_complete(self.policy, peer, sender, space=space, is_paired=is_paired)

    async def _is_paired(self, peer: Peer, sender: Sender) -> bool | None:
        """None: neither paired nor waiting. Read before any write: who is ignored costs the store no write."""
        pairing = await self.store.read(lambda tx: tx.pairings.get(peer.channel, peer.account, sender.native))
        return None if pairing is None else pairing.paired_at is not None

    def note(self, peer: Peer, reason: Closed) -> None:
        key, now = (peer.channel, peer.account, reason), asyncio.get_running_loop().time()
        if now - self._noted.get(key, -NOTED_EVERY_S) < NOTED_EVERY_S:
            return
        self._noted[key] = now
        named = {"channel": peer.channel, "account": peer.account, "reason": reason.value}
        if reason is Closed.NOT_ADDRESSED:
            # Ordinary talk of a room is no news.
            log.debug("gate.ignored", extra=named)
        else:
            log.info("gate.ignored", extra=named)


def offer_code(tx: Tx, session: SessionKey, address: ReturnAddress, sender: Sender) -> bool:
    """Keep a new code for this person and owe them the line that says what to do with it. False: no more are kept."""
    code = draw_code(secrets.token_bytes(2 * CODE_CHARS))
    if not tx.pairings.ask(address=address, session=session, sender=sender, code=code):
        return False
    peer = address.peer
    words: Payload = Say(
        text="I do not know you here yet, so nothing was done. An operator of this bot lets you in with this line, "
        "typed in a terminal within the hour:",
        code=f"homing pairing approve {code}",
    )
    # With its moment: after an hour the same person may be given another code.
    identity = f"pairing:{peer.channel}:{peer.account}:{sender.native}:{tx.now}"
    tx.events.add(NewEvent(identity=identity, session=session, address=address, payload=words, mention=None))
    return True


def let_in(tx: Tx, code: str, *, by: str) -> PersonPairing | None:
    """Use a code up and owe the person the word. None: there is no such code, or it is over."""
    paired = tx.pairings.approve(code, by=by)
    if paired is None:
        return None
    identity = f"paired:{paired.channel}:{paired.account}:{paired.native}:{tx.now}"
    words: Payload = Say(text="You are let in: I hear you here from now on. Write `help` for what I can do.")
    tx.events.add(NewEvent(identity=identity, session=paired.session, address=paired.address, payload=words))
    return paired
