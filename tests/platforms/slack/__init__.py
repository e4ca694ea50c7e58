"""Slack on loopback, as strict as Slack: `SlackNetwork` for stories, `SlackServer` and `People` beneath it."""

from tests.platforms.slack.network import SlackNetwork
from tests.platforms.slack.people import People
from tests.platforms.slack.server import SlackServer

__all__ = ["People", "SlackNetwork", "SlackServer"]
