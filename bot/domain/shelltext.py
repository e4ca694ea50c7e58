"""The commands that stand in a shell text, in every nested form, found by tree-sitter-bash.

The text is run by /bin/sh, which is dash here and bash there, and neither reads as the grammar does. So its word is not
taken alone: whatever sh, bash and the grammar may read in different ways makes the reading uncertain, and it says so.
Deliberately absent: what the commands start, and any expansion. https://github.com/tree-sitter/tree-sitter-bash
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from bot.domain.command import MAX_REQUEST_CHARS
from bot.domain.options import Words
from bot.domain.quoting import unquoted
from bot.domain.starting import programs, steers

MAX_OPERATORS = 600
"""Pipes, brackets and redirections of one text. The grammar's time grows with their square: 600 take some 10 ms."""
MAX_DEEP = 200
"""Nodes of the tree within each other. A text of people has some twenty."""
_LANGUAGE = Language(tree_sitter_bash.language())

_KNOWN = programs(
    "program command command_name word number string string_content raw_string ansi_c_string translated_string "
    "concatenation simple_expansion expansion variable_name special_variable_name command_substitution "
    "process_substitution arithmetic_expansion binary_expression unary_expression postfix_expression "
    "parenthesized_expression ternary_expression brace_expression list pipeline subshell compound_statement "
    "redirected_statement file_redirect heredoc_redirect heredoc_start heredoc_body heredoc_content heredoc_end "
    "herestring_redirect negated_command test_command test_operator if_statement elif_clause else_clause "
    "while_statement for_statement case_statement case_item do_group function_definition declaration_command "
    "unset_command variable_assignment variable_assignments array subscript regex extglob_pattern comment "
    "file_descriptor"
)
"""Nodes whose meaning is known. Left out: `for ((…))`, which only bash has."""
_COMMANDS = programs("command declaration_command unset_command test_command")
_LITERAL = programs("raw_string comment heredoc_end heredoc_start")
"""Leaves in which nothing is ever started; where they begin and end is looked at by itself."""
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
"""Bytes that the grammar may not see: it asks C's isalpha() for characters of any size, and the process dies of it.
For a shell they are characters of a word like a full stop, and of no name."""
MAX_HERE = 16
"""Here-documents of one text. The grammar keeps those that are open, with their words, in a buffer of 1,024 bytes."""
_HERE = re.compile(r"(?<!<)<<(?!<)")
_SHORT_HERE = re.compile(r"(?<!<)<<(?!<)-?\s*(?:'[^'\\]{0,40}'\S{0,8}|\"[^\"\\]{0,40}\"\S{0,8}|[^\s'\"]\S{0,40})(?!\S)")
_SUBSTITUTIONS = programs("command_substitution process_substitution")
_UNQUOTING = programs("arithmetic_expansion expansion string heredoc_body")
"""Within these a ' may be a character like any other: "${x:-'$(id)'}" runs id."""
_ACTIVE = re.compile(r"`|\$[({'\"]|[<>]\(")
_CONTINUED = re.compile(r"[^\s\\]\\\n(?=\S)")
"""A continuation within a word or an operator, which the shell joins before it reads."""
_ARITHMETIC = re.compile(r"\w\[[^\]]*(?:\$\(|`)")
"""A subscript that starts something once an arithmetic reads it: x='a[$(id)]'; echo $((x))."""
_AFTER_A_VALUE = frozenset({b"", b" ", b"\t", b"\n", b";", b"&", b"|", b"<", b">", b")", b"`"})
_BARE_BLANK = re.compile(r"(?:^|[^\\])(?:\\\\)*[ \t\n]")
_GAP = re.compile(r"(?:[ \t\n]|\\\n)*")
_GAP_IN_LINE = re.compile(r"(?:[ \t]|\\\n)*")
_ONE_LINE = programs(
    "command declaration_command unset_command redirected_statement file_redirect herestring_redirect "
    "variable_assignments concatenation"
)
"""Nodes that no bare line end may be in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellText:
    commands: tuple[Words, ...]
    """In the order in which they stand."""
    shadowed: frozenset[str]
    """Names that the text makes stand for something else: its functions and aliases."""
    is_certain: bool
    """Every shell reads it so. If not, it could start what is not among the commands."""


UNREAD = ShellText(commands=(), shadowed=frozenset(), is_certain=False)


def tree_of(text: str) -> Node | None:
    """The tree over the bytes of the text in UTF-8; None for a text that is better not given to the grammar."""
    if len(text) > MAX_REQUEST_CHARS or sum(map(text.count, "|(<;&{=")) > MAX_OPERATORS:
        return None
    here = len(_HERE.findall(text))
    if here > MAX_HERE or here != len(_SHORT_HERE.findall(text)):
        return None
    # A parser each time costs half a microsecond, and two threads may not share one.
    return Parser(_LANGUAGE).parse(_BEYOND_ASCII.sub(b".", text.encode("utf-8", "replace"))).root_node


def read_shell_text(text: str) -> ShellText:
    root = tree_of(text)
    if root is None:
        return UNREAD
    source = text.encode("utf-8", "replace")
    nodes, is_whole = _walk(root)
    commands: list[Words] = []
    names: set[str] = set()
    for node in nodes:
        if node.type in _COMMANDS:
            commands.append(_words_of(node, source))
            names.update(_aliases(commands[-1]))
        elif node.type == "function_definition":
            names.add(_name_of(node, source))
    is_certain = (
        is_whole
        and _is_ordinary(text)
        and "" not in names
        and not (source[: root.start_byte] + source[root.end_byte :]).strip(b" \t\n")
        and all(_is_certain(node, source) and (not node.child_count or _has_no_gap(node, source)) for node in nodes)
        and not root.has_error
    )
    return ShellText(commands=tuple(commands), shadowed=frozenset(names), is_certain=is_certain)


def _is_ordinary(text: str) -> bool:
    """No character that is a blank for the one and none for the other, and nothing that is joined before it is read."""
    return not (
        _CONTINUED.search(text)
        or _ARITHMETIC.search(text)
        or any(not character.isprintable() and character not in "\t\n" for character in text)
    )


def _walk(root: Node) -> tuple[list[Node], bool]:
    """The nodes in the order of the text down to a depth, and whether these are all."""
    nodes: list[Node] = []
    waiting, is_whole = [(root, 0)], True
    while waiting:
        node, depth = waiting.pop()
        nodes.append(node)
        if depth < MAX_DEEP:
            waiting += [(child, depth + 1) for child in reversed(node.children)]
        else:
            is_whole = is_whole and not node.child_count
    return nodes, is_whole


def _text(node: Node, source: bytes) -> str:
    return source[node.start_byte : node.end_byte].decode("utf-8", "replace")


def _words_of(node: Node, source: bytes) -> Words:
    """The words of a command, those behind its redirections too; variables set for it are none."""
    if node.type == "test_command":
        return (_text(node.children[0], source), None)
    spans: list[tuple[int, int]] = []
    is_named = node.type != "command"
    for child in (*node.children, *_behind_redirections(node)):
        is_named = is_named or child.type == "command_name"
        if child.type in {"file_redirect", "herestring_redirect"} or not is_named:
            continue
        if spans and _is_joined(spans[-1][1], child.start_byte, source):
            spans[-1] = (spans[-1][0], child.end_byte)
        else:
            spans.append((child.start_byte, child.end_byte))
    return tuple(unquoted(source[start:end].decode("utf-8", "replace")) for start, end in spans) or (None,)


def _is_joined(end: int, start: int, source: bytes) -> bool:
    return end == start or not source[end:start].replace(b"\\\n", b"")


def _behind_redirections(node: Node) -> Iterator[Node]:
    """In `a | ls >x -l` the grammar takes -l for a second destination of the whole."""
    for parent in _statements_ended_by(node):
        for redirect in parent.children_by_field_name("redirect"):
            if redirect.type == "heredoc_redirect":
                yield from redirect.children_by_field_name("argument")
            else:
                yield from redirect.named_children[_own_parts(redirect) :]


def _own_parts(redirect: Node) -> int:
    """A descriptor, if there is one, and the destination."""
    return 2 if redirect.child_by_field_name("descriptor") is not None else 1


def _belongs_to_a_command(statement: Node) -> bool:
    """Words behind a redirection belong to a command before it; behind `x=1 >y` the first of them is a command."""
    redirects = statement.children_by_field_name("redirect")
    if all(len(redirect.named_children) <= _own_parts(redirect) for redirect in redirects):
        return True
    last = statement.child_by_field_name("body")
    while last is not None and last.type in {"pipeline", "list", "negated_command"}:
        last = last.named_children[-1]
    return last is not None and last.type in {"command", "heredoc_redirect"}


def _statements_ended_by(node: Node) -> Iterator[Node]:
    """The redirected statements whose last command this is, innermost first."""
    child, parent = node, node.parent
    while parent is not None and parent.type in {"redirected_statement", "pipeline", "list", "negated_command"}:
        if parent.type == "redirected_statement":
            yield parent
        elif parent.named_children[-1] != child:
            return
        child, parent = parent, parent.parent


def _aliases(words: Words) -> Iterator[str]:
    if words[0] == "alias":
        yield from ("" if word is None else word.partition("=")[0] for word in words[1:] if word is None or "=" in word)


def _name_of(node: Node, source: bytes) -> str:
    name = node.child_by_field_name("name")
    return "" if name is None else unquoted(_text(name, source)) or ""


def _has_no_gap(node: Node, source: bytes) -> bool:
    """Between its parts there is nothing but blanks: the grammar has dropped nothing."""
    ends = [node.start_byte, *(child.end_byte for child in node.children)]
    starts = [*(child.start_byte for child in node.children), node.end_byte]
    gaps = (
        source[end:start].decode("utf-8", "replace") for end, start in zip(ends, starts, strict=True) if end < start
    )
    if node.type == "heredoc_body":
        # Its text before the first expansion is no part of the tree.
        return not any(_ACTIVE.search(gap) for gap in gaps)
    blank = _GAP_IN_LINE if node.type in _ONE_LINE else _GAP
    return all(blank.fullmatch(gap) for gap in gaps)


def _is_certain(node: Node, source: bytes) -> bool:
    """Whether sh, bash and the grammar agree on this node."""
    kind, text = node.type, _text(node, source)
    if node.is_named and kind not in _KNOWN:
        return False
    match kind:
        case "((" | "&>" | "&>>" | "|&":
            return False
        case "test_command":
            # `[[ a && b ]]`: for dash, `[[` is a program like any other, and b one too.
            return text[:2] != "[[" or not any(character in "&|;()<>" for character in text)
        case "command_substitution":
            # `$((` begins an arithmetic here and a command there.
            return text[:3] != "$((" and (text[:1] != "`" or ("\\" not in text and text.count("`") == 2))
        case "raw_string":
            return not _stands_in(node, _UNQUOTING)
        case "ansi_c_string":
            return "\\'" not in text and not _ACTIVE.search(text[1:])
        case "comment":
            before = source[: node.start_byte].replace(b"\\\n", b"")[-1:]
            return before in {b"", b" ", b"\t", b"\n", b";", b"&", b"|", b"(", b")"}
        case "heredoc_redirect":
            # bash writes a substitution anew before it runs it, and a here-document in it comes out otherwise.
            return not _stands_in(node, _SUBSTITUTIONS, through=True) and _ends_where_it_says(node, source)
        case "variable_name":
            return not steers(text) or _is_only_read(node)
        case "expansion":
            # ${x@P} expands what is in x once more.
            return not (text[-3:-2] == "@" and text[-2:-1].isalpha())
        case ";;":
            return node.parent is not None and node.parent.type == "case_item"
        case "redirected_statement":
            return _belongs_to_a_command(node)
        case "variable_assignment":
            # `X=#'a b' c`: the grammar ends the value at the quote, and takes 'a b' for the command.
            following = source[node.end_byte : node.end_byte + 1]
            return following in _AFTER_A_VALUE
        case _:
            return bool(node.child_count) or kind in _LITERAL or not node.is_named or not _is_active(node, text)


def _stands_in(node: Node, kinds: frozenset[str], *, through: bool = False) -> bool:
    """Within one of these; a substitution between them begins anew, unless we look `through` it."""
    parent = node.parent
    while parent is not None:
        if parent.type in kinds:
            return True
        if parent.type in _SUBSTITUTIONS and not through:
            return False
        parent = parent.parent
    return False


def _is_active(node: Node, text: str) -> bool:
    """A leaf that holds what a shell would expand: the grammar has not seen it, as with a ` in a here-document."""
    if node.type in {"heredoc_body", "heredoc_content"}:
        start = node.parent if node.type == "heredoc_body" else node.parent and node.parent.parent
        quoted = start is not None and any(
            child.type == "heredoc_start" and (child.text or b"")[:1] in {b"'", b'"', b"\\"} for child in start.children
        )
        if quoted:
            return False
    # `[ }` is one word for the grammar, and two for a shell.
    return bool(_ACTIVE.search(text) or (node.type == "word" and _BARE_BLANK.search(text)))


def _is_only_read(node: Node) -> bool:
    parent = node.parent
    if parent is None or parent.type not in {"simple_expansion", "expansion"}:
        return False
    return not any(child.type in {"=", ":="} for child in parent.children)


def _ends_where_it_says(node: Node, source: bytes) -> bool:
    """The body of a here-document ends at the first line that is its word, for the grammar as for the shell."""
    parts = {child.type: child for child in node.children}
    start, end = parts.get("heredoc_start"), parts.get("heredoc_end")
    word = None if start is None else unquoted(_text(start, source))
    if start is None or end is None or not word:
        return False
    at = source.find(b"\n", start.end_byte) + 1
    if any(part.end_byte >= at for kind, part in parts.items() if kind not in {"heredoc_body", "heredoc_end"}):
        return False
    for line in source[at:].split(b"\n"):
        if (line.lstrip(b"\t") if "<<-" in parts else line) == word.encode():
            break
        at += len(line) + 1
    return at <= end.start_byte <= end.end_byte == at + len(line)
