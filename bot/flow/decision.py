"""Button, reaction or typed word -> one decision. All three come through `decide`, inside one transaction.

No answer is never a yes, and an empty list of deciders is nobody: the policy of this moment says who may, and how
many of them it takes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.domain.command import CommandHash
from bot.domain.execution import FINAL, WAITING, Execution, ExecutionId, ExecutionState, Trigger
from bot.domain.glass import Glass
from bot.domain.grant import offered
from bot.domain.message import Action
from bot.domain.parts import looks_like_itself
from bot.domain.policy import Policy
from bot.domain.render import LISTED_CHARS, still_needed
from bot.domain.results import title
from bot.domain.session import Peer, PersonId
from bot.domain.verdict import Allow, Ask
from bot.flow.demands import Lacks, meet, scrubbed
from bot.flow.glass import covering, under
from bot.flow.grants import cannot_give, give, given_words
from bot.flow.outcome import leave
from bot.ports import Tx

APPROVED_FOR_S = 600.0
"""How long an approved command waits for its node. Ten minutes outlast a restart of the node's machine;
a longer wait would start it when nobody looks any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider:
    person: PersonId
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What somebody said of one execution, by button, reaction or in words."""

    action: Action
    shown: CommandHash | None
    """The hash on the card that was pressed; None where it was typed."""
    reason: str = ""
    code: str | None = None
    """Of the person's own device."""
    pattern: str | None = None
    """What is always allowed, as the person spelled it out."""
    typed_in: Peer | None = None
    """Where it was typed."""
    is_sign: bool = False
    """A reaction, which a thumb gives by habit."""


def decide(tx: Tx, policy: Policy, decider: Decider, execution_id: ExecutionId, word: Word) -> str:
    """Apply one word and say, privately, what became of it."""
    execution = tx.executions.lock(execution_id)
    if execution is None:
        return f"There is no execution {execution_id}. Write `pending` for what can be decided."
    if word.shown is not None and word.shown != execution.command_hash:
        return f"{execution_id}: that button belongs to another command than the one asked for. Nothing was decided."
    if word.action is Action.STOP:
        return _stop(tx, policy, decider, execution)
    if execution.state is not ExecutionState.AWAITING_APPROVAL:
        return _already(execution)
    if tx.now >= execution.expires_at:
        leave(tx, execution, Trigger.EXPIRE, by=None, reason="nobody decided it in time")
        return f"{execution_id} has expired, nothing ran. Ask again if it is still wanted."
    asked = policy.judge_execution(execution)
    # It carries a yes to what the rules ask about: never a no, never “always”, never what they refuse.
    is_yes = isinstance(asked, Ask) and word.action is Action.APPROVE
    glass = covering(tx, policy, decider.person, execution) if is_yes else None
    if word.is_sign and isinstance(glass, Glass):
        glass = f"break-glass {glass.id} is used by a press or a typed word, and by no reaction"
    if not isinstance(asked, Ask) or not (decider.person in asked.deciders or isinstance(glass, Glass)):
        refused = _refused_vote(tx, policy, decider, execution, asked)
        return f"{refused} Your {glass}." if isinstance(glass, str) else refused
    word = replace(word, reason=scrubbed(tx, decider.person, word.reason))
    if word.action is Action.DENY:
        return _deny(tx, decider, execution, word.reason)
    return _approve(tx, policy, decider, execution, asked, word, glass if isinstance(glass, Glass) else None)


def stop(tx: Tx, policy: Policy, decider: Decider, execution_id: ExecutionId) -> str:
    """End it, if this person may. All that an agent reaches of this room: nothing here is a yes."""
    return decide(tx, policy, decider, execution_id, Word(action=Action.STOP, shown=None))


def _refused_vote(tx: Tx, policy: Policy, decider: Decider, execution: Execution, said: object) -> str:
    if isinstance(said, Ask):
        who = ", ".join(said.deciders) or "nobody yet"
        own = said.terms.four_eyes and decider.person == policy.asker_of(execution)
        hint = " Whoever asked may not approve it: that takes other eyes." if own else ""
    else:
        who = "nobody, as the policy stands now"
        hint = " The policy allows it unasked by now: ask again." if isinstance(said, Allow) else ""
    tx.executions.step(execution.id, "refused_vote", by=decider.person, detail=f"who may decide: {who}")
    return f"You may not decide {execution.id}. Who may: {who}.{hint}"


def _deny(tx: Tx, decider: Decider, execution: Execution, reason: str) -> str:
    if not tx.executions.vote(execution.id, decider.person, approves=False, reason=reason):
        return _voted(execution)
    decided = replace(execution, decided_by=decider.person, decided_at=tx.now)
    leave(tx, decided, Trigger.DENY, by=decider.person, reason=reason or None)
    return f"❌ You denied {execution.id}; whoever asked is told" + (f": {reason}" if reason else ".")


def _approve(
    tx: Tx, policy: Policy, decider: Decider, execution: Execution, asked: Ask, word: Word, glass: Glass | None
) -> str:
    """One yes. The execution is approved when enough people of whom the policy names now have said it; or by this one
    alone, where break-glass carries it."""
    if word.action is Action.ALWAYS:
        why = cannot_give(tx, policy, decider.person, execution, asked, word.pattern)
        if why is not None:
            once = f"To allow it once, type: approve {execution.id}"
            return f"{execution.id} cannot be always allowed: {why}. Nothing was decided. {once}"
    if word.typed_in is not None and _is_unseen(execution, word.typed_in):
        place = f"{execution.origin.peer.channel} {execution.origin.peer.kind.value}"
        return (
            f"{execution.id} has a command that no list shows whole. Read its card where it was asked ({place}), "
            "and decide there. Nothing was decided."
        )
    wants_factor = asked.terms.second_factor
    # Whoever said yes before they broke glass has said it still: their second one is no change of mind.
    if glass is None and decider.person in tx.executions.approvers(execution.id, with_factor=wants_factor):
        # Before the code is looked at: a second press of one form uses none up and counts as no guess.
        return _voted(execution)
    demands = meet(
        tx, decider.person, execution.id, asked.terms, reason=word.reason, code=word.code, line=_typed(execution, word)
    )
    if isinstance(demands, Lacks):
        _bring_up_to_date(tx, execution, asked)
        return demands.words
    carries = demands.with_factor
    is_first = tx.executions.vote(execution.id, decider.person, approves=True, reason=word.reason, with_factor=carries)
    if not is_first and glass is None:
        return _voted(execution)
    voted = tx.executions.approvers(execution.id, with_factor=wants_factor)
    approved_by = tuple(person for person in voted if person in asked.deciders)
    counted = replace(execution, approved_by=approved_by, deciders=asked.deciders, terms=offered(execution, asked))
    return _count(tx, decider, counted, asked, word, glass) + demands.aside


def _bring_up_to_date(tx: Tx, execution: Execution, asked: Ask) -> None:
    """A card of before the rules wanted more has a button without the form that its person was just sent to."""
    terms = offered(execution, asked)
    if terms != execution.terms:
        tx.executions.amend(replace(execution, terms=terms, deciders=asked.deciders))


def _count(tx: Tx, decider: Decider, counted: Execution, asked: Ask, word: Word, glass: Glass | None) -> str:
    """What this yes makes of it, together with those that were there."""
    execution, approved_by = counted, counted.approved_by
    missing = asked.terms.quorum - len(approved_by)
    detail = word.reason or None
    if glass is not None and (missing > 0 or decider.person not in asked.deciders):
        return _break(tx, glass, counted, word)
    if missing > 0:
        tx.executions.amend(counted)
        tx.executions.step(execution.id, "vote", by=decider.person, detail=detail)
        return (
            f"✅ Your yes to {execution.id} counts: {len(approved_by)} of {asked.terms.quorum}. "
            f"Still needed: {missing}{still_needed(counted, missing)}."
        )
    approved = replace(counted, decided_by=decider.person, decided_at=tx.now, expires_at=tx.now + APPROVED_FOR_S)
    grant = None
    if word.action is Action.ALWAYS:
        grant = give(tx, decider.person, execution, asked, pattern=word.pattern, reason=word.reason)
    always = None if grant is None else f"always: {grant.id}"
    said = "; ".join(filter(None, (word.reason, always)))
    tx.executions.move(approved, Trigger.APPROVE, by=decider.person, detail=said or None)
    if grant is not None:
        return f"✅ You approved {execution.id}. {given_words(grant)}"
    return f"✅ You approved {execution.id}. Its result comes to the place that asked."


def _break(tx: Tx, glass: Glass, execution: Execution, word: Word) -> str:
    """Approved by one person's own yes, which is announced in the same transaction."""
    person = glass.person
    alone = replace(execution, glass=glass.id, approved_by=(person,), decided_by=person, decided_at=tx.now)
    detail = "; ".join(filter(None, (word.reason, f"break-glass {glass.id}: {glass.reason}")))
    moved = tx.executions.move(
        replace(alone, expires_at=tx.now + APPROVED_FOR_S), Trigger.APPROVE, by=person, detail=detail
    )
    under(tx, glass, moved)
    return (
        f"🔓 You approved {moved.id} alone, under break-glass {glass.id}, and that is announced. "
        "Its result comes to the place that asked."
    )


def _typed(execution: Execution, word: Word) -> str:
    """What was said, as it is typed."""
    how = "" if word.action is not Action.ALWAYS else " always" if word.pattern is None else f" always: {word.pattern}"
    return f"approve {execution.id}{how}"


def _is_unseen(execution: Execution, here: Peer) -> bool:
    """A yes that is typed elsewhere may come from somebody who saw a list at most: never for what a list cuts, or
    leaves to the card."""
    text = execution.shown.text
    return execution.origin.peer != here and (len(text) > LISTED_CHARS or not looks_like_itself(text))


def _stop(tx: Tx, policy: Policy, decider: Decider, execution: Execution) -> str:
    if execution.state in FINAL:
        return _already(execution)
    said = policy.judge_execution(execution)
    deciders = said.deciders if isinstance(said, Ask) else ()
    if decider.person not in {policy.asker_of(execution), *deciders} and not policy.is_owner(decider.person):
        tx.executions.step(execution.id, "refused_stop", by=decider.person)
        return f"You may not stop {execution.id}. Who may: {execution.asker}, its deciders, and the owners."
    if execution.state in WAITING:
        leave(tx, execution, Trigger.CANCEL, by=decider.person, reason=f"stopped by {decider.person} before it ran")
        return f"⏹ {execution.id} is cancelled, nothing ran."
    if execution.stop_wanted_by is not None:
        return f"{execution.id} is being stopped already, since {execution.stop_wanted_by} asked."
    tx.executions.amend(replace(execution, stop_wanted_by=decider.person))
    tx.executions.step(execution.id, "stop", by=decider.person)
    return f"⏹ {execution.id} is being stopped; what it wrote until then comes as its result."


def _voted(execution: Execution) -> str:
    return f"You have decided {execution.id} already; the first word counts."


def _already(execution: Execution) -> str:
    by = f" by {execution.decided_by}" if execution.decided_by is not None else ""
    return f"{execution.id} is already settled{by}: {title(execution)}."


def switch(tx: Tx, policy: Policy, decider: Decider, *, pause: bool, reason: str = "") -> str:
    """`pause` and `resume`, for owners: a stored switch that the dispatch transaction reads."""
    if not policy.is_owner(decider.person):
        tx.audit.note("refused_switch", decider.person, {"wanted": "pause" if pause else "resume"})
        return "Only owners may pause and resume the gateway."
    if pause:
        tx.switches.pause(by=decider.person, reason=reason)
        return "⏸ Paused: nothing is handed to a node until an owner writes: resume. Results are still told."
    tx.switches.resume(by=decider.person)
    return "▶️ Resumed: approved commands are handed over again."
