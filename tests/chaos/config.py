"""The config.toml of a world: its networks at their loopback servers, and rules by room.

Deliberately absent: anything that a running world changes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chaos.world import World

PUBLIC_URL = "https://homing.example"
_HEAD = """
owners = ["owner"]

[gateway]
port = {port}
data_dir = "{home}/data"
public_url = "{public}"

[local_node]
enabled = {local}

[web]
rooms = ["general", "ops", "free", "slow", "short"]

[execution]
lost_after_s = 300
retention_days = 2

[heartbeat]
every = 86400
target = "none"

[audit]
keep_days = 1
heads_file = "{home}/heads.jsonl"
heads_every = "5s"

[[schedule]]
name = "nightly"
cron = "0 3 * * *"
to = "web:channel:free"
command = "/bin/date"

[break_glass]
people = ["owner"]
reviewers = ["web:ada"]
announce_to = ["web:channel:ops"]
open_for = "60s"
review_within = "10m"

[[people]]
name = "owner"
ids = {ids}

[[rule]]
name = "nobody is asked in the room free"
where = ["web:channel:free"]
action = "allow"

[[rule]]
name = "further people are asked in the room slow"
where = ["web:channel:slow"]
action = "ask"
deciders = ["owner"]
expires_after = "1h"
escalate_after = "1s"
escalate_to = ["web:ada"]

[[rule]]
name = "nobody waits in the room short"
where = ["web:channel:short"]
action = "ask"
expires_after = "1s"
"""

_DISCORD = """
[[discord]]
token = "{discord_token}"
rooms = {discord_rooms}
slash_commands = false
api_base = "{discord_api}"
gateway_url = "{discord_socket}"
"""
_SLACK = """
[[slack]]
bot_token = "{slack_bot}"
app_token = "{slack_app}"
rooms = {slack_rooms}
api_base = "{slack_api}"
"""
_WHATSAPP = """
[[whatsapp]]
account_sid = "{sid}"
auth_token = "{auth}"
sender = "{sender}"
dm_policy = "open"
api_base = "{twilio}"
content_base = "{twilio}"
"""


def config_of(world: World) -> str:
    ids = ["web:owner", *(f"{name}:{world.on(name).network.person('owner')}" for name in world.speaks)]
    local = str(world.has_local_node).lower()
    text = _HEAD.format(public=PUBLIC_URL, port=world.port, home=world.home, local=local, ids=json.dumps(ids))
    discord, slack, twilio = world.discord, world.slack, world.whatsapp.server.account("default")
    if "discord" in world.speaks:
        text += _DISCORD.format(
            discord_token=discord.app.token,
            discord_rooms=json.dumps([peer.id for peer in discord.rooms]),
            discord_api=f"http://127.0.0.1:{discord._port}/api/v10",
            discord_socket=discord._socket_url(),
        )
    if "slack" in world.speaks:
        text += _SLACK.format(
            slack_bot=slack.app.bot_token,
            slack_app=slack.app.app_token,
            slack_rooms=json.dumps([peer.id for peer in slack.rooms]),
            slack_api=f"{slack.server.url}/api/",
        )
    if "whatsapp" in world.speaks:
        text += _WHATSAPP.format(
            sid=twilio.sid, auth=twilio.token, sender=twilio.number, twilio=world.whatsapp.server.url
        )
    return text
