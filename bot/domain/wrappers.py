"""Which program a program starts."""

from __future__ import annotations

from dataclasses import dataclass

_WRAPPERS = frozenset(
    {"env", "sudo", "doas", "su", "xargs", "time", "nohup", "nice", "timeout", "sh", "bash", "dash", "zsh", "find"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """A command that stands among a program's words."""

    at: int
    words: tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What a program of certain words starts beside itself."""

    through: int = 0
    inner: tuple[Inner, ...] = ()
    texts: tuple[str, ...] = ()
    runs_code: bool = False


def what_it_starts(words: tuple[str | None, ...]) -> Started:
    name = (words[0] or "").rpartition("/")[2]
    return Started(through=len(words) - 1, runs_code=True) if name in _WRAPPERS else Started()
