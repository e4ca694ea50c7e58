"""Who answers: settings -> the agents, by the names in session keys. The composition root's part for models.

The model's packages are imported where a model is configured, and only then. Deliberately absent: what an agent does.
"""

from __future__ import annotations

from collections.abc import Callable

from bot.agent.commands import CommandsAgent
from bot.agent.routed import ByName, Named
from bot.config import Settings
from bot.config.agents import AgentsSection
from bot.domain.mask import Masker
from bot.domain.session import AgentName
from bot.domain.spending import Budget, Price
from bot.ports import NodeHub, Policies, Store

Composing = Callable[[CommandsAgent, Store, NodeHub, Policies], ByName]
"""Made before the gateway's life, called within it."""


def without_models(commands: CommandsAgent, store: Store, hub: NodeHub, policies: Policies) -> ByName:
    del store, hub, policies
    return ByName({}, commands)


def composing(settings: Settings, masker: Masker) -> Composing:
    """Imports what a model needs, which takes seconds, before anything runs. Raises `ConfigError`."""
    if not settings.agents:
        return without_models
    from bot.agent.model.answering import ModelAgent
    from bot.agent.model.dialog import Dialog, Endpoint, open_model
    from bot.agent.model.profile import Profile

    def profile(one: AgentsSection) -> Profile:
        return Profile(
            name=AgentName(one.name),
            model=one.model,
            instructions=one.instructions,
            tools=frozenset(one.tools),
            ack_max_chars=(one.heartbeat or settings.heartbeat).ack_max_chars,
            memory_tokens=one.memory_tokens,
            timeout_s=one.timeout,
            unprompted_limit=one.max_unprompted,
            price=Price(read_per_million=one.price_read, written_per_million=one.price_written, currency=one.currency),
            budget=Budget(
                tokens_a_day=one.tokens_a_day,
                money_a_day=one.money_a_day,
                tokens_a_person_a_day=one.tokens_a_person_a_day,
            ),
        )

    def dialog(one: AgentsSection) -> Dialog:
        endpoint = Endpoint(
            model=one.model,
            base_url=one.base_url,
            api_key=None if one.api_key is None else one.api_key.get_secret_value(),
            reply_tokens=one.reply_tokens,
            has_stream=one.stream,
            timeout_s=one.timeout,
        )
        return Dialog(open_model(endpoint), endpoint)

    for one in settings.agents:
        # Opened once for its faults, which are to be named before anything runs; nothing is sent.
        dialog(one)

    def compose(commands: CommandsAgent, store: Store, hub: NodeHub, policies: Policies) -> ByName:
        named: dict[AgentName, Named] = {
            AgentName(one.name): ModelAgent(
                profile=profile(one),
                brain=dialog(one),
                store=store,
                hub=hub,
                policies=policies,
                commands=commands,
                masker=masker,
            )
            for one in settings.agents
        }
        return ByName(named, commands)

    return compose
