"""Slack keeps the promises of every channel, in Socket Mode and over signed HTTP."""

from __future__ import annotations

from tests.channels.contract import ChannelContract


class TestSlack(ChannelContract):
    """The suite of every channel; the fixture `rig` runs it in both modes."""
