"""The error tree. A class says the remedy; nothing here knows where it is raised.

HomingError
├── Malformed               what came in has no meaning: say so to whoever sent it, change nothing
│   ├── MalformedKey        a session key or an id that the one parser refuses
│   └── MalformedFrame      a node or gateway frame that the protocol refuses: close the connection
├── ConfigError             the operator mends config.toml or the environment; lists every fault at once
├── StoreError              the operator mends the database (locked, newer schema, unwritable, corrupt)
├── StaleRow                a guarded update came too late: read again, decide again
├── IllegalTransition       a bug of ours: a trigger that the table does not hold for the state
├── ChannelError            a send or an edit did not end well
│   ├── ChannelUnavailable      surely not posted: retry
│   ├── ChannelThrottled        surely not posted: retry, not before `retry_after_s`
│   ├── ChannelUncertain        may have been posted: reconcile before a repeat
│   ├── ChannelHeld             cannot be posted now, may be later (window closed, room archived)
│   └── ChannelRejected         never will be posted: bury it visibly
├── NodeError               the hand-over to a node did not end well
│   ├── NodeAbsent              not connected: surely nothing was sent
│   └── NodeSilent              no answer in time: it may have arrived
└── ModelError              the service of a language model did not answer
    ├── ModelAway               it may later: ask again, not before `retry_after_s`
    └── ModelRefused            it will not: the operator mends key, model name, address or quota
"""

from __future__ import annotations


class HomingError(Exception):
    """Every fault that we raise on purpose. `str(error)` is one line that a person can act on."""


class Malformed(HomingError):
    """What came in has no meaning; the message names the fault."""


class MalformedKey(Malformed):
    """A session key or native id that the one parser refuses."""


class MalformedFrame(Malformed):
    """A frame on a node's connection that the protocol refuses."""


class ConfigError(HomingError):
    """The configuration cannot be used. `faults` holds one line for each fault, with its remedy."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


class StoreError(HomingError):
    """The database cannot be used; nothing was overwritten. The message names the remedy."""


class IllegalTransition(HomingError):
    """A trigger that the table does not hold for the state: a bug, never an outcome."""

    def __init__(self, machine: str, state: str, trigger: str) -> None:
        super().__init__(f"{machine}: no transition for '{trigger}' from '{state}'")


class ChannelError(HomingError):
    """A send or an edit did not end well; the class says what to do."""


class ChannelUnavailable(ChannelError):
    """Surely not posted; the network or its server is away. Remedy: retry."""


class ChannelThrottled(ChannelError):
    """Surely not posted; the network asks for patience. Remedy: retry after `retry_after_s` seconds."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class ChannelUncertain(ChannelError):
    """May have been posted: the answer was lost. Remedy: reconcile before a repeat."""


class ChannelHeld(ChannelError):
    """Cannot be posted now but may be later. Remedy: hold until the channel says that it is open."""


class ChannelRejected(ChannelError):
    """Will never be posted as it stands. Remedy: bury it where an operator sees it."""


class NodeError(HomingError):
    """The hand-over to a node did not end well."""


class NodeAbsent(NodeError):
    """The node is not connected here: surely nothing was sent to it."""


class NodeSilent(NodeError):
    """The node did not answer in time: what was sent may have arrived."""


class ModelError(HomingError):
    """The service of a language model did not answer; the class says what to do. The message holds no prompt."""


class ModelAway(ModelError):
    """Away, overloaded, too slow, or its answer broke off. Remedy: ask again, not before `retry_after_s` seconds."""

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class ModelRefused(ModelError):
    """It will not answer this as it stands. Remedy: an operator mends key, model name, address or quota."""


class StaleRow(HomingError):
    """A guarded update found the row moved on: read it again. Never shown to a person."""
