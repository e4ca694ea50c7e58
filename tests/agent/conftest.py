"""The stage of the flows: what the agent answers is looked at as values, before any turn commits it."""

from __future__ import annotations

from tests.flow.conftest import clock, migrated, opened, stage

__all__ = ["clock", "migrated", "opened", "stage"]
