"""The composition root: settings -> store, channels, hub, flows, loops. With `networks` alone it imports `channels`.

Deliberately absent: logic. Tests and the benchmark compose the same `Core`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from aiohttp import web

from bot.agent.commands import CommandsAgent
from bot.agents import Composing, composing, without_models
from bot.announcing import announce_start
from bot.clockwork import to_cadences, to_hooks, to_planned
from bot.config import Settings, to_bindings, to_fallbacks, to_gate, to_policy
from bot.config.secrets import secrets_of
from bot.console.hooks import Hooks
from bot.domain.binding import Binding
from bot.domain.command import Limits
from bot.domain.gate import Gate
from bot.domain.mask import Masker
from bot.domain.message import Capabilities
from bot.domain.policy import Policy
from bot.domain.session import AccountName, AgentName, ChannelName, DirectScope, Peer
from bot.embedded import EmbeddedNode
from bot.errors import ConfigError
from bot.flow.binding import Bound
from bot.flow.completion import Completion
from bot.flow.delivery import Deliveries
from bot.flow.dispatch import Dispatch
from bot.flow.escalation import Escalations
from bot.flow.glass_watch import GlassWatch
from bot.flow.heartbeat import LAST_SENDS_S, Channels, Heartbeat
from bot.flow.intake import Intake
from bot.flow.prepare import Preparation
from bot.flow.schedule import Cadence, Clocks, Planned, Schedule
from bot.flow.signals import Signals
from bot.flow.sweep import Sweep
from bot.flow.turn import SETTLING_S, Turns
from bot.loop import Wake, forever
from bot.networks import Accounts, build_channels, mount
from bot.node.hub import Hub
from bot.node.identity import KeyPair, load_or_create_key
from bot.ports import Clock, NodeHub, Policies, Store, Tx
from bot.presence import noted
from bot.reloading import Replaced, Reread, note_policy, reload_asked, reloading
from bot.store import OpenStore, open_store
from bot.witnesses import auditing
from channels.web.access import invite

POLL_S = 1.0
"""The most that a lost wake costs. One empty look at an indexed table takes well under a millisecond."""
SWEEP_S = 5.0
"""Expiry is checked at every decision and hand-over as well; the sweep only tells it."""

DEFAULT_AGENT = AgentName("main")


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreSettings:
    """What the flows need to know, in the domain's own types."""

    policy: Policy
    gate: Gate = field(default_factory=Gate)
    """Whom the accounts hear. One that is not named here hears nobody, unless its channel signs people in."""
    agent: AgentName = DEFAULT_AGENT
    agent_hears_results: bool = True
    """Whether a result is owed to the agent as well: one that has never a word to it need get no turn."""
    scope: DirectScope = DirectScope.PER_ACCOUNT_CHANNEL_PEER
    limits: Limits = field(default_factory=Limits)
    lost_after_s: float = 600.0
    retention_s: float = 30 * 86_400.0
    cadences: tuple[Cadence, ...] = ()
    planned: tuple[Planned, ...] = ()
    poll_s: float = POLL_S
    sweep_s: float = SWEEP_S
    settling_s: float = SETTLING_S
    notify_asker: bool = True
    """Whether an answer mentions the one whom it answers."""
    masker: Masker = field(default_factory=Masker)
    """What may be seen of anything that comes in or was written."""
    fallbacks: Mapping[tuple[ChannelName, AccountName], Peer] = field(default_factory=dict)
    """Where a word is left of what an account could not tell."""
    agents: Composing = without_models
    talkers: frozenset[AgentName] = frozenset()
    """Agents that plain words are said to: a sign of work may be shown for them."""
    bindings: tuple[Binding, ...] = ()


class Core:
    """The flows over one store, one hub and the channels; `running()` is their life."""

    def __init__(
        self,
        settings: CoreSettings,
        store: Store,
        channels: Channels,
        clock: Clock,
        signals: Signals | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.channels = channels
        self.clock = clock
        self.signals = Signals() if signals is None else signals
        self.policies = Policies(settings.policy)
        self.clocks = Clocks(cadences=settings.cadences, planned=settings.planned)
        fallbacks, masker = settings.fallbacks, settings.masker
        self.inbox = Intake(
            store,
            self.policies,
            self.signals,
            settings.scope,
            settings.gate,
            fallbacks=fallbacks,
            masker=masker,
            talkers=settings.talkers,
        )
        self.heartbeat = Heartbeat(
            store, channels, clock, self.signals, notify_asker=settings.notify_asker, fallbacks=settings.fallbacks
        )
        self.reports = Completion(store, self.signals, masker, self.heartbeat, for_agent=settings.agent_hears_results)
        self.deliveries = Deliveries(store, channels, clock, self.signals, settings.fallbacks)
        self.sweep = Sweep(
            store,
            self.signals,
            settings.lost_after_s,
            settings.retention_s,
            listening_since=clock.now(),
            fallbacks=settings.fallbacks,
        )

    @asynccontextmanager
    async def running(self, hub: NodeHub) -> AsyncIterator[None]:
        """Run every loop and every channel; on leaving, the loops end, then what is being sent, then the channels."""
        settings, store, signals = self.settings, self.store, self.signals
        agent = settings.agents(CommandsAgent(store, hub, self.policies), store, hub, self.policies)
        settled_at = self.clock.now() + settings.settling_s
        turns = Turns(store, agent, hub, self.policies, signals, settings.limits, settled_at, masker=settings.masker)
        preparation = Preparation(
            store, hub, self.policies, signals, settings.limits, self._capabilities_at, settings.masker
        )
        dispatch = Dispatch(store, hub, self.policies, signals, settings.masker)
        escalations = Escalations(store, self.policies, signals, self._capabilities_at)
        schedule = Schedule(store=store, clock=self.clock, signals=signals, clocks=self.clocks)
        steps = {
            "turn": (turns.step, signals.turn, settings.poll_s),
            "prepare": (preparation.step, signals.prepare, settings.poll_s),
            "dispatch": (dispatch.step, signals.dispatch, settings.poll_s),
            "heartbeat": (self.heartbeat.step, signals.heartbeat, settings.poll_s),
            "cards": (self.heartbeat.bring_cards_up_to_date, signals.cards, settings.poll_s),
            "deliveries": (self.deliveries.step, Wake(), settings.sweep_s),
            "escalation": (escalations.step, Wake(), settings.sweep_s),
            "glass": (GlassWatch(store, self.policies, signals).step, Wake(), settings.sweep_s),
            "early": (self.inbox.settle_early, signals.early, settings.poll_s),
            "sweep": (self.sweep.step, Wake(), settings.sweep_s),
            "schedule": (schedule.step, Wake(), settings.sweep_s),
        }
        loops = [
            asyncio.create_task(forever(name, step, wake, poll_s=poll_s), name=name)
            for name, (step, wake, poll_s) in steps.items()
        ]
        accounts = Accounts(self.channels, Bound(self.inbox, settings.bindings))
        try:
            await accounts.start()
            yield
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await self.heartbeat.tasks.drain(within_s=LAST_SENDS_S)
            await accounts.close()
            for tasks in (turns.tasks, preparation.tasks, dispatch.tasks, self.heartbeat.tasks, self.deliveries.tasks):
                await tasks.close()
            await agent.close()

    def _capabilities_at(self, peer: Peer) -> Capabilities | None:
        channel = self.channels.get((peer.channel, peer.account))
        return None if channel is None else channel.capabilities


async def run_gateway(settings: Settings, *, announce: Callable[[str], None], reread: Reread) -> None:
    """`homing run`: everything of one gateway, until SIGTERM or Ctrl-C. Raises `HomingError` where it cannot start.

    `reread` gives the settings of the file as it is at a SIGHUP.
    """
    clock, signals, ended = SystemClock(), Signals(), _signalled()
    hung_up = reload_asked()
    identity = load_or_create_key(settings.gateway.data_dir / "gateway.key")
    is_shared = settings.store_url.startswith("postgresql")
    # Another replica's commit is news; our own wakes its loops itself, and a tool's is seen at the next poll.
    news, key = signals.all if is_shared else None, settings.gateway.data_dir / "audit.key"
    store = open_store(
        settings.store_url, clock=clock, gateway=True, on_change=news, audit_key=key, factor_key=identity.factor_key
    )
    try:
        if not is_shared:
            await store.write(lambda tx: (tx.events.take_over(), tx.inputs.take_over()))
        server, channels = web.Application(), build_channels(settings, store, clock)
        mount(channels, server)
        core = Core(core_settings(settings), store, channels, clock, signals)
        await note_policy(store, core.policies.now, "policy_loaded")
        hub = Hub(identity, core.reports, on_connect=signals.all)
        hooks = Hooks(to_hooks(settings), store, signals, clock.now)
        server.add_routes([*hub.routes(), *hooks.routes()])
        replaced = Replaced(started=settings, policies=core.policies, clocks=core.clocks, hooks=hooks)
        # Bound before the loops run: a gateway that cannot listen takes in nothing and tells nothing. Served after:
        # whoever comes first waits for a moment, and is not sent away.
        with _bound(settings) as door:
            port = int(door.getsockname()[1])
            async with (
                core.running(hub),
                reloading(hung_up, reread, replaced, store, signals),
                auditing(settings, store, clock),
                _serving(server, door),
                _closing(hub),
                _embedded(settings, identity, store, port),
            ):
                page = settings.url_at(port)
                with noted(settings, page):
                    await announce_start(settings, store, clock, page, announce)
                    await ended.wait()
                announce("Ending. The local node's commands end now; what other nodes run goes on and is told later.")
    finally:
        await store.close()


def core_settings(settings: Settings) -> CoreSettings:
    """The settings of the flows, in the domain's own types."""
    masker = Masker(secrets_of(settings))
    return CoreSettings(
        policy=to_policy(settings),
        gate=to_gate(settings),
        masker=masker,
        agents=composing(settings, masker),
        talkers=frozenset(AgentName(one.name) for one in settings.agents),
        bindings=to_bindings(settings),
        agent=AgentName(settings.agent.name),
        agent_hears_results=bool(settings.agents) or CommandsAgent.HEARS_RESULTS,
        scope=settings.session.dm_scope,
        limits=settings.execution.limits,
        lost_after_s=settings.execution.lost_after_s,
        retention_s=settings.execution.retention_days * 86_400.0,
        cadences=to_cadences(settings),
        planned=to_planned(settings),
        notify_asker=settings.display.notify_asker,
        fallbacks=to_fallbacks(settings),
    )


@contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    """Where page and nodes come in; the system chose its port where the config says 0. Raises `ConfigError`."""
    host, port = settings.gateway.host, settings.gateway.port
    try:
        door = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as fault:
        why = fault.strerror if isinstance(fault, socket.gaierror) else os.strerror(fault.errno or 0)
        words = f"gateway.port: cannot listen at {host}:{port} ({why}); is a gateway running already?"
        raise ConfigError((f"{words} Choose another port",)) from fault
    with door:
        yield door


@asynccontextmanager
async def _serving(server: web.Application, door: socket.socket) -> AsyncIterator[None]:
    """The one HTTP server of page and nodes."""
    runner = web.AppRunner(server, access_log=None, handle_signals=False, shutdown_timeout=5.0)
    await runner.setup()
    try:
        await web.SockSite(runner, door).start()
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _closing(hub: Hub) -> AsyncIterator[None]:
    """Before the server, which would wait for the nodes' sockets."""
    try:
        yield
    finally:
        await hub.close()


@asynccontextmanager
async def _embedded(settings: Settings, identity: KeyPair, store: OpenStore, port: int) -> AsyncIterator[None]:
    """The local node, paired by us: its key is made here before it starts."""
    if not settings.local_node.enabled:
        yield
        return
    state_dir, name = settings.gateway.data_dir / "local-node", settings.local_node.name
    key = load_or_create_key(state_dir / "node.key")

    def pair(tx: Tx) -> None:
        tx.nodes.hello(key.fingerprint, key.public_key, name)
        tx.nodes.pair(key.fingerprint, name=name, by="gateway")

    if await store.read(lambda tx: tx.nodes.get(key.fingerprint)) is None:
        await store.write(pair)
    host = "127.0.0.1" if settings.gateway.host in ("0.0.0.0", "::") else settings.gateway.host  # noqa: S104 - compared
    node = EmbeddedNode(
        gateway_url=f"ws://{host}:{port}/node",
        gateway_key=identity.fingerprint,
        name=name,
        state_dir=state_dir,
        work_dir=settings.work_dir,
    )
    running = asyncio.create_task(node.run(), name="local-node")
    try:
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def invitation(page: str, store: OpenStore, *, native: str, name: str, now: float) -> str:
    """A one-time link that signs this person in to the web chat. Raises `Malformed` for an id we cannot carry."""
    return page + await invite(store.chat_log, native=native, name=name, now=now)


def _signalled() -> asyncio.Event:
    """Set by SIGTERM or Ctrl-C, from the first moment on: a node that was just started must not be left behind."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    return ended
