"""A terminal in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.terminal import CONFIG, Terminal


@pytest.fixture
def bare(tmp_path: Path) -> Terminal:
    """A folder without anything in it."""
    return Terminal(tmp_path)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A folder with a config, where no gateway has run yet."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIG, encoding="utf-8")
    path.chmod(0o600)
    return Terminal(tmp_path)


@pytest.fixture
async def filled(terminal: Terminal) -> Terminal:
    """With a store in which a story happened."""
    await terminal.fill()
    return terminal
