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
    NativeId,
    Peer,
    PeerKind,
    PersonId,
    ThreadId,
)
from bot.flow.schedule import ActiveHours
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
        cadence_every_s=cadence_every_s,
        active_hours=active_hours,
        poll_s=0.2,
        sweep_s=0.5,
        settling_s=settling_s,
    )
