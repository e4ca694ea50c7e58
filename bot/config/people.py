"""The tables of people, groups of nodes and rules: who may ask for what, and who decides.

Deliberately absent: what is made of them (see `rules`).
"""

from __future__ import annotations

from pydantic import Field

from bot.config.sections import Conversations, Patterns, PersonIds, PersonName, Places, Section, Texts, Word
from bot.config.values import Length
from bot.domain.policy import Verdict
from bot.domain.terms import MAX_QUORUM

MAX_GRANT_S = 366 * 86_400.0
"""A permission that stands longer than a year is a rule: write one."""


class PersonSection(Section):
    """One human, and their ids on the channels. Everybody else is known by channel:id alone."""

    name: PersonName = Field(description="The person's name in lists of this file, and in what is shown.")
    ids: PersonIds = Field(description="The person's ids as the channels authenticate them, such as web:owner.")
    roles: Texts = Field(default=(), description="Roles, used in lists of this file with an @ in front.")


class NodeGroupSection(Section):
    """Nodes under one name, which rules use with an @ in front."""

    name: Word = Field(description="The group's name: @web in `node` of a rule.")
    nodes: Texts = Field(description="Names of its nodes.")


class RuleSection(Section):
    """One rule. The first whose conditions all hold decides; where none holds, the owners are asked."""

    name: str = Field(min_length=1, max_length=120, description="Shown on cards and in `homing why`; unique.")
    where: Places = Field(
        default=(),
        description='Places: "*", a channel ("web"), or one conversation ("web:channel:ops"). Left out: everywhere.',
    )
    who: Texts = Field(default=(), description='Who asks: names, @roles, ids, or "*". Left out: anybody.')
    node: Texts = Field(default=(), description='Names of nodes, @groups, or "*". Left out: any node.')
    command: Patterns = Field(
        default=(),
        description='Commands, by their words: "systemctl restart *" (one word), "df **" (any words). To allow, one '
        "must fit all of one plain command; to ask or deny, it is enough that one of the request's commands could fit. "
        "Left out: any command.",
    )
    action: Verdict = Field(
        description="allow (a plain command runs unasked; what takes a shell is still asked about), ask (people "
        "decide) or deny."
    )
    deciders: Texts | None = Field(
        default=None,
        description="Who decides where the action is ask: names, @roles or ids. Left out: the owners. []: nobody.",
    )
    quorum: int = Field(default=1, ge=1, le=MAX_QUORUM, description="How many different people must approve.")
    four_eyes: bool = Field(default=False, description="Whether the one who asks may not be one of them.")
    needs_reason: bool = Field(default=False, description="Whether a yes needs a reason beside it.")
    second_factor: bool = Field(
        default=False,
        description="Whether a yes needs a code of the person's own device. Enrol them with `homing totp enroll`.",
    )
    expires_after: Length | None = Field(
        default=None,
        ge=1,
        le=86_400 * 7,
        description='How long it waits for people, such as "30m". Left out: as [execution].',
    )
    escalate_after: Length | None = Field(
        default=None, ge=1, le=86_400 * 7, description="How long it waits before escalate_to are asked as well."
    )
    escalate_to: Texts = Field(default=(), description="Who may decide as well from then on: names, @roles or ids.")
    escalate_copy_to: Conversations = Field(
        default=(), max_length=8, description="Conversations that get the card then, as copy_to does from the start."
    )
    grant_for: Length | None = Field(
        default=None,
        ge=60,
        le=MAX_GRANT_S,
        description="How long “Always allow” stands, such as 30d: for exactly this command, node, conversation and "
        "asker. Left out: nobody can say it.",
    )
    copy_to: Conversations = Field(
        default=(),
        max_length=8,
        description="Where the action is ask: conversations that get the card as well, with its buttons and without "
        'any output, such as "slack:channel:C0OPS".',
    )
