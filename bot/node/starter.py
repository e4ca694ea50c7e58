"""The first moments of a child: it takes its limits, its user and its directory, says so, and becomes the command.

Run as a program of its own by `spawn`, with nothing but the standard library and no environment: between fork and exec
of the node itself, which has threads, no Python may run (https://docs.python.org/3.11/library/subprocess.html, the
warning at preexec_fn). Deliberately absent: what is right for the command, which the node has checked.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys

READY = b"+"
"""The next step is exec: if nothing follows, it succeeded."""
LIMITS = {
    "memory_bytes": resource.RLIMIT_AS,
    "processes": resource.RLIMIT_NPROC,
    "open_files": resource.RLIMIT_NOFILE,
}


def become(orders: int, answer: int) -> None:
    """Read the orders from a file that is open already, answer through a pipe that exec closes."""
    with os.fdopen(orders, "rb") as opened:
        order = json.loads(opened.read())
    os.set_inheritable(answer, False)
    try:
        for name, kind in LIMITS.items():
            wanted = order["limits"][name]
            if wanted is not None:
                _, hard = resource.getrlimit(kind)
                value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
                resource.setrlimit(kind, (value, value))
        if order["user"] is not None:
            # Groups first: afterwards it may not change them any more.
            os.setgroups(order["user"]["groups"])
            os.setresgid(*[order["user"]["gid"]] * 3)
            os.setresuid(*[order["user"]["uid"]] * 3)
        # As the user: what it may not enter is refused to it.
        os.fchdir(order["directory"])
        os.close(order["directory"])
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            # The interpreter ignores them, and what is ignored stays so over exec.
            signal.signal(number, signal.SIG_DFL)
        os.write(answer, READY)
        os.execve(order["executable"], order["argv"], order["env"])  # noqa: S606 -- the approved command, without a shell
    except OSError as fault:
        os.write(answer, str(fault.errno or 0).encode("ascii"))


if __name__ == "__main__":
    become(int(sys.argv[1]), int(sys.argv[2]))
    # Nobody reads it: the answer has said why.
    os._exit(127)
