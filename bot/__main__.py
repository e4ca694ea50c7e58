"""`python -m bot` is `homing`."""

from bot.cli import main

main()
