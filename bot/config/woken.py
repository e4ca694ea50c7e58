"""What [heartbeat], `[[schedule]]` and `[[hook]]` are wrong about beside each other and beside the accounts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bot.config.admissions import account_of, conversation
from bot.config.clock import HeartbeatSection, HookSection, ScheduleSection, WokenSection
from bot.config.settings import Settings
from bot.domain.session import DEFAULT_ACCOUNT, ChannelName, DirectScope, SessionKey, agent_of

_NO_PLACE = "is written to by nobody, so there is no place to tell it; "


def heartbeats(settings: Settings) -> Iterator[tuple[str, str, HeartbeatSection]]:
    """Dotted key, agent and section of every cadence: the default agent's, and those of agents with their own."""
    own = {agent.name: agent.heartbeat for agent in settings.agents if agent.heartbeat is not None}
    if settings.agent.name not in own:
        yield "heartbeat", settings.agent.name, settings.heartbeat
    for number, agent in enumerate(settings.agents):
        if agent.heartbeat is not None:
            yield f"agents[{number}].heartbeat", agent.name, agent.heartbeat


def woken_disagreements(settings: Settings) -> Iterator[tuple[str, str]]:
    """Pairs of dotted key and fault with remedy."""
    is_main_written = settings.session.dm_scope is DirectScope.MAIN
    for key, agent, section in heartbeats(settings):
        yield from _of_agent(f"{key}.session", section.session, agent)
        if section.every > 0 and section.session == "main" and section.target == "last" and not is_main_written:
            yield f"{key}.target", f"main {_NO_PLACE}write a conversation, none, or name a session"
        if section.target not in ("last", "none"):
            yield from _configured(settings, f"{key}.target", section.target)
    tables: tuple[tuple[str, Sequence[WokenSection]], ...]
    tables = (("schedule", settings.schedule), ("hook", settings.hook))
    for table, listed in tables:
        names = [one.name for one in listed]
        for number, one in enumerate(listed):
            at = f"{table}[{number}]"
            if names.index(one.name) != number:
                yield f"{at}.name", f"is the same as of {table}[{names.index(one.name)}]; give each its own"
            yield from _place(settings, at, one, is_main_written=is_main_written)
            if isinstance(one, ScheduleSection) and (one.text is None) == (one.command is None):
                yield f"{at}.text", "and command exclude each other, and one of them must stand there"
            if isinstance(one, ScheduleSection) and one.node is not None and one.command is None:
                yield f"{at}.node", "goes with command; remove it"
            if isinstance(one, HookSection):
                yield from _hook(at, one)


def _of_agent(key: str, session: str | None, agent: str) -> Iterator[tuple[str, str]]:
    """A session belongs to the agent in its key: it would answer, and the other be asked for nothing."""
    if session not in (None, "main") and agent_of(SessionKey(session)) != agent:
        yield key, f"is a session of {agent_of(SessionKey(session))}, and not of {agent}; name one of its own"


def _place(settings: Settings, at: str, one: WokenSection, *, is_main_written: bool) -> Iterator[tuple[str, str]]:
    known = {settings.agent.name, *(agent.name for agent in settings.agents)}
    if one.agent is not None and one.agent not in known:
        yield f"{at}.agent", f"names no agent; there are: {', '.join(sorted(known))}"
    if one.agent is not None:
        yield from _of_agent(f"{at}.session", one.session, one.agent)
    if (one.to is None) == (one.session is None):
        yield f"{at}.to", "and session exclude each other, and one of them must stand there"
    if one.session == "main" and not is_main_written:
        yield f"{at}.session", f"main {_NO_PLACE}write to, with a conversation"
    if one.to is not None:
        yield from _configured(settings, f"{at}.to", one.to)


def _hook(at: str, hook: HookSection) -> Iterator[tuple[str, str]]:
    if (hook.token is None) == (hook.secret is None):
        yield f"{at}.token", "and secret exclude each other, and one of them must stand there"
    for name in re.findall(r"\{([a-z0-9_]*)\}", hook.text):
        if name not in hook.fields:
            yield f"{at}.text", f"names a field that fields does not; there are: {', '.join(hook.fields) or 'none'}"


def _configured(settings: Settings, key: str, place: str) -> Iterator[tuple[str, str]]:
    peer = conversation(settings, place)
    known = {account_of(section) for section in settings.accounts()}
    known |= {(ChannelName("web"), DEFAULT_ACCOUNT)} if settings.web.enabled else set()
    if (peer.channel, peer.account) not in known:
        yield key, f"names an account that is not configured; add it under [[{peer.channel}]], or name another"
