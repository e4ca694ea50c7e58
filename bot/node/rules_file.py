"""`node.toml` -> the node's own policy, or one `ConfigError` with every fault: which key, what, and the remedy.

Read anew at every look, so that what its operator writes counts from the next command on. Deliberately absent: what a
policy means (see `rules`).
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bot.domain.command import Limits, NodeFingerprint
from bot.domain.pattern import Pattern, parse_pattern
from bot.errors import ConfigError, Malformed
from bot.node.frames import MAX_OUTPUT_BYTES
from bot.node.identity import parse_fingerprint
from bot.node.rules import MOST, Rules
from bot.node.settings import faults_of_env_names
from bot.node.user import user_named

FILE_NAME = "node.toml"
MAX_FILE_BYTES = 262_144
"""Thousands of patterns; what is longer is another file."""
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_UNIT_BYTES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_LEAST_MEMORY_BYTES = 16 * 2**20
"""With less, most interpreters cannot even load their own libraries."""
_LEAST_OPEN_FILES = 16
"""Three are open from the start, and a program opens its libraries and its script beside them."""
_MOST_COUNT = 2**31 - 1
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RulesFile:
    """Where the policy stands. It is asked from several threads."""

    path: Path
    must_exist: bool
    """It was named, or was there when the node started: then its absence is no permission."""

    @classmethod
    def found(cls, named: Path | None, state_dir: Path) -> RulesFile:
        """The file that was named; else the one in the state directory, where there is one."""
        path = state_dir / FILE_NAME if named is None else named
        return cls(path.absolute(), named is not None or os.path.lexists(path))

    def current(self) -> Rules:
        """As it stands in the file now. Raises `ConfigError`."""
        try:
            content = _content(self.path)
        except FileNotFoundError:
            if self.must_exist:
                raise ConfigError((f"{self.path}: there is no such file; `homing node example` prints one",)) from None
            return Rules()
        return read_rules(content, label=self.path.name)


def _content(path: Path) -> bytes:
    """Raises `FileNotFoundError`, or `ConfigError` where others than the node and root could have written it."""
    try:
        # Without O_NONBLOCK the open of a FIFO waits for a writer.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(path) from None
    except OSError as fault:
        raise ConfigError((f"{path}: cannot be read ({fault.strerror}); look at its owner and mode",)) from None
    try:
        seen = os.fstat(opened)
        if not stat.S_ISREG(seen.st_mode):
            raise ConfigError((f"{path}: is no regular file; put a file there",))
        if seen.st_uid not in {0, os.geteuid()} or seen.st_mode & 0o022:
            remedy = "let root or the node's own user own it, and chmod go-w it"
            raise ConfigError((f"{path}: others could change what this node allows; {remedy}",))
        content = os.read(opened, MAX_FILE_BYTES + 1)
    except OSError as fault:
        raise ConfigError((f"{path}: cannot be read ({fault.strerror})",)) from None
    finally:
        os.close(opened)
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError((f"{path}: is larger than {MAX_FILE_BYTES} bytes; shorten it",))
    return content


def read_rules(content: bytes, *, label: str = FILE_NAME) -> Rules:
    """Raises `ConfigError`, with every fault at once."""
    try:
        form = tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise ConfigError((f"{label}: is not UTF-8; save it as UTF-8",)) from None
    except tomllib.TOMLDecodeError as fault:
        at = re.search(r"\(at (.*)\)", str(fault))
        where = at[1] if at else "somewhere"
        remedy = "texts stand in double quotes, lists and the table [limits] in brackets, and no key comes twice"
        raise ConfigError((f"{label}: is no TOML at {where}; {remedy}",)) from None
    reader = _Reader(form, label)
    rules = reader.rules()
    if reader.faults:
        raise ConfigError(tuple(reader.faults))
    return rules


class _Reader:
    """Goes on after a fault, with a value that nobody uses."""

    def __init__(self, form: Mapping[str, object], label: str) -> None:
        self.faults: list[str] = []
        self._form = form
        self._label = label

    def rules(self) -> Rules:
        known = ("gateways", "commands", "deny", "scripts", "user", "dirs", "env_names", "limits")
        self._unknown(self._form, known, "")
        env_names = self._list("env_names", _env_name) if "env_names" in self._form else None
        return Rules(
            gateways=self._listing("gateways", _gateway, "every gateway"),
            commands=self._listing("commands", _command, "anything that the gateway approved"),
            deny=self._list("deny", parse_pattern),
            scripts=self._flag("scripts"),
            user=self._one("user", _user),
            dirs=self._listing("dirs", _directory, "anywhere"),
            env_names=env_names,
            limits=self._limits(),
        )

    def _fault(self, key: str, text: str) -> None:
        self.faults.append(f"{self._label}: {key}: {text}")

    def _unknown(self, form: Mapping[str, object], known: Iterable[str], within: str) -> None:
        names = sorted(known)
        for key in form:
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
                remedy = f"did you mean {near[0]}?" if near else f"known here: {', '.join(names)}"
                self._fault(f"{within}{key}", f"unknown key; {remedy}")

    def _listing(self, key: str, read: Callable[[str], T], left_out: str) -> tuple[T, ...]:
        """A list whose absence means everything: then an empty one could be meant both ways."""
        if self._form.get(key) == []:
            self._fault(key, f"is empty; name at least one, or leave the key out for {left_out}")
        return self._list(key, read)

    def _list(self, key: str, read: Callable[[str], T]) -> tuple[T, ...]:
        value = self._form.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self._fault(key, 'is no list of texts; write ["…", "…"]')
            return ()
        found = []
        for number, text in enumerate(value):
            try:
                found.append(read(text))
            except Malformed as fault:
                self._fault(f"{key}[{number}]", str(fault))
        return tuple(found)

    def _one(self, key: str, read: Callable[[str], T]) -> T | None:
        value = self._form.get(key)
        if value is None:
            return None
        try:
            if isinstance(value, str):
                return read(value)
            self._fault(key, "is no text; write it in double quotes")
        except Malformed as fault:
            self._fault(key, str(fault))
        return None

    def _flag(self, key: str) -> bool | None:
        value = self._form.get(key)
        if value is None or isinstance(value, bool):
            return value
        self._fault(key, "is neither true nor false; write one of them, without quotes")
        return None

    def _limits(self) -> Limits:
        form = self._form.get("limits", {})
        if not isinstance(form, dict):
            self._fault("limits", "is no table; write [limits] on a line of its own, and the keys below it")
            return MOST
        self._unknown(form, ("timeout", "output_bytes", "memory", "processes", "open_files"), "limits.")
        timeout_s = self._limit(form, "timeout", _length_s, 1, 31_536_000)
        output_bytes = self._limit(form, "output_bytes", _count, 1_024, MAX_OUTPUT_BYTES)
        return Limits(
            timeout_s=MOST.timeout_s if timeout_s is None else float(timeout_s),
            output_bytes=MOST.output_bytes if output_bytes is None else int(output_bytes),
            memory_bytes=self._limit(form, "memory", _size_bytes, _LEAST_MEMORY_BYTES, 2**50),
            processes=self._limit(form, "processes", _count, 1, _MOST_COUNT),
            open_files=self._limit(form, "open_files", _count, _LEAST_OPEN_FILES, _MOST_COUNT),
        )

    def _limit(
        self, form: Mapping[str, object], key: str, read: Callable[[object], int | None], least: int, most: int
    ) -> int | None:
        if key not in form:
            return None
        found = read(form[key])
        if found is None or not least <= found <= most:
            how = '; write seconds (90) or "30m"' if read is _length_s else ""
            how = '; write bytes or "512M"' if read is _size_bytes else how
            self._fault(f"limits.{key}", f"is a whole number from {least} to {most}{how}")
            return None
        return found


def _gateway(text: str) -> NodeFingerprint:
    return parse_fingerprint(text)


def _command(text: str) -> Pattern:
    pattern = parse_pattern(text)
    if not pattern.spells_out(0):
        raise Malformed("its program holds a star, so it would allow what nobody named; write the program out")
    return pattern


def _env_name(text: str) -> str:
    for fault in faults_of_env_names((text,)):
        raise Malformed(f"{fault}; leave it out")
    return text


def _directory(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute() or "\x00" in text:
        raise Malformed("is no absolute path; write it from / on")
    return path


def _user(text: str) -> str:
    user = user_named(text)
    if user is None:
        raise Malformed(f"this machine has no user {text!r}; make it, or name another")
    if not user.is_own and os.geteuid() != 0:
        raise Malformed("only root can start commands as another user; start the node as root, or leave user out")
    return user.name


def _length_s(value: object) -> int | None:
    if isinstance(value, str) and (found := re.fullmatch(r"(\d{1,9})([smhd])", value)):
        return int(float(found[1]) * _UNIT_S[found[2]])
    return _count(value)


def _size_bytes(value: object) -> int | None:
    if isinstance(value, str) and (found := re.fullmatch(r"(\d{1,15})([KMGT]?)", value)):
        return int(found[1]) * _UNIT_BYTES[found[2]]
    return _count(value)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
