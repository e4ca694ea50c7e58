"""Which command a program starts that stands among its words: `sudo`, `timeout 5`, `env A=b`, `find -exec`.

Deliberately absent: programs that are given code, which are in `interpreters.py`, and where that code is looked for.
An option that is not in a table makes the whole unreadable; nothing is guessed that could allow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.domain.carriers import CARRIERS
from bot.domain.hatches import has_hatch
from bot.domain.interpreters import INTERPRETERS
from bot.domain.options import Seen, Spec, Words, read_options, spec
from bot.domain.starting import (
    ORDINARY,
    Inner,
    Started,
    is_assignment,
    names_of,
    opaque,
    programs,
    steers,
    unreadable,
    values_hand_over,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapper:
    """A program that starts the command among its operands, and changes how it runs."""

    options: Spec
    leads: int = 0
    """Operands before the command: the time of `timeout`."""
    assigns: bool = False
    """NAME=value may stand before the command."""
    idle: tuple[str, ...] = ()
    """Options with which it starts nothing."""
    hides: tuple[str, ...] = ()
    """Options with which it is not known what it starts."""
    splits: tuple[str, ...] = ()
    """Options whose value is the beginning of the command, in one word."""
    sets: tuple[str, ...] = ()
    """Options whose value is NAME=value."""
    alone: bool = False
    """Without a command it starts a shell, or one that is not on the line."""


def what_it_starts(words: Words) -> Started:
    """What the program of these words starts. Its name is the first word, which is known."""
    for name in names_of(words[0] or ""):
        wrapper = WRAPPERS.get(name)
        if wrapper is not None:
            return _wrapped(words, wrapper)
        special = CARRIERS.get(name) or INTERPRETERS.get(name)
        if special is not None:
            return special(words)
        if name in _NEVER_READ:
            return unreadable(words)
        if name in _PREFIXES and len(words) > 1 and words[1] in _PREFIXES[name]:
            return _wrapped(words, _PLAINLY, at=2)
        if has_hatch(name, words):
            return opaque(words)
    return ORDINARY


def _wrapped(words: Words, wrapper: Wrapper, *, at: int = 1) -> Started:
    seen = read_options(words, wrapper.options, at=at)
    if seen is None:
        return unreadable(words)
    if seen.has(*wrapper.idle):
        return ORDINARY
    if seen.has(*wrapper.splits):
        return unreadable(words, texts=seen.values(*wrapper.splits))
    hides = (
        seen.has(*wrapper.hides)
        or values_hand_over(seen)
        or any(steers(variable) for variable in seen.values(*wrapper.sets))
    )
    start, is_steered = _past_leads(words, seen, wrapper)
    # sudo goes on reading options behind NAME=value; what looks like one is no program's name.
    program = words[start] if start < len(words) else ""
    if program is None or program.startswith("-") or None in words[at:start]:
        return unreadable(words)
    if start == len(words):
        return opaque(words) if wrapper.alone or hides else ORDINARY
    return Started(inner=(Inner(words=words[start:], at=start),), runs_code=hides or is_steered)


def _past_leads(words: Words, seen: Seen, wrapper: Wrapper) -> tuple[int, bool]:
    """Where the command begins, and whether a variable before it decides what it loads."""
    start, is_steered = seen.at, False
    if wrapper.assigns and words[start : start + 1] == ("-",):
        start += 1
    while wrapper.assigns and start < len(words) and is_assignment(words[start] or ""):
        is_steered = is_steered or steers(words[start] or "")
        start += 1
    return (start + wrapper.leads if start < len(words) or not wrapper.leads else start), is_steered


_NAMESPACES = "mount=? uts=? ipc=? net=? pid=? cgroup=? user=? time=?"
_UNIT_OPTIONS = (
    "scope user system remain-after-exit send-sighup wait pipe pty quiet no-block collect same-dir no-ask-password "
    "unit= description= slice= uid= gid= nice= working-directory= setenv= on-active= on-boot= on-startup= "
    "on-unit-active= on-unit-inactive= on-calendar= service-type= shell property= machine= host="
)
_PLAINLY = Wrapper(options=spec())
WRAPPERS: Mapping[str, Wrapper] = {
    "env": Wrapper(
        options=spec("i0vu:C:S:a:", "ignore-environment null debug unset= chdir= split-string= argv0="),
        assigns=True,
        hides=("a", "argv0"),
        splits=("S", "split-string"),
    ),
    "sudo": Wrapper(
        options=spec(
            "ABbEHiKklnPSsVvC:c:D:g:p:R:r:T:t:U:u:",
            "askpass background preserve-env=? edit group= set-home login remove-timestamp reset-timestamp list "
            "non-interactive preserve-groups prompt= chdir= chroot= role= stdin shell command-timeout= type= "
            "other-user= user= version validate close-from=",
        ),
        assigns=True,
        idle=("l", "list", "v", "validate", "V", "version", "K", "remove-timestamp"),
        hides=("s", "shell", "i", "login", "e", "edit", "R", "chroot"),
        alone=True,
    ),
    "doas": Wrapper(options=spec("Lnsa:u:"), idle=("L",), hides=("s",), alone=True),
    "pkexec": Wrapper(options=spec("", "user= disable-internal-agent keep-cwd"), alone=True),
    "nohup": _PLAINLY,
    "nice": Wrapper(options=spec("n:0123456789", "adjustment=")),
    "ionice": Wrapper(
        options=spec("c:n:tp:P:u:", "class= classdata= ignore pid= pgid= uid="),
        idle=("p", "P", "u", "pid", "pgid", "uid"),
    ),
    "chrt": Wrapper(options=spec("abdfioprvT:P:D:R", "batch deadline fifo idle other rr"), leads=1, idle=("p",)),
    "taskset": Wrapper(options=spec("acp", "all-tasks cpu-list pid"), leads=1, idle=("p", "pid")),
    "timeout": Wrapper(options=spec("fvpk:s:", "foreground verbose preserve-status kill-after= signal="), leads=1),
    "stdbuf": Wrapper(options=spec("i:o:e:", "input= output= error=")),
    "setsid": Wrapper(options=spec("cfw", "ctty fork wait")),
    "time": Wrapper(options=spec("pvaqo:f:", "portability verbose append quiet output= format=")),
    "chroot": Wrapper(options=spec("", "groups= userspec= skip-chdir"), leads=1, alone=True),
    "nsenter": Wrapper(
        options=spec(
            "at:m::u::i::n::p::C::U::T::S:G:r::w::FZe",
            f"all target= setuid= setgid= root=? wd=? no-fork env preserve-credentials {_NAMESPACES}",
        ),
        alone=True,
    ),
    "unshare": Wrapper(
        options=spec(
            "m::u::i::n::p::C::U::T::frcR:w:S:G:",
            "fork map-root-user map-current-user map-auto map-user= map-group= mount-proc=? propagation= setgroups= "
            f"root= wd= setuid= setgid= kill-child=? keep-caps {_NAMESPACES}",
        ),
        alone=True,
    ),
    "setpriv": Wrapper(
        options=spec(
            "",
            "reuid= regid= clear-groups keep-groups init-groups groups= no-new-privs nnp inh-caps= ambient-caps= "
            "bounding-set= reset-env pdeathsig= securebits= dump",
        ),
        idle=("dump",),
        alone=True,
    ),
    "systemd-run": Wrapper(
        options=spec("rdGPqtSu:p:E:H:M:", _UNIT_OPTIONS),
        hides=("S", "shell", "p", "property", "H", "host", "M", "machine"),
        sets=("E", "setenv"),
        alone=True,
    ),
    "systemd-inhibit": Wrapper(options=spec("", "what= who= why= mode= list"), idle=("list",), alone=True),
    "systemd-cat": Wrapper(options=spec("t:p:", "identifier= priority= stderr-priority= level-prefix=")),
    "strace": Wrapper(
        options=spec("cCdfFhiknqrtTvVwxyYzZa:b:e:E:I:o:O:p:P:s:S:u:U:X:", "follow-forks output= trace="), sets=("E",)
    ),
    "ltrace": Wrapper(options=spec("cCfhiLrStTVa:A:D:e:l:n:o:p:s:u:w:x:")),
    "gosu": Wrapper(options=spec(), leads=1, alone=True),
    "su-exec": Wrapper(options=spec(), leads=1, alone=True),
    "setuidgid": Wrapper(options=spec(), leads=1),
    "sshpass": Wrapper(options=spec("evp:f:d:P:")),
    "faketime": Wrapper(options=spec("fm"), leads=1),
    "tini": Wrapper(options=spec("svwge:p:l")),
    "choom": Wrapper(options=spec("n:p:", "adjust= pid="), idle=("p", "pid")),
    "cgexec": Wrapper(options=spec("g:", "sticky")),
    "entr": Wrapper(options=spec("acdnprszx"), hides=("s",), alone=True),
    "npx": Wrapper(options=spec("yq", "yes no-install quiet"), alone=True),
} | dict.fromkeys(
    programs(
        "catchsegv chronic dbus-run-session dumb-init eatmydata fakeroot ifne linux32 linux64 proxychains "
        "rlwrap run-one ssh-agent torsocks unbuffer uvx"
    ),
    _PLAINLY,
)
"""As their manual pages say; short options as getopt has them."""

_NEVER_READ = programs(
    "abduco ansible autossh batch at bwrap byobu caffeinate chpst clush coproc cpulimit crictl daemonize dtach "
    "firejail gnome-terminal hyperfine konsole ld.so ld-linux.so ld-linux-x86-64.so ld-linux-aarch64.so "
    "ld-musl-x86_64.so ld-musl-aarch64.so lxc-attach machinectl mosh nerdctl nodemon nq numactl parallel- "
    "ssh pdsh perf prlimit proot pssh rsh run-parts run0 screen setarch softlimit start-stop-daemon supervise "
    "tmux tsp uclampset valgrind vboxmanage watchexec wsl xterm xvfb-run zellij"
)
"""Programs that start others, in more ways than a table here could keep up with."""
_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "uv": ("run", "tool"),
    "poetry": ("run",),
    "pipenv": ("run",),
    "pipx": ("run",),
    "bundle": ("exec",),
    "npm": ("exec", "x"),
    "pnpm": ("exec", "dlx"),
    "yarn": ("exec", "dlx"),
    "rbenv": ("exec",),
    "pyenv": ("exec",),
    "conda": ("run",),
    "mise": ("exec", "x"),
    "direnv": ("exec",),
    "nix": ("run", "shell", "develop"),
    "lxc": ("exec",),
    "incus": ("exec",),
    "vagrant": ("ssh",),
}
"""`bundle exec x` starts x."""
