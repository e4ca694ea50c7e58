"""`check` finds what an operator set up wrongly, names the remedy, and posts and hears nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from bot.ports import Check
from tests.platforms.slack import SlackNetwork
from tests.platforms.slack.world import App


async def test_an_address_without_a_server_is_a_fault_that_check_finds() -> None:
    async with SlackNetwork() as network:
        channel = network.channel()
    found = await channel.check()
    assert [each for each in found if not each.is_ok and each.remedy]
    await channel.close()


async def test_check_is_content_with_a_good_account_and_posts_and_hears_nothing(network: SlackNetwork) -> None:
    channel = network.channel()
    found = await channel.check()
    assert found
    assert [each.said for each in found if not each.is_ok] == []
    assert network.everywhere() == []
    assert not network.server.postman.sockets
    await channel.close()


def _without(scope: str) -> Callable[[App], None]:
    def change(app: App) -> None:
        app.scopes = ",".join(one for one in app.scopes.split(",") if one != scope)

    return change


def _set(name: str, value: object) -> Callable[[App], None]:
    return lambda app: setattr(app, name, value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_set("bot_token", "xoxb-fake-other"), "token"),
        (_set("error", "token_revoked"), "token"),
        (_set("error", "account_inactive"), ""),
        (_without("chat:write"), "chat:write"),
        (_without("im:history"), "im:history"),
        (_without("reactions:read"), "reactions:read"),
        (_without("files:write"), "files:write"),
    ],
)
async def test_check_names_what_is_wrong_and_its_remedy(
    network: SlackNetwork, change: Callable[[App], None], named: str
) -> None:
    channel = network.channel()
    change(network.app)
    found: Sequence[Check] = await channel.check()
    faults = [each for each in found if not each.is_ok]
    assert faults
    assert all(each.remedy for each in faults)
    assert named in " ".join(f"{each.said} {each.remedy}" for each in faults)
    await channel.close()


@pytest.mark.parametrize("change", [_set("app_token", "xapp-fake-other"), _set("socket_mode", False)])
async def test_check_finds_a_wrong_app_token(socket_network: SlackNetwork, change: Callable[[App], None]) -> None:
    channel = socket_network.channel()
    change(socket_network.app)
    assert [each for each in await channel.check() if not each.is_ok and each.remedy]
    await channel.close()
