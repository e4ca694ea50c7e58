"""The second factor: what is kept of a person's device, what its codes look like in words, and when one counts.

Deliberately absent: secrets and keys (`bot.store.vault`), rows, and who may decide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from bot.domain.execution import ID_ALPHABET
from bot.domain.session import PersonId

STEP_S = 30
"""Of one code: https://www.rfc-editor.org/rfc/rfc6238#section-5.2"""
WINDOW_STEPS = 1
"""To either side: a device's clock may be off, and typing takes time. The same section names one as enough."""
CODE_DIGITS = 6
"""What every authenticator app shows; some know no other length."""
MAX_FAILURES = 5
"""In a row. With three codes that would be right, five guesses find one with a chance of 15 in a million."""
LOCKED_FOR_S = 900.0
"""So 480 guesses fit into a day: one in seven hundred that they find a code, if nobody reads the audit."""
RECOVERY_CODES = 10
"""What other services give: it fits a slip of paper, and lasts for years of lost devices."""
RECOVERY_CHARS = 12
"""Of ID_ALPHABET: 18^12 is 50 bits, which nobody guesses at five in fifteen minutes."""
_GROUP = 4
BEGUN_FOR_S = 3_600.0
"""How long a secret that was shown waits for its first code: who went for their phone is back by then."""
HIDDEN = "••••••"
"""What stands where a code was."""

_DIGITS = rf"[0-9]{{{CODE_DIGITS // 2}}}[ \u00a0-]?[0-9]{{{CODE_DIGITS // 2}}}"
_RECOVERY = "-?".join([f"[{ID_ALPHABET}]{{{_GROUP}}}"] * (RECOVERY_CHARS // _GROUP))
CODE = rf"(?:{_DIGITS}|(?i:{_RECOVERY}))"
"""How a code is written: six digits, with a space in the middle as the apps show them, or a recovery code."""
_GAP = r"[\s-]{0,2}"
_LOOSE = rf"(?:[0-9](?:{_GAP}[0-9]){{{CODE_DIGITS - 1}}}|(?i:{_RECOVERY.replace('-?', _GAP)}))"
"""And how people write it all the same: 12 34 56. A form takes that, so it is worth as much where others read it."""
# Looked for from every place: in “room 345 123 456” the code begins within what looks like one.
_ALONE, _ALONE_LOOSELY = (re.compile(rf"(?<![0-9A-Za-z])(?=({one})(?![0-9A-Za-z]))") for one in (CODE, _LOOSE))
_ANYWHERE = re.compile(rf"(?<![0-9]){_DIGITS}(?![0-9])|(?i:{_RECOVERY})")
_NAMED = re.compile(rf"(\bcode\b[ \u00a0:=]*)(?![ \u00a0:=])(?!because\b)(?:{_LOOSE}|[^\s•]+)", re.IGNORECASE)
MAX_CODES = 8
"""In one text, that are held against a device: a person types one."""


class Check(StrEnum):
    """What became of a code."""

    RIGHT = "right"
    WRONG = "wrong"
    REPEATED = "repeated"  # right, and used before
    LOCKED = "locked"
    NOT_ENROLLED = "not_enrolled"
    UNREADABLE = "unreadable"  # the gateway's key is not the one that the secret was kept under


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    check: Check
    left: int = 0
    """How many more may be wrong before it is locked."""
    locked_until: float | None = None
    recovery_left: int | None = None
    """How many recovery codes are left, where one was used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One person's device, as far as may be shown."""

    person: PersonId
    begun_at: float
    begun_by: str
    enrolled_at: float | None
    """When its first right code was given; until then it counts for nothing."""
    failures: int
    locked_until: float | None
    last_used_at: float | None
    recovery_left: int

    def is_locked(self, now: float) -> bool:
        return self.locked_until is not None and now < self.locked_until


def step_at(moment: float) -> int:
    return int(moment // STEP_S)


def parse_code(typed: str) -> str | None:
    """Six digits, or a recovery code in capitals without dashes; None for anything else."""
    bare = "".join(typed.split()).replace("-", "").upper()
    if len(bare) == CODE_DIGITS and bare.isascii() and bare.isdigit():
        return bare
    return bare if len(bare) == RECOVERY_CHARS and set(bare) <= set(ID_ALPHABET) else None


def is_recovery(code: str) -> bool:
    return len(code) == RECOVERY_CHARS


def spoken(recovery: str) -> str:
    """A recovery code in groups, as it is shown."""
    return "-".join(recovery[at : at + _GROUP] for at in range(0, len(recovery), _GROUP))


def codes_in(text: str) -> list[str]:
    """What could be codes in a text that is no command, each once."""
    found = (parse_code(one[1]) for written in (_ALONE, _ALONE_LOOSELY) for one in written.finditer(text))
    return [code for code in dict.fromkeys(found) if code is not None][:MAX_CODES]


def without(text: str, codes: frozenset[str]) -> str:
    """The text with a mark in the place of these codes."""
    found = [one for written in (_ALONE, _ALONE_LOOSELY) for one in written.finditer(text)]
    parts, at = [], 0
    for begins, ends in sorted({one.span(1) for one in found if parse_code(one[1]) in codes}):
        if begins >= at:
            parts += [text[at:begins], HIDDEN]
        at = max(at, ends)
    return "".join((*parts, text[at:]))


def without_codes(text: str) -> str:
    """The text with a mark in the place of everything that could be a code, and of what stands behind that word."""
    return _NAMED.sub(rf"\g<1>{HIDDEN}", _ANYWHERE.sub(HIDDEN, text))


def is_code_alone(text: str) -> bool:
    return parse_code(text) is not None


def lacks_device(person: PersonId) -> str:
    """What whoever has no device is told."""
    return f"you have no device for codes yet: an operator enrols it at the gateway with `homing totp enroll {person}`"


def in_words(checked: Checked, person: PersonId, now: float) -> str:
    """Why a code did not count, and what to do, as the middle of a sentence."""
    match checked.check:
        case Check.NOT_ENROLLED:
            return lacks_device(person)
        case Check.REPEATED:
            return f"that code was used already. Wait for the next one, at most {STEP_S} s"
        case Check.LOCKED:
            left_s = max(0.0, (checked.locked_until or now) - now)
            return (
                f"your codes are locked for {-(-left_s // 60):.0f} more min, after {MAX_FAILURES} wrong ones; "
                "an operator can unlock them"
            )
        case Check.UNREADABLE:
            return "codes cannot be checked here: an operator has to look at the gateway's key, and enrol you anew"
        case _ if checked.left == 0:
            return f"that code is wrong, and your codes are locked now for {LOCKED_FOR_S / 60:.0f} min"
        case _:
            more = "One more wrong one locks" if checked.left == 1 else f"{checked.left} more wrong ones lock"
            return f"that code is wrong. {more} your codes"
