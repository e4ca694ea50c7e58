"""What differs between a command as it was approved and as it stands now, in words that people can act on.

Deliberately absent: how it is looked at (see `inspect`).
"""

from __future__ import annotations

from bot.domain.command import Command, Limits


def difference(approved: Command, now: Command) -> str | None:
    before = {file.path: file.sha256 for file in approved.files}
    after = {file.path: file.sha256 for file in now.files}
    changed = sorted(path for path in before.keys() & after.keys() if before[path] != after[path])
    if changed:
        return f"{changed[0]} has changed since the command was inspected; ask again"
    if approved.executable != now.executable:
        return f"{approved.argv[0]} is now {now.executable}, and was {approved.executable}; ask again"
    if approved.cwd != now.cwd:
        return f"the work directory is now {now.cwd}, and was {approved.cwd}; ask again"
    if approved.cwd_id != now.cwd_id:
        return f"{now.cwd} is another directory now, put under the same path; ask again"
    if approved.user != now.user:
        return f"commands run as {now.user} now, and {approved.user} was approved; ask again"
    if before.keys() != after.keys():
        other = sorted(before.keys() ^ after.keys())
        return f"{other[0]} is a file of this command only before or only after it was inspected; ask again"
    if approved.env != now.env:
        names = sorted({name for name, _ in set(approved.env) ^ set(now.env)})
        return f"the environment of commands on the node has changed ({', '.join(names)}); ask again"
    if approved.limits != now.limits:
        return f"{_limits(approved.limits, now.limits)}; ask again"
    if approved != now:
        return "the command is for another node; ask again"
    return None


def _limits(approved: Limits, now: Limits) -> str:
    words = {
        "timeout_s": "seconds",
        "output_bytes": "bytes of output",
        "memory_bytes": "bytes of memory",
        "processes": "processes",
        "open_files": "open files",
    }
    differing = [
        f"{_count(getattr(now, name))} {word}, and {_count(getattr(approved, name))} were approved"
        for name, word in words.items()
        if getattr(now, name) != getattr(approved, name)
    ]
    return f"the node's limits are lower now: it gives {'; '.join(differing)}"


def _count(limit: float | None) -> str:
    return "any number of" if limit is None else f"{limit:g}" if isinstance(limit, float) else str(limit)
