"""What beside its words could give away what a command has masked, or start it: paths that the node made of them.

Deliberately absent: the masking itself, which is `mask`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bot.domain.command import Request
from bot.domain.execution import Execution
from bot.domain.policy import analysed

HIDDEN = "•••"
"""In the place of a path that could give away what was masked."""
_MARK = re.compile("‹secret[^›]*›")
"""Of `Masker`, in whose words something was masked."""
_AROUND_MARK = re.compile(r"\S*‹secret[^›]*›\S*")


def shown_path(execution: Execution, path: str) -> str:
    """A program or script of the command, as it may be read: where its word is masked, its path says it in clear."""
    masked, asked, command = execution.masked, execution.request, execution.command
    if masked is None:
        return path
    plain = [
        # Where the row was wiped both hold the mark.
        before == after and _MARK.search(after) is None
        for before, after in zip(asked.argv, masked.argv, strict=False)
    ]
    words = [word for word, is_plain in zip(masked.argv, plain, strict=False) if is_plain]
    others = [word for word, is_plain in zip(masked.argv, plain, strict=False) if not is_plain and not masked.script]
    text = masked.script or ""
    known = _ends((*words, *_AROUND_MARK.sub(" ", text).split()))
    # The same name behind a masked folder and elsewhere: which of both a path is, nobody can say.
    known -= _ends((*others, *_AROUND_MARK.findall(text)))
    is_program = command is not None and path == command.executable and plain[:1] == [True]
    return path if is_program or _end(path) in known else HIDDEN


def _ends(words: Iterable[str]) -> set[str]:
    return {_end(word) for word in words}


def _end(word: str) -> str:
    return word.rpartition("/")[2].strip("'\"")


def may_start_it(request: Request) -> bool:
    """Whether what is masked in it could be what it starts: `PASSWORD='rm -rf x'; $PASSWORD`, `… | sh`."""
    return any(unit.is_unknown or unit.runs_code for unit in analysed(request).units)
