"""`homing pairing`: whom the accounts on the networks let in. Access is changed here, never by words in a chat.

Deliberately absent: nodes, which `homing nodes` lets in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import shown
from bot.cli.opened import with_store
from bot.cli.options import DEFAULT_CONFIG, AsJson, ConfigPath
from bot.cli.switches import operator
from bot.domain.gate import CODE_ALPHABET, CODE_CHARS, PersonPairing
from bot.domain.session import DEFAULT_ACCOUNT, AccountName, ChannelName
from bot.errors import HomingError
from bot.flow.admission import let_in
from bot.ports import Tx

if TYPE_CHECKING:
    from bot.config import Settings
    from bot.store.open import OpenStore

_COLUMNS = ("id", "account", "name there", "state", "code", "since", "until")


def list_(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Who waits with a code, and who was let in by one.

    People of [[people]] and of an allow_from need no code and are not listed.

    Example: homing pairing list
    """

    async def ask(settings: Settings, store: OpenStore) -> tuple[Settings, Sequence[PersonPairing]]:
        return settings, await store.read(lambda tx: tx.pairings.listing())

    settings, found = with_store(config, ask)
    if as_json:
        shown.document([_form(one) for one in found])
        return
    times = shown.Times(settings.display.time_zone)
    rows = [
        (
            f"{one.channel}:{one.native}",
            one.account,
            one.name,
            _state(one),
            one.code or "–",
            times.at(one.asked_at if one.paired_at is None else one.paired_at),
            times.at(one.expires_at) if one.paired_at is None else "–",
        )
        for one in found
    ]
    none = "Nobody waits, and nobody was let in by a code. Unknown people get one when they write to the bot alone."
    shown.table(_COLUMNS, rows, none=none)


def approve(
    code: Annotated[str, typer.Argument(help="The code that the person was given.")],
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Let a person in who wrote to the bot and was given a code.

    Take the code from the person, over a way on which you know them: names in chats are anybody's. A code is good once,
    for an hour. It lets the person speak to the bot alone; who decides about commands is still the policy's.

    Example: homing pairing approve 7K3Q9A2C
    """
    typed, by = code.strip().upper(), operator()
    if len(typed) != CODE_CHARS or not set(typed) <= set(CODE_ALPHABET):
        raise HomingError(f"that is no code; one has {CODE_CHARS} letters and digits, as the person was given it")

    async def change(_: Settings, store: OpenStore) -> PersonPairing | None:
        return await store.write(lambda tx: let_in(tx, typed, by=by))

    paired = with_store(config, change)
    if paired is None:
        raise HomingError(
            "no such code waits: it was used, or its hour is over; the person writes to the bot again for a new one"
        )
    if as_json:
        shown.document({"ok": True, "pairing": _form(paired)})
    else:
        shown.line(f"{_named(paired)} is let in, and is told so within seconds")


def revoke(
    person: Annotated[str, typer.Argument(help="The person's id, as the list shows it: slack:U0123456789.")],
    account: Annotated[str, typer.Option("--account", help="The account that let them in.")] = DEFAULT_ACCOUNT,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Hear a person no more who was let in by a code, or forget one who waits.

    It counts from the person's next message. What [[people]] and allow_from say is not touched.

    Example: homing pairing revoke slack:U0123456789 --account default
    """

    async def change(_: Settings, store: OpenStore) -> PersonPairing:
        return await store.write(lambda tx: _revoke(tx, person, account))

    gone = with_store(config, change)
    if as_json:
        shown.document({"ok": True, "pairing": _form(gone)})
    else:
        shown.line(f"{_named(gone)} is not heard alone any more")


def _revoke(tx: Tx, person: str, account: str) -> PersonPairing:
    channel, _, native = person.partition(":")
    gone = tx.pairings.revoke(ChannelName(channel), AccountName(account), native, by=operator())
    if gone is None:
        there = sorted({f"{one.channel}:{one.native} (account {one.account})" for one in tx.pairings.listing()})
        raise HomingError(f"{person} of the account {account} is not paired; there are: {', '.join(there) or 'none'}")
    return gone


def _named(pairing: PersonPairing) -> str:
    return f"{pairing.name} ({pairing.channel}:{pairing.native}, account {pairing.account})"


def _state(pairing: PersonPairing) -> str:
    return "waiting" if pairing.paired_at is None else "paired"


def _form(pairing: PersonPairing) -> dict[str, object]:
    return {
        "channel": pairing.channel,
        "account": pairing.account,
        "person": f"{pairing.channel}:{pairing.native}",
        "name": pairing.name,
        "state": _state(pairing),
        "code": pairing.code,
        "asked_at": pairing.asked_at,
        "expires_at": pairing.expires_at if pairing.paired_at is None else None,
        "paired_at": pairing.paired_at,
        "paired_by": pairing.paired_by,
    }
