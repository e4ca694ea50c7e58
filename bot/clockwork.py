"""Settings -> what wakes agents besides people: cadences, schedules, hooks. The composition root's part for the clock.

Deliberately absent: when they come (see `flow/schedule`), and how a hook is proved (see `console/hooks`).
"""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

from bot.config import Settings
from bot.config.admissions import conversation
from bot.config.clock import HeartbeatSection, HookSection, ScheduleSection
from bot.config.woken import heartbeats
from bot.console.hooks import Hook, Signature
from bot.domain.event import InputKind
from bot.domain.session import AgentName, HookKey, MainKey, Peer, ScheduleKey, SessionKey, format_key
from bot.flow.schedule import ActiveHours, Cadence, Missed, Planned, Target


def to_cadences(settings: Settings) -> tuple[Cadence, ...]:
    return tuple(_cadence(settings, AgentName(name), section) for _, name, section in heartbeats(settings))


def _cadence(settings: Settings, agent: AgentName, section: HeartbeatSection) -> Cadence:
    hours, zone = section.active_hours, ZoneInfo(section.time_zone or settings.display.time_zone)
    is_word = section.target in frozenset(Target)
    return Cadence(
        agent=agent,
        session=_session(section.session, agent),
        every_s=section.every,
        prompt=section.prompt,
        target=Target(section.target) if is_word else replace(conversation(settings, section.target), agent=agent),
        active_hours=None if hours is None else ActiveHours(start=hours.start, end=hours.end, zone=zone),
    )


def to_planned(settings: Settings) -> tuple[Planned, ...]:
    return tuple(_planned(settings, section) for section in settings.schedule)


def _planned(settings: Settings, section: ScheduleSection) -> Planned:
    agent = AgentName(section.agent or settings.agent.name)
    own = format_key(ScheduleKey(agent=agent, name=section.name))
    is_command = section.command is not None
    on = f"on {section.node}: " if section.node is not None else ""
    return Planned(
        label=section.name,
        session=own if section.session is None else _session(section.session, agent),
        cron=section.cron,
        zone=ZoneInfo(section.time_zone or settings.display.time_zone),
        to=_to(settings, section, agent),
        kind=InputKind.COMMAND if is_command else InputKind.SCHEDULE,
        text=f"run {on}{section.command}" if is_command else section.text or "",
        missed=Missed(section.missed),
    )


def to_hooks(settings: Settings) -> tuple[Hook, ...]:
    return tuple(_hook(settings, section) for section in settings.hook)


def _hook(settings: Settings, section: HookSection) -> Hook:
    agent = AgentName(section.agent or settings.agent.name)
    own = format_key(HookKey(agent=agent, name=section.name))
    secret, token = section.secret, section.token
    return Hook(
        name=section.name,
        session=own if section.session is None else _session(section.session, agent),
        to=_to(settings, section, agent),
        text=section.text,
        fields=section.fields,
        token=None if token is None else token.get_secret_value(),
        secret=None if secret is None else secret.get_secret_value(),
        signature=Signature(section.signature),
    )


def _to(settings: Settings, section: ScheduleSection | HookSection, agent: AgentName) -> Peer | None:
    return None if section.to is None else replace(conversation(settings, section.to), agent=agent)


def _session(named: str, agent: AgentName) -> SessionKey:
    return format_key(MainKey(agent=agent)) if named == "main" else SessionKey(named)
