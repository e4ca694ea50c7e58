"""Settings -> which agent answers where; and what several agents together, or one with what is installed, are wrong
about."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from bot.config.admissions import account_of
from bot.config.settings import Settings
from bot.domain.binding import Binding
from bot.domain.place import parse_place
from bot.domain.session import DEFAULT_ACCOUNT, AccountName, AgentName, ChannelName

EXTRA = "pip install 'homing[gateway,model]'"
_WIRES = frozenset({"openai", "openai-chat", "anthropic"})
"""Providers whose wire other servers speak as well."""


def to_bindings(settings: Settings) -> tuple[Binding, ...]:
    return tuple(_binding(agent.name, place) for agent in settings.agents for place in agent.bindings)


def _binding(name: str, place: str) -> Binding:
    """The place was checked: a channel, channel and account, or a conversation."""
    channel, _, account = place.partition(":")
    peer = parse_place(place).peer if place.count(":") >= 2 else None
    if peer is None:
        named = AccountName(account) if account else None
        return Binding(agent=AgentName(name), channel=ChannelName(channel), account=named)
    return Binding(agent=AgentName(name), channel=peer.channel, account=peer.account, peer=peer)


def agent_disagreements(settings: Settings) -> Iterator[tuple[str, str]]:
    """Pairs of dotted key and fault with remedy."""
    names = [agent.name for agent in settings.agents]
    taken: dict[str, int] = {}
    for number, agent in enumerate(settings.agents):
        if names.index(agent.name) != number:
            yield f"agents[{number}].name", f"is the same as of agents[{names.index(agent.name)}]; give each its own"
        if agent.base_url is not None and agent.provider not in _WIRES:
            yield f"agents[{number}].base_url", "goes with openai:… or anthropic:… only; remove it, or name that wire"
        for place in agent.bindings:
            first = taken.setdefault(place, number)
            named = _binding(agent.name, place)
            if named.account is not None and (named.channel, named.account) not in _accounts(settings):
                yield f"agents[{number}].bindings", f"names an account that no [[{named.channel}]] has; configure it"
            if first != number:
                yield f"agents[{number}].bindings", f"names a place that is agents[{first}]'s already; keep it in one"
    if settings.agents and find_spec("pydantic_ai") is None:
        yield "agents", f"need packages that are not installed; in Homing's checkout: {EXTRA}"


def _accounts(settings: Settings) -> set[tuple[ChannelName, AccountName]]:
    found = {account_of(section) for section in settings.accounts()}
    return found | ({(ChannelName("web"), DEFAULT_ACCOUNT)} if settings.web.enabled else set())
