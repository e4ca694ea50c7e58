"""The accounts of the settings -> the domain's gate and fallbacks; what several of them together are wrong about.

Deliberately absent: what a single key can be wrong about (see `accounts`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pydantic import SecretStr

from bot.config.accounts import AccountSection, RoomsSection
from bot.config.settings import Settings
from bot.domain.gate import Admission, Gate, RoomPolicy
from bot.domain.place import ANYONE, parse_place
from bot.domain.session import DEFAULT_ACCOUNT, AccountName, AgentName, ChannelName, Peer
from bot.errors import MalformedKey


def to_gate(settings: Settings) -> Gate:
    """One admission for each account of a network; the web chat signs people in by itself."""
    return Gate(admissions={account_of(section): _admission(section) for section in settings.accounts()})


def to_fallbacks(settings: Settings) -> dict[tuple[ChannelName, AccountName], Peer]:
    """Where a word is left of what an account could not tell."""
    return {
        account_of(section): conversation(settings, section.fallback)
        for section in settings.accounts()
        if section.fallback is not None
    }


def conversation(settings: Settings, place: str) -> Peer:
    """The conversation that a place of the file names, as our agent's. Raises `MalformedKey`."""
    peer = parse_place(place).peer
    if peer is None:
        raise MalformedKey(
            'a place names no single conversation; write channel, kind and id, such as "web:channel:ops"'
        )
    return replace(peer, agent=AgentName(settings.agent.name))


def account_of(section: AccountSection) -> tuple[ChannelName, AccountName]:
    return ChannelName(section.channel), AccountName(section.account)


def hears(section: AccountSection) -> str:
    """Whom an account hears, in words for an operator."""
    alone = f"alone {section.dm_policy.value}"
    if not isinstance(section, RoomsSection):
        return alone
    if section.room_policy is not RoomPolicy.ALLOWLIST:
        return f"{alone}; rooms {section.room_policy.value}"
    return f"{alone}; rooms allowlist ({len(section.rooms)} rooms, {len(section.spaces)} spaces)"


def _admission(section: AccountSection) -> Admission:
    admission = Admission(dm_policy=section.dm_policy, allow_from=section.allow_from, room_policy=RoomPolicy.DISABLED)
    if not isinstance(section, RoomsSection):
        return admission
    return replace(
        admission,
        room_policy=section.room_policy,
        rooms=frozenset(section.rooms),
        spaces=frozenset(section.spaces),
        require_mention=section.require_mention,
    )


def account_disagreements(settings: Settings) -> Iterator[tuple[str, str]]:
    """Pairs of dotted key and fault with remedy."""
    for key, sections in _tables(settings):
        named = [section.account for section in sections]
        for number, name in enumerate(named):
            if named.index(name) != number:
                first = f"{key}[{named.index(name)}]"
                yield f"{key}[{number}].account", f"is the same as of {first}; give each account a name of its own"
    yield from _one_identity_an_account(settings)
    yield from _one_address_a_process(settings)
    yield from _public_address(settings)
    configured = {account_of(section) for section in settings.accounts()}
    if settings.web.enabled:
        configured.add((ChannelName("web"), DEFAULT_ACCOUNT))
    for key, place in _places(settings):
        peer = conversation(settings, place)
        if (peer.channel, peer.account) not in configured:
            yield key, f"names an account that is not configured; add it under [[{peer.channel}]], or name another"
    for number, one in enumerate(settings.slack):
        if one.app_token is None and one.signing_secret is None:
            yield (
                f"slack[{number}].app_token",
                "is missing, and so is signing_secret; write app_token (Socket Mode) or signing_secret (HTTP Events)",
            )


_IDENTITY = {"discord": ("token",), "slack": ("bot_token", "app_token"), "whatsapp": ("sender",)}
"""By what a network knows an account. Two of one identity would each hear what is said to it, or take it away."""


def _one_identity_an_account(settings: Settings) -> Iterator[tuple[str, str]]:
    for table, sections in _tables(settings):
        for name in _IDENTITY[table]:
            seen: dict[str, int] = {}
            for number, section in enumerate(sections):
                value = getattr(section, name)
                shown = value.get_secret_value() if isinstance(value, SecretStr) else value
                if shown and seen.setdefault(shown, number) != number:
                    yield (
                        f"{table}[{number}].{name}",
                        f"is the same as of {table}[{seen[shown]}]: one bot is one account; make another, or remove it",
                    )


def listed_people(settings: Settings) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The allow lists, with their keys; everybody is no name."""
    for key, sections in _tables(settings):
        for number, section in enumerate(sections):
            yield f"{key}[{number}].allow_from", tuple(name for name in section.allow_from or () if name != ANYONE)


def account_warnings(settings: Settings) -> Iterator[str]:
    """What can be run as it stands, and is probably not meant."""
    for key, sections in _tables(settings):
        for number, section in enumerate(sections):
            at = f"{key}[{number}]"
            if section.allow_from == ():
                yield f"{at}.allow_from is empty, which is nobody; name people, or leave the key out"
            if not isinstance(section, RoomsSection):
                continue
            is_listing = section.room_policy is RoomPolicy.ALLOWLIST
            if is_listing and not section.rooms and not section.spaces:
                yield (
                    f"{at} names no rooms and no spaces: no room hears it; add their ids, or write "
                    'room_policy = "disabled" where direct conversations are all that it is for'
                )
            if not is_listing and (section.rooms or section.spaces):
                yield f"{at}.room_policy is {section.room_policy.value}, so its rooms and spaces mean nothing"
    for number, rule in enumerate(settings.rule):
        if rule.copy_to and rule.action.value != "ask":
            yield f"rule[{number}] does not ask, so its copy_to means nothing; remove it"


def _tables(settings: Settings) -> Iterator[tuple[str, tuple[AccountSection, ...]]]:
    yield "discord", settings.discord
    yield "slack", settings.slack
    yield "whatsapp", settings.whatsapp


def _places(settings: Settings) -> Iterator[tuple[str, str]]:
    for key, sections in _tables(settings):
        for number, section in enumerate(sections):
            if section.fallback is not None:
                yield f"{key}[{number}].fallback", section.fallback
    for number, rule in enumerate(settings.rule):
        for place in rule.copy_to:
            yield f"rule[{number}].copy_to", place
    if settings.break_glass is not None:
        for place in settings.break_glass.announce_to:
            yield "break_glass.announce_to", place


def _one_address_a_process(settings: Settings) -> Iterator[tuple[str, str]]:
    """discord.py keeps both addresses in module variables."""
    for name in ("api_base", "gateway_url"):
        values = [getattr(one, name) for one in settings.discord]
        for number, value in enumerate(values):
            if value != values[0]:
                said = "differs from discord[0]; Discord's library knows one for all accounts: run a second gateway"
                yield f"discord[{number}].{name}", said


def _public_address(settings: Settings) -> Iterator[tuple[str, str]]:
    public = settings.gateway.public_url
    if public is not None and public.startswith("https://"):
        return
    needing = [
        f"slack[{number}] without an app_token" for number, one in enumerate(settings.slack) if not one.app_token
    ]
    needing += [f"whatsapp[{number}]" for number in range(len(settings.whatsapp))]
    if needing:
        remedy = "name the address of the proxy with TLS that stands in front of this gateway"
        yield "gateway.public_url", f"is needed, with https, by {', '.join(needing)}, which deliver there; {remedy}"
