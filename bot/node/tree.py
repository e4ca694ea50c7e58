"""Which processes belong to which command, escapees included; and their end without zombies.

The node is the subreaper of all that it starts: whoever leaves its session, or loses its parent, becomes a child of
the node instead of vanishing. Deliberately absent: when a tree has to end (see `process`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from pathlib import Path

import psutil

from bot.node.faults import NodeUnusable

_PR_SET_CHILD_SUBREAPER = 36
"""include/uapi/linux/prctl.h"""


def become_subreaper() -> None:
    """From now on orphans of what this process starts become its children. Raises `NodeUnusable`."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise NodeUnusable(
            f"this system does not let a node keep hold of what it starts ({os.strerror(ctypes.get_errno())}); "
            "a node needs Linux 3.4 or newer"
        )


_NOBODY = 0
"""No process that we can have started has this number."""


class Families:
    """All that descends from this process, by the command that began it."""

    def __init__(self) -> None:
        self._roots: dict[int, frozenset[str]] = {}
        self._began_at: dict[int, float] = {}
        self._root_of: dict[psutil.Process, int] = {}
        """By (pid, start time), which is how psutil compares processes: a pid that is used again is another."""

    def begin(self, root: int, pipes: frozenset[str]) -> None:
        """A command's first process, and the names of the pipes that its family writes to."""
        self._roots[root] = pipes
        self._began_at[root] = created_at(root)

    def end(self, root: int) -> None:
        """Who still lives is a daemon that was left alone on purpose, and belongs to no later command."""
        self.look()
        self._roots.pop(root, None)
        self._began_at.pop(root, None)
        self._root_of = {process: _NOBODY if of == root else of for process, of in self._root_of.items()}

    def look(self) -> None:
        """Take down who descends from whom, before a parent's death hides it; reap adopted orphans that have ended."""
        found = _descendants()
        known: dict[int, int] = {root: root for root in self._roots}
        seen: dict[psutil.Process, int] = {}
        # Parents come before their children, so one pass is enough.
        for process, parent in found:
            root = self._root_of.get(process, known.get(parent))
            if root is not None and process.pid not in self._roots:
                seen[process] = known[process.pid] = root
        self._root_of = seen
        self._reap(found)

    def members(self, root: int) -> list[psutil.Process]:
        """Who lives of this command's family beside its first process.

        An orphan that was never seen with a parent counts where it is younger than this command and no other command
        runs, or where it holds a pipe of this command: it can have come from nowhere else.
        """
        self.look()
        alone = len(self._roots) == 1
        members = []
        for process, parent in _descendants():
            if process.pid in self._roots:
                continue
            belongs = self._root_of.get(process)
            is_orphan = belongs is None and parent == os.getpid()
            is_ours = is_orphan and ((alone and self._is_younger(process, root)) or self._holds_a_pipe(process, root))
            if belongs == root or is_ours:
                members.append(process)
        return [process for process in members if _lives(process)]

    def _is_younger(self, process: psutil.Process, root: int) -> bool:
        with contextlib.suppress(psutil.Error):
            # The kernel counts in hundredths of a second.
            return process.create_time() >= self._began_at[root] - 0.02
        return False

    def _holds_a_pipe(self, process: psutil.Process, root: int) -> bool:
        with contextlib.suppress(OSError):
            return not _held_files(process.pid).isdisjoint(self._roots.get(root, frozenset()))
        return False

    def _reap(self, found: list[tuple[psutil.Process, int]]) -> None:
        for process, parent in found:
            # A command's first process is reaped by whoever started it, or its exit status would be lost.
            if parent == os.getpid() and process.pid not in self._roots and not _lives(process):
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)


def group_lives(root: int) -> bool:
    """Whether any process of the group, other than its first one, is left."""
    for process, _ in _descendants():
        with contextlib.suppress(ProcessLookupError):
            if process.pid != root and os.getpgid(process.pid) == root and _lives(process):
                return True
    return False


def signal_group(root: int, number: signal.Signals) -> None:
    """To the process group of a command. Its first process must not be reaped yet, or the number may be another's."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(root, number)


def signal_all(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def is_alive(pid: int, created_at: float) -> bool:
    """Whether the process that had this number at this start time still runs."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - created_at) < 1.0 and _lives(process)
    except psutil.Error:
        return False


def created_at(pid: int) -> float:
    """Seconds since the epoch; 0 where the process is gone already."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _descendants() -> list[tuple[psutil.Process, int]]:
    """All processes below this one with their parents, parents first. Costs by their number, not by the machine's."""
    found: list[tuple[psutil.Process, int]] = []
    todo = [os.getpid()]
    while todo:
        parent = todo.pop()
        for child in _children(parent):
            with contextlib.suppress(psutil.Error):
                found.append((psutil.Process(child), parent))
                todo.append(child)
    return found


def _children(parent: int) -> list[int]:
    """man 5 proc_pid_task_tid_children: each thread lists what it forked. Where a system lacks it, the slow way."""
    children: list[int] = []
    try:
        threads = os.listdir(f"/proc/{parent}/task")  # noqa: PTH208 -- of /proc, where a Path costs more than the look
        for thread in threads:
            with Path(f"/proc/{parent}/task/{thread}/children").open("rb") as listed:
                children += [int(child) for child in listed.read().split()]
    except ProcessLookupError:
        return children
    except FileNotFoundError:
        with contextlib.suppress(psutil.Error):
            return [child.pid for child in psutil.Process(parent).children()]
    return children


def _held_files(pid: int) -> frozenset[str]:
    directory = f"/proc/{pid}/fd"
    held = set()
    for name in os.listdir(directory):  # noqa: PTH208 -- of /proc, where a Path costs more than the look
        with contextlib.suppress(OSError):
            held.add(os.readlink(f"{directory}/{name}"))  # noqa: PTH115
    return frozenset(held)
