"""What the tables of config.toml are made of: the frozen table, and lists as people write them.

Deliberately absent: any key.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from bot.config.values import (
    check_conversation,
    check_pattern,
    check_person_id,
    check_person_name,
    check_place,
    check_time_zone,
)


def as_list(value: object) -> object:
    """One text stands for a list of one."""
    return [value] if isinstance(value, str) else value


def _some(listed: tuple[str, ...]) -> tuple[str, ...]:
    if not listed:
        raise ValueError("is empty; name at least one, or remove the entry")
    return listed


Texts = Annotated[tuple[str, ...], BeforeValidator(as_list)]
Places = Annotated[tuple[Annotated[str, AfterValidator(check_place)], ...], BeforeValidator(as_list)]
Conversation = Annotated[str, AfterValidator(check_conversation)]
"""One conversation of a channel, such as slack:channel:C0OPS."""
Conversations = Annotated[tuple[Conversation, ...], BeforeValidator(as_list)]
Patterns = Annotated[tuple[Annotated[str, AfterValidator(check_pattern)], ...], BeforeValidator(as_list)]
"""Words of commands, such as "systemctl restart *"."""
PersonIds = Annotated[
    tuple[Annotated[str, AfterValidator(check_person_id)], ...], BeforeValidator(as_list), AfterValidator(_some)
]
PersonName = Annotated[str, AfterValidator(check_person_name)]
TimeZone = Annotated[str, AfterValidator(check_time_zone)]
Word = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""A name that is typed in chats and stands in keys: letters, digits, dot, dash, underscore."""


class Section(BaseModel):
    """One table of the file: frozen, and no key that is not named here."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)
