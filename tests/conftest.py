"""What holds for all tests: a loaded machine makes no property false."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("homing", deadline=None)
settings.load_profile("homing")
