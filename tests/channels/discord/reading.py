"""Recorded gateway frames through discord.py's own parsers, without a connection: the values that `wire` is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import discord
from discord.user import ClientUser

from bot.domain.session import AccountName, AgentName
from channels.discord.client import Client
from channels.discord.wire import Identity

ME = 900000000000000001
ANA = "600000000000000001"
GUILD = "700000000000000001"
OPS = "800000000000000001"
FORUM = "800000000000000004"
THREAD = "810000000000000001"
SAMPLES = Path(__file__).parent / "samples"

if TYPE_CHECKING:
    from discord.types.user import User as UserPayload

HERE = Identity(agent=AgentName("main"), account=AccountName("default"), has_threads=False)
IN_THREADS = Identity(agent=AgentName("main"), account=AccountName("default"), has_threads=True)


class Listening(Client):
    """Keeps what the library gives to its listeners."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        super().__init__()

    def dispatch(self, event: str, /, *values: object, **_: object) -> None:
        del event
        self.heard.extend(values)


def read(sample: str) -> object:
    """What the library dispatches for the last frame of a sample, in the guild of `guild.json`."""
    client = Listening()
    state = client._connection
    state.user = ClientUser(state=state, data=_us())
    frames = [*_frames("guild"), *_frames(sample)]
    for frame in frames:
        client.heard.clear()
        state.parsers[frame["t"]](frame["d"])
    return client.heard[0]


def message(sample: str) -> discord.Message:
    found = read(sample)
    assert isinstance(found, discord.Message)
    return found


def interaction(sample: str) -> discord.Interaction:
    found = read(sample)
    assert isinstance(found, discord.Interaction)
    return found


def reaction(sample: str) -> discord.RawReactionActionEvent:
    found = read(sample)
    assert isinstance(found, discord.RawReactionActionEvent)
    return found


def samples() -> list[str]:
    return sorted(path.stem for path in SAMPLES.glob("*.json"))


def _frames(sample: str) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = json.loads((SAMPLES / f"{sample}.json").read_text(encoding="utf-8"))
    return frames


def _us() -> UserPayload:
    return {"id": str(ME), "username": "homing", "discriminator": "0", "avatar": None, "global_name": None, "bot": True}
