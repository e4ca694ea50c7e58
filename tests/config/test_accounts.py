"""The accounts on the networks: from file and environment, every fault at once with its remedy, no secret shown."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from bot.config import Settings, hears, load_settings, to_fallbacks, to_gate, to_policy, warnings
from bot.domain.command import parse_request
from bot.domain.gate import Admission, DirectPolicy, RoomPolicy
from bot.domain.policy import Subject, Verdict, analysed
from bot.domain.session import AgentName, ChannelName, NativeId, Peer, PeerKind, PersonId
from bot.domain.verdict import Ask
from bot.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
SECRET = "hunter2-Correct-Horse"
SID, SERVICE, TEMPLATE = "AC" + "0" * 32, "MG" + "1" * 32, "HX" + "2" * 32
DISCORD = f'[[discord]]\ntoken = "{SECRET}"\nrooms = ["112233445566778899"]\n'
SLACK = f'[[slack]]\nbot_token = "xoxb-{SECRET}"\napp_token = "xapp-{SECRET}"\nrooms = ["C0AB"]\n'
WHATSAPP = f'[[whatsapp]]\naccount_sid = "{SID}"\nauth_token = "{SECRET}"\nsender = "+15551230001"\n'
PUBLIC = '[gateway]\npublic_url = "https://homing.example.org"\n'
PEOPLE = '[[people]]\nname = "ann"\nids = ["slack:U1"]\nroles = ["sre"]\n'


def load(tmp_path: Path, text: str, **environ: str) -> Settings:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, environ)


def faults(tmp_path: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, text, **environ)
    return [line.removeprefix("config.toml: ") for line in raised.value.faults]


def test_an_account_needs_little_and_the_rest_is_careful(tmp_path: Path) -> None:
    settings = load(tmp_path, PUBLIC + DISCORD + SLACK + WHATSAPP)
    discord, slack, whatsapp = settings.discord[0], settings.slack[0], settings.whatsapp[0]
    assert [one.account for one in settings.accounts()] == ["default"] * 3
    assert {one.dm_policy for one in settings.accounts()} == {DirectPolicy.PAIRING}
    assert (discord.api_base, discord.gateway_url, discord.shards) == ("https://discord.com/api/v10", None, None)
    assert discord.slash_commands
    assert slack.api_base == "https://slack.com/api/"
    assert (whatsapp.api_base, whatsapp.content_base) == ("https://api.twilio.com", "https://content.twilio.com")
    assert settings.display.notify_asker
    assert to_gate(settings).admissions == {
        ("discord", "default"): Admission(rooms=frozenset({"112233445566778899"})),
        ("slack", "default"): Admission(rooms=frozenset({"C0AB"})),
        ("whatsapp", "default"): Admission(room_policy=RoomPolicy.DISABLED),
    }
    assert to_fallbacks(settings) == {}
    assert warnings(load(tmp_path, 'owners = ["ann"]\n' + PUBLIC + DISCORD + SLACK + WHATSAPP + PEOPLE)) == ()


def test_every_key_of_the_gate_reaches_it(tmp_path: Path) -> None:
    text = SLACK + (
        'account = "second"\ndm_policy = "allowlist"\nallow_from = ["ann", "@sre", "slack:U2", "*"]\n'
        'room_policy = "open"\nspaces = ["T1A"]\nrequire_mention = false\nreply_mode = "thread"\n'
    )
    settings = load(tmp_path, text + PEOPLE)
    assert settings.slack[0].reply_mode == "thread"
    assert to_gate(settings).admissions == {
        ("slack", "second"): Admission(
            dm_policy=DirectPolicy.ALLOWLIST,
            allow_from=("ann", "@sre", "slack:U2", "*"),
            room_policy=RoomPolicy.OPEN,
            rooms=frozenset({"C0AB"}),
            spaces=frozenset({"T1A"}),
            require_mention=False,
        )
    }
    assert hears(settings.slack[0]) == "alone allowlist; rooms open"


def test_the_well_known_names_of_the_environment_stand_in_for_the_default_account(tmp_path: Path) -> None:
    environ = {
        "DISCORD_BOT_TOKEN": "d" + SECRET,
        "SLACK_BOT_TOKEN": "xoxb-s" + SECRET,
        "SLACK_SIGNING_SECRET": "g" + SECRET,
        "TWILIO_ACCOUNT_SID": SID,
        "TWILIO_AUTH_TOKEN": "t" + SECRET,
        "TWILIO_MESSAGING_SERVICE_SID": SERVICE,
    }
    text = '[[discord]]\n[[slack]]\n[[whatsapp]]\nsender = "+15551230001"\n'
    settings = load(tmp_path, PUBLIC + text, **environ)
    assert settings.discord[0].token.get_secret_value() == "d" + SECRET
    assert settings.slack[0].bot_token.get_secret_value() == "xoxb-s" + SECRET
    assert settings.slack[0].app_token is None
    assert (settings.whatsapp[0].account_sid, settings.whatsapp[0].messaging_service_sid) == (SID, SERVICE)
    assert {"d" + SECRET, "xoxb-s" + SECRET, "g" + SECRET, "t" + SECRET} <= set(settings.secrets())


def test_the_file_wins_over_the_well_known_names_and_other_accounts_do_not_take_them(tmp_path: Path) -> None:
    written = load(tmp_path, DISCORD, DISCORD_BOT_TOKEN="from-outside")
    assert written.discord[0].token.get_secret_value() == SECRET
    (tmp_path / "token").write_text("from-a-file\n", encoding="utf-8")
    read = load(tmp_path, '[[discord]]\ntoken_file = "token"\n', DISCORD_BOT_TOKEN="from-outside")
    assert read.discord[0].token.get_secret_value() == "from-a-file"

    (fault,) = faults(tmp_path, '[[discord]]\naccount = "second"\n', DISCORD_BOT_TOKEN=SECRET)
    assert fault.startswith("discord[0].token: is missing; it is: The bot's token; or token_file")


def test_secrets_of_accounts_come_from_files_and_are_never_shown(tmp_path: Path) -> None:
    for name in ("bot", "app", "sign", "auth"):
        (tmp_path / name).write_text(f"{ {'bot': 'xoxb-', 'app': 'xapp-'}.get(name, '') }{name}-{SECRET}\n", "utf-8")
    text = (
        '[[slack]]\nbot_token_file = "bot"\napp_token_file = "app"\nsigning_secret_file = "sign"\n'
        f'[[whatsapp]]\naccount_sid = "{SID}"\nauth_token_file = "auth"\nsender = "+15551230001"\n'
    )
    settings = load(tmp_path, PUBLIC + text)
    assert set(settings.secrets()) == {
        f"xoxb-bot-{SECRET}",
        f"xapp-app-{SECRET}",
        f"sign-{SECRET}",
        f"auth-{SECRET}",
    }
    assert SECRET not in repr(settings)
    both = faults(tmp_path, DISCORD + 'token_file = "bot"\n')
    assert both == ["discord[0].token_file: stands beside token; keep one of them"]
    (missing,) = faults(tmp_path, '[[discord]]\ntoken_file = "nowhere"\n')
    assert missing.startswith("discord[0].token_file: the file cannot be read (FileNotFoundError)")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            DISCORD + DISCORD.replace("[[discord]]", '[[discord]]\naccount = "b"'),
            "discord[1].token: is the same as of discord[0]: one bot is one account; make another, or remove it",
        ),
        (
            SLACK + SLACK.replace("[[slack]]", '[[slack]]\naccount = "b"').replace("xoxb-", "xoxb-other"),
            "slack[1].app_token: is the same as of slack[0]: one bot is one account; make another, or remove it",
        ),
        (
            PUBLIC + WHATSAPP + WHATSAPP.replace("[[whatsapp]]", '[[whatsapp]]\naccount = "b"'),
            "whatsapp[1].sender: is the same as of whatsapp[0]: one bot is one account; make another, or remove it",
        ),
        (
            DISCORD + DISCORD.replace(SECRET, "another"),
            "discord[1].account: is the same as of discord[0]; give each account a name of its own",
        ),
        (DISCORD + 'account = "direct"\n', "discord[0].account: is a kind of conversation in keys"),
        (DISCORD + 'account = "a:b"\n', "discord[0].account: String should match pattern"),
        (
            DISCORD + DISCORD + 'account = "b"\napi_base = "https://proxy.example.org/api"\n',
            "discord[1].api_base: differs from discord[0]; Discord's library knows one for all accounts",
        ),
        (
            DISCORD + DISCORD + 'account = "b"\ngateway_url = "wss://gateway.example.org"\n',
            "discord[1].gateway_url: differs from discord[0]",
        ),
        (
            DISCORD + 'api_base = "http://discord.example.org"\n',
            "discord[0].api_base: would send the token unencrypted",
        ),
        (DISCORD + 'api_base = "discord.example.org"\n', "discord[0].api_base: is no address"),
        (DISCORD.replace("112233445566778899", "#ops"), "discord[0].rooms[0]: is no id of Discord"),
        (SLACK.replace("C0AB", "ops"), "slack[0].rooms[0]: is no id of a Slack channel"),
        (SLACK + 'spaces = ["acme"]\n', "slack[0].spaces[0]: is no id of a Slack workspace"),
        (SLACK.replace("xoxb-", "xoxp-"), "slack[0].bot_token: is no bot token; that begins with xoxb-"),
        (SLACK.replace("xapp-", "xoxb-"), "slack[0].app_token: is no app token; that begins with xapp-"),
        (
            f'[[slack]]\nbot_token = "xoxb-{SECRET}"\n{PUBLIC}',
            "slack[0].app_token: is missing, and so is signing_secret",
        ),
        (
            f'[[slack]]\nbot_token = "xoxb-{SECRET}"\nsigning_secret = "{SECRET}"\n',
            "gateway.public_url: is needed, with https, by slack[0] without an app_token",
        ),
        (WHATSAPP, "gateway.public_url: is needed, with https, by whatsapp[0]"),
        (
            WHATSAPP + '[gateway]\npublic_url = "http://homing.example.org"\n',
            "gateway.public_url: is needed, with https, by whatsapp[0]",
        ),
        (PUBLIC + WHATSAPP.replace("+1555", "1555"), "whatsapp[0].sender: is no number in the form of E.164"),
        (PUBLIC + WHATSAPP.replace(SID, SECRET), "whatsapp[0].account_sid: is no account SID"),
        (PUBLIC + WHATSAPP + 'rooms = ["C1"]\n', "whatsapp[0].rooms: unknown key"),
        (DISCORD + 'allow_from = ["nobody"]\n', "discord[0].allow_from[0]: names a person whom [[people]] does not"),
        (DISCORD + 'dm_policy = "everybody"\n', "discord[0].dm_policy: should be 'pairing'"),
        (DISCORD + 'fallback = "slack"\n', "discord[0].fallback: is no single conversation"),
        (DISCORD + 'fallback = "*"\n', "discord[0].fallback: is no single conversation"),
        (DISCORD + 'fallback = "C0OPS"\n', "discord[0].fallback: "),
        (
            DISCORD + 'fallback = "slack:channel:C0OPS"\n',
            "discord[0].fallback: names an account that is not configured",
        ),
        (
            SLACK + DISCORD + 'fallback = "slack:second:channel:C0OPS"\n',
            "discord[0].fallback: names an account that is not configured",
        ),
        (
            '[[rule]]\nname = "r"\naction = "ask"\ncopy_to = ["slack:channel:C0OPS"]\n',
            "rule[0].copy_to: names an account that is not configured; add it under [[slack]], or name another",
        ),
        ('discord = "x"\n', "discord: "),
    ],
)
def test_a_fault_names_its_key_and_the_remedy(tmp_path: Path, text: str, fault: str) -> None:
    found = faults(tmp_path, text)
    assert any(line.startswith(fault) for line in found), found
    assert not any(SECRET in line for line in found)


def test_all_faults_of_all_accounts_are_named_at_once(tmp_path: Path) -> None:
    text = (
        '[[discord]]\nrooms = ["#ops"]\n[[slack]]\nbot_token = "xoxp-x"\nmention = true\n'
        f'[[whatsapp]]\nsender = "x"\n{DISCORD}account = "group"\n'
    )
    keys = {re.split(r": ", line)[0] for line in faults(tmp_path, text)}
    assert {
        "discord[0].token",
        "discord[0].rooms[0]",
        "discord[1].account",
        "slack[0].bot_token",
        "slack[0].mention",
        "whatsapp[0].account_sid",
        "whatsapp[0].auth_token",
        "whatsapp[0].sender",
    } <= keys


def test_a_fallback_and_the_copies_are_conversations_of_our_agent(tmp_path: Path) -> None:
    text = (
        '[agent]\nname = "ops"\n'
        + SLACK
        + DISCORD
        + 'fallback = "slack:channel:C0OPS"\n'
        + '[[rule]]\nname = "r"\naction = "ask"\ndeciders = ["ann"]\ncopy_to = "web:channel:ops:thread:17"\n'
        + PEOPLE
    )
    settings = load(tmp_path, text)
    home = Peer(agent=AgentName("ops"), channel=ChannelName("slack"), kind=PeerKind.CHANNEL, id=NativeId("C0OPS"))
    assert to_fallbacks(settings) == {("discord", "default"): home}
    subject = Subject(analysis=analysed(parse_request("uptime")))
    verdict = to_policy(settings).judge(peer=home, asker=PersonId("ann"), node_name="web-1", subject=subject)
    assert isinstance(verdict, Ask)
    ((copy,),) = (verdict.copy_to,)
    assert (copy.agent, copy.channel, copy.id, copy.thread) == ("ops", "web", "ops", "17")
    assert settings.rule[0].action is Verdict.ASK


def test_what_hears_nobody_or_means_nothing_is_warned_about(tmp_path: Path) -> None:
    text = (
        'owners = ["ann"]\n'
        + DISCORD.replace('rooms = ["112233445566778899"]\n', "")
        + SLACK
        + 'room_policy = "open"\nallow_from = []\n'
        + '[[rule]]\nname = "r"\naction = "deny"\ncopy_to = ["slack:channel:C1"]\n'
        + '[[slack]]\naccount = "second"\nbot_token = "xoxb-1"\napp_token = "xapp-1"\nroom_policy = "disabled"\n'
        + 'allow_from = ["@nobody"]\n'
        + PEOPLE
    )
    found = warnings(load(tmp_path, text))
    keys = sorted(re.split(" is | names | does ", line)[0] for line in found)
    assert keys == ["discord[0]", "rule[0]", "slack[0].allow_from", "slack[0].room_policy", "slack[1].allow_from"]
    assert any("no room hears it" in line for line in found)


def test_one_id_stands_for_a_list_and_digits_need_no_quotes(tmp_path: Path) -> None:
    settings = load(
        tmp_path, SLACK.replace('["C0AB"]', '"C0AB"') + DISCORD.replace('"112233445566778899"', "112233445566778899")
    )
    assert settings.slack[0].rooms == ("C0AB",)
    assert settings.discord[0].rooms == ("112233445566778899",)


def test_the_environment_can_hold_a_whole_list_of_accounts(tmp_path: Path) -> None:
    settings = load(tmp_path, "", HOMING_DISCORD=f'[{{"token": "{SECRET}", "account": "second"}}]')
    assert [(one.account, one.token.get_secret_value()) for one in settings.discord] == [("second", SECRET)]


def test_the_accounts_of_the_example_load_when_their_sign_is_taken_away(tmp_path: Path) -> None:
    text = (ROOT / "config.example.toml").read_text(encoding="utf-8")
    (tmp_path / "discord-token").write_text(SECRET, encoding="utf-8")
    for name in ("discord", "slack", "whatsapp"):
        assert f"\n# [[{name}]]\n" in text
        text = re.sub(rf"\n# \[\[{name}\]\]\n((?:# .*\n)+)", lambda block: block[0].replace("\n# ", "\n"), text)
    environ = {
        "SLACK_BOT_TOKEN": f"xoxb-{SECRET}",
        "SLACK_APP_TOKEN": f"xapp-{SECRET}",
        "TWILIO_ACCOUNT_SID": SID,
        "TWILIO_AUTH_TOKEN": SECRET,
    }
    text = text.replace("# public_url", "public_url")
    settings = load(tmp_path, text, **environ)
    assert [one.channel for one in settings.accounts()] == ["discord", "slack", "whatsapp"]
    assert warnings(settings) == ()


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs" / "channels").glob("*.md")))
def test_what_a_channels_page_writes_into_the_config_loads(tmp_path: Path, page: str) -> None:
    environ = {
        "DISCORD_BOT_TOKEN": SECRET,
        "SLACK_BOT_TOKEN": f"xoxb-{SECRET}",
        "SLACK_APP_TOKEN": f"xapp-{SECRET}",
        "SLACK_SIGNING_SECRET": SECRET,
        "TWILIO_ACCOUNT_SID": SID,
        "TWILIO_AUTH_TOKEN": SECRET,
    }
    text = (ROOT / "docs" / "channels" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```toml\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        for name in re.findall(r'_file = "([^"/]+)"', block):
            prefix = {"bot_token_file": "xoxb-", "app_token_file": "xapp-"}
            key = re.findall(rf'(\w+_file) = "{re.escape(name)}"', block)[0]
            (tmp_path / name).write_text(prefix.get(key, "") + SECRET, encoding="utf-8")
        written = textwrap.dedent(block)
        load(tmp_path, written if "[gateway]" in written else f"{written}\n{PUBLIC}", **environ)
