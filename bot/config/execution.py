"""The table of limits and waits. The bounds of the limits are those that a node's own `node.toml` has.

Deliberately absent: how a node holds a command to them.
"""

from __future__ import annotations

from pydantic import Field

from bot.config.sections import Section
from bot.config.values import Length, Size
from bot.domain.command import Limits
from bot.domain.policy import DEFAULT_EXPIRY_S

_LIMITS = Limits()


class ExecutionSection(Section):
    """Limits of what is run, and how long things wait."""

    timeout_s: Length = Field(
        default=_LIMITS.timeout_s,
        gt=0,
        le=86_400 * 7,
        description='Seconds (or "1h") that a command may run; then its whole process tree is ended.',
    )
    output_bytes: int = Field(
        default=_LIMITS.output_bytes,
        ge=1_024,
        le=16 * 1_048_576,
        description="Bytes of output that are kept, head and tail together; what is cut is said.",
    )
    memory_bytes: Size | None = Field(
        default=None,
        ge=16 * 1_048_576,
        le=2**50,
        examples=[536_870_912],
        description='Address space that each process of a command gets: bytes, or "512M". Left out: as the node\'s '
        "system and its own policy give it.",
    )
    processes: int | None = Field(
        default=None,
        ge=1,
        le=2**31 - 1,
        examples=[1_000],
        description="Processes and threads that the node's user may have while a command runs. Left out: as above.",
    )
    open_files: int | None = Field(
        default=None,
        ge=16,
        le=2**31 - 1,
        examples=[1_024],
        description="Files that each process of a command may hold open. Left out: as above.",
    )
    approval_expires_after_s: Length = Field(
        default=DEFAULT_EXPIRY_S,
        ge=1,
        le=86_400 * 7,
        description='Seconds (or "30m") that an approval waits for people, where its rule does not say. '
        "Then nothing runs.",
    )
    lost_after_s: Length = Field(
        default=600.0,
        ge=30,
        le=86_400,
        description='Seconds (or "10m") that a node may be silent about a command before its people are told that '
        "nobody knows. A late report is still told.",
    )
    retention_days: float = Field(
        default=30.0, ge=1, le=3_650, description="Days that ended executions and told messages are kept."
    )

    @property
    def limits(self) -> Limits:
        """What is asked for with every command; the node's own limits win where they are lower."""
        return Limits(
            timeout_s=self.timeout_s,
            output_bytes=self.output_bytes,
            memory_bytes=self.memory_bytes,
            processes=self.processes,
            open_files=self.open_files,
        )
