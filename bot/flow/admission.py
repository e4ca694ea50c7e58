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
            standing = await self.store.read(lambda tx: _standing(tx, message.peer, message.sender))
            if not isinstance(standing, Ignore):
                return True if isinstance(standing, Admit) else standing
            verdict = standing
        self.note(message.peer, verdict.reason)
        return False

    async def takes(self, pressed: ButtonPress | Reaction) -> bool:
        """Whether this press or reaction is looked at."""
        if isinstance(pressed, ButtonPress):
            verdict = self.gate.take_press(self.policy, pressed)
        else:
            verdict = self.gate.take_reaction(self.policy, pressed)
        if isinstance(verdict, AskToPair):
            verdict = await self.store.read(lambda tx: _standing(tx, pressed.peer, pressed.sender))
        if isinstance(verdict, Admit):
            return True
        if isinstance(verdict, AskToPair):
            # A press asks for no code: only words that were written to us do.
            verdict = Ignore(Closed.NOT_ON_THE_LIST)
        self.note(pressed.peer, verdict.reason)
        return False

    def completes(self, tx: Tx, peer: Peer, sender: Sender, space: str | None) -> bool:
        """Whether what this person types there is completed with names of ours."""
        is_paired = isinstance(_standing(tx, peer, sender), Admit)
        return self.gate.may_complete(self.policy, peer, sender, space=space, is_paired=is_paired)

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


def _standing(tx: Tx, peer: Peer, sender: Sender) -> Verdict:
    """What the rows say of an unknown person. Read before any write: who is ignored costs the store none."""
    pairing = tx.pairings.get(peer.channel, peer.account, sender.native)
    if pairing is not None:
        return Ignore(Closed.PAIRING_PENDING) if pairing.paired_at is None else Admit()
    return Ignore(Closed.TOO_MANY_PENDING) if tx.pairings.is_full(peer.channel, peer.account) else AskToPair()


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
