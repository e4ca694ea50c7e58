"""The Slack that we play is as strict as Slack, seen through the SDK that our adapter uses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.async_handler import AsyncRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from tests.channels.contract import until
from tests.platforms.faults import Fault
from tests.platforms.slack import SlackNetwork
from tests.platforms.slack.payloads import short_name, typed
from tests.platforms.slack.reading import read
from tests.platforms.slack.world import Message

NO_RETRIES: list[AsyncRetryHandler] = []
TOKEN = f"h1:deny:7K3QHM:{'ab' * 32}"


@pytest.fixture
async def network() -> AsyncIterator[SlackNetwork]:
    async with SlackNetwork() as network:
        yield network


@pytest.fixture
def client(network: SlackNetwork) -> AsyncWebClient:
    return AsyncWebClient(
        token="xoxb-fake-default", base_url=f"{network.server.url}/api/", retry_handlers=NO_RETRIES, timeout=5
    )


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def button(**more: object) -> dict[str, Any]:
    return {"type": "button", "text": {"type": "plain_text", "text": "Deny"}, "action_id": "a", **more}


def actions(*buttons: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(buttons)}


def preformatted(text: str) -> dict[str, Any]:
    return {"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [_text(text)]}]}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


async def refusal(calling: Any) -> str:  # noqa: ANN401
    with pytest.raises(SlackApiError) as refused:
        await calling
    return str(refused.value.response["error"])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"text": ""}, "no_text"),
        ({"text": "x" * 4_001}, "msg_too_long"),
        ({"text": "x", "blocks": [section("x" * 3_001)]}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("")]}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("x")] * 51}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("x" * 2_900)] * 5}, "msg_blocks_too_long"),
        ({"text": "x", "blocks": [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]}, "invalid_blocks"),
        ({"text": "x", "blocks": [actions()]}, "invalid_blocks"),
        ({"text": "x", "blocks": [actions(button(text={"type": "plain_text", "text": "x" * 76}))]}, "invalid_blocks"),
        ({"text": "x", "blocks": [actions(button(value="x" * 2_001))]}, "invalid_blocks"),
        ({"text": "x", "blocks": [actions(button(action_id="x" * 256))]}, "invalid_blocks"),
        ({"text": "x", "blocks": [actions(button(), button())]}, "invalid_blocks"),
        ({"text": "x", "blocks": [actions(button(style="default"))]}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("x") | {"colour": "red"}]}, "invalid_blocks"),
        ({"text": "x", "blocks": [preformatted("")]}, "invalid_blocks"),
        ({"text": "x", "metadata": {"event_type": "homing"}}, "invalid_metadata_format"),
        ({"text": "x", "channel": "C0NOWHERE"}, "channel_not_found"),
    ],
)
async def test_what_slack_refuses_is_refused_and_stands_nowhere(
    network: SlackNetwork, client: AsyncWebClient, arguments: dict[str, Any], error: str
) -> None:
    assert (
        await refusal(client.api_call("chat.postMessage", json={"channel": network.rooms[0].id} | arguments)) == error
    )
    assert network.seen(network.rooms[0]) == []


async def test_archived_left_and_missing_scopes_are_told_apart(network: SlackNetwork, client: AsyncWebClient) -> None:
    room = network.conversation(network.rooms[0])
    room.is_archived = True
    assert await refusal(client.chat_postMessage(channel=room.id, text="x")) == "is_archived"
    room.is_archived = False
    room.members.clear()
    assert await refusal(client.chat_postMessage(channel=room.id, text="x")) == "not_in_channel"
    private = network.conversation(network.rooms[2])
    private.members.clear()
    assert await refusal(client.chat_postMessage(channel=private.id, text="x")) == "channel_not_found"
    network.app.scopes = "channels:read"
    assert await refusal(client.chat_postMessage(channel=room.id, text="x")) == "missing_scope"


async def test_tokens_are_told_apart(network: SlackNetwork, client: AsyncWebClient) -> None:
    wrong = AsyncWebClient(token="xoxb-fake-wrong", base_url=client.base_url, retry_handlers=NO_RETRIES)
    assert await refusal(wrong.auth_test()) == "invalid_auth"
    assert await refusal(client.apps_connections_open(app_token="xoxb-fake-default")) == "not_allowed_token_type"
    network.app.error = "token_revoked"
    assert await refusal(client.auth_test()) == "token_revoked"
    network.account("second")
    second = AsyncWebClient(token="xoxb-fake-second", base_url=client.base_url, retry_handlers=NO_RETRIES)
    assert (await second.auth_test())["team_id"] != network.team.id
    assert await refusal(second.chat_postMessage(channel=network.rooms[0].id, text="x")) == "channel_not_found"


async def test_metadata_is_kept_and_given_only_where_it_is_asked_for(
    network: SlackNetwork, client: AsyncWebClient
) -> None:
    metadata = {"event_type": "homing", "event_payload": {"nonce": "n-1"}}
    room = network.rooms[0].id
    root = (await client.chat_postMessage(channel=room, text="x", metadata=metadata))["ts"]
    await client.chat_postMessage(channel=room, text="y", thread_ts=root, metadata=metadata)
    assert "metadata" not in (await client.conversations_history(channel=room))["messages"][0]
    top = (await client.conversations_history(channel=room, include_all_metadata=True))["messages"]
    assert [one.get("metadata") for one in top] == [metadata, None]
    thread = (await client.conversations_replies(channel=room, ts=root, include_all_metadata=True))["messages"]
    assert [one.get("metadata") for one in thread] == [metadata, metadata]
    assert await refusal(client.conversations_replies(channel=room, ts="1700000000.000100")) == "thread_not_found"


async def test_a_post_into_a_thread_that_is_gone_stands_in_the_channel(
    network: SlackNetwork, client: AsyncWebClient
) -> None:
    room = network.rooms[0].id
    done = await client.chat_postMessage(channel=room, text="x", thread_ts="1700000000.000100")
    top = (await client.conversations_history(channel=room))["messages"]
    assert "thread_ts" not in done["message"]
    assert done["ts"] in [one["ts"] for one in top]


async def test_history_is_paged_newest_first_and_knows_its_bounds(
    network: SlackNetwork, client: AsyncWebClient
) -> None:
    room = network.rooms[1].id
    stamps = [(await client.chat_postMessage(channel=room, text=str(number)))["ts"] for number in range(5)]
    first = await client.conversations_history(channel=room, limit=2, oldest=stamps[0])
    assert [one["ts"] for one in first["messages"]] == [stamps[4], stamps[3]]
    cursor = first["response_metadata"]["next_cursor"]
    second = await client.conversations_history(channel=room, limit=2, oldest=stamps[0], cursor=cursor)
    assert [one["ts"] for one in second["messages"]] == [stamps[2], stamps[1]]
    assert not second["has_more"]
    whole = await client.conversations_history(channel=room, oldest=stamps[0], inclusive=True)
    assert len(whole["messages"]) == 5


async def test_edits_and_reactions_are_held_to_their_owner(network: SlackNetwork, client: AsyncWebClient) -> None:
    room, ana = network.rooms[0], network.person("ana")
    theirs = await network.say(room, ana, "hello")
    assert await refusal(client.chat_update(channel=room.id, ts=theirs, text="x")) == "cant_update_message"
    gone = "1700000000.000100"
    assert await refusal(client.chat_update(channel=room.id, ts=gone, text="x")) == "message_not_found"
    await client.reactions_add(channel=room.id, timestamp=theirs, name="eyes")
    assert await refusal(client.reactions_add(channel=room.id, timestamp=theirs, name="eyes")) == "already_reacted"
    assert await refusal(client.reactions_add(channel=room.id, timestamp=theirs, name="👀")) == "invalid_name"
    assert (await client.reactions_get(channel=room.id, timestamp=theirs))["message"]["reactions"][0]["count"] == 1
    await client.reactions_remove(channel=room.id, timestamp=theirs, name="eyes")


async def test_a_direct_conversation_is_one_however_often_it_is_opened(
    network: SlackNetwork, client: AsyncWebClient
) -> None:
    ana = network.person("ana")
    opened = [(await client.conversations_open(users=ana))["channel"]["id"] for _ in range(2)]
    assert opened[0] == opened[1]
    assert (await client.conversations_info(channel=opened[0]))["channel"]["user"] == ana
    assert await refusal(client.conversations_open(users=network.app.bot_user)) == "cannot_dm_bot"
    assert await refusal(client.conversations_open(users="U0NOBODY")) == "user_not_found"
    assert await refusal(client.chat_postEphemeral(channel=network.rooms[1].id, user=ana, text="x")) == (
        "user_not_in_channel"
    )


async def test_a_file_goes_the_external_way_and_hangs_on_a_message(
    network: SlackNetwork, client: AsyncWebClient
) -> None:
    room = network.rooms[0]
    await client.files_upload_v2(channel=room.id, content="all of it\n", filename="out.txt", initial_comment="here")
    assert [(seen.text, seen.file) for seen in network.seen(room)] == [("here", "all of it\n")]
    assert await refusal(client.files_completeUploadExternal(files=[{"id": "F0"}])) == "file_not_found"


async def test_a_trigger_is_good_once_and_not_for_long(network: SlackNetwork, client: AsyncWebClient) -> None:
    view = {"type": "modal", "title": {"type": "plain_text", "text": "Deny"}, "blocks": [section("why?")]}
    trigger = network.server.trigger()
    await client.views_open(trigger_id=trigger, view=view)
    assert await refusal(client.views_open(trigger_id=trigger, view=view)) == "exchanged_trigger_id"
    assert await refusal(client.views_open(trigger_id="made-up", view=view)) == "invalid_trigger_id"
    network.server.trigger_s = -1.0
    assert await refusal(client.views_open(trigger_id=network.server.trigger(), view=view)) == "expired_trigger_id"
    too_long = view | {"title": {"type": "plain_text", "text": "x" * 25}}
    network.server.trigger_s = 3.0
    assert await refusal(client.views_open(trigger_id=network.server.trigger(), view=too_long)) == "invalid_arguments"


async def test_faults_come_as_ordered_and_once(network: SlackNetwork, client: AsyncWebClient) -> None:
    room = network.rooms[0]
    network.server.order(Fault.LOST_ANSWER)
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel=room.id, text="stands")
    assert [seen.text for seen in network.seen(room)] == ["stands"]
    network.server.order(Fault.THROTTLED, seconds=7)
    with pytest.raises(SlackApiError) as throttled:
        await client.chat_postMessage(channel=room.id, text="not now")
    assert throttled.value.response.status_code == 429
    assert throttled.value.response.headers["Retry-After"] == "7"
    network.server.order(Fault.UNAVAILABLE)
    with pytest.raises(SlackApiError) as away:
        await client.chat_postMessage(channel=room.id, text="not now")
    assert away.value.response.status_code == 503
    network.server.pace_s = 60.0
    other = network.rooms[1]
    await client.chat_postMessage(channel=other.id, text="one")
    assert await refusal(client.chat_postMessage(channel=other.id, text="two")) == "ratelimited"
    assert [[seen.text for seen in network.seen(where)] for where in (room, other)] == [["stands"], ["one"]]


async def test_an_envelope_that_nobody_acknowledges_comes_again_and_goes_to_one_socket(network: SlackNetwork) -> None:
    server = network.server
    server.postman.ack_s, server.postman.retry_after_s = 0.1, (0.01,)
    async with aiohttp.ClientSession() as session:
        links = []
        for _ in range(2):
            headers = {"Authorization": "Bearer xapp-fake-default"}
            async with session.post(f"{server.url}/api/apps.connections.open", headers=headers) as answer:
                links.append(await session.ws_connect((await answer.json())["url"]))
            assert (await links[-1].receive_json())["type"] == "hello"
        await network.say(network.rooms[0], network.person("ana"), "hello")
        await until(lambda: len(server.postman.attempts) == 4, what="both envelopes were tried twice")
        frames = [await link.receive_json() for link in links for _ in range(2)]
        assert sorted(frame["retry_attempt"] for frame in frames) == [0, 0, 1, 1]
        assert len({frame["payload"]["event_id"] for frame in frames}) == 2
        assert {frame["payload"]["event"]["type"] for frame in frames} == {"message", "app_mention"}
        await asyncio.gather(*(link.close() for link in links))


async def test_typed_words_arrive_as_slack_writes_them(network: SlackNetwork) -> None:
    words, blocks = typed("a <b> & 👍 https://example.org/?x=1&y", "U1")
    assert words == "<@U1> a &lt;b&gt; &amp; :+1: <https://example.org/?x=1&amp;y>"
    inline = blocks[0]["elements"][0]["elements"]
    assert [one["type"] for one in inline] == ["user", "text", "emoji", "text", "link"]
    assert (short_name("👍🏾"), short_name("✔️"), short_name("✅")) == (
        "+1::skin-tone-5",
        "heavy_check_mark",
        "white_check_mark",
    )
    del network


@pytest.mark.parametrize(
    ("text", "shown", "pings"),
    [
        ("*bold* _it_ ~no~ `code`", "bold it no code", []),
        ("&lt;!channel&gt; &amp;amp; a &lt; b", "<!channel> &amp; a < b", []),
        ("<!channel> <@U1> <!here|here>", "@channel @U1 @here", ["everyone", "U1", "everyone"]),
        ("```*a* &lt;@U1&gt; :+1:\nb```", "*a* <@U1> :+1:\nb", []),
        (":+1: <https://example.org|here>", "👍 here", []),
        ("&gt; quoted", "quoted", []),
        ("<!date^1800000000^{date} {time}|15 January>", "15 January", []),
    ],
)
def test_markup_is_read_as_the_app_shows_it(text: str, shown: str, pings: list[str]) -> None:
    message = Message(channel="C1", ts="1.1", user="U9", text=text)
    assert (read(message).text, read(message).pings) == (shown, pings)


def test_rich_text_is_data_and_its_code_is_to_the_letter() -> None:
    message = Message(channel="C1", ts="1.1", user="U9", text="", blocks=[preformatted("<!channel> *a* ```\n&amp;")])
    seen = read(message)
    assert (seen.code, seen.pings) == (["<!channel> *a* ```\n&amp;"], [])
    at_all = read(Message(channel="C1", ts="1.1", user="U9", text="", blocks=[section("@channel")]))
    assert at_all.pings == ["everyone"]


async def test_a_press_that_nobody_hears_is_not_tried_again(network: SlackNetwork, client: AsyncWebClient) -> None:
    room = network.rooms[0]
    card = await client.chat_postMessage(channel=room.id, text="card", blocks=[actions(button(value=TOKEN))])
    ana = network.who(network.person("ana"))
    message = network.conversation(room).messages[card["ts"]]
    told = await network.people.press(network.app, ana, message, lambda shown: shown["value"] == TOKEN)
    # The person sees a warning sign.
    assert (told.words, told.is_acknowledged) == ("", False)
    tried = [attempt for attempt in network.server.postman.attempts if "actions" in attempt.body]
    assert [attempt.body["type"] for attempt in tried] == ["block_actions"]


async def test_over_http_what_is_refused_comes_again_signed_anew_and_says_that_it_does(network: SlackNetwork) -> None:
    network.server.postman.retry_after_s = (0.01, 0.01)
    got: list[web.Request] = []

    async def refuse(request: web.Request) -> web.Response:
        await request.read()
        got.append(request)
        return web.Response(status=500 if len(got) < 3 else 200)

    app = web.Application()
    app.router.add_post("/slack/default/events", refuse)
    async with TestServer(app, host="127.0.0.1") as server:
        network.app.request_url = str(server.make_url("/slack/default/events"))
        direct = network.conversation(network.direct(network.person("ana")))
        await network.people.write(network.app, direct, network.who(network.person("ana")), "hello")
        await until(lambda: len(got) == 3, what="it came three times")
        assert [request.headers.get("X-Slack-Retry-Num") for request in got] == [None, "1", "2"]
        assert all(request.headers["X-Slack-Signature"].startswith("v0=") for request in got)
    attempts = network.server.postman.attempts
    assert [(attempt.status, attempt.is_acknowledged) for attempt in attempts] == [(500, False)] * 2 + [(200, True)]
