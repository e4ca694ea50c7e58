"""The table of break-glass. Without it nobody can; with it nothing of it is silent.

Deliberately absent: what is made of it (see `rules`).
"""

from __future__ import annotations

from pydantic import Field, field_validator

from bot.config.sections import Conversations, Places, Section, Texts
from bot.config.values import Length
from bot.domain.glass import MAX_OPEN_S, MIN_OPEN_S, GlassRule
from bot.domain.place import ANYONE

_RULE = GlassRule(people=(), reviewers=(), announce_to=())


class BreakGlassSection(Section):
    """Who may approve alone in an emergency, for a short while: `break-glass <reason>` in the chat. Without this table
    nobody can. What the rules or a node deny stays denied."""

    people: Texts = Field(min_length=1, description="Who may: names, @roles or ids.")
    announce_to: Conversations = Field(
        min_length=1,
        max_length=8,
        description="Conversations that are told when it is opened, each approval under it, its end and its review.",
    )
    reviewers: Texts | None = Field(
        default=None,
        description="Who looks at it afterwards, never at one's own: names, @roles or ids. Left out: the owners.",
    )
    open_for: Length = Field(
        default=_RULE.open_for_s,
        ge=MIN_OPEN_S,
        le=MAX_OPEN_S,
        description="How long it is open, and the most that somebody can type.",
    )
    review_within: Length = Field(
        default=_RULE.review_within_s,
        ge=600,
        le=86_400 * 30,
        description="How long after its end somebody may take to review it; then it is an error until they do.",
    )
    where: Places = Field(default=(), description="Places, as in a rule. Left out: everywhere.")
    node: Texts = Field(default=(), description="Names of nodes or @groups. Left out: any node.")

    @field_validator("people", "reviewers", mode="after")
    @classmethod
    def _no_star(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if ANYONE in (names or ()):
            raise ValueError('may not hold "*": name the people')
        return names
