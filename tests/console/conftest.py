"""A stage, as for the flows."""

from __future__ import annotations

from tests.flow.conftest import clock, migrated, opened, stage

__all__ = ["clock", "migrated", "opened", "stage"]
