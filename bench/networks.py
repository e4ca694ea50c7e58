"""The platform servers of Discord, Slack and WhatsApp as one process, and webhooks from there, signed as theirs are."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from contextlib import AsyncExitStack
from urllib.parse import urlencode

import aiohttp

from bench.children import Form, serve
from bench.platforms import PUBLIC_URL
from tests.platforms.discord import DiscordNetwork
from tests.platforms.slack import SlackNetwork
from tests.platforms.slack.payloads import event_callback, message_event
from tests.platforms.whatsapp import WhatsAppNetwork
from tests.platforms.whatsapp.carrier import sign
from tests.platforms.whatsapp.world import new_sid

WORDS = "good morning everybody"
"""No instruction: what is measured is the way in, up to the record."""


class Networks:
    def __init__(self) -> None:
        self.discord, self.slack, self.whatsapp = DiscordNetwork(), SlackNetwork(is_http=True), WhatsAppNetwork()
        self.client: aiohttp.ClientSession | None = None

    def greeting(self) -> Form:
        """Where they are, and what a config needs to speak to them."""
        whatsapp, slack = self.whatsapp.server.account("default"), self.slack.app
        discord = self.discord.address()
        return {
            "discord": {
                "token": self.discord.app.token,
                "api_base": f"http://{discord}/api/v10",
                "gateway_url": f"ws://{discord}/gw/",
            },
            "slack": {
                "bot_token": slack.bot_token,
                "signing_secret": slack.signing_secret,
                "api_base": f"{self.slack.server.url}/api/",
            },
            "whatsapp": {
                "account_sid": whatsapp.sid,
                "auth_token": whatsapp.token,
                "sender": whatsapp.number,
                "api_base": self.whatsapp.server.url,
                "content_base": self.whatsapp.server.url,
            },
        }

    async def webhooks(self, order: Form) -> Form:
        """So many deliveries one after the other; milliseconds until each was acknowledged."""
        count, url = int(order["count"]), str(order["url"])
        bodies = [await self._slack() if order["network"] == "slack" else self._whatsapp() for _ in range(count)]
        taken = []
        assert self.client is not None
        for path, headers, body in bodies:
            begun = time.monotonic_ns()
            async with self.client.post(url if order.get("bare") else url + path, data=body, headers=headers) as answer:
                await answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"{order['network']}: answered {answer.status}")
            taken.append((time.monotonic_ns() - begun) / 1e6)
        return {"ms": taken}

    async def _slack(self) -> tuple[str, dict[str, str], bytes]:
        world, app = self.slack.server.world, self.slack.app
        room = next(iter(world.conversations.values()))
        person = world.person("ada", self.slack.team)
        message = await self.slack.people.write(app, room, person, WORDS, deliver=False)
        raw = json.dumps(event_callback(app, message_event(message, room, world), world)).encode()
        stamp = str(int(time.time()))
        key = app.signing_secret.encode()
        mac = "v0=" + hmac.new(key, b"v0:" + stamp.encode() + b":" + raw, hashlib.sha256).hexdigest()
        headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": mac, "Content-Type": "application/json"}
        return "/slack/default/events", headers, raw

    def _whatsapp(self) -> tuple[str, dict[str, str], bytes]:
        account, number = self.whatsapp.server.account("default"), self.whatsapp.person("ada")
        sid, path = new_sid("SM"), "/whatsapp/default/message"
        form = {
            "SmsMessageSid": sid,
            "MessageSid": sid,
            "SmsSid": sid,
            "SmsStatus": "received",
            "AccountSid": account.sid,
            "MessageType": "text",
            "From": f"whatsapp:{number}",
            "To": f"whatsapp:{account.number}",
            "WaId": number.removeprefix("+"),
            "ProfileName": "Ada",
            "Body": WORDS,
            "NumMedia": "0",
            "NumSegments": "1",
            "ApiVersion": "2010-04-01",
        }
        body = urlencode(form).encode()
        headers = {
            "X-Twilio-Signature": sign(account, PUBLIC_URL + path, form),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return path, headers, body


async def main() -> None:
    networks = Networks()
    async with AsyncExitStack() as running:
        for one in (networks.discord, networks.slack, networks.whatsapp):
            await running.enter_async_context(one)
        networks.client = await running.enter_async_context(aiohttp.ClientSession())
        await serve(networks.greeting(), {"webhooks": networks.webhooks})


if __name__ == "__main__":
    asyncio.run(main())
