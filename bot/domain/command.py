"""A request and the command that comes of it: the canonical form that is hashed, shown and run.

Deliberately absent: any look at a file system. The node inspects and fills the form in; both ends
compute the hash of the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Collection, ItemsView, Mapping
from dataclasses import dataclass
from typing import NewType

from bot.errors import Malformed

NodeFingerprint = NewType("NodeFingerprint", str)
"""The digest of a node's public key. Executions and hashes bind to it; the name is for people."""
CommandHash = NewType("CommandHash", str)
"""SHA-256 of the canonical form, 64 lower-case hex digits."""

FORM_VERSION = 2
_OLD_FORM = 1
"""Without user, inode, gateway and three limits: rows that were stored before are read, and hash as they did."""
SHELL = "/bin/sh"
MAX_REQUEST_CHARS = 8_000
"""The longest request. A card must show all of it, and networks take some 4,000 to 40,000 characters a message."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-^")
"""Characters that POSIX 2.2 gives no meaning to outside quotes. `~`, `*`, `?`, `[`, `{`, `!`, `#` are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asked for, parsed as far as it can be without the node."""

    text: str
    """As typed, without `run on …:`."""
    argv: tuple[str, ...]
    """What is handed to exec; a shell script is `/bin/sh -c <text>`."""
    script: str | None
    """The shell text, where it takes a shell to mean what it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the command may take. The node's own limits win where they are lower."""

    timeout_s: float = 3_600.0
    output_bytes: int = 262_144
    """Kept for the report, head and tail together. 256 KiB is some 4,000 lines, more than a chat can show."""
    memory_bytes: int | None = None
    """Address space of each process; None: what the node's system gives."""
    processes: int | None = None
    """Processes and threads that the user may have at the same time; None: what the node's system gives."""
    open_files: int | None = None
    """Files that each process may hold open; None: what the node's system gives."""


def lower_of(one: Limits, other: Limits) -> Limits:
    """The stricter of both, each limit by itself."""
    return Limits(
        timeout_s=min(one.timeout_s, other.timeout_s),
        output_bytes=min(one.output_bytes, other.output_bytes),
        memory_bytes=_lower(one.memory_bytes, other.memory_bytes),
        processes=_lower(one.processes, other.processes),
        open_files=_lower(one.open_files, other.open_files),
    )


def _lower(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDigest:
    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Immutable: what was approved is what is run, on the node of this fingerprint, or nothing is."""

    node: NodeFingerprint
    argv: tuple[str, ...]
    script: str | None
    executable: str
    """Absolute, links resolved, as the node sees it."""
    cwd: str
    """Absolute, links resolved."""
    cwd_id: str
    """`device:inode` of that directory: another one that was put under the same path is another command."""
    user: str
    """The user that it runs as, by its name on the node; `#1000` where the number has no name."""
    env: tuple[tuple[str, str], ...]
    """The whole environment, by name. The gateway's own never is part of it."""
    limits: Limits
    files: tuple[FileDigest, ...]
    """Digests of what will run: the executable, and the script files that an interpreter is given."""
    gateway: str = ""
    """Fingerprint of the key that asked the node: a copy of the store under another key can hand nothing over."""


def parse_request(text: str) -> Request:
    """Plain words become argv and run without a shell; anything a shell would change is a script for one.

    Raises `Malformed` for a request that is empty, over-long, or that no program and no shell could be given.
    """
    if not text.strip():
        raise Malformed("there is no command behind 'run'")
    if len(text) > MAX_REQUEST_CHARS:
        raise Malformed(
            f"the command has {len(text)} characters, at most {MAX_REQUEST_CHARS} are taken; "
            "put it into a script file on the node"
        )
    if "\x00" in text:
        raise Malformed("the command holds a NUL character, which no program can be given")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise Malformed("the command holds half a surrogate pair, which is no character; write it again")
    words = _plain_words(text)
    if words is not None:
        return Request(text=text, argv=words, script=None)
    if text[0] in "-+":
        # `sh -c` goes on reading options behind -c: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/sh.html
        raise Malformed(f"the command begins with '{text[0]}', so the shell would take it for an option of its own")
    return Request(text=text, argv=(SHELL, "-c", text), script=text)


def _plain_words(text: str) -> tuple[str, ...] | None:
    """The words, if every shell would read exactly these and change nothing; else None."""
    quote = ""
    for character in text:
        if quote == "'":
            quote = "" if character == "'" else quote
        elif quote == '"':
            if character in "$`\\!":
                return None
            quote = "" if character == '"' else quote
        elif character in "'\"":
            quote = character
        elif character not in _PLAIN and character not in " \t" and character.isascii():
            return None
    if quote:
        return None
    words = tuple(shlex.split(text, comments=False, posix=True))
    if not words or "=" in words[0] or words[0] in _SHELL_WORDS:
        return None
    return words


_RESERVED = "if then else elif fi do done case esac while until for in function select time coproc"
_BUILT_INS = (
    ": . alias bg break builtin cd command continue declare dirs disown eval exec exit export fc fg getopts hash "
    "history jobs let local popd pushd read readonly return set shift shopt source times trap type typeset ulimit "
    "umask unalias unset wait"
)
_SHELL_WORDS = frozenset(f"{_RESERVED} {_BUILT_INS}".split())
"""Reserved words and built-ins that mean nothing outside a shell."""


def canonical(command: Command) -> bytes:
    """The form that is hashed: UTF-8 JSON, keys sorted, no spaces, versioned from the first day."""
    return json.dumps(command_to_json(command), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


def command_hash(command: Command) -> CommandHash:
    return CommandHash(hashlib.sha256(canonical(command)).hexdigest())


def command_to_json(command: Command) -> dict[str, object]:
    form: dict[str, object] = {
        "node": command.node,
        "argv": list(command.argv),
        "script": command.script,
        "executable": command.executable,
        "cwd": command.cwd,
        "env": dict(command.env),
        "files": [{"path": file.path, "sha256": file.sha256} for file in command.files],
    }
    limits = limits_to_json(command.limits)
    if is_of_old_form(command):
        return {"form": _OLD_FORM, **form, "limits": {name: limits[name] for name in _OLD_LIMITS}}
    return {
        "form": FORM_VERSION,
        **form,
        "cwd_id": command.cwd_id,
        "user": command.user,
        "gateway": command.gateway,
        "limits": limits,
    }


def is_of_old_form(command: Command) -> bool:
    """It was stored before the form said who runs it, and where to the inode: shown as it was, and never run."""
    return not command.user


def limits_to_json(limits: Limits) -> dict[str, object]:
    return {
        # As a float on both ends: 60 and 60.0 are one limit and would be two hashes.
        "timeout_s": float(limits.timeout_s),
        "output_bytes": limits.output_bytes,
        "memory_bytes": limits.memory_bytes,
        "processes": limits.processes,
        "open_files": limits.open_files,
    }


_OLD_LIMITS = ("timeout_s", "output_bytes")
_LIMITS = frozenset({*_OLD_LIMITS, "memory_bytes", "processes", "open_files"})
_OLD_FIELDS = frozenset({"form", "node", "argv", "script", "executable", "cwd", "env", "limits", "files"})
_FIELDS = _OLD_FIELDS | {"cwd_id", "user", "gateway"}
_CWD_ID = re.compile(r"[0-9]{1,20}:[0-9]{1,20}")


def command_from_json(form: object) -> Command:
    """The inverse of `command_to_json`. Raises `Malformed`, naming the field, for anything else."""
    version = form.get("form") if isinstance(form, dict) else None
    if type(version) is int and version not in {_OLD_FORM, FORM_VERSION}:
        raise Malformed(f"a command of form {version}; this side knows {FORM_VERSION}")
    is_old = type(version) is int and version == _OLD_FORM
    fields = _mapping("command", form, _OLD_FIELDS if is_old else _FIELDS)
    if type(version) is not int:
        raise Malformed("command.form is not a version")
    files = [_mapping("files", file, {"path", "sha256"}) for file in _sequence("files", fields["files"])]
    return Command(
        node=NodeFingerprint(_text("node", fields["node"])),
        argv=_words("argv", fields["argv"]),
        script=_optional_text("script", fields["script"]),
        executable=_text("executable", fields["executable"]),
        cwd=_text("cwd", fields["cwd"]),
        cwd_id="" if is_old else _cwd_id(fields["cwd_id"]),
        user="" if is_old else _user(fields["user"]),
        env=tuple(sorted((_text("env", name), _text("env", value)) for name, value in _named("env", fields["env"]))),
        gateway="" if is_old else _text("gateway", fields["gateway"]),
        limits=_old_limits(fields["limits"]) if is_old else limits_from_json(fields["limits"]),
        files=tuple(
            FileDigest(path=_text("files.path", file["path"]), sha256=_text("files.sha256", file["sha256"]))
            for file in files
        ),
    )


def request_to_json(request: Request) -> dict[str, object]:
    return {"text": request.text, "argv": list(request.argv), "script": request.script}


def request_from_json(form: object) -> Request:
    """The inverse of `request_to_json`. Raises `Malformed` for anything else."""
    fields = _mapping("request", form, {"text", "argv", "script"})
    return Request(
        text=_text("text", fields["text"]),
        argv=_words("argv", fields["argv"]),
        script=_optional_text("script", fields["script"]),
    )


def limits_from_json(value: object) -> Limits:
    """The inverse of `limits_to_json`. Raises `Malformed`, naming the field, for anything else."""
    limits = _mapping("limits", value, _LIMITS)
    timeout_s, output_bytes = limits["timeout_s"], limits["output_bytes"]
    if not isinstance(timeout_s, (int, float)) or isinstance(timeout_s, bool) or not 0 < timeout_s < 2**53:
        raise Malformed("limits.timeout_s is not a length of time")
    if type(output_bytes) is not int or output_bytes < 0:
        raise Malformed("limits.output_bytes is not a count")
    return Limits(
        timeout_s=float(timeout_s),
        output_bytes=output_bytes,
        memory_bytes=_at_least_one("memory_bytes", limits["memory_bytes"]),
        processes=_at_least_one("processes", limits["processes"]),
        open_files=_at_least_one("open_files", limits["open_files"]),
    )


def _old_limits(value: object) -> Limits:
    limits = _mapping("limits", value, _OLD_LIMITS)
    return limits_from_json({**limits, "memory_bytes": None, "processes": None, "open_files": None})


def _at_least_one(name: str, value: object) -> int | None:
    # Below 2**53, so that no reader of JSON rounds it.
    if value is not None and (type(value) is not int or not 0 < value < 2**53):
        raise Malformed(f"limits.{name} is neither null nor a count of at least one")
    return value


def _cwd_id(value: object) -> str:
    text = _text("cwd_id", value)
    if not _CWD_ID.fullmatch(text):
        raise Malformed("cwd_id is no device:inode")
    return text


def _user(value: object) -> str:
    text = _text("user", value)
    if not text:
        raise Malformed("user is empty")
    return text


def _mapping(name: str, value: object, keys: Collection[str]) -> Mapping[str, object]:
    if not isinstance(value, dict) or value.keys() != set(keys):
        raise Malformed(f"{name} is not an object of {', '.join(sorted(keys))}")
    return value


def _named(name: str, value: object) -> ItemsView[object, object]:
    if not isinstance(value, dict):
        raise Malformed(f"{name} is not an object")
    return value.items()


def _sequence(name: str, value: object) -> list[object]:
    if not isinstance(value, list):
        raise Malformed(f"{name} is not a list")
    return value


def _words(name: str, value: object) -> tuple[str, ...]:
    words = tuple(_text(name, word) for word in _sequence(name, value))
    if not words:
        raise Malformed(f"{name} names no program")
    return words


def _optional_text(name: str, value: object) -> str | None:
    return None if value is None else _text(name, value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise Malformed(f"{name} is not a text")
    return value
