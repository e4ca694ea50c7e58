"""Quote removal: the word that every POSIX shell makes of a piece of shell text, or that only a shell will know it.

Deliberately absent: expansion of any kind, and the quotes that shells read differently ($'…', $"…").
"""

from __future__ import annotations

_UNQUOTED_MEANING = frozenset("$`*?[]{}~!#|&;<>() \t\n\r\v\f")
"""Bare, each of these may be changed, ends the word, or is read differently by sh, bash and dash. `~`, `#` and `!` mean
nothing in some places; whoever writes one bare is asked, not guessed at."""
_ESCAPED_IN_QUOTES = frozenset('$`"\\')


def unquoted(source: str) -> str | None:
    """The word without its quotes; None where only a shell will know it."""
    if source.isalnum():
        return source
    word: list[str] = []
    quote, at = "", 0
    while at < len(source):
        character = source[at]
        at += 1
        if quote == "'":
            if character == "'":
                quote = ""
            else:
                word.append(character)
        elif character == "\\":
            if at == len(source):
                return None
            following = source[at]
            at += 1
            if following == "\n":
                continue
            kept = quote and following not in _ESCAPED_IN_QUOTES
            word.append(f"\\{following}" if kept else following)
        elif source[at - 1 : at + 1] == "{}" and not quote:
            # Every shell leaves it alone, and `find -exec` is written with it.
            word.append("{}")
            at += 1
        elif character == '"' or (character == "'" and not quote):
            quote = "" if quote else character
        elif character in "$`" if quote else character in _UNQUOTED_MEANING:
            return None
        else:
            word.append(character)
    return None if quote else "".join(word)
