"""Programs that carry a command to somewhere else, or start one for every line they read: find, xargs, ssh, docker.

Deliberately absent: programs whose options come first and whose command follows; those are a table in `wrappers.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from bot.domain.hatches import Hatch, has_hatch, is_hatch
from bot.domain.options import Words, read_options, spec
from bot.domain.starting import (
    ORDINARY,
    Inner,
    Started,
    literal,
    opaque,
    texts_behind,
    unreadable,
    values_hand_over,
)

_EXEC = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_WRITES = frozenset({"-fprint", "-fprint0", "-fprintf", "-fls"})


def _find(words: Words) -> Started:
    """`-delete` counts as the `rm` that it is; what writes a file of any name and text is asked about."""
    inner: list[Inner] = []
    at = 1
    while at < len(words):
        word = words[at]
        at += 1
        if word == "-delete":
            inner.append(Inner(words=("rm", None)))
        elif word in _EXEC:
            end = at
            while end < len(words) and words[end] != ";" and (words[end] != "+" or words[end - 1] != "{}"):
                end += 1
            command = tuple(None if part is None or "{}" in part else part for part in words[at:end])
            inner += [Inner(words=command)] if command else []
            at = end + 1
    runs_code = None in words or not _WRITES.isdisjoint(words)
    return Started(through=len(words) - 1 if runs_code else 0, inner=tuple(inner), runs_code=runs_code)


_XARGS = spec(
    "0oprtxa:d:E:e::I:i::L:l::n:P:s:",
    "null arg-file= delimiter= eof=? replace=? max-lines=? max-args= open-tty interactive no-run-if-empty max-procs= "
    "process-slot-var= max-chars= show-limits verbose exit",
)


def _xargs(words: Words) -> Started:
    """What it reads becomes words of the command that nobody knows yet."""
    seen = read_options(words, _XARGS)
    if seen is None:
        return unreadable(words)
    marks = [value or "{}" for name, value in seen.given if name in {"I", "i", "replace"}]
    command: Words = words[seen.at :] or ("echo",)
    if marks:
        command = tuple(None if word is None or marks[-1] in word else word for word in command)
    else:
        command = (*command, None)
    return Started(inner=(Inner(words=command),))


def _watch(words: Words) -> Started:
    seen = read_options(
        words,
        spec(
            "bcCd::egprtwxn:q:",
            "beep color differences=? errexit chgexit precise no-rerun no-title no-wrap exec interval= equexit=",
        ),
    )
    if seen is None or seen.at >= len(words):
        return unreadable(words)
    if seen.has("x", "exec"):
        return Started(inner=(Inner(words=words[seen.at :], at=seen.at),))
    text = literal(words[seen.at :])
    return unreadable(words) if text is None else opaque(words, texts=(text,))


_SSH = spec("46AaCfGgKkMNnqsTtVvXxYyB:b:c:D:E:e:F:I:i:J:L:l:m:O:o:p:Q:R:S:W:w:")


def _ssh(words: Words) -> Started:
    """The words behind the host are a text for the shell over there. Options may stand on both sides of the host."""
    before = read_options(words, _SSH)
    if before is None or before.at >= len(words) or words[before.at] is None:
        return unreadable(words)
    behind = read_options(words, _SSH, at=before.at + 1)
    if behind is None:
        return unreadable(words)
    text = literal(words[behind.at :])
    return unreadable(words) if text is None else opaque(words, texts=(text,) if text else ())


_DOCKER = spec("DH:l:c:", "config= context= debug host= log-level= tls tlscacert= tlscert= tlskey= tlsverify")
_DOCKER_EXEC = spec(
    "de:itu:w:", "detach detach-keys= env= env-file= interactive privileged tty user= workdir= container= latest"
)
_DOCKER_RUN = spec(
    "a:c:de:h:il:m:p:Pqtu:v:w:",
    "add-host= annotation= attach= cap-add= cap-drop= cidfile= cpu-shares= cpus= cpuset-cpus= detach device= dns= env= "
    "env-file= expose= gpus= group-add= hostname= init interactive ip= ipc= label= label-file= log-driver= log-opt= "
    "memory= memory-swap= mount= name= network= net= pid= pids-limit= platform= privileged publish= publish-all pull= "
    "quiet read-only restart= rm runtime= security-opt= shm-size= stop-signal= stop-timeout= sysctl= tmpfs= tty "
    "ulimit= user= userns= uts= volume= volumes-from= workdir=",
)


def _docker(words: Words) -> Started:
    """`exec container command`, and `run image command`, where the image decides as much as the command."""
    seen = read_options(words, _DOCKER)
    if seen is None or seen.has("config"):
        # Its folder holds programs too: cli-plugins.
        return unreadable(words)
    at = seen.at + (words[seen.at : seen.at + 1] == ("container",))
    verb = words[at] if at < len(words) else None
    if verb == "compose" or (verb is None and at < len(words)):
        return unreadable(words) if {"exec", "run", None} & set(words[at:]) else ORDINARY
    if verb not in {"exec", "run", "create"}:
        return ORDINARY
    behind = read_options(words, _DOCKER_EXEC if verb == "exec" else _DOCKER_RUN, at=at + 1)
    if behind is None or None in words[: behind.at + 1]:
        return unreadable(words)
    command = words[behind.at + 1 :]
    if not command:
        return Started(through=len(words) - 1)
    return Started(inner=(Inner(words=command, at=behind.at + 1 if verb == "exec" else None),))


def _docker_compose(words: Words) -> Started:
    """As `docker compose`."""
    return unreadable(words) if {"exec", "run", None} & set(words[1:]) else ORDINARY


def _kubectl(words: Words) -> Started:
    if any((word or "").startswith("--kubeconfig") for word in words):
        # Such a file says which program is started to log in.
        return unreadable(words)
    verbs = {"exec", "run", "debug", "cp", "attach", "edit", "plugin"} & set(words)
    if not verbs:
        return ORDINARY
    if verbs != {"exec"} or "--" not in words:
        return unreadable(words)
    start = words.index("--") + 1
    if None in words[:start] or start == len(words):
        return unreadable(words)
    return Started(inner=(Inner(words=words[start:], at=start),))


def _multi_call(words: Words) -> Started:
    """`busybox rm x` is `rm x`."""
    if len(words) == 1 or (words[1] or "").startswith("-"):
        return ORDINARY
    return Started(inner=(Inner(words=words[1:], at=1),))


def _as_other(words: Words) -> Started:
    """su and its like start a shell, with `-c text` for it or without."""
    return unreadable(words, texts=texts_behind(words, "c", "command") + texts_behind(words, "\0", "session-command"))


def _runuser(words: Words) -> Started:
    """`runuser -u name -- command` is the one form that starts no shell."""
    seen = read_options(words, spec("u:", "user="))
    if seen is None or not seen.has("u", "user") or not seen.is_ended or seen.at >= len(words):
        return _as_other(words)
    return Started(inner=(Inner(words=words[seen.at :], at=seen.at),))


def _flock(words: Words) -> Started:
    seen = read_options(
        words,
        spec("sexnuow:E:F", "shared exclusive nonblock unlock close timeout= wait= verbose no-fork"),
    )
    if seen is None or values_hand_over(seen) or None in words[: seen.at + 2]:
        return unreadable(words)
    start = seen.at + 1
    if start >= len(words):
        return ORDINARY
    if words[start] in {"-c", "--command"}:
        return _as_other(words)
    return Started(inner=(Inner(words=words[start:], at=start),))


def _parallel(words: Words) -> Started:
    """It joins what it reads with its words, and hands that to a shell."""
    return unreadable(words)


_IP_ALL = re.compile(r"--?al{0,2}")
_IP_BATCH = re.compile(r"--?b(?:a(?:t(?:c(?:h)?)?)?)?")


def _ip(words: Words) -> Started:
    """`ip netns exec name command`, `ip vrf exec name command`; each word may be shortened, as the options may."""
    if any(_IP_ALL.fullmatch(word or "") for word in words[1:]):
        # In all of them: no name stands before the command.
        return unreadable(words)
    for at in range(1, len(words) - 2):
        if words[at] in {"net", "netn", "netns", "v", "vr", "vrf"} and (words[at + 1] or "-").startswith("e"):
            return (
                Started(inner=(Inner(words=words[at + 3 :], at=at + 3),)) if at + 3 < len(words) else unreadable(words)
            )
    return opaque(words) if any(_IP_BATCH.fullmatch(word or "") for word in words[1:]) else ORDINARY


_MAKE = Hatch(
    short="fCI",
    long=("file", "makefile", "directory", "include-dir"),
    operand=re.compile(r"^[^-].*="),
)


def _make(words: Words) -> Started:
    """Which file it reads, and what a variable stands for in it, decide what it starts: `make CC='rm -rf x'`."""
    if has_hatch("make", words):
        return opaque(words)
    is_steered = None in words or any(is_hatch(word, _MAKE) for word in words[1:] if word is not None)
    return Started(through=len(words) - 1 if is_steered else 0)


def _crontab(words: Words) -> Started:
    return ORDINARY if set(words[1:]) == {"-l"} else opaque(words)


CARRIERS: Mapping[str, Callable[[Words], Started]] = {
    "find": _find,
    "gfind": _find,
    "xargs": _xargs,
    "watch": _watch,
    "ssh": _ssh,
    "docker": _docker,
    "podman": _docker,
    "docker-compose": _docker_compose,
    "podman-compose": _docker_compose,
    "kubectl": _kubectl,
    "oc": _kubectl,
    "busybox": _multi_call,
    "toybox": _multi_call,
    "coreutils": _multi_call,
    "su": _as_other,
    "sg": _as_other,
    "newgrp": _as_other,
    "script": _as_other,
    "runuser": _runuser,
    "flock": _flock,
    "parallel": _parallel,
    "sem": _parallel,
    "ip": _ip,
    "crontab": _crontab,
    "make": _make,
    "gmake": _make,
}
