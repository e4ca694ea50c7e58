"""Peers, session keys and return addresses: the one formatter and the one parser of keys.

Deliberately absent: any way from a key to an address. The key selects a conversation, the
stored peer delivers. Ids are opaque: compared byte for byte, never folded, never trimmed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NewType

from bot.errors import MalformedKey

AgentName = NewType("AgentName", str)
ChannelName = NewType("ChannelName", str)
"""A chat network: `discord`, `slack`, `whatsapp`, `web`."""
AccountName = NewType("AccountName", str)
"""One configured identity on a channel; `default` unless named."""
NativeId = NewType("NativeId", str)
"""The network's own id of a conversation. Unique within (channel, account, kind)."""
ThreadId = NewType("ThreadId", str)
"""The network's own id of a thread. Unique within its parent conversation."""
MessageId = NewType("MessageId", str)
"""The network's own id of a message. Unique within its conversation."""
PersonId = NewType("PersonId", str)
"""A human: the name that the config gives, else `<channel>:<the network's id of the person>`."""
DeliveryId = NewType("DeliveryId", str)
"""The network's id of one delivery to us. Unique within (channel, account)."""
SessionKey = NewType("SessionKey", str)
"""Which conversation of which agent, as text. Made by `format_key`, read by `parse_key`, only."""

DEFAULT_ACCOUNT = AccountName("default")
MAX_ID_CHARS = 512
"""The longest id that we take. Slack and Discord stay under 32, Matrix under 255; twice that is room."""


class PeerKind(StrEnum):
    CHANNEL = "channel"  # a room that many people share
    GROUP = "group"  # a conversation of several people that is no room
    DIRECT = "direct"  # one person and us


_KINDS = frozenset(kind.value for kind in PeerKind)
_SINKS = frozenset({"main", "direct", "schedule", "hook"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One conversation. Raises `MalformedKey` when made with an id that no key could carry."""

    agent: AgentName
    channel: ChannelName
    account: AccountName = DEFAULT_ACCOUNT
    kind: PeerKind
    id: NativeId
    thread: ThreadId | None = None

    def __post_init__(self) -> None:
        for name in ("agent", "channel", "account", "id"):
            _check_segment(name, getattr(self, name))
        if self.thread is not None:
            _check_segment("thread", self.thread)
        if str(self.account) in _KINDS:
            raise MalformedKey(f"an account may not be named like a kind of peer: {self.account!r}")
        if self.channel in _SINKS:
            raise MalformedKey(f"a channel may not be named {self.channel!r}: keys use that word")

    def parent(self) -> Peer:
        """The conversation that a thread hangs on; the peer itself where there is no thread."""
        return replace(self, thread=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnAddress:
    """Where a result comes home: captured when the request arrived, carried with the work."""

    peer: Peer
    message_id: MessageId | None
    """The message that asked, which the result answers. None where nothing asked (a schedule)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MainKey:
    """The agent's own session: internal, without people."""

    agent: AgentName


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonKey:
    """All direct conversations of one person, where the scope ties them together."""

    agent: AgentName
    person: PersonId


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleKey:
    agent: AgentName
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HookKey:
    agent: AgentName
    name: str


Session = Peer | MainKey | PersonKey | ScheduleKey | HookKey
"""What a session key names."""


class DirectScope(StrEnum):
    """How direct peers map to keys. Rooms, groups and threads always have a key of their own."""

    MAIN = "main"
    PER_PEER = "per-peer"
    PER_CHANNEL_PEER = "per-channel-peer"
    PER_ACCOUNT_CHANNEL_PEER = "per-account-channel-peer"


def key_for(
    peer: Peer,
    *,
    person: PersonId | None = None,
    scope: DirectScope = DirectScope.PER_ACCOUNT_CHANNEL_PEER,
) -> SessionKey:
    """The session of this peer. `person` is needed for `per-peer`, which ties a person's networks together."""
    if peer.kind is not PeerKind.DIRECT or peer.thread is not None:
        return format_key(peer)
    match scope:
        case DirectScope.MAIN:
            return format_key(MainKey(agent=peer.agent))
        case DirectScope.PER_PEER:
            if person is None:
                raise MalformedKey("the scope per-peer needs the person of the direct conversation")
            return format_key(PersonKey(agent=peer.agent, person=person))
        case DirectScope.PER_CHANNEL_PEER:
            return format_key(replace(peer, account=DEFAULT_ACCOUNT))
        case _:
            return format_key(peer)


def format_key(session: Session) -> SessionKey:
    """`agent:<agent>:<channel>[:<account>]:<kind>:<id>[:thread:<thread>]`, or one of the four sinks."""
    match session:
        case Peer():
            segments = [_escape(session.channel)]
            if session.account != DEFAULT_ACCOUNT:
                segments.append(_escape(session.account))
            segments += [session.kind.value, _escape(session.id)]
            if session.thread is not None:
                segments += ["thread", _escape(session.thread)]
        case MainKey():
            segments = ["main"]
        case PersonKey():
            segments = ["direct", _escape(_checked("person", session.person))]
        case ScheduleKey():
            segments = ["schedule", _escape(_checked("name", session.name))]
        case _:
            segments = ["hook", _escape(_checked("name", session.name))]
    return SessionKey(":".join(["agent", _escape(_checked("agent", session.agent)), *segments]))


def parse_key(text: str) -> Session:
    """The inverse of `format_key`, for exactly the texts that it makes. Else `MalformedKey`, naming the fault."""
    raw = text.split(":")
    if raw[0] != "agent":
        raise MalformedKey(f"a session key begins with 'agent:', this one does not: {_shown(text)}")
    if len(raw) < 3:
        raise MalformedKey(f"a session key names an agent and a conversation: {_shown(text)}")
    agent = AgentName(_unescape("agent", raw[1]))
    match raw[2:]:
        case ["main"]:
            return MainKey(agent=agent)
        case ["direct", person]:
            return PersonKey(agent=agent, person=PersonId(_unescape("person", person)))
        case ["schedule", name]:
            return ScheduleKey(agent=agent, name=_unescape("name", name))
        case ["hook", name]:
            return HookKey(agent=agent, name=_unescape("name", name))
    channel = ChannelName(_unescape("channel", raw[2]))
    return _parse_peer(text, agent, channel, raw[3:])


def agent_of(key: SessionKey) -> AgentName:
    """Whose session it is. All else that a key names is no address."""
    return parse_key(key).agent


def _parse_peer(text: str, agent: AgentName, channel: ChannelName, rest: list[str]) -> Peer:
    account = DEFAULT_ACCOUNT
    if rest and rest[0] not in _KINDS:
        account = AccountName(_unescape("account", rest[0]))
        rest = rest[1:]
        if account == DEFAULT_ACCOUNT:
            raise MalformedKey(f"the default account is left out of a key: {_shown(text)}")
    match rest:
        case [kind, native] if kind in _KINDS:
            thread = None
        case [kind, native, "thread", raw_thread] if kind in _KINDS:
            thread = ThreadId(_unescape("thread", raw_thread))
        case _:
            raise MalformedKey(
                "after the channel a key names channel, group or direct, "
                f"then one id, then at most a thread: {_shown(text)}"
            )
    return Peer(
        agent=agent,
        channel=channel,
        account=account,
        kind=PeerKind(kind),
        id=NativeId(_unescape("id", native)),
        thread=thread,
    )


def person_on(channel: ChannelName, native: str) -> PersonId:
    """A person as one channel authenticates them, before the config ties ids together."""
    return PersonId(f"{channel}:{_checked('person', native)}")


def _check_segment(name: str, value: str) -> None:
    if not value:
        raise MalformedKey(f"an empty {name} names nothing")
    if len(value) > MAX_ID_CHARS:
        raise MalformedKey(f"the {name} has {len(value)} characters, at most {MAX_ID_CHARS} are taken")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise MalformedKey(f"the {name} holds half a surrogate pair, which no store can keep")
    if "\x00" in value:
        # PostgreSQL text cannot hold NUL: https://www.postgresql.org/docs/current/datatype-character.html
        raise MalformedKey(f"the {name} holds a NUL character")


def _checked(name: str, value: str) -> str:
    _check_segment(name, value)
    return value


def _escape(segment: str) -> str:
    return segment.replace("%", "%25").replace(":", "%3A")


def _unescape(name: str, segment: str) -> str:
    for at, character in enumerate(segment):
        if character == "%" and segment[at : at + 3] not in ("%25", "%3A"):
            raise MalformedKey(f"the {name} has '%' without '25' or '3A' behind it: {_shown(segment)}")
    value = segment.replace("%3A", ":").replace("%25", "%")
    _check_segment(name, value)
    return value


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
