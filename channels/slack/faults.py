"""What went wrong with Slack -> the error whose class is the remedy. Pure.

Deliberately absent: what Slack said in words: its error codes are known here or are left out.
"""

from __future__ import annotations

import aiohttp
from slack_sdk.errors import SlackApiError as ApiError
from slack_sdk.errors import SlackClientError

from bot.errors import (
    ChannelError,
    ChannelHeld,
    ChannelRejected,
    ChannelThrottled,
    ChannelUnavailable,
    ChannelUncertain,
)

SDK = (SlackClientError, aiohttp.ClientError, OSError, TimeoutError)
"""All that a call through the library may raise for the network's sake."""
MAX_RETRY_AFTER_S = 3_600.0

TOKEN = frozenset(
    {
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "not_allowed_token_type",
        "org_login_required",
        "socket_mode_not_enabled",
    }
)
"""The operator mends it; a send waits for that."""
_AWAY = frozenset({"service_unavailable", "team_added_to_org", "request_timeout", "accesslimited", "ekm_access_denied"})
_THROTTLED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_LOST = frozenset({"internal_error", "fatal_error"})
"""https://docs.slack.dev/reference/methods/chat.postMessage#errors: some of it may have succeeded."""
_REMEDY = {
    "channel_not_found": "the conversation is gone or the bot cannot see it: invite the bot with /invite",
    "not_in_channel": "the bot is not in this channel: invite it with /invite",
    "restricted_action": "the workspace does not let the bot post there: change the channel's posting permissions",
    "restricted_action_read_only_channel": "the channel is read-only: change its posting permissions",
    "restricted_action_thread_only_channel": "the channel takes threads only: set reply_mode to thread",
    "thread_not_found": "the thread is gone",
    "message_not_found": "the message is gone",
    "cant_update_message": "the message is not the bot's own",
    "edit_window_closed": "the workspace's settings let no message be edited so late",
    "missing_scope": "a scope is missing: compare with deploy/slack-manifest.yaml, and install the app again",
    "user_not_found": "there is no such person in this workspace",
    "user_disabled": "the person's account is deactivated",
    "cannot_dm_bot": "a bot cannot be written to",
    "no_text": "the message was empty: a fault of ours",
    "msg_too_long": "the message was too long: a fault of ours",
    "msg_blocks_too_long": "the message was too long: a fault of ours",
    "invalid_blocks": "Slack does not take the form of the message: a fault of ours",
}
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
_SURELY_NOT = frozenset({429, 503})


def code_of(fault: BaseException) -> str:
    """Slack's error code; empty where it gave none."""
    answer = getattr(fault, "response", None)
    fields = getattr(answer, "data", None)
    code = fields.get("error") if isinstance(fields, dict) else None
    return code if isinstance(code, str) else ""


def known(code: str) -> str:
    """The code where it is one of ours, for the log."""
    is_known = code in TOKEN or code in _AWAY or code in _THROTTLED or code in _LOST or code in _REMEDY
    return code if is_known else "other"


def retry_after_s(fault: BaseException) -> float:
    headers = getattr(getattr(fault, "response", None), "headers", None) or {}
    value = headers.get("Retry-After") or headers.get("retry-after") or "1"
    if isinstance(value, list):
        value = value[0] if value else "1"
    try:
        return min(MAX_RETRY_AFTER_S, max(1.0, float(value)))
    except ValueError:
        return 1.0


def _status(fault: BaseException) -> int:
    answer = getattr(fault, "response", None)
    status = getattr(answer, "status_code", None) or getattr(answer, "status", None)
    return status if isinstance(status, int) else 0


def remedy_of(fault: BaseException) -> ChannelError:
    """For a call that may have had its effect."""
    if not isinstance(fault, ApiError):
        if isinstance(fault, _NOT_SENT):
            return ChannelUnavailable("Slack cannot be reached")
        return ChannelUncertain("Slack's answer was lost")
    code, status = code_of(fault), _status(fault)
    if status == 429 or code in _THROTTLED:
        return ChannelThrottled("Slack asks for patience", retry_after_s=retry_after_s(fault))
    if code == "is_archived":
        return ChannelHeld("the channel is archived: unarchive it, or it stays untold")
    if code in TOKEN:
        return ChannelUnavailable("Slack refuses the token: see homing doctor")
    if code in _AWAY or (not code and status in _SURELY_NOT):
        return ChannelUnavailable("Slack is away")
    if code in _LOST or not code:
        return ChannelUncertain("Slack failed on its side")
    return ChannelRejected(_REMEDY.get(code, "Slack refuses it for good"))


def repeatable(fault: BaseException) -> ChannelError:
    """For a call that may be repeated without harm."""
    remedy = remedy_of(fault)
    return ChannelUnavailable(str(remedy)) if isinstance(remedy, ChannelUncertain) else remedy


def unanswered(fault: BaseException) -> ChannelUnavailable:
    """For a look that gave nothing."""
    return ChannelUnavailable(str(remedy_of(fault)))


def repeated_unsafe() -> ChannelUncertain:
    """Slack answered, and not with what it promises: the message may stand."""
    return ChannelUncertain("Slack's answer names no message")
