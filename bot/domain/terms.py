"""What a rule demands of those who decide: how many of them, whether the asker counts, what a yes needs beside itself.

Deliberately absent: who they are, which is the rule's list of deciders under the policy of the moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bot.errors import Malformed

MAX_QUORUM = 20
"""More people than any team has awake at once; a card names them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The demands on a yes. A no needs one person and nothing else."""

    quorum: int = 1
    """So many different people."""
    four_eyes: bool = False
    """Whoever asked is none of them."""
    needs_reason: bool = False
    """A yes without a reason is none."""
    second_factor: bool = False
    """A yes needs a code of the person's own device."""
    grant_for_s: float | None = None
    """How long “always” would hold; None where nobody may say it."""


ONE_YES = Terms()


def strictest(all_terms: Iterable[Terms]) -> Terms:
    """What satisfies each of them. Nothing that holds for several rules at once may be granted for longer."""
    listed = tuple(all_terms)
    return Terms(
        quorum=max(terms.quorum for terms in listed),
        four_eyes=any(terms.four_eyes for terms in listed),
        needs_reason=any(terms.needs_reason for terms in listed),
        second_factor=any(terms.second_factor for terms in listed),
    )


def terms_to_json(terms: Terms) -> dict[str, object]:
    return {
        "quorum": terms.quorum,
        "four_eyes": terms.four_eyes,
        "needs_reason": terms.needs_reason,
        "second_factor": terms.second_factor,
        "grant_for_s": terms.grant_for_s,
    }


def terms_from_json(form: Mapping[str, object]) -> Terms:
    """The inverse of `terms_to_json`. Raises `Malformed` for anything else."""
    match dict(form):
        case {
            "quorum": int(quorum),
            "four_eyes": bool(four_eyes),
            "needs_reason": bool(needs_reason),
            "second_factor": bool(second_factor),
            "grant_for_s": None | int() | float() as grant_for_s,
            **more,
        } if not more:
            return Terms(
                quorum=quorum,
                four_eyes=four_eyes,
                needs_reason=needs_reason,
                second_factor=second_factor,
                grant_for_s=None if grant_for_s is None else float(grant_for_s),
            )
    raise Malformed(f"terms of {', '.join(sorted(form)) or 'nothing'}")
