"""Which files a request names to be run, in its words or in its shell text: programs, and scripts for interpreters.

What only a shell will know is left out, and counted: a function, a built-in, a word with a variable, a path after `cd`.
Deliberately absent: reading those files, and any refusal for what is left out (F-087).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bot.domain.command import Request
from bot.domain.shell import Analysis, View
from bot.node.digest import size_of
from bot.node.operands import script_operands

_MOVES = frozenset({"cd", "pushd", "popd", "chdir"})
_READS = frozenset({".", "source"})
_BUILT_INS = frozenset(
    # As a list, one word a line, nobody would read it.
    ": . [ alias bg bind break builtin caller cd chdir command compgen complete continue declare dirs disown echo "  # noqa: SIM905
    "enable eval exec exit export false fc fg getopts hash help history jobs kill let local logout mapfile popd printf "
    "pushd pwd read readonly return set shift shopt source suspend test times trap true type typeset ulimit umask "
    "unalias unset wait".split()
)
"""Of dash and bash: a file of the same name on the search path is not what a shell runs."""


@dataclass(slots=True)
class Named:
    programs: list[tuple[str | None, ...]] = field(default_factory=list)
    """For each reading of each unit, the file that it starts; None where that cannot be known."""
    needed: dict[str, None] = field(default_factory=dict)
    """What the request's own program is given to run: without it there is no command to approve."""
    files: dict[str, None] = field(default_factory=dict)
    """All else that is to be bound where it can be, in the order of the text."""
    scripts: dict[str, None] = field(default_factory=dict)
    """Of both, what is named by a path of its own, or as an interpreter's script."""
    left_out: int = 0


def named_files(
    request: Request, analysis: Analysis, *, cwd: str, program: str, find: Callable[[str], str | None]
) -> Named:
    """`program` is the file of the request's first word; `find` gives that of any other, as the node sees it."""
    named = Named()
    has_moved = False
    for at, unit in enumerate(analysis.units):
        found = []
        for depth, view in enumerate(unit.views):
            is_own = request.script is None and at == depth == 0
            path = program if is_own else _program(view, find, is_in_shell=depth == 0, has_moved=has_moved)
            found.append(path)
            bound = named.needed if is_own else named.files
            if path is None:
                named.left_out += view.words[0] not in _BUILT_INS
            else:
                if not is_own:
                    bound[path] = None
                word = view.words[0] or ""
                if "/" in word and find(word.rpartition("/")[2]) != path:
                    named.scripts[path] = None
            for operand in _operands(view, path, cwd, has_moved=has_moved):
                bound[operand] = named.scripts[operand] = None
        named.programs.append(tuple(found))
        has_moved = has_moved or unit.views[0].words[0] in _MOVES
    return named


def _program(view: View, find: Callable[[str], str | None], *, is_in_shell: bool, has_moved: bool) -> str | None:
    word = view.words[0]
    if word is None or (is_in_shell and word in _BUILT_INS):
        return None
    if has_moved and "/" in word and not word.startswith("/"):
        return None
    return find(word)


def _operands(view: View, program: str | None, cwd: str, *, has_moved: bool) -> tuple[str, ...]:
    """The real files that this program is given to run, seen from where the command stands."""
    first = view.words[0]
    if first is None:
        return ()
    # A word that is not known names no file, and after `cd` neither does a relative one.
    words = [word if word is not None and (word[:1] in "/-" or not has_moved) else "" for word in view.words[1:]]
    if first in _READS:
        given = tuple(str(Path(cwd, word)) for word in words[:1] if "/" in word and size_of(str(Path(cwd, word))))
    else:
        given = script_operands(program or first, (first, *words), cwd)
    return tuple(os.path.realpath(path) for path in given)
