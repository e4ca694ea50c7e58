"""Stretches of a text that are secrets by the name beside them: `PASSWORD=…`, `"api_key": "…"`, `--token …`.

Deliberately absent: what is secret by its own look (see `shapes`). A name that is no more than like one of a secret
(`key`, `token`) takes a value that looks like one; what a shell or a program fills in is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bot.domain.shapes import Stretch

_LOWER = str.maketrans({letter: letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"})
"""One character for each, which `str.lower` does not promise."""
_NAME_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_MAX_NAME_CHARS = 64
_WORD = r"(?P<word>pass(?:word|wd|phrase|code)?|pwd|secret|token|key|credentials?|auth)[0-9]{0,2}"
_ASSIGNED = re.compile(_WORD + r"\\?[\"']?[ \t]{0,3}+(?P<sign>:=|=>|=|:)(?![=:>])[ \t]{0,3}+")
_OPTION = re.compile(_WORD + r"(?P<sign>[ \t]{1,3}+)(?=[^\s-])")
_TAG = re.compile(r"<(?P<word>[\w.-]{0,40}(?:password|passphrase|secret|token|apikey|privatekey))>([^<>‹\n]{1,512}+)</")
_BEARER = re.compile(r"(?<![a-z0-9])bearer[ \t]{1,4}+([a-z0-9._~+/=-]{16,}+)")
_AUTHORIZATION = re.compile(
    r"authorization\\?[\"']?[ \t]{0,4}+[:=][ \t]{0,4}+\\?[\"']?"
    r"(?:(?:bearer|basic|token|digest|negotiate|apikey|bot)[ \t]{1,4}+)?+(?!\$[a-z_{(])([^\s\"',‹`;|&()$\\]{6,}+)"
)

_STRONG = frozenset({"password", "passwd", "passphrase", "passcode", "pwd"})
_STANDING_ALONE = frozenset({"pass", "auth"})
"""Secret as a whole word or behind a dash only: `bypass`, `compass`, `oauth`."""
_NAMES_OF_KEYS = """
    accesskey accountkey apikey appkey authkey clientkey deploykey encryptionkey hmackey licensekey masterkey
    privatekey secretkey servicekey sessionkey sharedkey signingkey sshkey"""
_KEYS = tuple(_NAMES_OF_KEYS.split())
_OPEN_NAMES = "publickey pubkey primarykey foreignkey sortkey cachekey partitionkey hotkey rowkey groupkey"
_OPEN_KEYS = tuple(_OPEN_NAMES.split())
_WORKING_DIRECTORY = frozenset({"PWD", "OLDPWD"})

_JUDGED_CHARS = 256
"""Of a value, to tell whether it is one; the same text may be the value of many names that stand in it."""
_VALUE = re.compile(
    r"\\\"(?P<escaped>[^\"\n\\]++)"
    r"|\"(?P<double>(?:[^\"\\\n]++|\\.)++)"
    r"|'(?P<single>[^'\n]++)"
    # `,`, `&`, `;` and brackets end a value only where the next name, or nothing, comes after them.
    r"|(?P<bare>(?:[^\s\"'&,;}\])‹]++|[&,;}\])](?!\s|\Z|[\"'{]|[\w.-]{1,40}[\"']?[=:]))++)"
)
_REST = {
    "escaped": re.compile(r"[^\"\n\\]*+"),
    "double": re.compile(r"[^\"\n]*+"),
    "single": re.compile(r"[^'\n]*+"),
    "bare": re.compile(r"[^\s\"'‹]*+"),
}
_REST_IN_COMMAND = re.compile(r"[A-Za-z0-9+/=_-]*+")
_VALUE_OF_COMMAND = re.compile(
    r"\"(?P<double>[^\"\n\\`$;|<>()]++)\""
    r"|'(?P<single>(?:[^'\n`;|<>()&]|&(?!&))++)'"
    r"|(?P<bare>[^\s\"'`$;&|<>(){}\\‹]++)"
)
"""Nothing that a shell reads as more than a word, so that a mark hides no program."""

_FILLED_IN = re.compile(
    r"\$\{?[A-Za-z_][A-Za-z0-9_]*\}?|\$[({].*|\$\$|%[A-Za-z_]\w*%|%[sdr]|\{\{?.*|<.*|\[.*|\*+|x{3,}|\.{3,}|…+|@.*|`.*"
    r"|(?:self|this|settings|config|cfg|conf|os|env|process|args|opts|options|request|req|params|ctx|secrets|vault|var)"
    r"[.\[].*|[A-Za-z_][\w.]*\((?:.*\).*)?",
    re.DOTALL,
)
_NO_VALUE_WORDS = """
    true false none null nil undefined yes no on off set unset empty required optional incorrect
    invalid wrong missing expired unknown changed default prompt redacted masked hidden str string bytes int bool any
    object text secretstr file env stdin ask never always password passwd passphrase secret token key"""
_NO_VALUES = frozenset(_NO_VALUE_WORDS.split())
_PLACE = re.compile(r"(?:~|\.{1,2})?/[^/].*|[A-Za-z]:\\.*|\w+://.*", re.DOTALL)
_AT_END = re.compile(r"\\?[\"',;})\]]{0,3}[ \t]{0,8}(?:[\r\n#]|\Z|[\w.-]{1,40}[=:])")

_COMMAND_END = re.compile(r"[\n;|&]|\Z")
_PROGRAMS = tuple(
    (re.compile(rf"(?<![\w-])(?:{name})(?=[ \t])"), re.compile(rf"(?<!\S)(?:{flag})"))
    for name, flag in (
        (r"mysql(?:dump|admin|import|show|check|pump)?|mariadb(?:-dump|-admin)?", r"-p(?=[^\s-])"),
        (r"sshpass", r"-p[ \t]{0,3}(?=\S)"),
        (r"redis-cli", r"-a[ \t]{1,3}(?=\S)"),
        (r"curl", r"(?:-u[ \t]{0,3}|--(?:proxy-)?user[ \t=])[\"']?[^\s:\"']{0,64}:(?=\S)"),
        (r"docker|podman|helm|oras|buildah|skopeo", r"login(?=[ \t])[^\n;|&]{0,200}?[ \t]-p[ \t]{0,3}(?=[^\s-])"),
        (r"openssl", r"-pass(?:in|out)?[ \t]{1,3}[\"']?pass:(?=\S)"),
    )
)


def assigned(text: str, *, as_command: bool = False) -> Iterator[Stretch]:
    """`as_command`: nothing that a shell reads as more than a word is taken."""
    lowered = text.translate(_LOWER)
    for pattern in (_ASSIGNED, _OPTION):
        yield from _beside_names(pattern, text, lowered, as_command=as_command)
    for pattern in (_AUTHORIZATION, _BEARER):
        yield from (Stretch(*found.span(1), "authorization") for found in pattern.finditer(lowered))
    if "</" in text and not as_command:
        for found in _TAG.finditer(lowered):
            if not _is_filled_in(found[2]):
                yield Stretch(*found.span(2))
    yield from _given_to_programs(text, as_command=as_command)


def _beside_names(pattern: re.Pattern[str], text: str, lowered: str, *, as_command: bool) -> Iterator[Stretch]:
    at = 0
    while (found := pattern.search(lowered, at)) is not None:
        at = found.end()
        before = text[max(0, found.start() - _MAX_NAME_CHARS) : found.start()]
        prefix = before[len(before.rstrip(_NAME_CHARS)) :]
        if not found["sign"].strip() and not prefix.startswith("-"):
            continue
        value = _value(text, at, as_command=as_command)
        if value is None or not _is_secret(prefix.lstrip("-"), found, text, value):
            continue
        at = value.whole_end(text)
        yield Stretch(value.start, at, _KINDS.get(found["word"], "password"))


_KINDS = {"secret": "", "credential": "", "credentials": "", "auth": "", "token": "token", "key": "key"}


def _given_to_programs(text: str, *, as_command: bool) -> Iterator[Stretch]:
    for program, flag in _PROGRAMS:
        done = 0
        for name in program.finditer(text):
            if name.start() < done:
                continue
            end = _COMMAND_END.search(text, name.end())
            done = len(text) if end is None else end.start()
            for found in flag.finditer(text, name.end(), done):
                value = _value(text, found.end(), as_command=as_command)
                if value is not None and not _is_filled_in(text[value.start : value.end]):
                    yield Stretch(value.start, value.whole_end(text), "password")


@dataclass(frozen=True, slots=True)
class _Value:
    start: int
    end: int
    """As far as it was looked at."""
    rest: re.Pattern[str]
    is_quoted: bool

    def whole_end(self, text: str) -> int:
        """Looked for once it counts: whoever did so for every name would read a long text as often as it holds one."""
        longer = self.rest.match(text, self.end) if self.end - self.start > _JUDGED_CHARS else None
        return self.end if longer is None else longer.end()


def _value(text: str, at: int, *, as_command: bool) -> _Value | None:
    found = (_VALUE_OF_COMMAND if as_command else _VALUE).match(text, at, at + _JUDGED_CHARS + 4)
    if found is None:
        return None
    form = found.lastgroup or "bare"
    return _Value(*found.span(form), (_REST_IN_COMMAND if as_command else _REST[form]), form != "bare")


def _is_secret(prefix: str, found: re.Match[str], text: str, value: _Value) -> bool:
    word, sign, said = found["word"], found["sign"].strip(), text[value.start : value.end]
    name = prefix + text[found.start("word") : found.end("word")]
    if _is_filled_in(said) or name in _WORKING_DIRECTORY:
        return False
    is_long = value.end - value.start > _JUDGED_CHARS
    if sign == ":" and not (value.is_quoted or is_long or _AT_END.match(text, value.end)):
        return False  # a sentence: “password: must be longer”
    if word in _STRONG:
        return True
    is_constant = sign == "=" and name.isupper()
    stands_alone = not prefix or prefix[-1] in "_.-" or (prefix[-1].islower() and name[len(prefix)].isupper())
    if word in _STANDING_ALONE and not stands_alone:
        return False
    if word == "key" and not _is_of_a_secret_key(name, is_constant=is_constant and stands_alone):
        return False
    if _PLACE.fullmatch(said):
        return False
    if is_constant:
        return len(said) >= 6
    has_digit = any(character.isdigit() for character in said)
    return len(said) >= 8 and has_digit and not said.isdigit()


def _is_of_a_secret_key(name: str, *, is_constant: bool) -> bool:
    plain = name.lower().translate(_NO_JOINTS)
    return plain.endswith(_KEYS) or (is_constant and not plain.endswith(_OPEN_KEYS))


_NO_JOINTS = str.maketrans("", "", "_.-")


def _is_filled_in(value: str) -> bool:
    """A variable, a place holder, or a word that says that there is no value."""
    return _FILLED_IN.fullmatch(value) is not None or value.lower() in _NO_VALUES
