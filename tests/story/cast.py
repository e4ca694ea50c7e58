"""Who and where in the stories: networks, peers, people, and the settings that they live under."""

from __future__ import annotations

from bot.app import CoreSettings
from bot.domain.directory import Directory, Person
from bot.domain.gate import Gate
from bot.domain.policy import Policy, Rule
from bot.domain.session import (
    AccountName,
    AgentName,
    ChannelName,
    DirectScope,
    MainKey,
    NativeId,
    Peer,
    PeerKind,
    PersonId,
    SessionKey,
    ThreadId,
    format_key,
)
from bot.flow.schedule import ActiveHours, Cadence, Target
from tests.gates import OPEN_GATE

NETWORKS = ("discord", "slack", "whatsapp")
ACCOUNTS = tuple((network, "default") for network in NETWORKS)
OWNER = Person(name="owner", ids=tuple(PersonId(f"{network}:owner") for network in NETWORKS))


def a_peer(
    native: str,
    *,
    channel: str = "discord",
    account: str = "default",
    kind: PeerKind = PeerKind.CHANNEL,
    thread: str | None = None,
    agent: str = "main",
) -> Peer:
    return Peer(
        agent=AgentName(agent),
        channel=ChannelName(channel),
        account=AccountName(account),
        kind=kind,
        id=NativeId(native),
        thread=None if thread is None else ThreadId(thread),
    )


def a_cadence(
    every_s: float,
    *,
    session: SessionKey | None = None,
    target: Target | Peer = Target.NONE,
    active_hours: ActiveHours | None = None,
    prompt: str = "Look whether anything needs attention.",
) -> Cadence:
    main = AgentName("main")
    return Cadence(
        agent=main,
        session=session or format_key(MainKey(agent=main)),
        every_s=every_s,
        prompt=prompt,
        target=target,
        active_hours=active_hours,
    )


def a_settings(
    *rules: Rule,
    owners: tuple[str, ...] = ("owner",),
    people: tuple[Person, ...] = (OWNER,),
    scope: DirectScope = DirectScope.PER_ACCOUNT_CHANNEL_PEER,
    cadence_every_s: float = 0.0,
    active_hours: ActiveHours | None = None,
    settling_s: float = 0.0,
    gate: Gate = OPEN_GATE,
) -> CoreSettings:
    return CoreSettings(
        policy=Policy(directory=Directory(people=people), owners=owners, rules=rules),
        gate=gate,
        scope=scope,
        cadences=(a_cadence(cadence_every_s, active_hours=active_hours),),
        poll_s=0.2,
        sweep_s=0.5,
        settling_s=settling_s,
    )
