"""The one codec of frames to and from JSON text.

Strict both ways: an unknown kind, a missing or foreign field, a wrong type or an over-long text is a
`MalformedFrame` that names the place. Deliberately absent: the order in which frames may come (see `protocol`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.domain.command import (
    command_from_json,
    command_to_json,
    limits_from_json,
    limits_to_json,
    request_from_json,
    request_to_json,
)
from bot.domain.execution import result_from_json, result_to_json
from bot.domain.node import Known, Pairing
from bot.errors import Malformed, MalformedFrame
from bot.node.frames import (
    FINISHED,
    KEY_BYTES,
    MAX_ASKED,
    MAX_FRAME_BYTES,
    MAX_TEXT_CHARS,
    NAME_PATTERN,
    NOT_KNOWN,
    REFUSED,
    REPORTS,
    SIGNATURE_BYTES,
    STARTED,
    Accepted,
    Ack,
    Answers,
    Ask,
    Busy,
    Challenge,
    Declined,
    Finished,
    Frame,
    Go,
    Hello,
    Inspect,
    Inspected,
    NotKnown,
    Offer,
    Progress,
    Proof,
    Refused,
    Started,
    Stop,
    Welcome,
)


@dataclass(frozen=True, slots=True)
class _As:
    """How one field is read and written. `read` raises `Malformed`."""

    read: Callable[[object], object]
    write: Callable[..., object] = lambda value: value


def _matching(pattern: str, what: str) -> _As:
    expression = re.compile(pattern, re.DOTALL)

    def read(value: object) -> str:
        if not isinstance(value, str) or not expression.fullmatch(value):
            raise Malformed(f"is not {what}")
        return value

    return _As(read)


def _bytes(length: int) -> _As:
    text = _matching(f"[0-9a-f]{{{2 * length}}}", f"{length} bytes in lower-case hex")
    return _As(lambda value: bytes.fromhex(str(text.read(value))), lambda value: value.hex())


def _moment(value: object) -> float:
    if type(value) not in (int, float) or not isinstance(value, (int, float)):
        raise Malformed("is not a number")
    # 253402300800 is the year 10000, past which no calendar of Python goes.
    if not math.isfinite(value) or not 0 <= value < 253_402_300_800:
        raise Malformed("is not a moment in seconds since the epoch")
    return float(value)


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise Malformed("is not a count")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Malformed("is neither true nor false")
    return value


def _versions(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= 16:
        raise Malformed("is not a list of one to sixteen versions")
    return tuple(_count(version) for version in value)


def _pairs(second: _As) -> _As:
    def read(value: object) -> tuple[tuple[object, object], ...]:
        if not isinstance(value, list) or len(value) > MAX_ASKED:
            raise Malformed(f"is not a list of at most {MAX_ASKED} pairs")
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
            raise Malformed("holds something that is no pair")
        return tuple((_EXECUTION.read(first), second.read(other)) for first, other in value)

    return _As(read, lambda pairs: [[first, second.write(other)] for first, other in pairs])


def _one_of(values: type[Known | Pairing], *but: Known | Pairing) -> _As:
    def read(value: object) -> Known | Pairing:
        if not isinstance(value, str) or value not in {known.value for known in values} or value in but:
            raise Malformed("is none of the words for it")
        return values(value)

    return _As(read, lambda value: value.value)


_EXECUTION = _matching(r"[0-9A-Z]{4,32}", "an execution's id")
_TOKEN = _matching(r"[0-9a-f]{32}", "a token")
_WORDS = _matching(rf".{{0,{MAX_TEXT_CHARS}}}", f"a text of at most {MAX_TEXT_CHARS} characters")
_KEY, _NUMBER, _TIME = _bytes(KEY_BYTES), _As(_count), _As(_moment)
_COMMAND = _As(command_from_json, command_to_json)
_LIMITS = _As(limits_from_json, limits_to_json)

_SHAPES: Mapping[str, tuple[Callable[..., Frame], Mapping[str, _As]]] = {
    "hello": (
        Hello,
        {
            "versions": _As(_versions, list),
            "public_key": _KEY,
            "nonce": _KEY,
            "name": _matching(NAME_PATTERN, "a node's name"),
        },
    ),
    "challenge": (
        Challenge,
        {"version": _NUMBER, "public_key": _KEY, "nonce": _KEY, "signature": _bytes(SIGNATURE_BYTES)},
    ),
    "proof": (Proof, {"signature": _bytes(SIGNATURE_BYTES)}),
    "welcome": (Welcome, {"pairing": _one_of(Pairing, Pairing.REVOKED)}),
    "inspect": (
        Inspect,
        {
            "number": _NUMBER,
            "execution": _EXECUTION,
            "request": _As(request_from_json, request_to_json),
            "limits": _LIMITS,
        },
    ),
    "inspected": (Inspected, {"number": _NUMBER, "command": _COMMAND}),
    "offer": (
        Offer,
        {
            "number": _NUMBER,
            "execution": _EXECUTION,
            "command": _COMMAND,
            "hash": _matching(r"[0-9a-f]{64}", "a SHA-256 in hex"),
        },
    ),
    "accepted": (Accepted, {"number": _NUMBER, "token": _TOKEN}),
    "declined": (Declined, {"number": _NUMBER, "reason": _WORDS, "already_started": _As(_flag)}),
    "busy": (Busy, {"number": _NUMBER}),
    "go": (Go, {"execution": _EXECUTION, "token": _TOKEN}),
    "stop": (Stop, {"execution": _EXECUTION}),
    "ask": (Ask, {"executions": _pairs(_As(_flag))}),
    "answers": (Answers, {"answers": _pairs(_one_of(Known))}),
    STARTED: (Started, {"execution": _EXECUTION, "started_at": _TIME}),
    "progress": (Progress, {"execution": _EXECUTION, "live_tail": _WORDS}),
    FINISHED: (
        Finished,
        {
            "execution": _EXECUTION,
            "result": _As(result_from_json, result_to_json),
            "started_at": _TIME,
            "ended_at": _TIME,
        },
    ),
    REFUSED: (Refused, {"execution": _EXECUTION, "reason": _WORDS}),
    NOT_KNOWN: (NotKnown, {"execution": _EXECUTION, "detail": _WORDS}),
    "ack": (Ack, {"execution": _EXECUTION, "report": _matching("|".join(REPORTS), "a kind of report")}),
}
FRAME_KINDS = tuple(_SHAPES)
_KINDS: Mapping[object, str] = {made: kind for kind, (made, _) in _SHAPES.items()}


def kind_of(frame: Frame) -> str:
    return _KINDS[type(frame)]


def frame_to_json(frame: Frame) -> dict[str, object]:
    kind = kind_of(frame)
    return {"kind": kind} | {name: way.write(getattr(frame, name)) for name, way in _SHAPES[kind][1].items()}


def frame_from_json(form: object) -> Frame:
    """The inverse of `frame_to_json`. Raises `MalformedFrame`, naming the place, for anything else."""
    if not isinstance(form, dict):
        raise MalformedFrame("a frame is a JSON object")
    kind = form.get("kind")
    if not isinstance(kind, str) or kind not in _SHAPES:
        raise MalformedFrame("a frame of no kind that this side knows")
    made, ways = _SHAPES[kind]
    if form.keys() != {"kind", *ways}:
        raise MalformedFrame(f"a frame '{kind}' holds exactly {', '.join(ways)}")
    fields = {}
    for name, way in ways.items():
        try:
            fields[name] = way.read(form[name])
        except (Malformed, OverflowError) as fault:
            # Overflow: a whole number of JSON that no float can hold.
            raise MalformedFrame(f"{kind}.{name}: {fault}"[:200]) from None
    return made(**fields)


def encode(frame: Frame) -> str:
    """One frame as text. Raises `MalformedFrame` where it is too large or no UTF-8 can carry it."""
    text = json.dumps(frame_to_json(frame), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    _check_size(text)
    return text


def decode(text: str) -> Frame:
    """The inverse of `encode`. Raises `MalformedFrame`, and nothing else, whatever `text` is."""
    _check_size(text)
    try:
        form = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_object)
        if "\\u" in text:
            # Half a surrogate pair can hide behind an escape; no database takes it.
            json.dumps(form, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise MalformedFrame("a frame is one JSON object in UTF-8, without doubled names") from None
    return frame_from_json(form)


def _check_size(text: str) -> None:
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise MalformedFrame("a frame holds half a surrogate pair, which UTF-8 cannot carry") from None
    if size > MAX_FRAME_BYTES:
        raise MalformedFrame(f"a frame has {size} bytes, at most {MAX_FRAME_BYTES} are taken")


def _no_constant(_name: str) -> object:
    raise ValueError("NaN and Infinity are no JSON")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    form = dict(pairs)
    if len(form) != len(pairs):
        raise ValueError("a name is doubled")
    return form
