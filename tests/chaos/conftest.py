"""The database file that worlds begin with."""

from __future__ import annotations

from tests.story.conftest import migrated

__all__ = ["migrated"]
