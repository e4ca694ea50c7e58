"""The log: events with keys, as JSON or as text on a terminal; what is secret never leaves.

Deliberately absent: what is logged, which the callers say: `log.info("execution.approved", extra={...})`.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterable
from typing import TextIO

from bot.domain.mask import Masker

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
"""What every record holds; the rest came by `extra`."""

MUTED = frozenset({"discord", "slack_bolt", "slack_sdk", "twilio"})
"""The networks' libraries. Their lines are sentences that hold what came from outside, whole payloads at times; the
adapters say what matters of it in events. Kept out here and not by level: some set their loggers' levels themselves."""


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] not in MUTED


class Events(logging.Formatter):
    """One line an event. Secrets are masked in every text, exceptions included: configured ones, and what looks it."""

    def __init__(self, *, as_json: bool, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._as_json = as_json
        self._masker = Masker(secrets)

    def format(self, record: logging.LogRecord) -> str:
        keys = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        # Milliseconds: two events of one pass stay apart. UTC: lines of two machines can be laid side by side.
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        fault = self.formatException(record.exc_info) if record.exc_info else None
        if self._as_json:
            form: dict[str, object] = {
                "at": at,
                "level": record.levelname.lower(),
                "event": self._safe(record.getMessage()),
                "logger": record.name,
            }
            form |= {key: self._plain(value) for key, value in keys.items()}
            if fault is not None:
                form["exception"] = self._safe(fault)
            return json.dumps(form, ensure_ascii=False)
        parts = [at, f"{record.levelname:<7}", self._safe(record.getMessage())]
        parts += [f"{key}={self._word(value)}" for key, value in keys.items()]
        line = " ".join(parts)
        return line if fault is None else f"{line}\n{self._safe(fault)}"

    def _safe(self, text: str) -> str:
        return self._masker.text(text)

    def _plain(self, value: object) -> object:
        if value is None or isinstance(value, (bool, int, float)):
            return value
        return self._safe(str(value))

    def _word(self, value: object) -> str:
        text = self._safe(str(value))
        plain = text and text.isprintable() and not any(character in ' "=' for character in text)
        return text if plain else json.dumps(text, ensure_ascii=False)


def set_up(
    *,
    as_json: bool | None = None,
    secrets: Iterable[str] = (),
    level: int = logging.INFO,
    stream: TextIO | None = None,
) -> None:
    """Log to `stream` (standard error). `as_json` None: text on a terminal, JSON elsewhere. May be repeated."""
    target = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(target)
    handler.setFormatter(Events(as_json=not target.isatty() if as_json is None else as_json, secrets=secrets))
    handler.addFilter(_is_ours)
    root = logging.getLogger()
    for before in list(root.handlers):
        root.removeHandler(before)
    root.addHandler(handler)
    root.setLevel(level)
    # One line a request would drown ours, and holds paths that people were sent.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
