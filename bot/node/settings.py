"""What a node is told when it starts, checked whole. Deliberately absent: the command line and any file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bot.domain.command import Limits, NodeFingerprint
from bot.errors import ConfigError, Malformed
from bot.node.frames import MAX_OUTPUT_BYTES, NAME_PATTERN
from bot.node.identity import parse_fingerprint

CLEAN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""As Debian's login gives it to root; nothing that a user can write to stands in it."""

_DANGEROUS = re.compile(
    r"(LD|DYLD|GLIBC|MALLOC|GCONV|NODE|PYTHON|PERL5?|RUBY|_JAVA|JDK_JAVA|GIT|SSH_ASKPASS|BASH|ZDOTDIR|PHP|LUA|HOMING)"
    r"(_.*|OPT|LIB|PATH|HOME|STARTUP|WARNINGS|RC)?"
    r"|BASH_ENV|ENV|IFS|SHELLOPTS|BASHOPTS|PS4|PROMPT_COMMAND|CDPATH|TERMINFO.*|PAGER|EDITOR|VISUAL|LESSOPEN|LESSCLOSE"
    r"|RES_OPTIONS|LOCALDOMAIN|HOSTALIASES|NLSPATH|JAVA_TOOL_OPTIONS|PATH"
)
"""Names by which an environment makes an innocent command load or run something else, and our own secrets'."""
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def faults_of_env_names(names: Iterable[str]) -> Iterator[str]:
    """Which of these are no names, or would make other programs do something else."""
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", name):
            yield f"{name!r} is no name of an environment variable"
        elif _DANGEROUS.fullmatch(name):
            yield f"the environment variable {name!r} changes what other programs do, and is not handed to commands"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """Raises `ConfigError`, with every fault, when made with values that no node can run on."""

    gateway_url: str
    """`ws://` or `wss://`, with the path `/node`."""
    state_dir: Path
    """The node's key, the gateway's pinned key and the journal. One node each."""
    name: str
    work_dir: Path | None = None
    """Where commands start; the home directory of their user where it is left out."""
    rules_file: Path | None = None
    """The node's own policy. Left out: `node.toml` in the state directory, where there is one."""
    limits: Limits = field(default_factory=lambda: Limits(timeout_s=86_400.0, output_bytes=MAX_OUTPUT_BYTES))
    """The most that any command gets here, whatever the gateway asks for."""
    env_names: tuple[str, ...] = ()
    """Of the node's own environment, what commands get beside the clean one."""
    path: str = CLEAN_PATH
    max_executions: int = 16
    """At the same time. Offers beyond it wait at the gateway."""
    gateway_key: str | None = None
    """The gateway's fingerprint where it is known beforehand; else the first one that is met is kept."""
    allow_plain: bool = False
    """Allow `ws://` to another machine: everybody on the way may then read and change what is run."""
    grace_s: float = 5.0
    """Between TERM and KILL. Long enough for a database to close its files, short enough for who pressed Stop."""
    digest_bytes: int = 256 * 1_048_576
    """The largest file whose content is bound to an approval: half a second of hashing."""
    raw_bytes: int = 8 * 1_048_576
    """Raw output that is kept on disk for each execution, from its beginning."""
    spool_bytes: int = 1_073_741_824
    """Reports that wait for the gateway and raw output, together."""

    def __post_init__(self) -> None:
        faults = (*self._faults_of_url(), *self._faults_of_env(), *self._faults_of_numbers())
        if faults:
            raise ConfigError(faults)

    @property
    def expected_gateway(self) -> NodeFingerprint | None:
        return None if self.gateway_key is None else parse_fingerprint(self.gateway_key)

    def _faults_of_url(self) -> tuple[str, ...]:
        try:
            url = urlsplit(self.gateway_url)
            host = url.hostname
        except ValueError:
            host = None
        if not host or url.scheme not in {"ws", "wss"}:
            return ("the gateway's address is ws://host:port/node or wss://host/node",)
        if url.scheme == "ws" and host not in _LOOPBACK and not self.allow_plain:
            why = f"ws:// to {host} shows commands and output to everybody on the way, and lets them change both"
            return (f"{why}; use wss://, or --allow-plain where the network itself is encrypted",)
        if not url.path.endswith("/node"):
            # A proxy may put a prefix before it; left out altogether, whoever answers there is no gateway.
            right = f"{url.scheme}://{url.netloc.rpartition('@')[2]}/node"
            return (f"the gateway's address ends with the path /node; write {right}",)
        return ()

    def _faults_of_env(self) -> tuple[str, ...]:
        faults = list(faults_of_env_names(self.env_names))
        if not self.path or not all(part.startswith("/") for part in self.path.split(":")):
            faults.append("the search path for programs holds absolute directories, with ':' between them")
        return tuple(faults)

    def _faults_of_numbers(self) -> tuple[str, ...]:
        faults = []
        if not re.fullmatch(NAME_PATTERN, self.name):
            faults.append("a node's name has 1 to 64 letters, digits, dots, dashes or underscores")
        if self.gateway_key is not None:
            try:
                parse_fingerprint(self.gateway_key)
            except Malformed as fault:
                faults.append(f"the gateway's key: {fault}")
        if not 1 <= self.max_executions <= 1_000:
            faults.append("a node runs 1 to 1000 executions at the same time")
        if not 0 < self.limits.timeout_s <= 31_536_000:
            faults.append("the longest time of a command is more than nothing and at most a year")
        if not 1_024 <= self.limits.output_bytes <= MAX_OUTPUT_BYTES:
            faults.append(f"a node keeps 1024 to {MAX_OUTPUT_BYTES} bytes of output for a report")
        if not 0 < self.grace_s <= 600:
            faults.append("between TERM and KILL there is more than nothing and at most 600 s")
        if self.digest_bytes < 1_048_576 or self.raw_bytes < 0 or self.spool_bytes < 16 * 1_048_576:
            faults.append("at least 1 MiB of a file is checked, and the spool has at least 16 MiB")
        return tuple(faults)
