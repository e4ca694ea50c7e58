"""What can go wrong with a node beyond a silent or absent one; each message says the remedy."""

from __future__ import annotations

from bot.errors import HomingError, NodeError


class Untrusted(NodeError):
    """The other side did not prove the key that it must have: nothing it says counts."""


class StateDirBusy(HomingError):
    """Another node runs on this state directory."""


class NodeUnusable(HomingError):
    """The node cannot run here as it is set up: a directory, a key file, a system that lacks something."""
