"""Every key of config.toml, with its unit, its bounds and its default. The example and the schema come from here.

Deliberately absent: how the file and the environment are read (see `reading`), and what is made of it (see `app`).
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bot.config.accounts import AccountSection, DiscordSection, SlackSection, WhatsAppSection
from bot.config.agents import MAX_AGENTS, AgentsSection
from bot.config.audit import AuditSection
from bot.config.clock import MAX_ENTRIES, HeartbeatSection, HookSection, ScheduleSection
from bot.config.execution import ExecutionSection
from bot.config.glass import BreakGlassSection
from bot.config.people import NodeGroupSection, PersonSection, RuleSection
from bot.config.sections import Section, Texts, TimeZone, Word
from bot.domain.session import DirectScope

ENV_PREFIX = "HOMING_"
ENV_DELIMITER = "__"
MAX_ACCOUNTS = 32
"""A channel. Each holds connections and tasks of its own in this one process."""


class GatewaySection(Section):
    """Where the gateway keeps its files and where it listens. The page and the nodes (at /node) share one port."""

    data_dir: Path = Field(
        default=Path("data"),
        description="Folder of everything that the gateway keeps. A relative one is beside this file.",
    )
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen at. Anything but loopback wants a public_url with https in front of it.",
    )
    port: int = Field(
        default=8470, ge=0, le=65_535, description="TCP port of the page and of the nodes; 0 takes a free one."
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/]+/?$",
        examples=["https://homing.example.org"],
        description="How people and nodes reach it, where that is not http://host:port: scheme and host, no path.",
    )


class StoreSection(Section):
    """The database. Left out: a SQLite file in data_dir."""

    url: SecretStr | None = Field(
        default=None,
        examples=["postgresql://homing:${HOMING_DB_PASSWORD}@db.example.org/homing"],
        description="sqlite:///path or postgresql://user:password@host/name. It is never shown.",
    )
    url_file: Path | None = Field(
        default=None,
        examples=["/run/secrets/homing-store-url"],
        description="A file that holds the url, instead of url.",
    )


class DisplaySection(Section):
    """How things are shown to people."""

    time_zone: TimeZone = Field(
        default="UTC",
        description="Zone of shown times, such as Europe/Berlin, where a network has no local-time markup of its own.",
    )
    notify_asker: bool = Field(
        default=True, description="Whether a result mentions the one who asked. It never mentions anybody else."
    )


class AgentSection(Section):
    """Who answers in the chats."""

    name: Word = Field(default="main", description="The agent's name in session keys: agent:<name>:…")


class SessionSection(Section):
    """What belongs to one conversation."""

    dm_scope: DirectScope = Field(
        default=DirectScope.PER_ACCOUNT_CHANNEL_PEER,
        description="How direct conversations are told apart: main, per-peer (one a person, over all networks), "
        "per-channel-peer, per-account-channel-peer. Rooms and threads are always conversations of their own.",
    )


class LocalNodeSection(Section):
    """A node on this machine, started with the gateway. It runs commands as the gateway's own user: for trying out."""

    enabled: bool = Field(default=True, description="Whether the gateway starts it.")
    name: Word = Field(default="local", description="What people call it: run on <name>: …")
    work_dir: Path | None = Field(
        default=None,
        examples=["/srv/homing/work"],
        description="Folder in which its commands start. Left out: work in data_dir.",
    )


class WebSection(Section):
    """The web chat. It always demands a sign-in, on loopback too."""

    enabled: bool = Field(default=True, description="Whether the web chat is served.")
    rooms: tuple[Word, ...] = Field(default=("general", "ops"), description="Rooms that exist from the start.")


class Settings(BaseSettings):
    """All of config.toml. Made by `load_settings` only, which adds the environment and names every fault."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)

    owners: Texts = Field(
        default=(),
        examples=[["owner"]],
        description="Who may decide where no rule names deciders, and may pause and stop: names, @roles or ids.",
    )
    gateway: GatewaySection = GatewaySection()
    store: StoreSection = StoreSection()
    display: DisplaySection = DisplaySection()
    agent: AgentSection = AgentSection()
    session: SessionSection = SessionSection()
    heartbeat: HeartbeatSection = HeartbeatSection()
    execution: ExecutionSection = ExecutionSection()
    audit: AuditSection = AuditSection()
    local_node: LocalNodeSection = LocalNodeSection()
    web: WebSection = WebSection()
    discord: tuple[DiscordSection, ...] = Field(
        default=(),
        max_length=MAX_ACCOUNTS,
        examples=[{"token_file": "discord-token", "rooms": ["112233445566778899"]}],
        json_schema_extra={"is_left_out": True},
    )
    slack: tuple[SlackSection, ...] = Field(
        default=(),
        max_length=MAX_ACCOUNTS,
        examples=[
            {"bot_token": "${SLACK_BOT_TOKEN}", "app_token": "${SLACK_APP_TOKEN}", "rooms": ["C0123456789"]},
        ],
        json_schema_extra={"is_left_out": True},
    )
    whatsapp: tuple[WhatsAppSection, ...] = Field(
        default=(),
        max_length=MAX_ACCOUNTS,
        examples=[
            {
                "account_sid": "${TWILIO_ACCOUNT_SID}",
                "auth_token": "${TWILIO_AUTH_TOKEN}",
                "sender": "+15551230001",
                "allow_from": ["whatsapp:+15551230002"],
            }
        ],
        json_schema_extra={"is_left_out": True},
    )
    agents: tuple[AgentsSection, ...] = Field(
        default=(),
        max_length=MAX_AGENTS,
        examples=[{"name": "main", "model": "anthropic:claude-sonnet-4-5", "api_key": "${ANTHROPIC_API_KEY}"}],
        json_schema_extra={"is_left_out": True},
    )
    schedule: tuple[ScheduleSection, ...] = Field(
        default=(),
        max_length=MAX_ENTRIES,
        examples=[{"name": "nightly", "cron": "0 3 * * *", "to": "web:channel:ops", "command": "df -h /"}],
        json_schema_extra={"is_left_out": True},
    )
    hook: tuple[HookSection, ...] = Field(
        default=(),
        max_length=MAX_ENTRIES,
        examples=[
            {
                "name": "deploys",
                "to": "web:channel:ops",
                "secret_file": "/run/secrets/deploys",
                "fields": {"repo": "repository.full_name"},
                "text": "A deploy of {repo} has ended. Look whether all is well.",
            }
        ],
        json_schema_extra={"is_left_out": True},
    )
    people: tuple[PersonSection, ...] = Field(
        default=(),
        examples=[{"name": "owner", "ids": ["web:owner"], "roles": ["sre"]}],
    )
    node_group: tuple[NodeGroupSection, ...] = Field(
        default=(),
        examples=[{"name": "web", "nodes": ["web-1", "web-2"]}],
        json_schema_extra={"is_left_out": True},
    )
    rule: tuple[RuleSection, ...] = Field(
        default=(),
        examples=[
            {
                "name": "nothing runs in the lobby",
                "where": ["web:channel:lobby"],
                "action": "deny",
            },
            {
                "name": "operators decide",
                "who": ["*"],
                "node": ["*"],
                "action": "ask",
                "deciders": ["@sre"],
                "expires_after": "30m",
            },
        ],
    )

    break_glass: BreakGlassSection | None = Field(
        default=None,
        examples=[
            {
                "people": ["@sre"],
                "announce_to": ["web:channel:general"],
                "reviewers": ["owner"],
                "open_for": "30m",
            }
        ],
        json_schema_extra={"is_left_out": True},
    )

    @field_validator("owners", mode="after")
    @classmethod
    def _no_star(cls, owners: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in owners:
            raise ValueError('may not hold "*": name the people')
        return owners

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- the signature is the library's, here and below
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load_settings` hands over: it reads the environment itself, so that a test can hold it."""
        return (init_settings,)

    @property
    def store_url(self) -> str:
        """What opens the store; it may hold a password."""
        if self.store.url is not None:
            return self.store.url.get_secret_value()
        return f"sqlite:///{self.gateway.data_dir / 'homing.db'}"

    @property
    def url(self) -> str:
        """Where people reach the page, without a slash at the end, as the config says."""
        return self.url_at(self.gateway.port)

    def url_at(self, port: int) -> str:
        """The same for a gateway that listens at this port: where the config says 0 the system chooses one."""
        if self.gateway.public_url is not None:
            return self.gateway.public_url.rstrip("/")
        host = f"[{self.gateway.host}]" if ":" in self.gateway.host else self.gateway.host
        return f"http://{host}:{port}"

    @property
    def work_dir(self) -> Path:
        """Where the local node's commands start."""
        return self.local_node.work_dir or self.gateway.data_dir / "work"

    def accounts(self) -> tuple[AccountSection, ...]:
        """The accounts of all networks."""
        return (*self.discord, *self.slack, *self.whatsapp)

    def secrets(self) -> tuple[str, ...]:
        """Values that may stand in no log line and no message."""
        found = [secret for account in self.accounts() for secret in account.secrets()]
        found += [agent.api_key.get_secret_value() for agent in self.agents if agent.api_key is not None]
        if self.audit.heads_token is not None:
            found.append(self.audit.heads_token.get_secret_value())
        if self.store.url is not None:
            url = self.store.url.get_secret_value()
            before, at, _ = url.rpartition("@")
            found += [url, before.rpartition(":")[2] if at else ""]
        return tuple(secret for secret in found if secret)
