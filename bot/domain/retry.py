"""Attempt -> delay. The schedule of repeated sends, and when to give up."""

from __future__ import annotations

MAX_ATTEMPTS = 30
"""With the delays below some 2 hours of trying; an outage of a chat network that is longer is rare,
and what is dead then is visible and can be retold."""
MAX_AGE_S = 86_400.0
"""A result a day old is no news: it is shown to an operator instead of a room."""
_TRIED_ANYHOW = 3
"""Attempts that old age does not end: what an operator retells, or a gateway finds after days of rest, is old."""
_FIRST_DELAY_S = 0.5
"""A dropped connection is back at once more often than not."""
_LAST_DELAY_S = 300.0
"""Five minutes: a person who waits looks about that often."""


def delay_s(attempt: int, *, jitter: float, at_least_s: float = 0.0) -> float:
    """Seconds until attempt `attempt + 1`: doubling from 0.5 s to 5 min, spread by `jitter` in [0, 1].

    `at_least_s` is what the network asked for (Retry-After); it is never undercut.
    """
    doubled = min(_LAST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(attempt - 1, 20))
    return max(at_least_s, doubled * (0.75 + 0.5 * jitter))


def is_exhausted(attempt: int, *, age_s: float) -> bool:
    """Whether a further attempt is one too many: the event is buried, visibly."""
    return attempt >= MAX_ATTEMPTS or (attempt >= _TRIED_ANYHOW and age_s >= MAX_AGE_S)
