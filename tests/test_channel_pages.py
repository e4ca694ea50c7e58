"""docs/channels: the first block of each page, put into what `homing run` writes as it says, is a right config."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from bot.config import first_config, load_settings, to_policy, warnings
from bot.domain.session import ChannelName

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {"SLACK_BOT_TOKEN": "xoxb-fake", "SLACK_APP_TOKEN": "xapp-fake"}


def merged(first: str, block: dict[str, Any]) -> str:
    """The person's ids changed, keys added to tables that stand there, accounts at the end."""
    tree: Any = tomlkit.parse(first)
    for table, value in block.items():
        if table == "people":
            assert [one["name"] for one in value] == [tree["people"][0]["name"]]
            tree["people"][0]["ids"] = value[0]["ids"]
        elif isinstance(value, dict):
            tree.setdefault(table, tomlkit.table()).update(value)
        else:
            tree[table] = value
    return tomlkit.dumps(tree)


@pytest.mark.parametrize("channel", ["discord", "slack", "whatsapp"])
def test_what_the_page_says_to_write_is_right_beside_what_stands_there(tmp_path: Path, channel: str) -> None:
    page = (ROOT / "docs" / "channels" / f"{channel}.md").read_text(encoding="utf-8")
    block = tomllib.loads(re.findall(r"```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[0])
    config = tmp_path / "config.toml"
    assert first_config(config)
    for name in ("discord-token", "twilio-token"):
        (tmp_path / name).write_text("fake-token\n")
    config.write_text(merged(config.read_text(encoding="utf-8"), block), encoding="utf-8")

    settings = load_settings(config, ENVIRONMENT)

    assert warnings(settings) == ()
    directory = to_policy(settings).directory
    (native,) = [own.partition(":")[2] for own in block["people"][0]["ids"] if own.startswith(channel)]
    assert to_policy(settings).is_owner(directory.identify(ChannelName(channel), native))
