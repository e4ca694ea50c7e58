"""Worlds in which a language model answers: its service on loopback, its agent composed as in production."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from functools import partial

import pytest

from bot.agents import composing
from bot.app import CoreSettings
from bot.config import load_settings, to_bindings
from bot.domain.mask import Masker
from bot.domain.session import AgentName
from tests.platforms.model.script import Act, Acting, Asked, Model, Say, Use
from tests.platforms.model.server import KEY, ModelServer
from tests.story.cast import a_settings
from tests.story.conftest import a_world
from tests.story.world import World

_PLEASE = re.compile(r"^\| please run (.+)$", re.MULTILINE)
_ENDED = re.compile(r"^Execution ([0-9A-Z]{6}) on node", re.MULTILINE)


@dataclass
class Assistant:
    """A model that asks for what it is asked to, comments on what came home, and else says what `talk` says."""

    comment: str = "HEARTBEAT_OK"
    talk: str = "So it is."
    chain: list[str] = field(default_factory=list)
    """Commands to ask for when a result came home, one after the other."""

    def __call__(self, asked: Asked) -> Act:
        if asked.since_prompt:
            return Say("I have asked for it.")
        wanted = _PLEASE.findall(asked.prompt)
        ended = _ENDED.findall(asked.prompt)
        if ended and self.chain:
            wanted.append(self.chain.pop(0))
        if wanted:
            return Use(tuple(("run", json.dumps({"command": command})) for command in wanted))
        if ended:
            return Say(self.comment.replace("{id}", ended[-1]))
        return Say(self.talk)


def with_model(
    settings: CoreSettings, service: ModelServer, wire: str, masker: Masker, *agents: dict[str, object]
) -> CoreSettings:
    """As `homing run` composes it from a config that names this service."""
    return with_model_at(settings, service.base_url(wire), wire, masker, *agents)


def with_model_at(
    settings: CoreSettings, base_url: str, wire: str, masker: Masker, *agents: dict[str, object]
) -> CoreSettings:
    forms = [
        {
            "name": "main",
            "model": f"{wire}:test-1",
            "base_url": base_url,
            "api_key": KEY,
            "timeout": 5,
            **agent,
        }
        for agent in agents or ({},)
    ]
    read = load_settings(None, {"HOMING_AGENTS": json.dumps(forms), "HOMING_SLACK": SLACK})
    talkers = frozenset(AgentName(one.name) for one in read.agents)
    return replace(settings, agents=composing(read, masker), bindings=to_bindings(read), talkers=talkers)


SLACK = json.dumps([{"bot_token": "xoxb-x", "app_token": "xapp-x"}])
"""Bindings name accounts that are configured."""


@contextlib.asynccontextmanager
async def a_model_world(
    url: str,
    assistant: Model | None = None,
    *agents: dict[str, object],
    settings: CoreSettings | None = None,
    wire: str = "openai",
) -> AsyncIterator[tuple[World, ModelServer]]:
    """A world, and the service of the model in it. What the service refused fails the test."""
    chosen = settings or a_settings()
    async with ModelServer(Acting(then=assistant or Assistant())) as service:
        made = with_model(chosen, service, wire, chosen.masker, *agents)
        async with a_world(url, settings=made) as world:
            world.asks_with = "please run {}"
            yield world, service
        assert service.refused == []


Making = Callable[..., contextlib.AbstractAsyncContextManager[tuple[World, ModelServer]]]


@pytest.fixture
def make_model_world(sqlite_url: str) -> Making:
    """A world on SQLite with this model in it."""
    return partial(a_model_world, sqlite_url)
