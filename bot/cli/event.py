"""`homing event`: words for a session's agent, from a shell. Deliberately absent: what becomes of them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import shown
from bot.cli.opened import settings_of, with_store
from bot.cli.options import DEFAULT_CONFIG, AsJson, ConfigPath
from bot.cli.switches import operator
from bot.errors import HomingError

if TYPE_CHECKING:
    from bot.config import Settings
    from bot.flow.enqueue import Refused
    from bot.store.open import OpenStore

MAX_CHARS = 8_000
"""As of a schedule's words."""


def event(
    text: Annotated[list[str], typer.Argument(help="What the agent is told.", metavar="TEXT")],
    session: Annotated[str, typer.Option("--session", help="The session's key, or main.")],
    to: Annotated[
        str | None,
        typer.Option("--to", help="Where it is told, such as web:channel:ops. Left out: where it was last written."),
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Tell a session's agent something.

    Its words are told where that session was last written from, or in the conversation that --to names. A model
    answers where one is configured; else the words themselves are told.

    Example: homing event --session agent:main:web:channel:ops the backup has ended
    """
    from bot.config.admissions import conversation
    from bot.config.values import check_conversation, check_session
    from bot.domain.event import InputId, InputKind
    from bot.domain.session import AgentName, MainKey, SessionKey, format_key
    from bot.flow.enqueue import Refused, Wanted, enqueue

    said = " ".join(text).strip()
    if not said or len(said) > MAX_CHARS:
        raise HomingError(f"write between 1 and {MAX_CHARS} characters for the agent")
    settings = settings_of(config)
    place = None
    for option, value, check in (("--session", session, check_session), ("--to", to, check_conversation)):
        try:
            if value is not None:
                check(value)
        except ValueError as fault:
            raise HomingError(f"{option} {fault}") from None
    if to is not None:
        place = conversation(settings, to)
    key = format_key(MainKey(agent=AgentName(settings.agent.name))) if session == "main" else SessionKey(session)
    wanted = Wanted(
        kind=InputKind.OPERATOR,
        session=key,
        to=place,
        source=f"terminal:{operator()}",
        delivery=secrets.token_hex(8),
        text=said,
    )

    async def change(_: Settings, store: OpenStore) -> InputId | Refused | None:
        return await store.write(lambda tx: enqueue(tx, wanted))

    taken = with_store(config, change)
    if isinstance(taken, Refused):
        raise HomingError(f"{key}: {taken.reason}, with --to")
    if as_json:
        shown.document({"ok": True, "session": key})
    else:
        shown.line(f"{key} is told; a running gateway answers within a second")
