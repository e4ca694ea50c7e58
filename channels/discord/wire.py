"""What comes in from Discord, as the core takes it: peers, messages, reactions, presses, forms, slash commands. Pure.

Reads the library's values, which hold the payload's fields; ids are checked by shape here. Our own and other bots'
messages end here. Deliberately absent: I/O, who may speak (the core's gate says so), what goes out (`form`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import discord

from bot.domain.message import (
    CODE_FIELD_CHARS,
    Button,
    ButtonPress,
    InboundMessage,
    Reaction,
    Sender,
    Suggest,
    parse_button,
)
from bot.domain.session import (
    AccountName,
    AgentName,
    ChannelName,
    DeliveryId,
    MessageId,
    NativeId,
    Peer,
    PeerKind,
    ThreadId,
)
from bot.errors import Malformed

DISCORD = ChannelName("discord")
REASON_CHARS = 500
"""Of a reason, as the typed `deny <id> [reason]` takes it."""
REASON_FIELD, CODE_FIELD = "reason", "code"
MAX_CHOICES = 25
CHOICE_CHARS = 100
"""https://discord.com/developers/docs/interactions/application-commands#application-command-object"""
_EPOCH_MS = 1_420_070_400_000
"""The first second of 2015, from which Discord counts."""

_SNOWFLAKE = re.compile(r"[1-9][0-9]{4,19}", re.ASCII)
_SPOKEN = frozenset({discord.MessageType.default, discord.MessageType.reply})
_WITH_THREADS = frozenset({discord.ChannelType.text, discord.ChannelType.news})
_ROOMS = frozenset(
    {
        discord.ChannelType.text,
        discord.ChannelType.news,
        discord.ChannelType.voice,
        discord.ChannelType.stage_voice,
        discord.ChannelType.forum,
        discord.ChannelType.media,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who we are: given at composition, part of every peer."""

    agent: AgentName
    account: AccountName
    has_threads: bool
    """Whether a question at a room's top level is answered in a thread of its own."""


def snowflake(value: str) -> int:
    """An id of Discord's. Raises `Malformed` for anything else."""
    if _SNOWFLAKE.fullmatch(value) is None or int(value) >= 2**64:
        raise Malformed("that is not an id of Discord: digits only, five to twenty")
    return int(value)


def time_of(native: int) -> float:
    """Seconds since the epoch at which Discord made this id."""
    return ((native >> 22) + _EPOCH_MS) / 1000


def id_at(seconds: float) -> int:
    """An id that is older than everything made after that moment."""
    return max(0, int(seconds * 1000) - _EPOCH_MS) << 22


def peer_of(channel: object, person: int, identity: Identity, *, is_direct: bool = False) -> Peer | None:
    """The conversation; None where the library does not know what the channel is: then Discord has to be asked."""
    if is_direct or isinstance(channel, discord.DMChannel):
        return _peer(identity, PeerKind.DIRECT, person)
    if isinstance(channel, discord.Thread):
        return _peer(identity, PeerKind.CHANNEL, channel.parent_id, thread=channel.id)
    if isinstance(channel, discord.abc.GuildChannel) and channel.type in _ROOMS:
        return _peer(identity, PeerKind.CHANNEL, channel.id)
    return None


def _peer(identity: Identity, kind: PeerKind, native: int, thread: int | None = None) -> Peer:
    snowflake(str(native))
    return Peer(
        agent=identity.agent,
        channel=DISCORD,
        account=identity.account,
        kind=kind,
        id=NativeId(str(native)),
        thread=None if thread is None else ThreadId(str(thread)),
    )


def sender_of(person: discord.abc.User | discord.Object) -> Sender:
    return Sender(native=str(person.id), name=getattr(person, "display_name", str(person.id)))


# --- messages --------------------------------------------------------------------------------------


def is_said_by_a_person(message: discord.Message, me: int) -> bool:
    """Not by us, by another bot, by a webhook or by Discord itself, and in words."""
    return (
        message.author.id != me
        and not message.author.bot
        and message.webhook_id is None
        and message.type in _SPOKEN
        and bool(message.content.strip())
    )


def message_of(
    message: discord.Message, *, peer: Peer, me: int, roles: Iterable[int], identity: Identity
) -> InboundMessage:
    """`roles` are those that stand for us alone: people pick them from the list where they mean us."""
    ours = frozenset(roles)
    addressed = (
        peer.kind is PeerKind.DIRECT
        or any(person.id == me for person in message.mentions)
        or bool(ours.intersection(message.raw_role_mentions))
        or _answers_us(message, me)
    )
    return InboundMessage(
        peer=_in_thread_of_its_own(peer, message, identity),
        sender=sender_of(message.author),
        delivery=DeliveryId(str(message.id)),
        message_id=MessageId(str(message.id)),
        text=_without_our_name(message.content, me, ours),
        sent_at=time_of(message.id),
        space=None if message.guild is None else str(message.guild.id),
        is_addressed=addressed,
    )


def _answers_us(message: discord.Message, me: int) -> bool:
    answered = None if message.reference is None else message.reference.resolved
    return isinstance(answered, discord.Message) and answered.author.id == me


def _in_thread_of_its_own(peer: Peer, message: discord.Message, identity: Identity) -> Peer:
    """Discord gives a thread that is started from a message that message's id, so it is known before it is there."""
    if not identity.has_threads or getattr(message.channel, "type", None) not in _WITH_THREADS:
        return peer
    return _peer(identity, peer.kind, int(peer.id), thread=message.id)


def _without_our_name(text: str, me: int, roles: frozenset[int]) -> str:
    """The words behind "@Homing" or "@Homing:"; a name further inside is part of what is said."""
    names = "|".join([f"<@!?{me}>", *(f"<@&{role}>" for role in sorted(roles))])
    return re.sub(rf"\A\s*(?:(?:{names})[\s,:]*)+", "", text)


# --- reactions -------------------------------------------------------------------------------------


def emoji_of(emoji: discord.PartialEmoji | discord.Emoji | str) -> str:
    """A character sequence, or `name:id`: anybody may call their own picture `white_check_mark`."""
    if isinstance(emoji, str):
        return emoji
    return emoji.name if emoji.id is None else f"{emoji.name}:{emoji.id}"


def reaction_of(*, peer: Peer, message: int, sender: Sender, emoji: str) -> Reaction:
    """The delivery id is of what was done, not of when: one that is read again after a gap is the same."""
    return Reaction(
        peer=peer,
        sender=sender,
        delivery=DeliveryId(f"reaction:{message}:{sender.native}:{emoji}"),
        message_id=MessageId(str(message)),
        emoji=emoji,
    )


# --- presses and forms -----------------------------------------------------------------------------


def button_of(interaction: discord.Interaction) -> Button | None:
    """Of a pressed button, or of the form that a press opened: both carry the same token."""
    token = _fields(interaction).get("custom_id")
    return parse_button(token) if isinstance(token, str) and len(token) <= 100 else None


def press_of(interaction: discord.Interaction, *, button: Button, peer: Peer) -> ButtonPress:
    message, filled = interaction.message, _fields(interaction).get("components")
    return ButtonPress(
        peer=peer,
        sender=sender_of(interaction.user),
        delivery=DeliveryId(str(interaction.id)),
        message_id=None if message is None else MessageId(str(message.id)),
        button=button,
        reason=_filled(filled, REASON_FIELD).strip()[:REASON_CHARS],
        code=_filled(filled, CODE_FIELD).strip()[:CODE_FIELD_CHARS] or None,
        space=_space(interaction),
    )


def _filled(components: object, name: str) -> str:
    """What stands in this field, which stands in a row or behind a label, as Discord's form has changed."""
    if not isinstance(components, Sequence) or isinstance(components, str):
        return ""
    for component in components:
        if not isinstance(component, Mapping):
            continue
        if component.get("custom_id") == name:
            value = component.get("value")
            return value if isinstance(value, str) else ""
        found = _filled(component.get("components"), name) or _filled([component.get("component")], name)
        if found:
            return found
    return ""


def _fields(interaction: discord.Interaction) -> Mapping[str, object]:
    fields: object = interaction.data
    return fields if isinstance(fields, Mapping) else {}


def _space(interaction: discord.Interaction) -> str | None:
    return None if interaction.guild_id is None else str(interaction.guild_id)


# --- slash commands --------------------------------------------------------------------------------


def typed_of(interaction: discord.Interaction) -> str | None:
    """A slash command as the words that somebody types; None for one that is not ours."""
    given = {name: value for name, value, _ in _options(interaction)}
    match _fields(interaction).get("name"):
        case "run":
            node, command = given.get("node", "").strip(), given.get("command", "")
            return f"run on {node}: {command}" if node else f"run {command}"
        case "approve" | "why" as word:
            return f"{word} {given.get('id', '')}".strip()
        case "deny":
            return f"deny {given.get('id', '')} {given.get('reason', '')}".strip()
        case "executions" | "nodes" as word:
            return str(word)
    return None


def command_of(interaction: discord.Interaction, *, typed: str, peer: Peer) -> InboundMessage:
    return InboundMessage(
        peer=peer,
        sender=sender_of(interaction.user),
        delivery=DeliveryId(str(interaction.id)),
        message_id=None,
        text=typed,
        sent_at=time_of(interaction.id),
        space=_space(interaction),
        is_addressed=True,
    )


def asked_of(interaction: discord.Interaction) -> tuple[Suggest, str] | None:
    """What is being typed into a field of a slash command, and what the field holds."""
    for name, value, is_focused in _options(interaction):
        if not is_focused:
            continue
        match _fields(interaction).get("name"), name:
            case "run", "node":
                return Suggest.NODE, value
            case "approve" | "deny", "id":
                return Suggest.PENDING, value
            case "why", "id":
                return Suggest.EXECUTION, value
    return None


def _options(interaction: discord.Interaction) -> Iterable[tuple[str, str, bool]]:
    options = _fields(interaction).get("options")
    for option in options if isinstance(options, Sequence) else ():
        name, value = option.get("name"), option.get("value")
        if isinstance(name, str) and isinstance(value, str):
            yield name, value, bool(option.get("focused"))
