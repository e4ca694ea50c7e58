"""Session keys: one formatter, one parser, each the inverse of the other; a malformed key is an error, never main."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.session import (
    DEFAULT_ACCOUNT,
    MAX_ID_CHARS,
    AccountName,
    AgentName,
    ChannelName,
    DirectScope,
    HookKey,
    MainKey,
    MessageId,
    NativeId,
    Peer,
    PeerKind,
    PersonId,
    PersonKey,
    ReturnAddress,
    ScheduleKey,
    Session,
    SessionKey,
    ThreadId,
    agent_of,
    format_key,
    key_for,
    parse_key,
    person_on,
)
from bot.errors import MalformedKey

HOSTILE = [
    ":",
    "%",
    "/",
    " ",
    "%3A",
    "%25",
    "%253A",
    "%3a",
    "a:channel:b",
    "agent:main:main",
    ":thread:",
    "main",
    "thread",
    "channel",
    "group",
    "direct",
    "default",
    "👍🏽 é́",
    "\u202e\u200b\ufeff",
    "C0AB",
    "c0ab",
    "\n\t\r",
    " leading and trailing ",
    "x" * MAX_ID_CHARS,
    "🦆" * MAX_ID_CHARS,
    ":" * MAX_ID_CHARS,
]
letters = st.characters(codec="utf-8", exclude_characters="\x00")
ids = st.sampled_from(HOSTILE) | st.text(letters, min_size=1, max_size=40) | st.text(":%3Aathred", min_size=1)
channels = ids.filter(lambda name: name not in {"main", "direct", "schedule", "hook"})
accounts = st.just("default") | ids.filter(lambda name: name not in {"channel", "group", "direct"})
peers = st.builds(
    Peer,
    agent=ids.map(AgentName),
    channel=channels.map(ChannelName),
    account=accounts.map(AccountName),
    kind=st.sampled_from(PeerKind),
    id=ids.map(NativeId),
    thread=st.none() | ids.map(ThreadId),
)
sessions: st.SearchStrategy[Session] = (
    peers
    | st.builds(MainKey, agent=ids.map(AgentName))
    | st.builds(PersonKey, agent=ids.map(AgentName), person=ids.map(PersonId))
    | st.builds(ScheduleKey, agent=ids.map(AgentName), name=ids)
    | st.builds(HookKey, agent=ids.map(AgentName), name=ids)
)
SEED = Peer(
    agent=AgentName("main"),
    channel=ChannelName("discord"),
    kind=PeerKind.CHANNEL,
    id=NativeId("1469129735133932162"),
)


def peer(native: str = "C1", **changes: object) -> Peer:
    made: Callable[..., Peer] = Peer
    parts: dict[str, object] = {"agent": "main", "channel": "slack", "kind": PeerKind.CHANNEL, "id": native}
    return made(**{**parts, **changes})


@given(sessions)
def test_what_was_formatted_is_parsed_to_the_same_session(session: Session) -> None:
    assert parse_key(format_key(session)) == session


@given(peers)
def test_in_the_default_scope_the_peer_itself_comes_back_from_its_key(one: Peer) -> None:
    assert parse_key(key_for(one)) == one


@given(peers, peers)
def test_two_peers_never_share_a_key_in_the_default_scope(one: Peer, other: Peer) -> None:
    assert (key_for(one) == key_for(other)) == (one == other)


segments = st.sampled_from(
    ["main", "discord", "channel", "group", "direct", "thread", "schedule", "hook", "default", "x", "", "%3A", "%"]
) | st.text("%23A5:x", max_size=4)
texts = st.one_of(
    sessions.map(format_key),
    st.builds(lambda rest: ":".join(["agent", *rest]), st.lists(segments, min_size=2, max_size=7)),
    st.builds(
        lambda key, at, put: key[:at] + put + key[at + 1 :], sessions.map(format_key), st.integers(0, 40), segments
    ),
    st.text(max_size=60),
)


@given(texts)
@settings(max_examples=400)
def test_a_text_either_is_the_one_key_of_its_session_or_is_malformed(text: str) -> None:
    try:
        session = parse_key(text)
    except MalformedKey:
        return
    assert format_key(session) == text
    assert isinstance(session, MainKey) == (text.split(":")[2:] == ["main"]), "and nothing falls back to main"


@pytest.mark.parametrize(
    ("session", "key"),
    [
        (SEED, "agent:main:discord:channel:1469129735133932162"),
        (replace(SEED, thread=ThreadId("17")), "agent:main:discord:channel:1469129735133932162:thread:17"),
        (replace(SEED, account=AccountName("work")), "agent:main:discord:work:channel:1469129735133932162"),
        (peer("17.5", kind=PeerKind.GROUP), "agent:main:slack:group:17.5"),
        (peer("+491", channel="whatsapp", kind=PeerKind.DIRECT), "agent:main:whatsapp:direct:+491"),
        (peer("a:b%c/d e"), "agent:main:slack:channel:a%3Ab%25c/d e"),
        (peer(account="thread", thread="thread"), "agent:main:slack:thread:channel:C1:thread:thread"),
        (peer(channel="channel", account="main"), "agent:main:channel:main:channel:C1"),
        (MainKey(agent=AgentName("main")), "agent:main:main"),
        (PersonKey(agent=AgentName("main"), person=PersonId("web:ada")), "agent:main:direct:web%3Aada"),
        (ScheduleKey(agent=AgentName("main"), name="nightly"), "agent:main:schedule:nightly"),
        (HookKey(agent=AgentName("ops"), name="ci"), "agent:ops:hook:ci"),
    ],
)
def test_keys_have_the_form_that_users_know(session: Session, key: str) -> None:
    assert format_key(session) == key
    assert parse_key(key) == session


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "begins with 'agent:'"),
        ("main", "begins with 'agent:'"),
        ("agents:main:main", "begins with 'agent:'"),
        ("Agent:main:main", "begins with 'agent:'"),
        (" agent:main:main", "begins with 'agent:'"),
        ("discord:channel:1", "begins with 'agent:'"),
        ("agent", "names an agent and a conversation"),
        ("agent:main", "names an agent and a conversation"),
        ("agent::main", "an empty agent"),
        ("agent:main:", "an empty channel"),
        ("agent:main::channel:1", "an empty channel"),
        ("agent:main:direct:", "an empty person"),
        ("agent:main:schedule:", "an empty name"),
        ("agent:main:hook:", "an empty name"),
        ("agent:main:discord", "names channel, group or direct"),
        ("agent:main:discord:channel", "names channel, group or direct"),
        ("agent:main:discord:channel:", "an empty id"),
        ("agent:main:discord::channel:1", "an empty account"),
        ("agent:main:discord:room:1", "names channel, group or direct"),
        ("agent:main:discord:Channel:1", "names channel, group or direct"),
        ("agent:main:discord:channel:1:", "at most a thread"),
        ("agent:main:discord:channel:1:2", "at most a thread"),
        ("agent:main:discord:channel:1:thread", "at most a thread"),
        ("agent:main:discord:channel:1:thread:", "an empty thread"),
        ("agent:main:discord:channel:1:Thread:2", "at most a thread"),
        ("agent:main:discord:channel:1:thread:2:3", "at most a thread"),
        ("agent:main:discord:work:channel", "names channel, group or direct"),
        ("agent:main:discord:work:room:1", "names channel, group or direct"),
        ("agent:main:discord:default:channel:1", "the default account is left out"),
        ("agent:main:discord:group:channel:1", "at most a thread"),
        ("agent:main:main:main", "names channel, group or direct"),
        ("agent:main:main:channel:1", "a channel may not be named 'main'"),
        ("agent:main:direct:channel:1", "a channel may not be named 'direct'"),
        ("agent:main:schedule:group:1", "a channel may not be named 'schedule'"),
        ("agent:main:hook:work:direct:1", "a channel may not be named 'hook'"),
        ("agent:main:discord:channel:100%", "'%' without '25' or '3A'"),
        ("agent:main:discord:channel:%3a", "'%' without '25' or '3A'"),
        ("agent:main:discord:channel:%2525%41", "'%' without '25' or '3A'"),
        ("agent:%:main", "the agent has '%'"),
        ("agent:main:dis%63ord:channel:1", "the channel has '%'"),
        ("agent:main:discord:%63hannel:channel:1", "the account has '%'"),
        ("agent:main:discord:channel:1:thread:%", "the thread has '%'"),
        ("agent:main:discord:channel:" + "x" * 513, "the id has 513 characters, at most 512"),
        ("agent:main:discord:channel:1:thread:" + "x" * 513, "the thread has 513 characters"),
        ("agent:" + "x" * 513 + ":main", "the agent has 513 characters"),
        ("agent:main:discord:channel:a\x00b", "the id holds a NUL character"),
        ("agent:main:discord:channel:a\ud800", "the id holds half a surrogate pair"),
        ("agent:main:schedule:\udfff", "the name holds half a surrogate pair"),
    ],
)
def test_a_malformed_key_is_an_error_that_names_the_fault_and_never_main(text: str, fault: str) -> None:
    with pytest.raises(MalformedKey) as raised:
        parse_key(text)
    assert fault in str(raised.value)
    assert len(str(raised.value)) < 300, "a hostile key does not flood the one line of an error"


@pytest.mark.parametrize("part", ["agent", "channel", "account", "id", "thread"])
@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("", "an empty {} names nothing"),
        ("x" * 513, "the {} has 513 characters, at most 512 are taken"),
        ("a\x00", "the {} holds a NUL character"),
        ("\udc80", "the {} holds half a surrogate pair"),
    ],
)
def test_a_peer_cannot_be_made_of_what_no_key_could_carry(part: str, value: str, fault: str) -> None:
    with pytest.raises(MalformedKey, match=fault.format(part)):
        peer(**{part: value})


@pytest.mark.parametrize("name", list(PeerKind))
def test_an_account_may_not_be_named_like_a_kind(name: str) -> None:
    with pytest.raises(MalformedKey, match="an account may not be named like a kind"):
        peer(account=name)


@pytest.mark.parametrize("name", ["main", "direct", "schedule", "hook"])
def test_a_channel_may_not_be_named_like_a_session_without_people(name: str) -> None:
    with pytest.raises(MalformedKey, match="a channel may not be named"):
        peer(channel=name)


@pytest.mark.parametrize("size", [1, 2, 511, 512])
@pytest.mark.parametrize("letter", ["x", ":", "%", "🦆"])
def test_ids_of_1_to_512_characters_are_taken_whatever_their_escaped_length(size: int, letter: str) -> None:
    assert parse_key(format_key(peer(letter * size))) == peer(letter * size)


@pytest.mark.parametrize(
    "session",
    [
        PersonKey(agent=AgentName("main"), person=PersonId("")),
        ScheduleKey(agent=AgentName("main"), name=""),
        HookKey(agent=AgentName("main"), name="x" * 513),
        MainKey(agent=AgentName("")),
        ScheduleKey(agent=AgentName("\ud800"), name="x"),
        HookKey(agent=AgentName("main"), name="\x00"),
    ],
    ids=repr,
)
def test_no_key_is_made_of_a_session_that_could_not_be_read_back(session: Session) -> None:
    with pytest.raises(MalformedKey):
        format_key(session)


@given(st.text(string.ascii_letters, min_size=1).filter(lambda text: text.swapcase() != text))
def test_ids_that_differ_only_in_case_stay_apart(native: str) -> None:
    keys = {key_for(peer(native)), key_for(peer(native.swapcase()))}
    assert len(keys) == 2
    assert {parse_key(key) for key in keys} == {peer(native), peer(native.swapcase())}


def test_ids_that_look_alike_after_normalization_stay_apart() -> None:
    alike = ["é", "e\u0301", "K", "\u212a", "a", "a ", " a", "1", "１"]
    assert len({key_for(peer(native)) for native in alike}) == len(alike)


def test_parts_cannot_be_moved_into_one_another() -> None:
    """What an id holds never becomes an account, a kind or a thread."""
    asked = [peer("C1:thread:2"), peer("C1", thread="2"), peer("work:channel:C1"), peer("C1", account="work")]
    assert len({key_for(one) for one in asked}) == 4
    assert [parse_key(key_for(one)) for one in asked] == asked


DIRECT = peer("U1", kind=PeerKind.DIRECT, account="work")


@pytest.mark.parametrize(
    ("scope", "key"),
    [
        (DirectScope.MAIN, "agent:main:main"),
        (DirectScope.PER_PEER, "agent:main:direct:ada"),
        (DirectScope.PER_CHANNEL_PEER, "agent:main:slack:direct:U1"),
        (DirectScope.PER_ACCOUNT_CHANNEL_PEER, "agent:main:slack:work:direct:U1"),
    ],
)
def test_a_scope_says_which_direct_conversations_share_a_session(scope: DirectScope, key: str) -> None:
    assert key_for(DIRECT, person=PersonId("ada"), scope=scope) == key


@pytest.mark.parametrize("scope", list(DirectScope))
@pytest.mark.parametrize(
    "one", [peer("C1"), peer("G1", kind=PeerKind.GROUP), replace(DIRECT, thread=ThreadId("5"))], ids=str
)
def test_rooms_groups_and_threads_have_a_key_of_their_own_in_every_scope(scope: DirectScope, one: Peer) -> None:
    assert parse_key(key_for(one, person=PersonId("ada"), scope=scope)) == one


def test_the_scope_per_peer_without_a_person_is_an_error_and_not_main() -> None:
    with pytest.raises(MalformedKey, match="needs the person"):
        key_for(DIRECT, scope=DirectScope.PER_PEER)
    with pytest.raises(MalformedKey, match="an empty person"):
        key_for(DIRECT, person=PersonId(""), scope=DirectScope.PER_PEER)


@given(peers, st.sampled_from(DirectScope))
def test_nothing_but_the_scope_main_ever_leads_to_main(one: Peer, scope: DirectScope) -> None:
    session = parse_key(key_for(one, person=PersonId("ada"), scope=scope))
    direct = one.kind is PeerKind.DIRECT and one.thread is None
    assert isinstance(session, MainKey) == (direct and scope is DirectScope.MAIN)
    assert session.agent == one.agent


def test_the_parent_of_a_thread_is_its_conversation_and_of_a_conversation_itself() -> None:
    assert peer(thread="17").parent() == peer()
    assert peer().parent() == peer()


def test_a_person_that_the_config_does_not_name_is_their_channel_and_their_id_there() -> None:
    assert person_on(ChannelName("slack"), "U1") == "slack:U1"
    with pytest.raises(MalformedKey, match="an empty person"):
        person_on(ChannelName("slack"), "")


def test_values_are_frozen_and_the_account_is_default_unless_named() -> None:
    assert SEED.account == DEFAULT_ACCOUNT
    address = ReturnAddress(peer=SEED, message_id=MessageId("1"))
    for value, name in ((SEED, "id"), (address, "peer")):
        with pytest.raises(AttributeError):
            setattr(value, name, "x")


def test_a_key_is_text() -> None:
    assert SessionKey("agent:main:main") == format_key(MainKey(agent=AgentName("main")))


def test_a_key_says_whose_session_it_is() -> None:
    assert agent_of(SessionKey("agent:ops:slack:channel:C0AB")) == "ops"
    assert agent_of(format_key(MainKey(agent=AgentName("a:b%")))) == "a:b%"
