"""The web chat keeps the promises of every channel."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from bot.domain.message import Button
from bot.domain.session import MessageId, Peer
from bot.ports import Channel
from tests.channels.contract import ChannelContract, RecordingInbox, Rig, Shown
from tests.channels.web.site import Site, Visitor, direct, room


@dataclass(frozen=True, slots=True)
class WebRig:
    site: Site
    person: Visitor
    peers: Sequence[Peer] = (room("general"), room("ops"), direct("ana"))
    has_threads: bool = True

    @property
    def channel(self) -> Channel:
        return self.site.channel

    @property
    def inbox(self) -> RecordingInbox:
        return self.site.inbox

    async def write(self, peer: Peer, text: str, *, repeats: int = 0) -> MessageId:
        nonce = self.person.nonce()
        replies = [await self.person.write(peer, text, nonce=nonce) for _ in range(repeats + 1)]
        ids = {json.dumps(reply.json["message"]) for reply in replies}
        assert len(ids) == 1
        message = replies[0].json["message"]
        assert isinstance(message, dict)
        return MessageId(str(message["id"]))

    async def press(self, peer: Peer, message_id: MessageId, button: Button, *, reason: str = "") -> None:
        fields = await self.person.press_fields(peer, message_id, button)
        reply = await self.person.post("/web/presses", {**fields, "reason": reason})
        assert reply.status == 200, reply.body

    async def shown(self, peer: Peer) -> Sequence[Shown]:
        return [_shown(message) for message in await self.person.read(peer)]


def _shown(message: dict[str, object]) -> Shown:
    post = message.get("post")
    if not isinstance(post, dict):
        return Shown(message_id=MessageId(str(message["id"])), text=str(message["text"]), buttons=())
    return Shown(
        message_id=MessageId(str(message["id"])),
        text="\n".join(_words(block) for block in post["blocks"]),
        buttons=tuple(button["token"] for holder in (post, *post["blocks"]) for button in holder.get("buttons", ())),
    )


def _words(block: dict[str, object]) -> str:
    if block["is"] == "code":
        return str(block["text"])
    spans = block.get("spans") or [span for row in _list(block["rows"]) for span in _list(_list(row)[1])]
    return "".join(span for span in _list(spans) if isinstance(span, str))


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value


class TestWebChat(ChannelContract):
    @pytest.fixture
    def rig(self, site: Site, ana: Visitor) -> Rig:
        return WebRig(site, ana)
