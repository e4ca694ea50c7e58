"""Whether a shell text is no more than commands side by side, so that its words alone say what it does.

A policy of patterns sees words only: `PATH=/tmp uptime` has the word `uptime`, and so have a loop over `PATH` and a
function of that name. Deliberately absent: the words themselves, which `bot.domain.shell` reads.
"""

from __future__ import annotations

import re

from tree_sitter import Node

from bot.domain.shelltext import tree_of

_HARMLESS = frozenset(
    {"program", "list", "pipeline", "command", "command_name", "negated_command", "subshell", "compound_statement"}
    | {"comment", "word", "number", "string", "string_content", "raw_string", "concatenation", "redirected_statement"}
)
"""Named nodes of tree-sitter-bash 0.25 that set nothing, open no file and define nothing."""
_NOWHERE = re.compile(r"\d?(>|>>|<)\s*/dev/null|\d?>&\s*[12]|&>>?\s*/dev/null")
WHAT_IT_IS = "commands joined by ; && || or |, without variables, loops, functions or files of its own"


def is_commands_only(script: str) -> bool:
    source = script.encode("utf-8", "replace")
    root = tree_of(script)
    return root is not None and not root.has_error and all(_is_harmless(node, source) for node in _named(root))


def _named(root: Node) -> list[Node]:
    """All of them; the text is at most some thousand characters long."""
    found, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        found.append(node)
        # What belongs to a redirection is judged with it, as one text.
        if node.type != "file_redirect":
            waiting += node.named_children
    return found


def _is_harmless(node: Node, source: bytes) -> bool:
    if node.type == "file_redirect":
        return _NOWHERE.fullmatch(source[node.start_byte : node.end_byte].decode("utf-8", "replace")) is not None
    return node.type in _HARMLESS
