"""Rules in order, deciders, places and emoji: who may, who decides, and that no answer and no list is never a yes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.command import parse_request
from bot.domain.directory import Directory, Person
from bot.domain.execution import Execution, ExecutionState
from bot.domain.message import Action
from bot.domain.pattern import parse_pattern
from bot.domain.place import Place, parse_place
from bot.domain.policy import (
    DEFAULT_EXPIRY_S,
    NodeGroup,
    Policy,
    Rule,
    Subject,
    Verdict,
    analysed,
    decision_of,
)
from bot.domain.session import (
    AccountName,
    AgentName,
    ChannelName,
    NativeId,
    Peer,
    PeerKind,
    PersonId,
    ReturnAddress,
    ThreadId,
    person_on,
)
from bot.domain.terms import Terms
from bot.domain.verdict import Allow, Ask, Escalation, Refuse, Said
from bot.errors import MalformedKey
from tests.domain.made import command_of, execution

SLACK, WEB = ChannelName("slack"), ChannelName("web")
OPS = Peer(agent=AgentName("main"), channel=SLACK, kind=PeerKind.CHANNEL, id=NativeId("C1"))
ADA = Person(name="ada", ids=(PersonId("slack:U1"), PersonId("discord:77"), PersonId("web:ada")), roles=("sre", "dba"))
BOB = Person(name="bob", ids=(PersonId("slack:U2"),), roles=("sre",))
CLEO = Person(name="cleo", ids=(PersonId("slack:U3"),))
PEOPLE = Directory(people=(ADA, BOB, CLEO))
STRANGER = PersonId("slack:U9")


def subject(text: str = "df -h", executable: str | None = None) -> Subject:
    return Subject(analysis=analysed(parse_request(text)), executable=executable)


def judge(
    *rules: Rule,
    asker: str = "ada",
    peer: Peer = OPS,
    node: str = "web-1",
    owners: tuple[str, ...] = ("cleo",),
    text: str = "df -h",
) -> Allow | Ask | Refuse:
    policy = Policy(directory=PEOPLE, owners=owners, rules=rules)
    return policy.judge(peer=peer, asker=PersonId(asker), node_name=node, subject=subject(text))


def deciders(verdict: Allow | Ask | Refuse) -> tuple[PersonId, ...]:
    assert isinstance(verdict, Ask)
    return verdict.deciders


ALLOW = Rule(name="allow", action=Verdict.ALLOW)
DENY = Rule(name="freeze", action=Verdict.DENY)
ASK = Rule(name="ask sre", action=Verdict.ASK, deciders=("@sre",), expires_after_s=60.0)


def test_no_rule_asks_the_owners_for_half_an_hour() -> None:
    assert judge() == Ask(
        rule="default: ask the owners", deciders=(PersonId("cleo"),), expires_after_s=DEFAULT_EXPIRY_S
    )
    assert DEFAULT_EXPIRY_S == 30 * 60


def test_the_first_rule_that_matches_gives_the_verdict() -> None:
    assert judge(ALLOW, DENY, ASK) == Allow(rule="allow")
    assert judge(DENY, ALLOW) == Refuse(rule="freeze", reason="the rule “freeze” denies it")
    assert judge(ASK, ALLOW) == Ask(rule="ask sre", deciders=(PersonId("ada"), PersonId("bob")), expires_after_s=60.0)
    assert judge(replace(DENY, node=("db-1",)), replace(ALLOW, who=("bob",)), ASK) == judge(ASK)


def test_a_rule_that_matches_nothing_leaves_the_owners_and_never_allows() -> None:
    assert deciders(judge(replace(ALLOW, node=("db-1",)))) == ("cleo",)
    assert deciders(judge(replace(ALLOW, who=("bob",)))) == ("cleo",)
    assert deciders(judge(replace(ALLOW, where=(Place(channel=WEB),)))) == ("cleo",)


def test_all_conditions_of_a_rule_must_hold() -> None:
    narrow = replace(ALLOW, where=(parse_place("slack:channel:C1"),), who=("ada",), node=("web-1",))
    assert judge(narrow) == Allow(rule="allow")
    assert isinstance(judge(narrow, asker="bob"), Ask)
    assert isinstance(judge(narrow, node="web-2"), Ask)
    assert isinstance(judge(narrow, peer=replace(OPS, id=NativeId("C2"))), Ask)


@pytest.mark.parametrize(
    ("who", "holds"),
    [
        ((), True),
        (("*",), True),
        (("ada",), True),
        (("bob", "@dba"), True),
        (("slack:U1",), True),
        (("web:ada",), True),
        (("bob",), False),
        (("@dba2",), False),
        (("@",), False),
        (("Ada",), False),
        (("slack:u1",), False),
    ],
)
def test_who_asks_is_matched_by_name_role_or_any_of_their_ids(who: tuple[str, ...], holds: bool) -> None:
    assert isinstance(judge(replace(ALLOW, who=who)), Allow) == holds


@pytest.mark.parametrize(("node", "holds"), [((), True), (("*",), True), (("a", "web-1"), True), (("web",), False)])
def test_a_node_is_matched_by_its_whole_name(node: tuple[str, ...], holds: bool) -> None:
    assert isinstance(judge(replace(ALLOW, node=node)), Allow) == holds
    assert isinstance(judge(replace(ALLOW, node=("WEB-1",))), Ask)


# --- who decides ----------------------------------------------------------------------------------


@pytest.mark.parametrize("nobody", [(), ("@nobody-has-this",), ("@",)])
def test_f068_an_empty_list_of_deciders_is_nobody_and_says_so_at_once(nobody: tuple[str, ...]) -> None:
    verdict = judge(replace(ASK, deciders=nobody))
    assert verdict == Refuse(
        rule="ask sre", reason="the rule “ask sre” asks, and its list of deciders is empty: nobody may approve"
    )


@pytest.mark.parametrize("owners", [(), ("@nobody-has-this",)])
def test_f068_without_owners_the_default_is_nobody_and_not_anyone(owners: tuple[str, ...]) -> None:
    assert isinstance(judge(owners=owners), Refuse)
    assert isinstance(judge(replace(ASK, deciders=None), owners=owners), Refuse)
    assert isinstance(Policy().judge(peer=OPS, asker=STRANGER, node_name="web-1", subject=subject()), Refuse)
    assert not Policy().is_owner(STRANGER)


def test_f068_a_star_among_deciders_is_no_person_and_not_everybody() -> None:
    """The config refuses it; a policy that was made otherwise must not open up either."""
    assert deciders(judge(replace(ASK, deciders=("*",)))) == ("*",)
    assert not any(PEOPLE.identify(SLACK, native) == "*" for native in ("U1", "U9", "*"))
    assert not Policy(directory=PEOPLE, owners=("*",)).is_owner(PersonId("ada"))


def test_deciders_that_are_left_out_are_the_owners() -> None:
    assert deciders(judge(replace(ASK, deciders=None))) == ("cleo",)


def test_each_decider_is_counted_once_however_they_are_listed() -> None:
    listed = ("@sre", "ada", "slack:U1", "discord:77", "bob", "@dba", "slack:U9", "slack:U9")
    assert deciders(judge(replace(ASK, deciders=listed))) == ("ada", "bob", "slack:U9")


def test_one_persons_ids_on_several_channels_are_one_person() -> None:
    assert PEOPLE.identify(SLACK, "U1") == PEOPLE.identify(WEB, "ada") == "ada"
    assert PEOPLE.identify(ChannelName("discord"), "77") == "ada"
    assert PEOPLE.ids_of(PersonId("ada")) == ADA.ids


@pytest.mark.parametrize(("channel", "native"), [("slack", "u1"), ("slack", "U1 "), ("discord", "U1"), ("web", "U1")])
def test_an_id_counts_on_its_own_channel_and_to_the_letter(channel: str, native: str) -> None:
    assert PEOPLE.identify(ChannelName(channel), native) == f"{channel}:{native}"


def test_a_person_that_the_config_does_not_name_is_their_own_id() -> None:
    assert PEOPLE.identify(SLACK, "U9") == STRANGER
    assert PEOPLE.ids_of(STRANGER) == (STRANGER,)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20))
def test_nobody_becomes_a_named_person_by_what_they_call_themselves(native: str) -> None:
    """A name holds no colon (the config refuses one), an id of a channel always does."""
    for channel in (SLACK, WEB):
        known = any(person_on(channel, native) in person.ids for person in PEOPLE.people)
        found = PEOPLE.identify(channel, native)
        assert known or found not in {person.name for person in PEOPLE.people}
        assert known or found == f"{channel}:{native}"


def test_owners_are_named_by_person_role_or_id() -> None:
    for owners in (("ada",), ("@dba",), ("discord:77",)):
        policy = Policy(directory=PEOPLE, owners=owners)
        assert policy.is_owner(PersonId("ada"))
        assert not policy.is_owner(PersonId("bob"))
        assert not policy.is_owner(PersonId("slack:U1")), "it is asked about the person, as identify() gives them"


# --- places ---------------------------------------------------------------------------------------

THREAD = replace(OPS, thread=ThreadId("17.5"))
WORK = replace(OPS, account=AccountName("work"))


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("*", [OPS, THREAD, WORK, replace(OPS, channel=WEB)], []),
        ("slack", [OPS, THREAD, WORK, replace(OPS, kind=PeerKind.DIRECT)], [replace(OPS, channel=WEB)]),
        (
            "slack:channel:C1",
            [OPS, THREAD, replace(OPS, agent=AgentName("other"))],
            [
                WORK,
                replace(OPS, id=NativeId("C2")),
                replace(OPS, id=NativeId("c1")),
                replace(OPS, kind=PeerKind.GROUP),
                replace(OPS, kind=PeerKind.DIRECT),
                replace(OPS, channel=WEB),
            ],
        ),
        ("slack:channel:C1:thread:17.5", [THREAD], [OPS, replace(OPS, thread=ThreadId("17.50"))]),
        ("slack:work:channel:C1", [WORK, replace(WORK, thread=ThreadId("1"))], [OPS, THREAD]),
        ("slack:channel:a%3Ab", [replace(OPS, id=NativeId("a:b"))], [replace(OPS, id=NativeId("a%3Ab"))]),
        ("slack:direct:U1", [replace(OPS, kind=PeerKind.DIRECT, id=NativeId("U1"))], [OPS]),
    ],
)
def test_a_place_holds_its_conversation_with_its_threads_and_nothing_else(
    text: str, inside: list[Peer], outside: list[Peer]
) -> None:
    place = parse_place(text)
    assert [place.holds(peer) for peer in inside] == [True] * len(inside)
    assert [place.holds(peer) for peer in outside] == [False] * len(outside)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "an empty channel"),
        ("main", "may not be named 'main'"),
        ("direct", "may not be named 'direct'"),
        ("100%", "'%' without"),
        ("a\x00", "NUL"),
        ("x" * 513, "at most 512"),
        ("direct:ada", "names no conversation of a channel"),
        ("schedule:nightly", "names no conversation of a channel"),
        ("hook:ci", "names no conversation of a channel"),
        ("slack:C1", "channel, group or direct"),
        ("slack:channel:", "an empty id"),
        ("slack:default:channel:C1", "the default account is left out"),
        ("agent:main:slack:channel:C1", "channel, group or direct"),
        (":", "an empty channel"),
    ],
)
def test_a_place_that_could_never_match_is_an_error_and_not_a_rule_that_sleeps(text: str, fault: str) -> None:
    with pytest.raises(MalformedKey, match=fault):
        parse_place(text)


def test_a_rule_for_several_places_holds_in_each_of_them() -> None:
    rule = replace(DENY, where=(parse_place("web"), parse_place("slack:channel:C1")))
    assert isinstance(judge(rule, peer=THREAD), Refuse)
    assert isinstance(judge(rule, peer=replace(OPS, channel=WEB)), Refuse)
    assert isinstance(judge(rule, peer=replace(OPS, id=NativeId("C2"))), Ask)


# --- emoji ----------------------------------------------------------------------------------------

TONES = [chr(code) for code in range(0x1F3FB, 0x1F400)]
YES = ["👍", "✅", "✔", "✔️", "✔\ufe0e", "☑️", "+1", "thumbsup", "white_check_mark", "heavy_check_mark"]
NO = ["👎", "❌", "✖", "✖️", "-1", "thumbsdown", "x", "heavy_multiplication_x"]


@pytest.mark.parametrize("emoji", [*YES, "ballot_box_with_check", *(f"👍{tone}" for tone in TONES)])
def test_f071_a_tick_or_a_thumb_up_approves_whatever_its_skin(emoji: str) -> None:
    assert decision_of(emoji) is Action.APPROVE


@pytest.mark.parametrize("emoji", [*NO, *(f"👎{tone}" for tone in TONES)])
def test_f071_a_cross_or_a_thumb_down_denies_whatever_its_skin(emoji: str) -> None:
    assert decision_of(emoji) is Action.DENY


@pytest.mark.parametrize("tone", range(2, 7))
def test_f071_slack_names_skins_behind_two_colons(tone: int) -> None:
    assert decision_of(f"+1::skin-tone-{tone}") is Action.APPROVE
    assert decision_of(f"-1::skin-tone-{tone}") is Action.DENY


OTHER = (
    "👀 ⏳ ♾️ 🎉 👌 🆗 ok_hand heart ❤️ 👍👍 👍👎 ✅❌ ok yes X Thumbsup :+1: +1: + 1 ::skin-tone-2 ⛔ 🚫 🟢 🔴 ＋1 ✓ ☒ ✗"
)
ODD = ["", " ", "👍 ", " 👍", "🏽", "\ufe0f", "👍\u200d", "custom_check", "white_check_mark2", "x2"]


@pytest.mark.parametrize("emoji", [*OTHER.split(), *ODD])
def test_f071_any_other_emoji_is_talk(emoji: str) -> None:
    assert decision_of(emoji) is None


@given(st.text(max_size=6))
def test_f071_no_text_decides_but_the_listed_emoji(text: str) -> None:
    plain = text.split("::", 1)[0].translate({ord(gone): None for gone in (*TONES, "\ufe0e", "\ufe0f")})
    known = {*YES, "☑", "ballot_box_with_check", *NO}
    assert (decision_of(text) is not None) == (plain in known)


# --- commands -------------------------------------------------------------------------------------


def allow(*patterns: str) -> Rule:
    return replace(ALLOW, command=tuple(parse_pattern(pattern) for pattern in patterns))


def deny(*patterns: str) -> Rule:
    return replace(DENY, command=tuple(parse_pattern(pattern) for pattern in patterns))


@pytest.mark.parametrize("text", ["df -h", "df", "df -h /srv 'a b'"])
def test_a_plain_command_that_fits_runs_unasked(text: str) -> None:
    assert judge(allow("df **"), text=text) == Allow(rule="allow")


@pytest.mark.parametrize(
    "text",
    [
        "df -h; rm -rf /",
        "df $(rm -rf /)",
        "df -h | sh",
        "df -h > /etc/passwd",
        "df *",
        "DF=1 df",
        "sudo df -h",
        "env df -h",
        "sh -c 'df -h'",
        "/opt/x/df -h",
        "./df -h",
        "df -h \u200b",
        "df \u0430",
        "df\u00a0-h",
        "xargs df",
        "find . -exec df {} +",
    ],
)
def test_f084_f085_nothing_but_that_plain_command_runs_unasked(text: str) -> None:
    assert isinstance(judge(allow("df **"), text=text), Ask)


def test_a_rule_without_a_command_allows_what_is_plain_and_has_the_rest_asked_about() -> None:
    assert judge(ALLOW, text="df -h") == Allow(rule="allow")
    said = judge(ALLOW, text="df -h | sort")
    assert isinstance(said, Ask)
    assert said.rule == "allow (plain commands only)"
    assert said.deciders == ("cleo",)
    assert deciders(judge(replace(ALLOW, deciders=("bob",)), text="python3 -c 'print(1)'")) == ("bob",)


@pytest.mark.parametrize(
    "text", ["shutdown now", "sudo shutdown now", "true; shutdown now", "echo $(shutdown now)", "/sbin/shutdown now"]
)
def test_what_a_rule_denies_is_denied_wherever_it_stands_in_a_request(text: str) -> None:
    assert judge(deny("shutdown **"), ALLOW, text=text) == Refuse(rule="freeze", reason="the rule “freeze” denies it")


def test_a_script_goes_to_those_who_may_decide_every_command_of_it() -> None:
    restart = replace(ASK, name="juniors", deciders=("bob",), command=(parse_pattern("systemctl restart *"),))
    rest = replace(ASK, name="rest", deciders=("@sre",))
    assert deciders(judge(restart, rest, text="systemctl restart app")) == ("bob",)
    assert deciders(judge(restart, rest, text="systemctl restart app; uptime")) == ("bob",)
    assert deciders(
        judge(restart, replace(rest, deciders=("bob", "cleo")), text="uptime && systemctl restart app")
    ) == ("bob",)
    assert isinstance(judge(restart, replace(rest, deciders=("cleo",)), text="uptime; systemctl restart app"), Refuse)


def test_the_stricter_rule_cannot_be_escaped_by_a_second_command() -> None:
    strict = replace(ASK, name="two", command=(parse_pattern("shutdown **"),), terms=Terms(quorum=2))
    said = judge(strict, replace(ASK, name="lax"), text="true; shutdown now")
    assert isinstance(said, Ask)
    assert said.terms.quorum == 2


def test_a_program_that_only_the_shell_knows_falls_under_no_rule_about_commands() -> None:
    assert deciders(judge(replace(ASK, deciders=("bob",), command=(parse_pattern("df **"),)), text="$X -h")) == (
        "cleo",
    )


def test_one_of_a_rules_patterns_is_enough_and_where_none_fits_the_next_rule_is_asked() -> None:
    patterns = (parse_pattern("df -i"), parse_pattern("df -h"))
    rule = replace(ASK, deciders=("bob",), command=patterns)
    assert deciders(judge(rule, text="df -h")) == ("bob",)
    assert deciders(judge(rule, text="df -a")) == ("cleo",)
    assert isinstance(judge(replace(rule, action=Verdict.ALLOW), text="df -h"), Allow)
    assert deciders(judge(replace(rule, action=Verdict.ALLOW), text="df -a")) == ("cleo",)


def test_even_a_rule_about_every_command_is_not_about_what_nobody_knows() -> None:
    rule = replace(ASK, deciders=("bob",), command=(parse_pattern("**"),))
    assert deciders(judge(rule, text="df")) == ("bob",)
    assert deciders(judge(rule, text="$X")) == ("cleo",)


def test_f086_a_path_in_a_rule_is_held_against_the_file_that_the_node_found() -> None:
    rule = allow("/usr/bin/df **")
    policy = Policy(directory=PEOPLE, owners=("cleo",), rules=(rule,))

    def said(executable: str | None) -> Said:
        return policy.judge(peer=OPS, asker=PersonId("ada"), node_name="n", subject=subject("df -h", executable))

    assert said("/usr/bin/df") == Allow(rule="allow")
    assert isinstance(said("/opt/x/df"), Ask)
    assert isinstance(said(None), Ask)


def test_only_a_refusal_that_no_look_of_the_node_could_change_is_made_without_it() -> None:
    def unseen(*rules: Rule) -> Refuse | None:
        policy = Policy(directory=PEOPLE, owners=("cleo",), rules=rules)
        return policy.refuses_unseen(peer=OPS, asker=PersonId("ada"), node_name="n", subject=subject("df -h"))

    assert unseen(DENY) == Refuse(rule="freeze", reason="the rule “freeze” denies it")
    assert unseen(allow("/usr/bin/df **"), DENY) is None
    assert unseen(deny("/usr/bin/rm **"), DENY) is not None
    assert unseen(ASK) is None


def test_a_refusal_without_the_node_goes_by_place_asker_and_node_as_any_verdict_does() -> None:
    def unseen(rule: Rule, *, node: str = "web-1") -> Refuse | None:
        policy = Policy(directory=PEOPLE, owners=("cleo",), rules=(rule,))
        return policy.refuses_unseen(peer=OPS, asker=PersonId("ada"), node_name=node, subject=subject())

    freeze = replace(DENY, where=(parse_place("slack:channel:C1"),), who=("ada",), node=("web-1",))
    assert unseen(freeze) is not None
    assert unseen(replace(freeze, where=(parse_place("slack:channel:C2"),))) is None
    assert unseen(replace(freeze, who=("bob",))) is None
    assert unseen(freeze, node="web-2") is None


def test_a_group_of_nodes_is_each_of_them() -> None:
    policy = Policy(
        directory=PEOPLE,
        owners=("cleo",),
        rules=(replace(ALLOW, node=("@web", "db-1")),),
        groups=(NodeGroup(name="web", nodes=("web-1", "web-2")), NodeGroup(name="other", nodes=("x",))),
    )

    def runs(node: str) -> bool:
        return isinstance(policy.judge(peer=OPS, asker=PersonId("ada"), node_name=node, subject=subject()), Allow)

    assert all(runs(node) for node in ("web-1", "web-2", "db-1"))
    assert not any(runs(node) for node in ("x", "web"))


# --- terms ----------------------------------------------------------------------------------------

FOUR_EYES = replace(ASK, terms=Terms(four_eyes=True))


def test_f069_with_four_eyes_the_asker_is_none_of_the_deciders() -> None:
    assert deciders(judge(FOUR_EYES)) == ("bob",)
    assert deciders(judge(FOUR_EYES, asker="cleo")) == ("ada", "bob")


def test_f068_four_eyes_where_only_the_asker_could_is_refused_and_says_so() -> None:
    said = judge(replace(FOUR_EYES, deciders=("ada",)))
    assert said == Refuse(
        rule="ask sre",
        reason="the rule “ask sre” needs somebody other than the one who asks to approve, and names nobody",
    )


def test_a_quorum_that_nobody_can_reach_is_refused_with_who_could() -> None:
    said = judge(replace(ASK, terms=Terms(quorum=3)))
    assert said == Refuse(rule="ask sre", reason="the rule “ask sre” needs 3 people to approve, and names ada, bob")
    assert isinstance(judge(replace(ASK, terms=Terms(quorum=2))), Ask)


def test_those_whom_it_escalates_to_may_decide_only_then() -> None:
    rule = replace(ASK, deciders=("bob",), escalate_after_s=60.0, escalate_to=("cleo", "bob"))
    policy = Policy(directory=PEOPLE, rules=(rule,))

    def said(*, is_escalated: bool) -> Said:
        return policy.judge(
            peer=OPS, asker=PersonId("ada"), node_name="n", subject=subject(), is_escalated=is_escalated
        )

    before, after = said(is_escalated=False), said(is_escalated=True)
    assert isinstance(before, Ask)
    assert isinstance(after, Ask)
    later = Escalation(after_s=60.0, to=(PersonId("cleo"), PersonId("bob")))
    assert (before.deciders, before.escalation) == (("bob",), later)
    assert (after.deciders, after.escalation) == (("bob", "cleo"), None)
    # Nobody said that it has escalated: it has not.
    assert policy.judge(peer=OPS, asker=PersonId("ada"), node_name="n", subject=subject()) == before
    (reading,) = policy.read(peer=OPS, asker=PersonId("ada"), node_name="n", subject=subject())
    assert (reading.rule, reading.said) == (rule, before)
    assert reading.unit.views[0].words == ("df", "-h")


def test_a_quorum_of_two_that_one_person_could_fill_says_two_people() -> None:
    said = judge(replace(ASK, deciders=("bob",), terms=Terms(quorum=2)))
    assert said == Refuse(rule="ask sre", reason="the rule “ask sre” needs 2 people to approve, and names bob")


def test_where_a_rule_wants_copies_is_part_of_the_ask_and_of_its_escalation() -> None:
    further = replace(OPS, id=NativeId("C3"))
    copied = replace(ASK, copy_to=(OPS,), escalate_after_s=60.0, escalate_to=("cleo",), escalate_copy_to=(further,))
    said = judge(copied)
    assert isinstance(said, Ask)
    assert said.copy_to == (OPS,)
    assert said.escalation == Escalation(after_s=60.0, to=(PersonId("cleo"),), copy_to=(further,))


def test_f069_what_a_rule_would_allow_if_it_were_plain_is_asked_on_all_terms_of_that_rule() -> None:
    rule = replace(ALLOW, deciders=("@sre",), terms=Terms(four_eyes=True), escalate_after_s=60.0, escalate_to=("cleo",))
    policy = Policy(directory=PEOPLE, rules=(rule,))

    def asked(*, is_escalated: bool) -> tuple[PersonId, ...]:
        said = policy.judge(
            peer=OPS,
            asker=PersonId("ada"),
            node_name="n",
            subject=subject("df -h > /tmp/x"),
            is_escalated=is_escalated,
        )
        return deciders(said)

    assert asked(is_escalated=False) == ("bob",)
    assert asked(is_escalated=True) == ("bob", "cleo")


def test_f086_a_program_is_denied_by_the_file_that_the_node_found_whatever_it_was_called() -> None:
    policy = Policy(directory=PEOPLE, owners=("cleo",), rules=(deny("/usr/bin/vim.basic **"),))

    def said(executable: str | None) -> Said:
        return policy.judge(peer=OPS, asker=PersonId("ada"), node_name="n", subject=subject("vi /etc/x", executable))

    assert isinstance(said("/usr/bin/vim.basic"), Refuse)
    assert isinstance(said("/usr/bin/vim.tiny"), Ask)


# --- an execution as it stands --------------------------------------------------------------------

WAITING = replace(
    execution(ExecutionState.AWAITING_APPROVAL),
    origin=ReturnAddress(peer=OPS, message_id=None),
    asker=PersonId("slack:U1"),
    asker_native="U1",
    node_name="web-1",
)


def judge_waiting(rule: Rule, one: Execution = WAITING) -> Said:
    return Policy(directory=PEOPLE, owners=("cleo",), rules=(rule,)).judge_execution(one)


def test_an_execution_is_judged_by_where_it_was_asked_on_which_node() -> None:
    narrow = replace(ASK, where=(parse_place("slack:channel:C1"),), node=("web-1",))
    assert deciders(judge_waiting(narrow)) == ("ada", "bob")
    assert deciders(judge_waiting(replace(narrow, where=(parse_place("slack:channel:C2"),)))) == ("cleo",)
    assert deciders(judge_waiting(narrow, replace(WAITING, node_name="web-2"))) == ("cleo",)


def test_f069_whoever_got_a_name_after_asking_is_still_the_one_who_asked() -> None:
    assert WAITING.asker != "ada"
    assert deciders(judge_waiting(FOUR_EYES)) == ("bob",)
    # The same id of another network is somebody else.
    elsewhere = replace(OPS, channel=WEB)
    other = replace(WAITING, origin=ReturnAddress(peer=elsewhere, message_id=None), asker=PersonId("web:U1"))
    assert deciders(judge_waiting(FOUR_EYES, other)) == ("ada", "bob")


def test_a_schedule_that_asked_is_whom_the_config_named_and_no_person_of_a_network() -> None:
    nightly = replace(WAITING, asker=PersonId("schedule:nightly"), asker_native="")
    assert deciders(judge_waiting(replace(ASK, who=("schedule:nightly",)), nightly)) == ("ada", "bob")
    assert deciders(judge_waiting(replace(ASK, who=("ada",)), nightly)) == ("cleo",)


def test_f086_a_plain_execution_is_held_against_the_file_found_and_a_script_against_none() -> None:
    found = replace(WAITING, request=parse_request("df -h"), command=command_of("df -h"))
    assert judge_waiting(allow("/usr/bin/df **"), found) == Allow(rule="allow")
    assert isinstance(judge_waiting(allow("/usr/bin/df **"), replace(found, command=None)), Ask)
    # What runs a script is a shell, wherever that was found: no rule about the script's programs means it.
    script = replace(WAITING, request=parse_request("df -h | tail -1"), command=command_of("df -h | tail -1"))
    assert not isinstance(judge_waiting(deny("/usr/bin/dash **"), script), Refuse)


def test_an_execution_worded_after_reading_what_anybody_wrote_is_never_allowed_unasked() -> None:
    assert judge_waiting(ALLOW) == Allow(rule="allow")
    assert isinstance(judge_waiting(ALLOW, replace(WAITING, read_untrusted=True)), Ask)


def test_an_execution_that_escalated_asks_the_further_people_too() -> None:
    rule = replace(ASK, deciders=("bob",), escalate_after_s=60.0, escalate_to=("cleo",))
    assert deciders(judge_waiting(rule)) == ("bob",)
    assert deciders(judge_waiting(rule, replace(WAITING, is_escalated=True))) == ("bob", "cleo")
