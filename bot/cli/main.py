"""The entry point: every fault becomes a line and an exit code. Never a traceback.

Deliberately absent: the tree of commands. A node that starts does not load it: with what it brings along, a service on
every machine would hold a fifth more memory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import TracebackType

from bot.cli import node_start, shown
from bot.errors import ConfigError, HomingError

_NEEDS_GATEWAY = "this command needs the gateway's packages; in Homing's checkout: pip install '.[gateway]'"


def main() -> None:
    """The entry point `homing`."""
    sys.excepthook = _unexpected
    sys.exit(answer(sys.argv[1:]))


def answer(arguments: Sequence[str]) -> int:
    """Run one command; the exit code."""
    as_json = "--json" in arguments
    try:
        if node_start.is_meant(arguments):
            return node_start.run(arguments[1:])
        from bot.cli.tree import run

        return run(arguments)
    except ConfigError as fault:
        shown.faults(fault.faults, as_json=as_json)
        return 1
    except HomingError as fault:
        shown.faults([str(fault)], as_json=as_json)
        return 1
    except ModuleNotFoundError as fault:
        if (fault.name or "").partition(".")[0] in {"bot", "channels"}:
            raise
        shown.faults([_NEEDS_GATEWAY], as_json=as_json)
        return 1
    except BrokenPipeError:
        # Whoever read us has gone (`homing events list | head`): that is no fault of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as fault:
        shown.faults([f"{fault.filename or 'the system'}: {fault.strerror or type(fault).__name__}"], as_json=as_json)
        return 1
    except KeyboardInterrupt:
        return 130


def _unexpected(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    """What nobody foresaw is one line as well; HOMING_TRACEBACK=1 shows the whole for a report."""
    if os.environ.get("HOMING_TRACEBACK"):
        sys.__excepthook__(kind, fault, trace)
        return
    text = f"an unforeseen fault, {kind.__name__}; run it again with HOMING_TRACEBACK=1 and report what it prints"
    shown.faults([text], as_json="--json" in sys.argv)
