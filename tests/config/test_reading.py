"""config.toml and the environment become settings, or every fault at once, with its remedy and without any value."""

from __future__ import annotations

import json
from datetime import time
from pathlib import Path

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from bot.app import core_settings
from bot.config import Settings, example, first_config, load_settings, schema, to_policy, warnings
from bot.config.values import parse_length_s
from bot.domain.command import Limits, parse_request
from bot.domain.policy import Subject, analysed
from bot.domain.session import AgentName, ChannelName, DirectScope, NativeId, Peer, PeerKind, PersonId
from bot.domain.verdict import Allow, Ask, Refuse
from bot.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
SECRET = "hunter2-Correct-Horse"

BROKEN = """
ownrs = ["x"]
owners = ["ownr"]
[gatway]
port = 1
[gateway]
prt = 9
port = 70000
[display]
time_zone = "Europe/Berln"
[heartbeat]
active_hours = "8-9"
every = "often"
[execution]
timeout_s = "${NOWHERE}"
[[people]]
name = "owner"
ids = "web:owner"
[[rule]]
action = "alow"
where = "agent:main:web:channel:x"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(path: Path | None, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environ)
    return caught.value.faults


def test_all_faults_of_a_file_are_named_at_once_each_with_file_key_and_remedy(tmp_path: Path) -> None:
    faults = "\n".join(faults_of(written(tmp_path, BROKEN)))
    for expected in (
        "config.toml: ownrs: unknown key; did you mean owners?",
        "config.toml: gatway: unknown key; did you mean gateway?",
        "config.toml: gateway.prt: unknown key; did you mean port?",
        "config.toml: gateway.port: should be less than or equal to 65535; it is: TCP port",
        "config.toml: display.time_zone: is no time zone that is known here; did you mean Europe/Berlin?",
        'config.toml: heartbeat.active_hours: are not hours of the day; write "08:00-22:00"',
        "config.toml: heartbeat.every: is not a length of time; write seconds",
        "config.toml: execution.timeout_s: the environment has no NOWHERE; set it",
        "config.toml: owners[0]: names a person whom [[people]] does not; did you mean owner?",
        "config.toml: rule[0].name: is missing; it is: Shown on cards",
        'config.toml: rule[0].where[0]: begins with "agent:"; write the part behind',
        "config.toml: rule[0].action: should be 'allow', 'ask' or 'deny'",
    ):
        assert expected in faults


def test_each_fault_is_one_line(tmp_path: Path) -> None:
    assert not [fault for fault in faults_of(written(tmp_path, BROKEN)) if "\n" in fault]


def test_the_environment_wins_over_the_file_key_by_key(tmp_path: Path) -> None:
    path = written(tmp_path, '[gateway]\nport = 9000\nhost = "::1"\n')
    settings = load_settings(path, {"HOMING_GATEWAY__PORT": "9001", "HOMING_WEB__ROOMS": '["ops"]', "PATH": "/bin"})
    assert (settings.gateway.port, settings.gateway.host, settings.web.rooms) == (9001, "::1", ("ops",))
    assert settings.url == "http://[::1]:9001"


def test_an_unknown_name_of_the_environment_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    faults = faults_of(path, HOMING_GATEWAY__PROT="1", HOMING_GATEWY="{}", HOMING_TYPO_XYZ="1")
    assert faults[0] == "environment: HOMING_GATEWAY__PROT: unknown name; did you mean HOMING_GATEWAY__PORT?"
    assert "HOMING_GATEWY: unknown name; did you mean HOMING_GATEWAY?" in faults[1]
    assert "HOMING_TYPO_XYZ: unknown name" in faults[2]


def test_a_fault_that_came_from_the_environment_names_the_variable(tmp_path: Path) -> None:
    faults = faults_of(written(tmp_path, ""), HOMING_GATEWAY__PORT="many", HOMING_OWNERS="owner")
    assert any(fault.startswith("environment HOMING_GATEWAY__PORT: gateway.port: should be") for fault in faults)
    assert any(fault.startswith("environment HOMING_OWNERS: owners: is no JSON") for fault in faults)


def test_a_name_that_the_file_refers_to_is_no_unknown_one(tmp_path: Path) -> None:
    path = written(tmp_path, '[store]\nurl = "postgresql://homing:${HOMING_DB_PASSWORD}@db/homing"\n')
    settings = load_settings(path, {"HOMING_DB_PASSWORD": SECRET})
    assert settings.store_url == f"postgresql://homing:{SECRET}@db/homing"
    assert SECRET not in repr(settings)
    assert SECRET in settings.secrets()


def test_a_dollar_that_is_meant_is_written_twice(tmp_path: Path) -> None:
    path = written(tmp_path, '[[people]]\nname = "a $${b} $c"\nids = ["web:a"]\n')
    assert load_settings(path, {}).people[0].name == "a ${b} $c"


def test_a_secret_comes_from_a_file_beside_the_config(tmp_path: Path) -> None:
    (tmp_path / "url.secret").write_text(f"postgresql://homing:{SECRET}@db/homing\n")
    path = written(tmp_path, '[store]\nurl_file = "url.secret"\n')
    assert load_settings(path, {}).store_url == f"postgresql://homing:{SECRET}@db/homing"


@pytest.mark.parametrize(
    ("store", "fault"),
    [
        ('url = "sqlite:///x"\nurl_file = "y"', "stands beside url; keep one of them"),
        ('url_file = "nowhere"', "the file cannot be read (FileNotFoundError)"),
        ('url_file = "empty"', "the file is empty or too long"),
    ],
)
def test_a_secret_file_that_cannot_be_used_is_a_fault(tmp_path: Path, store: str, fault: str) -> None:
    (tmp_path / "empty").write_text("\n")
    assert fault in faults_of(written(tmp_path, f"[store]\n{store}\n"))[0]


SECRETS_IN_THE_WRONG_PLACE = (
    f'[store]\nurl = ["{SECRET}"]',
    f'[store]\nurl = {{ password = "{SECRET}" }}',
    f'[gateway]\nport = "{SECRET}"',
    f'[gateway]\npublic_url = "{SECRET}"',
    f'[display]\ntime_zone = "{SECRET}"',
    f'[heartbeat]\nactive_hours = "{SECRET}"\nevery = "{SECRET}"',
    f'[execution]\ntimeout_s = "{SECRET}"\noutput_bytes = "{SECRET}"',
    f'[session]\ndm_scope = "{SECRET}"',
    f'[agent]\nname = "{SECRET} "',
    f'[[people]]\nname = "@{SECRET}"\nids = ["{SECRET}"]',
    f'[[rule]]\nname = "r"\naction = "{SECRET}"\nwhere = "{SECRET}:x"\nwho = ["{SECRET}"]',
    f'owners = ["{SECRET}"]',
    'owners = ["${TOKEN}"]\n[gateway]\nport = "${TOKEN}"\n[[rule]]\nname="r"\naction="ask"\ndeciders=["${TOKEN}"]',
    f'people = "{SECRET}"',
    f'x = "{SECRET}',
)


@pytest.mark.parametrize("text", SECRETS_IN_THE_WRONG_PLACE)
def test_no_message_holds_a_value_wherever_a_secret_was_written(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(written(tmp_path, text), {"TOKEN": SECRET})
    assert caught.value.faults
    assert SECRET not in str(caught.value)


def test_no_message_holds_a_value_of_the_environment(tmp_path: Path) -> None:
    names = ("HOMING_GATEWAY__PORT", "HOMING_OWNERS", "HOMING_STORE", "HOMING_RULE", "HOMING_WEB__ENABLED", "HOMING_NO")
    faults = faults_of(written(tmp_path, ""), **dict.fromkeys(names, SECRET))
    assert len(faults) == len(names)
    assert SECRET not in "\n".join(faults)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a = b", "config.toml: is no TOML at line 1, column"),
        ("a = 'b", "config.toml: is no TOML at end of document"),
        ("[a]\n[a]\n", "config.toml: is no TOML at line 2"),
    ],
)
def test_broken_toml_is_said_with_its_place(tmp_path: Path, text: str, fault: str) -> None:
    assert faults_of(written(tmp_path, text))[0].startswith(fault)


def test_the_brackets_of_a_list_and_a_plain_key_below_a_table_are_said_with_the_way_out(tmp_path: Path) -> None:
    (half,) = faults_of(written(tmp_path, '[[rule]\nname = "r"\n'))
    assert "[[rule]]" in half
    assert "in two on both sides" in half
    (single,) = faults_of(written(tmp_path, '[rule]\nname = "r"\n'))
    assert single == "config.toml: rule: is a list of tables; write [[rule]], with two brackets on both sides"
    (below,) = faults_of(written(tmp_path, '[[people]]\nname = "a"\nids = ["web:a"]\nowners = ["a"]\n'))
    assert below.startswith("config.toml: people[0].owners: unknown key here; move it to the top of the file")


def test_a_file_that_is_not_there_or_not_text_is_a_fault(tmp_path: Path) -> None:
    assert "there is no such file; `homing run` writes one" in faults_of(tmp_path / "config.toml")[0]
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe")
    assert "cannot be read (UnicodeDecodeError)" in faults_of(path)[0]


def test_no_key_of_the_file_is_taken_for_an_argument_of_the_library(tmp_path: Path) -> None:
    faults = faults_of(written(tmp_path, '_env_file = "/etc/passwd"\n_secrets_dir = "/"\n'))
    assert len(faults) == 2
    assert all("unknown key" in fault for fault in faults)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[[people]]\nname = "a"\nids = []', "people[0].ids: is empty"),
        ('[[people]]\nname = "a"\nids = ["wbe:a"]', "people[0].ids[0]: names no channel; did you mean web?"),
        ('[[people]]\nname = "a"\nids = ["a"]', "people[0].ids[0]: is no id of a person"),
        ('[[people]]\nname = "web:b"\nids = ["web:a"]', "people[0].name: is no name of a person"),
        (
            '[[people]]\nname = "a"\nids = ["web:a"]\n[[people]]\nname = "b"\nids = ["web:a"]',
            "people[1].ids: an id belongs to people[0] already",
        ),
        (
            '[[people]]\nname = "a"\nids = ["web:a"]\n[[people]]\nname = "a"\nids = ["web:b"]',
            "people[1].name: is the same as of people[0]",
        ),
        ('owners = ["*"]', 'owners: may not hold "*"'),
        ('[[rule]]\nname = "r"\naction = "ask"\nwhere = "ops"', "rule[0].where[0]: names no channel"),
        ('[[rule]]\nname = "r"\naction = "ask"\nwhere = "web:room:ops"', "rule[0].where[0]: is no place"),
        ('[[rule]]\nname = "r"\naction = "ask"\ndeciders = ["*"]', "rule[0].deciders[0]: names a person whom"),
        ('[[rule]]\nname = "r"\naction = "ask"\nexpires_after = true', "rule[0].expires_after: is not a length"),
        ('[heartbeat]\nactive_hours = "08:00-08:00"', "begin and end at the same time"),
        ('[heartbeat]\nactive_hours = "08:00-24:30"', "name an hour that no day has"),
        ("[heartbeat]\nactive_hours = 8", "heartbeat.active_hours: are not hours"),
    ],
)
def test_what_means_nobody_or_nothing_is_a_fault(tmp_path: Path, text: str, fault: str) -> None:
    assert any(fault in found for found in faults_of(written(tmp_path, text)))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("30m", 1800.0), ("1h", 3600.0), (90, 90), ("90", 90.0), ("1h 30m", 5400.0), ("2d", 172_800.0), ("500ms", 0.5)],
)
def test_a_length_of_time_is_a_number_of_seconds_or_a_text_with_units(value: object, seconds: float) -> None:
    assert parse_length_s(value) == seconds


@given(st.text(max_size=20))
def test_any_text_is_a_length_of_time_or_a_value_error(text: str) -> None:
    try:
        length = parse_length_s(text)
    except ValueError:
        return
    assert isinstance(length, float)
    assert length >= 0


def test_paths_stand_beside_the_file_wherever_the_process_was_started(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, '[local_node]\nwork_dir = "w"\n'), {})
    assert settings.gateway.data_dir == tmp_path / "data"
    assert settings.work_dir == tmp_path / "w"
    assert settings.store_url == f"sqlite:///{tmp_path}/data/homing.db"


def test_settings_are_frozen(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, ""), {})
    with pytest.raises(ValueError, match="frozen"):
        settings.gateway.port = 1
    with pytest.raises(ValueError, match="frozen"):
        settings.owners = ("me",)


def test_defaults_are_what_the_docs_say(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, ""), {})
    assert (settings.gateway.host, settings.gateway.port) == ("127.0.0.1", 8470)
    assert settings.session.dm_scope is DirectScope.PER_ACCOUNT_CHANNEL_PEER
    assert settings.heartbeat.every == 0
    assert settings.execution.lost_after_s == 600
    assert settings.owners == ()


def test_every_limit_of_a_command_can_be_asked_for_and_the_bounds_are_the_nodes(tmp_path: Path) -> None:
    path = written(tmp_path, '[execution]\ntimeout_s = "1m"\nmemory_bytes = "512M"\nprocesses = 100\nopen_files = 64\n')
    asked = Limits(timeout_s=60.0, memory_bytes=512 * 2**20, processes=100, open_files=64)
    assert core_settings(load_settings(path, {})).limits == asked
    assert core_settings(load_settings(written(tmp_path, ""), {})).limits == Limits()
    assert (
        load_settings(written(tmp_path, "[execution]\nmemory_bytes = 16777216\n"), {}).execution.memory_bytes == 2**24
    )
    for wrong in ('memory_bytes = "15M"', 'memory_bytes = "half"', "processes = 0", "open_files = 15"):
        with pytest.raises(ConfigError, match=f"execution.{wrong.split()[0]}"):
            load_settings(written(tmp_path, f"[execution]\n{wrong}\n"), {})


def test_active_hours_are_read(tmp_path: Path) -> None:
    hours = load_settings(written(tmp_path, '[heartbeat]\nactive_hours = "22:00-06:30"\n'), {}).heartbeat.active_hours
    assert hours is not None
    assert (hours.start, hours.end) == (time(22), time(6, 30))


POLICY = """
owners = ["owner"]
[execution]
approval_expires_after_s = "20m"
[[people]]
name = "owner"
ids = ["web:owner", "slack:U1"]
[[people]]
name = "ada"
ids = ["web:ada"]
roles = ["sre"]
[[rule]]
name = "lobby"
where = "web:channel:lobby"
action = "deny"
[[rule]]
name = "uptime"
who = "@sre"
node = "web-1"
action = "allow"
[[rule]]
name = "nobody"
where = ["discord"]
action = "ask"
deciders = []
[[rule]]
name = "sre decide"
where = ["web:channel:ops"]
action = "ask"
deciders = ["@sre"]
expires_after = "5m"
"""


def peer(room: str, channel: str = "web") -> Peer:
    return Peer(agent=AgentName("main"), channel=ChannelName(channel), kind=PeerKind.CHANNEL, id=NativeId(room))


UPTIME = Subject(analysis=analysed(parse_request("uptime")))


def test_the_rules_become_the_domains_policy_in_their_order(tmp_path: Path) -> None:
    policy = to_policy(load_settings(written(tmp_path, POLICY), {}))
    owner, ada = PersonId("owner"), PersonId("ada")

    def judge(room: str, asker: PersonId, node: str, channel: str = "web") -> Allow | Ask | Refuse:
        return policy.judge(peer=peer(room, channel), asker=asker, node_name=node, subject=UPTIME)

    assert isinstance(judge("lobby", ada, "web-1"), Refuse)
    assert judge("ops", ada, "web-1") == Allow(rule="uptime")
    assert judge("ops", owner, "web-1") == Ask(rule="sre decide", deciders=(ada,), expires_after_s=300.0)
    assert isinstance(judge("C1", owner, "web-1", "discord"), Refuse)
    assert judge("elsewhere", ada, "db") == Ask(
        rule="default: ask the owners", deciders=(owner,), expires_after_s=1200.0
    )
    assert policy.directory.identify(ChannelName("slack"), "U1") == owner


def test_an_empty_list_of_deciders_is_warned_about(tmp_path: Path) -> None:
    found = warnings(load_settings(written(tmp_path, POLICY), {}))
    assert [line for line in found if "rule[2].deciders is empty: nobody may approve" in line]


def test_a_quorum_that_other_eyes_leave_short_is_warned_about(tmp_path: Path) -> None:
    people = "\n".join(f'[[people]]\nname = "{name}"\nids = ["discord:{name}"]' for name in ("ada", "bob", "cy"))

    def found(**further: object) -> list[str]:
        fields = {"deciders": ["ada", "bob"], "quorum": 2, "four_eyes": True, **further}
        rule = "\n".join(f"{key} = {json.dumps(value)}" for key, value in fields.items())
        text = f'owners = ["ada"]\n{people}\n[[rule]]\nname = "drop"\naction = "ask"\n{rule}'
        return [line for line in warnings(load_settings(written(tmp_path, text), {})) if "other eyes" in line]

    assert found() == [
        "rule[0] takes 2 of ada, bob and wants other eyes: what ada or bob asks for is refused at once; name one more"
    ]
    assert "what bob asks for" in found(who=["bob", "cy"])[0]
    assert found(deciders=["ada", "bob", "cy"]) == found(who=["cy"]) == found(four_eyes=False) == []
    # Whoever is asked later counts as well.
    assert found(escalate_after=60, escalate_to=["cy"]) == []


def test_owners_that_are_nobody_and_roles_without_people_are_warned_about(tmp_path: Path) -> None:
    text = 'owners = ["@sr"]\n[[people]]\nname = "a"\nids = ["web:a"]\nroles = ["sre"]\n'
    text += '[[rule]]\nname = "r"\naction = "deny"\ndeciders = ["a"]\n'
    found = "\n".join(warnings(load_settings(written(tmp_path, text), {})))
    assert "owners is empty" in found
    assert "owners names the role @sr, which nobody has; did you mean sre?" in found
    assert "rule[0] denies, so its deciders and what it demands of them mean nothing" in found


GLASS = (
    POLICY
    + """
[[node_group]]
name = "web"
nodes = ["web-1", "web-2"]
[break_glass]
people = "@sre"
announce_to = "web:channel:all"
node = ["@web", "db"]
where = "web"
open_for = "1h"
"""
)


def test_break_glass_is_read_and_without_its_table_nobody_can(tmp_path: Path) -> None:
    assert to_policy(load_settings(written(tmp_path, POLICY), {})).glass is None
    glass = to_policy(load_settings(written(tmp_path, GLASS), {})).glass
    assert glass is not None
    assert (glass.people, glass.reviewers, glass.nodes) == (("@sre",), ("owner",), ("web-1", "web-2", "db"))
    assert (glass.open_for_s, glass.review_within_s) == (3_600.0, 86_400.0)
    assert glass.announce_to == (peer("all"),)
    anywhere = load_settings(written(tmp_path, GLASS.replace('node = ["@web", "db"]', 'node = "*"')), {})
    assert getattr(to_policy(anywhere).glass, "nodes", None) == ()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            'announce_to = "web:channel:all"\n',
            "",
            "break_glass.announce_to: is missing; it is: Conversations that are told",
        ),
        ('announce_to = "web:channel:all"', "announce_to = []", "break_glass.announce_to: "),
        (
            'announce_to = "web:channel:all"',
            'announce_to = "web"',
            "break_glass.announce_to[0]: is no single conversation",
        ),
        (
            'announce_to = "web:channel:all"',
            'announce_to = "slack:channel:C1"',
            "names an account that is not configured",
        ),
        ('people = "@sre"', "people = []", "break_glass.people: "),
        ('people = "@sre"', 'people = "*"', 'break_glass.people: may not hold "*"'),
        ('people = "@sre"', 'people = "adda"', "break_glass.people[0]: names a person whom [[people]] does not"),
        ('where = "web"', 'reviewers = "adda"', "break_glass.reviewers[0]: names a person whom [[people]] does not"),
        ('node = ["@web", "db"]', 'node = "@wep"', "break_glass.node[0]: names a group that no [[node_group]] has"),
        ('open_for = "1h"', 'open_for = "4h 1m"', "break_glass.open_for: "),
        ('open_for = "1h"', 'for = "1h"', "break_glass.for: unknown key"),
    ],
)
def test_a_break_glass_that_would_be_silent_or_anybodys_is_a_fault(
    tmp_path: Path, old: str, new: str, fault: str
) -> None:
    assert old in GLASS
    with pytest.raises(ConfigError) as raised:
        load_settings(written(tmp_path, GLASS.replace(old, new)), {})
    assert [line for line in raised.value.faults if fault in line], raised.value.faults


def test_a_break_glass_that_nobody_could_review_or_open_is_warned_about(tmp_path: Path) -> None:
    text = GLASS.replace('where = "web"', 'reviewers = "ada"').replace('people = "@sre"', 'people = ["ada", "@sr"]')
    found = "\n".join(warnings(load_settings(written(tmp_path, text), {})))
    assert "break_glass.reviewers names nobody but ada, who so cannot break glass" in found
    assert "break_glass.people names the role @sr, which nobody has" in found
    text = GLASS.replace('"web:channel:all"', '"web:direct:ada"').replace('people = "@sre"', 'people = "web:ada"')
    found = "\n".join(warnings(load_settings(written(tmp_path, text), {})))
    assert "break_glass.announce_to is heard by ada alone, who so cannot break glass; name a room" in found


def test_the_committed_example_is_the_one_that_the_models_give() -> None:
    assert (ROOT / "config.example.toml").read_text(encoding="utf-8") == example()


def test_the_example_loads_without_a_warning_and_names_every_key() -> None:
    text = (ROOT / "config.example.toml").read_text(encoding="utf-8")
    settings = load_settings(ROOT / "config.example.toml", {})
    assert warnings(settings) == ()
    tomlkit.parse(text)
    for name, field in Settings.model_fields.items():
        section = field.annotation
        assert name in text
        for key, inner in getattr(section, "model_fields", {}).items():
            assert inner.description, f"{name}.{key}"
            assert f"\n{key} = " in text or f"\n# {key} = " in text, f"{name}.{key}"


def test_the_examples_defaults_are_the_models(tmp_path: Path) -> None:
    from_example = load_settings(ROOT / "config.example.toml", {})
    bare = load_settings(written(tmp_path, ""), {})
    for section in ("display", "agent", "session", "heartbeat", "execution", "local_node", "web", "store"):
        assert getattr(from_example, section) == getattr(bare, section)


def test_the_commented_values_of_the_example_are_valid_too(tmp_path: Path) -> None:
    text = (ROOT / "config.example.toml").read_text(encoding="utf-8")
    keys = ("public_url", "url", "active_hours", "memory_bytes", "processes", "open_files", "work_dir")
    for key in keys:
        assert f"\n# {key} = " in text
        text = text.replace(f"\n# {key} = ", f"\n{key} = ")
    settings = load_settings(written(tmp_path, text), {"HOMING_DB_PASSWORD": SECRET})
    assert settings.url == "https://homing.example.org"


def test_the_schema_knows_everyection() -> None:
    assert all(f'"{name}"' in schema() for name in Settings.model_fields)


def test_the_first_config_has_one_owner_and_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert first_config(path)
    assert path.stat().st_mode & 0o777 == 0o600
    settings = load_settings(path, {})
    assert settings.owners == ("owner",)
    assert settings.people[0].ids == ("web:owner",)
    assert warnings(settings) == ()


def test_a_config_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    path = written(tmp_path, "# mine\n")
    assert not first_config(path)
    assert path.read_text() == "# mine\n"


def test_a_folder_that_may_not_be_written_is_a_fault_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        first_config(tmp_path / "nowhere" / "config.toml")


RULE = '[[rule]]\nname = "r"\naction = "allow"\n'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (RULE + "where = []", "rule[0].where: is empty; name at least one, or remove the key"),
        (RULE + "who = []", "rule[0].who: is empty"),
        (RULE + "node = []", "rule[0].node: is empty"),
        (RULE + "command = []", "rule[0].command: is empty"),
        (GLASS.replace('where = "web"', "where = []"), "break_glass.where: is empty"),
        (GLASS.replace('node = ["@web", "db"]', "node = []"), "break_glass.node: is empty"),
        ('[[node_group]]\nname = "web"\nnodes = []', "node_group[0].nodes: is empty; name at least one node"),
    ],
)
def test_a_condition_that_somebody_emptied_holds_for_nothing_and_is_never_read_as_everything(
    tmp_path: Path, text: str, fault: str
) -> None:
    assert [found for found in faults_of(written(tmp_path, text)) if fault in found]


def test_a_bound_is_told_with_its_unit_and_an_empty_list_in_our_words(tmp_path: Path) -> None:
    text = GLASS.replace('open_for = "1h"', 'open_for = "8h"').replace('people = "@sre"', "people = []")
    faults = "\n".join(faults_of(written(tmp_path, text)))
    assert "break_glass.open_for: should be less than or equal to 14400 s; it is: How long" in faults
    assert "break_glass.people: is empty; name at least one; it is: Who may" in faults


def test_the_one_of_a_list_that_is_unknown_is_pointed_at_and_each_of_several(tmp_path: Path) -> None:
    text = '[[rule]]\nname = "r"\naction = "ask"\ndeciders = ["owner", "zed", "web:x", "yan"]\nnode = ["a", "@b"]'
    faults = "\n".join(faults_of(written(tmp_path, text)))
    for key in (
        "rule[0].deciders[1]: names a person",
        "rule[0].deciders[3]: names a",
        "rule[0].node[1]: names a group",
    ):
        assert key in faults
