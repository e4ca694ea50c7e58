"""The words of a hook: what the config says, and the values that its caller gave to the config's fields.

Deliberately absent: the call, and its proof.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from bot.domain.parts import visible
from bot.errors import Malformed


@dataclass(frozen=True, slots=True, kw_only=True)
class HookWords:
    says: str
    """The operator's."""
    fields: tuple[tuple[str, str], ...]
    """Anybody's."""

    def lines(self) -> str:
        """One line a field."""
        return "\n".join(f"{name}: {visible(value).replace(chr(10), ' ⏎ ')}" for name, value in self.fields)


def hook_text(words: HookWords) -> str:
    return json.dumps({"says": words.says, "fields": dict(words.fields)}, ensure_ascii=False)


def parse_hook(text: str) -> HookWords:
    """The inverse of `hook_text`. Raises `Malformed` for anything else."""
    try:
        form = json.loads(text)
    except ValueError:
        raise Malformed("the words of a hook are none that we know") from None
    match form:
        case {"says": str(says), "fields": dict(fields)} if all(isinstance(value, str) for value in fields.values()):
            return HookWords(says=says, fields=tuple(fields.items()))
    raise Malformed("the words of a hook are none that we know")
