"""What holds for all tests: a loaded machine makes no property false."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("homing", deadline=None, derandomize=True)
settings.register_profile("wide", deadline=None)
"""Other examples each time: `make test-all`. A change is not held up by what it did not touch."""
settings.load_profile("homing")
