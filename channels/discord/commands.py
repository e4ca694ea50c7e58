"""Slash commands as they should be, and whether Discord has them so. Written to Discord only where it has not.

Deliberately absent: what they mean; each is the words that somebody could type (`wire.typed_of`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import discord

_ID = {"type": 3, "name": "id", "description": "Its short id, such as 7K3QHM", "required": True, "autocomplete": True}
_PLACES = {"type": 1, "contexts": [0, 1], "integration_types": [0]}
"""In guilds and alone with the bot, where it was added to a guild."""

COMMANDS: tuple[dict[str, object], ...] = (
    {
        "name": "run",
        "description": "Ask for a command; people approve it before it runs",
        "options": [
            {"type": 3, "name": "command", "description": "The command", "required": True, "max_length": 6000},
            {"type": 3, "name": "node", "description": "The machine that runs it", "autocomplete": True},
        ],
        **_PLACES,
    },
    {"name": "approve", "description": "Approve a command that waits", "options": [_ID], **_PLACES},
    {
        "name": "deny",
        "description": "Deny a command that waits",
        "options": [_ID, {"type": 3, "name": "reason", "description": "Why", "max_length": 500}],
        **_PLACES,
    },
    {"name": "executions", "description": "What was asked for here", "options": [], **_PLACES},
    {"name": "nodes", "description": "The machines that run commands", "options": [], **_PLACES},
    {"name": "why", "description": "What became of a command, and who decided", "options": [_ID], **_PLACES},
)


async def sync(client: discord.Client) -> bool:
    """Whether something had to be written. Raises what the library raises."""
    if client.application_id is None:
        return False
    theirs = await client.http.get_global_commands(client.application_id)
    if not differ(theirs):
        return False
    await client.http.bulk_upsert_global_commands(client.application_id, list(COMMANDS))
    return True


def differ(theirs: Sequence[Mapping[str, object]]) -> bool:
    """Discord adds ids, versions and translations of its own, and leaves out what is as by default."""
    return sorted(map(_plain, theirs), key=_name) != sorted(map(_plain, COMMANDS), key=_name)


def _name(command: Mapping[str, object]) -> str:
    return str(command["name"])


def _plain(command: Mapping[str, object]) -> dict[str, object]:
    options = command.get("options")
    return {
        "name": command.get("name"),
        "type": command.get("type") or 1,
        "description": command.get("description"),
        "options": [_plain_option(option) for option in (options if isinstance(options, Sequence) else ())],
        "contexts": sorted(_numbers(command.get("contexts"))),
    }


def _plain_option(option: Mapping[str, object]) -> dict[str, object]:
    return {
        "type": option.get("type"),
        "name": option.get("name"),
        "description": option.get("description"),
        "required": bool(option.get("required")),
        "autocomplete": bool(option.get("autocomplete")),
        "max_length": option.get("max_length"),
    }


def _numbers(value: object) -> list[int]:
    return [each for each in value if isinstance(each, int)] if isinstance(value, Sequence) else []
