"""The database file that worlds begin with, and homes with short names.

What is run names its script by its path, and people who decide elsewhere than at the card must be shown it whole.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.story.conftest import migrated

__all__ = ["home", "migrated"]


@pytest.fixture
def home() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="hc-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)
