"""What a yes needs beside itself: a reason, and a code of the person's device. Held against what came with it.

A code is used up in the transaction that decides, and stands in nothing that is kept. Deliberately absent: who may
decide, and what a right code is (the store says so, under the lock of its row).
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.execution import Execution, ExecutionId, ExecutionState
from bot.domain.factor import CODE_DIGITS, Check, codes_in, in_words, lacks_device, parse_code, without
from bot.domain.message import InboundMessage
from bot.domain.policy import Policy
from bot.domain.session import Peer, PeerKind, PersonId
from bot.domain.terms import Terms
from bot.domain.verdict import Ask
from bot.domain.words import Approve, Edit, Run, Urgent, Words, as_kept
from bot.ports import Tx

OVERHEARD = (
    "🔑 A code is never written where others read it. This one counts no more, and nothing was decided with it. "
    "Use the form behind the button of the card, or write to me alone."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """It has all that it needs."""

    with_factor: bool = False
    aside: str = ""
    """What the person is told beside the outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacks:
    words: str
    """What it lacks, and what mends it."""


def meet(
    tx: Tx, person: PersonId, execution_id: ExecutionId, terms: Terms, *, reason: str, code: str | None, line: str
) -> Met | Lacks:
    """Hold a yes against the terms. `line` is what was said, as far as it can be typed: `approve <id> always`."""
    wants_code = terms.second_factor and code is None
    if wants_code and not _has_device(tx, person):
        return Lacks(words=f"{execution_id} needs a code, and {lacks_device(person)}. Nothing was decided.")
    if wants_code or (terms.needs_reason and not reason):
        return Lacks(words=_missing(execution_id, terms, line, lacks_reason=not reason, lacks_code=code is None))
    if not terms.second_factor or code is None:
        return Met()
    known = parse_code(code)
    if known is None:
        digits = f"a code has {CODE_DIGITS} digits, as your device shows them; a recovery code is longer"
        return Lacks(words=f"{execution_id}: {digits}. Nothing was decided.")
    checked = tx.factors.check(person, known)
    if checked.check is not Check.RIGHT:
        return Lacks(words=f"{execution_id}: {in_words(checked, person, tx.now)}. Nothing was decided.")
    left = checked.recovery_left
    aside = "" if left is None else f" That was a recovery code; {left} are left. `homing totp codes` makes new ones."
    return Met(with_factor=True, aside=aside)


def _missing(execution_id: ExecutionId, terms: Terms, line: str, *, lacks_reason: bool, lacks_code: bool) -> str:
    needs_reason, needs_code = terms.needs_reason and lacks_reason, terms.second_factor and lacks_code
    what = " and ".join(
        filter(None, ("a reason" if needs_reason else "", "a code of your own device" if needs_code else ""))
    )
    typed = f"{line}{' because <reason>' if terms.needs_reason else ''}{' code <code>' if terms.second_factor else ''}"
    if terms.second_factor:
        return (
            f"{execution_id} needs {what}. Press the button, which asks for it, or write to me alone: {typed}. "
            "Nothing was decided."
        )
    return f"{execution_id} needs {what}. Type: {typed}. Nothing was decided."


def _has_device(tx: Tx, person: PersonId) -> bool:
    factor = tx.factors.get(person)
    return factor is not None and factor.enrolled_at is not None


def wants_more(tx: Tx, policy: Policy, person: PersonId, before: Execution | None) -> bool:
    """Whether this person's yes would count, but for what no reaction can carry. `before` is as it was before it."""
    execution = None if before is None else tx.executions.get(before.id)
    if execution is None or execution.state is not ExecutionState.AWAITING_APPROVAL:
        return False
    asked = policy.judge_execution(execution)
    if not isinstance(asked, Ask) or person not in asked.deciders or person in tx.executions.approvers(execution.id):
        return False
    return asked.terms.needs_reason or asked.terms.second_factor


def sign_is_not_enough(execution_id: ExecutionId) -> str:
    return f"A reaction is not enough for {execution_id}: press Allow on its card, which asks for what else it needs."


# --- codes where they do not belong ----------------------------------------------------------------


def scrubbed(tx: Tx, person: PersonId, text: str) -> str:
    """Words that are kept, such as a reason, without codes of this person. One that stood there counts no more."""
    codes = codes_in(text)
    return without(text, tx.factors.spend(person, codes)) if codes else text


def is_overheard(words: Words, here: Peer) -> bool:
    """Whether a code came with a yes that others read."""
    return isinstance(words, Approve) and words.code is not None and here.kind is not PeerKind.DIRECT


def read_by_others(words: Words, message: InboundMessage) -> list[str]:
    """What could be codes in it, where others read it. A command is to the letter."""
    if message.peer.kind is PeerKind.DIRECT or isinstance(words, Run | Edit):
        return []
    named = parse_code(words.code or "") if isinstance(words, Approve) else None
    return list(dict.fromkeys((*([] if named is None else [named]), *codes_in(message.text))))


def overheard(tx: Tx, person: PersonId, words: Words, message: InboundMessage) -> frozenset[str]:
    """Whoever read a code cannot use it, whatever becomes of the message. Which of them were right."""
    codes = read_by_others(words, message)
    return tx.factors.spend(person, codes) if codes else frozenset()


def kept(tx: Tx, person: PersonId, words: Words, message: InboundMessage) -> tuple[str, bool]:
    """A message as it may be kept, and whether a right code stood in it that others read, which counts no more."""
    text, is_shared = message.text, message.peer.kind is not PeerKind.DIRECT
    kept_text = as_kept(text, words)
    if isinstance(words, Run | Edit | Urgent):
        # A command is to the letter; what decides is looked at by who decides, and once that is done.
        return kept_text, False
    spent = overheard(tx, person, words, message)
    if not is_shared and kept_text == text:
        codes = codes_in(text)
        spent = tx.factors.spend(person, codes) if codes else spent
    return as_kept(without(text, spent), words), is_shared and bool(spent)
