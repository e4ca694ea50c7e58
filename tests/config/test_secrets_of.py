"""Every secret of a config reaches the masker, whichever way it came into the settings (F-119)."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from bot.app import core_settings
from bot.config import load_settings
from bot.config.secrets import secrets_of
from bot.config.settings import Settings

DISCORD, BOT, APP, TWILIO = "made-up-discord-token", "xoxb-made-up", "xapp-made-up", "made-up-twilio-token"
CONFIG = """
owners = ["owner"]
[gateway]
public_url = "https://homing.example.org"
[store]
url = "postgresql://homing:${DB_PASSWORD}@db.example.org/homing"
[[people]]
name = "owner"
ids = ["web:owner"]
[[discord]]
token_file = "discord-token"
[[slack]]
bot_token = "${SLACK_ONE}"
[[whatsapp]]
account_sid = "AC00000000000000000000000000000000"
auth_token = "made-up-twilio-token"
sender = "+15551230001"
"""


def settings_in(tmp_path: Path) -> Settings:
    (tmp_path / "discord-token").write_text(DISCORD + "\n")
    (tmp_path / "config.toml").write_text(CONFIG)
    environ = {"DB_PASSWORD": "p%40ss-word", "SLACK_ONE": BOT, "SLACK_APP_TOKEN": APP}
    return load_settings(tmp_path / "config.toml", environ)


def test_f119_a_secret_is_found_by_its_type_from_file_environment_and_config_alike(tmp_path: Path) -> None:
    found = secrets_of(settings_in(tmp_path))
    assert {DISCORD, BOT, APP, TWILIO, "p%40ss-word", "p@ss-word"} <= set(found)
    assert "postgresql://homing:p%40ss-word@db.example.org/homing" in found
    assert "" not in found
    assert not any("AC0000" in one for one in found)


def test_f119_no_field_of_the_settings_that_is_secret_is_left_out(tmp_path: Path) -> None:
    """Whatever table comes later: what the settings themselves hide when they are printed, is found."""
    settings = settings_in(tmp_path)
    found = secrets_of(settings)
    assert set(settings.secrets()) <= set(found)
    printed = repr(settings)
    assert printed.count("SecretStr('**********')") == len(
        {one for one in found if one not in ("p%40ss-word", "p@ss-word")}
    )


def test_f119_the_gateway_masks_with_all_of_them(tmp_path: Path) -> None:
    masker = core_settings(settings_in(tmp_path)).masker
    for secret in (DISCORD, BOT, APP, TWILIO, "p@ss-word"):
        assert masker.text(f"it is {secret}!").startswith("it is ‹secret")
        assert secret not in masker.text(f"it is {secret}!")


def test_secrets_in_tables_of_tables_are_found() -> None:
    settings = Settings.model_construct(store={"inner": [SecretStr("in-a-list")]}, owners=("nobody",))
    assert "in-a-list" in secrets_of(settings)


def test_a_url_without_a_password_gives_nothing_but_itself() -> None:
    settings = Settings.model_construct(store=(SecretStr("sqlite:///data/homing.db"), SecretStr("a://me@b")))
    assert secrets_of(settings) == ("sqlite:///data/homing.db", "a://me@b")
