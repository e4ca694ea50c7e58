"""Stretches of a text that are secrets by their look alone: tokens of well-known services, keys, passwords in URLs.

Each is looked for at letters that it must hold (an anchor), with patterns that never go back, so the work grows with
the text and not faster. Deliberately absent: what is secret by the name beside it (see `assigned`).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stretch:
    """Part of a text that is secret. `kind` is "" where it is not known, None where it goes on from a marked one."""

    start: int
    end: int
    kind: str | None = ""


@dataclass(frozen=True, slots=True)
class _Shape:
    kind: str
    anchors: tuple[str, ...]
    """What it begins with."""
    pattern: re.Pattern[str]
    """Matched at the anchor; its group, where it has one, is the secret."""
    is_one: Callable[[str], bool] = lambda _: True


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)


def _shape(kind: str, anchors: str, rest: str, is_one: Callable[[str], bool] = lambda _: True) -> _Shape:
    names = tuple(anchors.split())
    begin = "|".join(map(re.escape, names))
    # A long begin with its sign is no part of another word; then a token is one also where it is glued to a word.
    alone = "" if all(len(name) >= 4 and not name.isalnum() for name in names) else "(?<![A-Za-z0-9])"
    return _Shape(kind, names, re.compile(rf"{alone}(?:{begin}){rest}"), is_one)


_SHAPES = (
    # https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github
    _shape("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"[A-Za-z0-9_]{20,}+"),
    _shape("GitHub token", "github_pat_", r"[A-Za-z0-9_]{20,}+"),
    # https://docs.gitlab.com/security/tokens/#token-prefixes
    _shape(
        "GitLab token",
        "glpat- gloas- gldt- glrt- glcbt- glptt- glft- glimt- glagent- glsoat- glffct-",
        r"[A-Za-z0-9_.-]{16,}+",
    ),
    # https://docs.slack.dev/authentication/tokens
    _shape(
        "Slack token",
        "xoxa- xoxb- xoxc- xoxd- xoxe- xoxe. xoxo- xoxp- xoxr- xoxs-",
        r"[A-Za-z0-9.%-]{10,}+",
        _has_digit,
    ),
    _shape("Slack token", "xapp- xwfp-", r"[A-Za-z0-9-]{10,}+", _has_digit),
    _shape("Slack webhook", "hooks.slack.com/", r"(?:services|workflows|triggers)/([A-Za-z0-9/_-]{16,}+)"),
    _shape("Discord webhook", "discord.com/api/ discordapp.com/api/", r"webhooks/[0-9]{5,20}/([A-Za-z0-9_-]{30,}+)"),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes
    _shape("AWS key id", "AKIA ASIA ABIA ACCA", r"[A-Z2-7]{16}(?![A-Za-z0-9])"),
    _shape("Google key", "AIza", r"[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    _shape("Google token", "ya29.", r"[A-Za-z0-9_.-]{20,}+"),
    _shape("Google secret", "GOCSPX-", r"[A-Za-z0-9_-]{20,}+"),
    # https://docs.stripe.com/keys
    _shape("Stripe key", "sk_live_ sk_test_ rk_live_ rk_test_", r"[A-Za-z0-9]{10,}+"),
    _shape("Stripe secret", "whsec_", r"[A-Za-z0-9+/=]{16,}+"),
    # OpenAI's and Anthropic's, and many others' in their likeness; without a digit it is a word of a style sheet.
    _shape("API key", "sk-", r"[A-Za-z0-9_-]{20,}+", _has_digit),
    # https://www.twilio.com/docs/glossary/what-is-a-sid; an account's SID is no secret, its token beside it is
    _shape("Twilio key", "SK", r"[0-9a-f]{32}(?![A-Za-z0-9])"),
    _shape(
        "Twilio token",
        "AC",
        r"[0-9a-f]{32}(?![A-Za-z0-9])[^\n]{0,80}?(?<![A-Za-z0-9])([0-9a-f]{32})(?![A-Za-z0-9])",
    ),
    _shape("npm token", "npm_", r"[A-Za-z0-9]{30,}+"),
    # The pages of the package index on API secrets.
    _shape("PyPI token", "pypi-", r"[A-Za-z0-9_-]{50,}+"),
    _shape("Hugging Face token", "hf_ api_org_", r"[A-Za-z0-9]{30,}+"),
    _shape("SendGrid key", "SG.", r"[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{16,}+"),
    _shape("DigitalOcean token", "dop_v1_ doo_v1_ dor_v1_", r"[0-9a-f]{40,}+"),
    _shape("Docker token", "dckr_pat_ dckr_oat_", r"[A-Za-z0-9_-]{20,}+"),
    _shape("Grafana token", "glsa_ glc_", r"[A-Za-z0-9_=+/]{30,}+"),
    _shape("Vault token", "hvs. hvb. hvr.", r"[A-Za-z0-9_-]{20,}+"),
    _shape("Shopify token", "shpat_ shpca_ shppa_ shpss_", r"[0-9A-Fa-f]{32,}+"),
    _shape("age key", "AGE-SECRET-KEY-1", r"[0-9A-Z]{40,}+"),
    # https://datatracker.ietf.org/doc/html/rfc7519: header and claims are JSON objects, so both begin with `{"`
    _shape("JWT", "eyJ", r"[A-Za-z0-9_-]{8,}+\.eyJ[A-Za-z0-9_-]{4,}+\.[A-Za-z0-9_-]*+"),
)

# https://docs.discord.com/developers/reference#authentication: the bot's id in base64, a time, a signature
_DISCORD_REST = re.compile(r"\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,}+")
_DISCORD_ID = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9_-]{22,30}\Z")
_TELEGRAM = re.compile(r"(?<![A-Za-z0-9])[0-9]{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])")

# A user may stand before the colon and is shown; what the shell would fill in is no secret yet.
_IN_URL = re.compile(r"://[^\s/@:\"'<>]{0,128}+:(?!\$[A-Za-z_{(])([^\s/\"'<>‹]{1,256})@")
_IN_URL_OF_COMMAND = re.compile(r"://[^\s/@:\"'<>]{0,128}+:([^\s/\"'<>‹`;|&()$\\]{1,256})@")


def shaped(text: str, *, as_command: bool = False) -> Iterator[Stretch]:
    """`as_command`: nothing that a shell reads as more than a word is taken, so that a mark hides no program."""
    for shape in _SHAPES:
        yield from _of(shape, text)
    yield from _discord(text)
    if ":AA" in text:
        yield from (Stretch(*found.span(), "Telegram token") for found in _TELEGRAM.finditer(text))
    at_url = _IN_URL_OF_COMMAND if as_command else _IN_URL
    if "://" in text:
        yield from (Stretch(*found.span(1), "password") for found in at_url.finditer(text))
    yield from _private_keys(text, as_command=as_command)


def _of(shape: _Shape, text: str) -> Iterator[Stretch]:
    for anchor in shape.anchors:
        at = text.find(anchor)
        while at >= 0:
            found = shape.pattern.match(text, at)
            after = at + len(anchor)
            if found is not None:
                after = found.end()
                if shape.is_one(found[0]):
                    yield Stretch(*found.span(found.re.groups), shape.kind)
            at = text.find(anchor, after)


def _discord(text: str) -> Iterator[Stretch]:
    for rest in _DISCORD_REST.finditer(text):
        found = _DISCORD_ID.search(text, max(0, rest.start() - 31), rest.start())
        if found is not None and _is_number_in_base64(found[0]):
            yield Stretch(found.start(), rest.end(), "Discord token")


def _is_number_in_base64(text: str) -> bool:
    # One letter alone in the last group of four is half of nothing.
    return len(text) % 4 != 1 and base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).isdigit()


# --- private keys -------------------------------------------------------------------------------------

_EDGE = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
MAX_KEY_CHARS = 16_384
"""Of one private key with its lines: RSA of 16,384 bits has some 12,800. What stands further apart is two things."""
_BODY = re.compile(
    r"(?:[ \t\r\n|>]|\\[nr]|[A-Za-z0-9+/=]{16,}+|[A-Za-z0-9+/]{1,15}+(?:={1,2}+|\Z)"
    r"|(?:Proc-Type|DEK-Info|Comment|Version|Hash):[^\n\\]{0,100}+)*+"
)
"""What follows a key's first line where its last one is missing."""
_BODY_LINE = re.compile(r"[ \t|>]{0,16}+(?:[A-Za-z0-9+/]{1,100}+={0,2}+(?:\\[nr])*+)*+[ \t\r]{0,4}+\n?")
_BODY_OF_COMMAND = re.compile(
    r"(?:(?:\s|\\n){1,4}+(?!/(?:[^/\s]{0,100}/){3})[A-Za-z0-9+/]{40,100}+={0,2}+){1,400}+"
    r"(?:(?:\s|\\n){1,4}+[A-Za-z0-9+/]{1,39}+={0,2}+)?(?:\s|\\n){0,4}+"
)
"""Lines as long as those of keys, none of which a shell could take for a program's path: a mark may hide no program."""


def _private_keys(text: str, *, as_command: bool) -> Iterator[Stretch]:
    if "PRIVATE KEY" not in text:
        return
    opened, floor = None, 0
    for edge in _EDGE.finditer(text):
        until = edge.start()
        if opened is not None:
            if edge[1] == "BEGIN" or until - opened > MAX_KEY_CHARS:
                until = _body_end(text, opened, until)
            yield from _key(text, opened, until, as_command=as_command)
        elif edge[1] == "END" and not as_command:
            yield from _key(text, _body_start(text, floor, until), until, as_command=False)
        floor = edge.end()
        opened = floor if edge[1] == "BEGIN" else None
    if opened is not None:
        yield from _key(text, opened, _body_end(text, opened, len(text)), as_command=as_command)


def _key(text: str, start: int, end: int, *, as_command: bool) -> Iterator[Stretch]:
    if text[start:end].strip() and (not as_command or _BODY_OF_COMMAND.fullmatch(text, start, end)):
        yield Stretch(start, end, "private key")


def _body_end(text: str, start: int, limit: int) -> int:
    found = _BODY.match(text, start, limit)
    return start if found is None else found.end()


def _body_start(text: str, floor: int, end: int) -> int:
    """Where the lines of a key begin that ends here and whose first line is missing."""
    start = end
    while floor < start and end - start < MAX_KEY_CHARS:
        line = max(floor, text.rfind("\n", floor, start - 1) + 1)
        if not _BODY_LINE.fullmatch(text, line, start):
            break
        start = line
    return start
