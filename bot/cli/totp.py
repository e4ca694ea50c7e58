"""`homing totp`: devices whose codes a yes needs where a rule wants a second factor. Enrolled here, never in a chat.

Deliberately absent: the check of a code, which belongs to a decision.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote, urlencode

import typer

from bot.cli import shown
from bot.cli.opened import WallClock, settings_of, with_store
from bot.cli.options import DEFAULT_CONFIG, AsJson, ConfigPath
from bot.cli.switches import operator
from bot.domain.factor import BEGUN_FOR_S, RECOVERY_CODES, Factor, parse_code, spoken
from bot.domain.session import ChannelName, PersonId
from bot.errors import HomingError
from bot.ports import Tx

if TYPE_CHECKING:
    from bot.config import Settings
    from bot.store.open import OpenStore

Who = Annotated[str, typer.Argument(help="A name of [[people]], or an id: slack:U0123456789.", metavar="PERSON")]

_COLUMNS = ("person", "state", "since", "last used", "recovery codes")
_ISSUER = "Homing"
_TRIES = 3
"""At the prompt; then it is begun anew, with a new secret."""


def enroll(
    person: Who,
    code: Annotated[
        str | None, typer.Option("--code", help="The device's first code: the second half, away from a terminal.")
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Tie a device to a person: shows a QR code, takes the first code, and shows the recovery codes once.

    It counts from the first right code on. Do it with the person beside you: whoever photographs the screen has the
    device. At a terminal the code is asked for; elsewhere give it with --code within an hour.

    Example: homing totp enroll ada
    """
    who, by = _person(config, person), operator()
    if code is not None:
        _enrolled(who, _finish(config, who, code, by), as_json=as_json)
        return

    async def begin(_: Settings, store: OpenStore) -> str | None:
        return await store.write(lambda tx: tx.factors.begin(who, by=by))

    secret = with_store(config, begin, with_key=True)
    if secret is None:
        raise HomingError(f"{who} has a device already; `homing totp remove {who}` first, if it is lost")
    uri = _uri(who, secret)
    if as_json:
        shown.document({"ok": True, "person": who, "state": "begun", "uri": uri, "secret": secret})
        return
    shown.raw(_drawn(uri))
    shown.line(f"Scan it with {who}'s authenticator app, or type the secret in: {_grouped(secret)}")
    shown.line(uri)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        shown.line(f"It counts once its first code was right: homing totp enroll {who} --code 123456")
        shown.line(f"Give it within {BEGUN_FOR_S / 60:.0f} min.")
        return
    for left in range(_TRIES - 1, -1, -1):
        try:
            _enrolled(who, _finish(config, who, typer.prompt("The code that it shows now"), by), as_json=False)
        except HomingError as fault:
            if not left:
                raise
            shown.aside(f"{fault}")
        else:
            return


def list_(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Whose devices are enrolled, which are locked, and how many recovery codes are left.

    Example: homing totp list
    """

    async def ask(settings: Settings, store: OpenStore) -> tuple[Settings, Sequence[Factor]]:
        return settings, await store.read(lambda tx: tx.factors.listing())

    settings, found = with_store(config, ask)
    now = WallClock().now()
    if as_json:
        shown.document([_form(one, now) for one in found])
        return
    times = shown.Times(settings.display.time_zone)
    rows = [
        (
            one.person,
            _state(one, now) if not one.is_locked(now) else f"locked until {times.at(one.locked_until)}",
            times.at(one.begun_at if one.enrolled_at is None else one.enrolled_at),
            times.at(one.last_used_at),
            str(one.recovery_left) if one.enrolled_at is not None else "–",
        )
        for one in found
    ]
    shown.table(_COLUMNS, rows, none="Nobody has a device for codes. `homing totp enroll <person>` ties one.")


def remove(person: Who, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Forget a person's device and recovery codes: from now on they cannot say yes where a code is needed.

    Example: homing totp remove ada
    """
    _change(
        config,
        person,
        lambda tx, who, by: tx.factors.remove(who, by=by),
        said="{who} has no device any more; `homing totp enroll {who}` ties another one",
        as_json=as_json,
    )


def unlock(person: Who, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Let a person try codes again at once, who was locked after wrong ones.

    Ask them first whether it was them: `homing audit show` has the times (factor_refused).

    Example: homing totp unlock ada
    """
    _change(
        config,
        person,
        lambda tx, who, by: tx.factors.unlock(who, by=by),
        said="{who} may try codes again",
        as_json=as_json,
    )


def codes(person: Who, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """New recovery codes, shown once; the old ones are worth nothing from now on.

    Example: homing totp codes ada
    """
    who, by = _person(config, person), operator()

    async def change(_: Settings, store: OpenStore) -> Sequence[str] | None:
        return await store.write(lambda tx: tx.factors.renew_codes(who, by=by))

    drawn = with_store(config, change, with_key=True)
    if drawn is None:
        raise HomingError(_has_none(who))
    if as_json:
        shown.document({"ok": True, "person": who, "recovery_codes": [spoken(one) for one in drawn]})
    else:
        _show_codes(drawn)


def _change(
    config: Path, person: str, change: Callable[[Tx, PersonId, str], bool], *, said: str, as_json: bool
) -> None:
    # Somebody who has left [[people]] is named as the list shows them.
    who, by = PersonId(person), operator()

    async def apply(_: Settings, store: OpenStore) -> bool:
        return await store.write(lambda tx: change(tx, who, by))

    if not with_store(config, apply):
        raise HomingError(_has_none(who))
    if as_json:
        shown.document({"ok": True, "person": who})
    else:
        shown.line(said.format(who=who))


def _has_none(who: PersonId) -> str:
    return f"{who} has no device; `homing totp list` shows who has one"


def _person(config: Path, named: str) -> PersonId:
    """As decisions name them: somebody of [[people]] by that name, whichever of their ids was typed."""
    from bot.config import to_policy
    from bot.config.values import did_you_mean

    settings = settings_of(config)
    names = {one.name for one in settings.people}
    if named in names:
        return PersonId(named)
    channel, _, native = named.partition(":")
    if not channel or not native:
        raise HomingError(f"{named!r} is none of [[people]] and no id; {did_you_mean(named, names)}")
    return to_policy(settings).directory.identify(ChannelName(channel), native)


def _finish(config: Path, who: PersonId, code: str, by: str) -> Sequence[str]:
    known = parse_code(code)
    if known is None:
        raise HomingError("that is no code; the device shows six digits")

    async def change(_: Settings, store: OpenStore) -> tuple[Sequence[str] | None, Factor | None]:
        return await store.write(lambda tx: (tx.factors.enrol(who, known, by=by), tx.factors.get(who)))

    drawn, factor = with_store(config, change, with_key=True)
    if drawn is not None:
        return drawn
    if factor is None or WallClock().now() >= factor.begun_at + BEGUN_FOR_S:
        raise HomingError(f"nothing was begun for {who} within the last hour; `homing totp enroll {who}` begins")
    if factor.enrolled_at is not None:
        raise HomingError(f"{who} has a device already; `homing totp remove {who}` first, if it is lost")
    raise HomingError("that code is wrong; is the device's clock right? Give the one that it shows now")


def _enrolled(who: PersonId, drawn: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        codes = [spoken(one) for one in drawn]
        shown.document({"ok": True, "person": who, "state": "enrolled", "recovery_codes": codes})
        return
    shown.line(f"{who}'s device counts from now on.")
    _show_codes(drawn)


def _show_codes(drawn: Sequence[str]) -> None:
    shown.line("")
    shown.line(f"{RECOVERY_CODES} recovery codes, each good once in the place of a code. They are shown only now:")
    shown.line("")
    for at in range(0, len(drawn), 2):
        shown.line("    " + "    ".join(spoken(one) for one in drawn[at : at + 2]))
    shown.line("")


def _uri(who: PersonId, secret: str) -> str:
    """https://github.com/google/google-authenticator/wiki/Key-Uri-Format; what is left out is as every app has it."""
    return f"otpauth://totp/{_ISSUER}:{quote(who)}?{urlencode({'secret': secret, 'issuer': _ISSUER})}"


def _grouped(secret: str) -> str:
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))


def _drawn(uri: str) -> str:
    """Two modules a character. White on black whatever colours the terminal has: a camera wants light ones light."""
    import segno

    text = StringIO()
    segno.make(uri, error="l", micro=False).terminal(out=text, border=2, compact=True)
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text.getvalue()
    return "".join(f"\x1b[97;40m{line}\x1b[0m\n" for line in text.getvalue().splitlines())


def _state(factor: Factor, now: float) -> str:
    if factor.enrolled_at is None:
        return "begun" if now < factor.begun_at + BEGUN_FOR_S else "never finished"
    return "locked" if factor.is_locked(now) else "enrolled"


def _form(factor: Factor, now: float) -> dict[str, object]:
    return {
        "person": factor.person,
        "state": _state(factor, now),
        "begun_at": factor.begun_at,
        "begun_by": factor.begun_by,
        "enrolled_at": factor.enrolled_at,
        "last_used_at": factor.last_used_at,
        "failures": factor.failures,
        "locked_until": factor.locked_until if factor.is_locked(now) else None,
        "recovery_codes_left": factor.recovery_left,
    }
