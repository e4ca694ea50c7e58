"""[heartbeat], `[[schedule]]` and `[[hook]]`: what they become, and each fault with its remedy."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.clockwork import to_cadences, to_hooks, to_planned
from bot.config import load_settings
from bot.console.hooks import Signature
from bot.domain.event import InputKind
from bot.domain.session import Peer
from bot.errors import ConfigError
from bot.flow.schedule import ActiveHours, Missed, Target

MODEL = '[[agents]]\nname = "ops"\nmodel = "openai:x"\nbase_url = "http://127.0.0.1:9/v1"\n'

OWN = 'heartbeat = { every = "1h", time_zone = "Asia/Tokyo", active_hours = "09:00-10:00", target = "web:channel:dev" }'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_each_agent_has_its_own_cadence_or_the_files(tmp_path: Path) -> None:
    text = f"""
[display]
time_zone = "Europe/Berlin"
[heartbeat]
every = "30m"
active_hours = "08:00-22:00"
session = "agent:main:web:channel:ops"
{MODEL}{OWN}
"""
    main, ops = to_cadences(load_settings(written(tmp_path, text), {}))
    assert (main.agent, main.session, main.every_s, main.target) == (
        "main",
        "agent:main:web:channel:ops",
        1_800.0,
        Target.LAST,
    )
    assert main.active_hours == ActiveHours(start=time(8), end=time(22), zone=ZoneInfo("Europe/Berlin"))
    assert (ops.agent, ops.session, ops.every_s) == ("ops", "agent:ops:main", 3_600.0)
    assert ops.active_hours is not None
    assert ops.active_hours.zone == ZoneInfo("Asia/Tokyo")
    assert isinstance(ops.target, Peer)
    assert (ops.target.agent, ops.target.id) == ("ops", "dev")


def test_a_schedule_has_a_session_of_its_own_or_the_one_that_it_names(tmp_path: Path) -> None:
    text = """
[[schedule]]
name = "nightly"
cron = "0 3 * * *"
to = "web:channel:ops"
command = "df -h /"
node = "web-1"
[[schedule]]
name = "weekly"
cron = "0 7 * * 1"
time_zone = "Europe/Berlin"
session = "agent:main:web:channel:ops"
text = "A new week."
agent = "main"
missed = "skip"
"""
    nightly, weekly = to_planned(load_settings(written(tmp_path, text), {}))
    assert (nightly.session, nightly.kind, nightly.text, nightly.missed) == (
        "agent:main:schedule:nightly",
        InputKind.COMMAND,
        "run on web-1: df -h /",
        Missed.ONCE,
    )
    assert nightly.to is not None
    assert (weekly.session, weekly.kind, weekly.to, weekly.missed) == (
        "agent:main:web:channel:ops",
        InputKind.SCHEDULE,
        None,
        Missed.SKIP,
    )
    assert weekly.zone == ZoneInfo("Europe/Berlin")


def test_a_hook_is_proved_by_a_token_or_a_signature_that_nothing_shows(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("0123456789abcdef\n")
    text = """
[[hook]]
name = "deploys"
to = "web:channel:ops"
secret_file = "secret"
signature = "homing"
fields = { repo = "repository.full_name" }
text = "{repo} was deployed."
[[hook]]
name = "alerts"
session = "agent:main:web:channel:ops"
token = "${ALERTS}"
text = "An alert."
"""
    settings = load_settings(written(tmp_path, text), {"ALERTS": "fedcba9876543210"})
    deploys, alerts = to_hooks(settings)
    assert (deploys.session, deploys.secret, deploys.signature) == (
        "agent:main:hook:deploys",
        "0123456789abcdef",
        Signature.HOMING,
    )
    assert (alerts.session, alerts.to, alerts.token) == ("agent:main:web:channel:ops", None, "fedcba9876543210")
    assert "0123456789abcdef" not in repr((deploys, settings))
    assert "fedcba9876543210" not in repr((alerts, settings))


SCHEDULE = '[[schedule]]\nname = "x"\ncron = "0 3 * * *"\n'
HOOK = '[[hook]]\nname = "x"\nto = "web:channel:ops"\ntext = "x"\n'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[heartbeat]\nevery = "30m"\n', "heartbeat.target: main is written to by nobody"),
        ('[heartbeat]\nsession = "ops"\n', "heartbeat.session: is no session; write"),
        ('[heartbeat]\ntarget = "first"\n', "heartbeat.target: names no channel"),
        ('[heartbeat]\ntarget = "slack:channel:C0AB"\n', "heartbeat.target: names an account that is not configured"),
        (MODEL + "heartbeat = { every = 5 }\n", "agents[0].heartbeat.target: main is written to by nobody"),
        (MODEL + "heartbeat = { often = 5 }\n", "agents[0].heartbeat.often: unknown key"),
        (SCHEDULE + 'text = "x"\n', "schedule[0].to: and session exclude each other"),
        (SCHEDULE + 'text = "x"\nto = "web:channel:a"\nsession = "main"\n', "and session exclude each other"),
        (SCHEDULE + 'text = "x"\nsession = "main"\n', "schedule[0].session: main is written to by nobody"),
        (SCHEDULE + 'to = "web:channel:ops"\n', "schedule[0].text: and command exclude each other"),
        (SCHEDULE + 'to = "web:channel:ops"\ntext = "x"\nnode = "n"\n', "schedule[0].node: goes with command"),
        (SCHEDULE + 'to = "slack:channel:C0AB"\ntext = "x"\n', "schedule[0].to: names an account that is not"),
        ((SCHEDULE + 'to = "web:channel:a"\ntext = "x"\n') * 2, "schedule[1].name: is the same as of schedule[0]"),
        (SCHEDULE.replace("0 3 * * *", "0 3 * *"), "schedule[0].cron: is no cron line"),
        (SCHEDULE.replace("0 3 * * *", "0 3 30 2 *"), "schedule[0].cron: is no cron line"),
        (
            SCHEDULE + 'to = "web:channel:ops"\ntext = "x"\nagent = "night"\n',
            "schedule[0].agent: names no agent; there are: main",
        ),
        (
            MODEL + "[[agents]]\nname = 'ops'\nmodel = 'openai:x'\nbase_url = 'http://127.0.0.1:9/v1'\n"
            "heartbeat = { every = 5, session = 'agent:main:web:channel:ops' }\n",
            "agents[1].heartbeat.session: is a session of main, and not of ops",
        ),
        (
            MODEL.replace("main", "ops")
            + SCHEDULE
            + 'session = "agent:main:web:channel:ops"\nagent = "ops"\ntext = "x"\n',
            "schedule[0].session: is a session of main, and not of ops",
        ),
        (
            MODEL
            + 'bindings = ["web:channel:ops"]\n'
            + MODEL.replace("ops", "two")
            + 'bindings = ["web:channel:ops"]\n',
            "agents[1].bindings: names a place that is agents[0]'s already",
        ),
        (SCHEDULE + 'time_zone = "Berlin"\n', "schedule[0].time_zone: is no time zone"),
        (HOOK, "hook[0].token: and secret exclude each other"),
        (HOOK + 'token = "0123456789abcdef"\nsecret = "0123456789abcdef"\n', "hook[0].token: and secret exclude"),
        (HOOK + 'token = "short"\n', "hook[0].token: "),
        (
            HOOK.replace('text = "x"', 'text = "{who}"') + 'token = "0123456789abcdef"\n',
            "hook[0].text: names a field that",
        ),
        (HOOK + 'token = "0123456789abcdef"\nfields = { Who = "a" }\n', "hook[0].fields: are names in small letters"),
        (HOOK + 'token = "0123456789abcdef"\nfields = { who = "a..b" }\n', "hook[0].fields: are names in small"),
    ],
)
def test_f027_each_fault_names_its_key_and_its_remedy(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as found:
        load_settings(written(tmp_path, text), {})
    assert fault in str(found.value)


def test_main_is_written_to_where_direct_conversations_are_its_own(tmp_path: Path) -> None:
    text = '[session]\ndm_scope = "main"\n[heartbeat]\nevery = "30m"\n' + SCHEDULE + 'session = "main"\ntext = "x"\n'
    settings = load_settings(written(tmp_path, text), {})
    assert to_planned(settings)[0].session == "agent:main:main"
