"""What an operator may have set up wrongly at Slack. Posts nothing, listens to nothing."""

from __future__ import annotations

from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.ports import Check
from channels.slack import faults

SCOPES = (
    "app_mentions:read",
    "channels:history",
    "channels:read",
    "chat:write",
    "commands",
    "files:write",
    "groups:history",
    "groups:read",
    "im:history",
    "im:read",
    "im:write",
    "mpim:history",
    "mpim:read",
    "reactions:read",
    "reactions:write",
    "users:read",
)
"""As in deploy/slack-manifest.yaml; a test holds that they are the same."""


async def checks(client: AsyncWebClient, *, app_token: str | None, signing_secret: str | None) -> tuple[Check, ...]:
    """Never raises: a network that cannot be reached is a finding."""
    found = list(await _bot(client))
    if app_token is not None:
        found.append(await _app(client, app_token))
    elif signing_secret is None:
        found.append(
            Check(
                is_ok=False,
                said="there is neither an app token nor a signing secret, so Slack cannot reach this account",
                remedy="give app_token (Socket Mode) or signing_secret (HTTP Events): docs/channels/slack.md",
            )
        )
    else:
        found.append(Check(is_ok=True, said="there is a signing secret; whether it is the right one, a request shows"))
    return tuple(found)


async def _bot(client: AsyncWebClient) -> tuple[Check, ...]:
    try:
        answer: Any = await client.auth_test()
    except faults.SDK as fault:
        return (_fault(fault, "the bot token", "bot_token: at api.slack.com/apps, page OAuth & Permissions, xoxb-…"),)
    said = Check(is_ok=True, said="Slack takes the bot token")
    headers = answer.headers or {}
    given = headers.get("x-oauth-scopes") or headers.get("X-OAuth-Scopes")
    if not isinstance(given, str):
        return (said,)
    missing = sorted(set(SCOPES) - {one.strip() for one in given.split(",")})
    if not missing:
        return said, Check(is_ok=True, said="all scopes are granted")
    return said, Check(
        is_ok=False,
        said=f"scopes are missing: {', '.join(missing)}",
        remedy="at api.slack.com/apps, page OAuth & Permissions, add them under Bot Token Scopes (or paste "
        "deploy/slack-manifest.yaml into App Manifest), and press Reinstall to Workspace",
    )


async def _app(client: AsyncWebClient, app_token: str) -> Check:
    """Asks for an address and opens no connection."""
    try:
        await client.apps_connections_open(app_token=app_token)
    except faults.SDK as fault:
        if faults.code_of(fault) == "socket_mode_not_enabled":
            return Check(
                is_ok=False,
                said="Socket Mode is switched off",
                remedy="at api.slack.com/apps, page Socket Mode, switch Enable Socket Mode on",
            )
        return _fault(
            fault,
            "the app token",
            "app_token: at api.slack.com/apps, page Basic Information, App-Level Tokens, with the scope "
            "connections:write, xapp-…",
        )
    return Check(is_ok=True, said="Slack takes the app token")


def _fault(fault: BaseException, what: str, where: str) -> Check:
    code = faults.code_of(fault)
    if code in faults.TOKEN or code == "missing_scope":
        return Check(is_ok=False, said=f"Slack refuses {what} ({code})", remedy=f"put a good one into {where}")
    return Check(
        is_ok=False,
        said=f"Slack cannot be asked about {what} ({type(fault).__name__})",
        remedy="look at the network, a proxy or firewall before it, and api_base",
    )
