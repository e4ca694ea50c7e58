"""The words in which break-glass is announced: opened, approved under, over, overdue, reviewed.

Deliberately absent: any output of a command, and any word by which one could not tell who did what.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from bot.domain.execution import Execution, ExecutionId
from bot.domain.glass import Finding, Glass
from bot.domain.parts import duration, in_a_line
from bot.domain.session import Peer, PersonId

_NAMED = 20
"""Executions by their ids; `homing glass show` has more."""


def moment(at: float | None) -> str:
    return "–" if at is None else datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def place_words(place: Peer) -> str:
    return f"{place.channel} {place.kind.value} {place.id}"


def opened_words(glass: Glass, reviewers: Sequence[PersonId]) -> str:
    return (
        f"🔓 Break-glass {glass.id}: {glass.person} opened it in {place_words(glass.place)}, until "
        f"{moment(glass.expires_at)}. Reason: {glass.reason}. Until then {glass.person}'s own yes is enough there, "
        f"whoever else would decide; each is announced here. To end it: break-glass end {glass.id}. "
        f"Reviewed afterwards by one of: {', '.join(reviewers)}."
    )


def approved_words(glass: Glass, execution: Execution) -> str:
    """Beside the command as it may be seen."""
    return (
        f"🔓 Break-glass {glass.id}: {glass.person} alone approved {execution.id}, on {execution.node_name}, asked by "
        f"{in_a_line(execution.asker)} in {place_words(execution.origin.peer)}. Reason: {glass.reason}. The rule was: "
        f"{in_a_line(execution.rule)}"
    )


def ended_words(glass: Glass, approved: Sequence[ExecutionId], reviewers: Sequence[PersonId]) -> str:
    by = f"ended by {glass.ended_by}" if glass.ended_by is not None else "its time is over"
    why = f" ({glass.ended_why})" if glass.ended_why else ""
    lasted = duration(max(0.0, (glass.ended_at or glass.opened_at) - glass.opened_at))
    return f"🔒 Break-glass {glass.id} of {glass.person}: {by}{why}, after {lasted}. {_approved(glass, approved)} " + (
        _to_review(glass, reviewers)
    )


def overdue_words(glass: Glass, reviewers: Sequence[PersonId]) -> str:
    within = duration(glass.review_within_s)
    return (
        f"⏰ Break-glass {glass.id} of {glass.person}, opened {moment(glass.opened_at)} ({glass.reason}), was not "
        f"reviewed within {within}. {_to_review(glass, reviewers)}"
    )


def reviewed_words(glass: Glass) -> str:
    sign = "✅" if glass.finding is Finding.OK else "⚠️"
    finding = glass.finding.value if glass.finding is not None else "–"
    return (
        f"{sign} Break-glass {glass.id} of {glass.person} was reviewed by {glass.reviewed_by}: {finding}. {glass.note}"
    )


def _approved(glass: Glass, approved: Sequence[ExecutionId]) -> str:
    if not glass.uses:
        return "Nothing was approved under it."
    more = f" and {glass.uses - _NAMED} more" if glass.uses > _NAMED else ""
    return f"Approved under it: {', '.join(approved[:_NAMED])}{more}."


def _to_review(glass: Glass, reviewers: Sequence[PersonId]) -> str:
    who = ", ".join(reviewers) or "an operator, at the terminal"
    return f"To review it, until {moment(glass.review_by)}, by {who}: review {glass.id} ok|misuse <what was found>"
