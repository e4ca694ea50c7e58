"""Ordinary programs with a way out: the options and operands by which they start whatever they are told to.

Deliberately absent: completeness. No list of programs is; what stands in none counts as the program it names, and a
rule that allows it has to spell its words out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bot.domain.options import Words, read_options, spec
from bot.domain.starting import programs


@dataclass(frozen=True, slots=True, kw_only=True)
class Hatch:
    short: str = ""
    """Letters of short options, wherever they stand in a cluster."""
    long: tuple[str, ...] = ()
    """Names of long options; what abbreviates one counts too."""
    exact: tuple[str, ...] = ()
    operand: re.Pattern[str] | None = None
    """An operand that holds this."""


_OLD_TAR = re.compile(r"[a-zA-Z]*[IF][a-zA-Z]*")
"""`tar xIf program file`: the first word is options without a dash."""


def has_hatch(name: str, words: Words) -> bool:
    """Whether one of the words hands this program something to start."""
    if name in _ALWAYS:
        return True
    if name == "git":
        return _git_hands_over(words)
    if name.endswith("tar") and len(words) > 1 and _OLD_TAR.fullmatch(words[1] or "-"):
        return True
    hatch = _HATCHES.get(name)
    return hatch is not None and any(is_hatch(word, hatch) for word in words[1:] if word is not None)


def is_hatch(word: str, hatch: Hatch) -> bool:
    if word in hatch.exact or (hatch.operand is not None and hatch.operand.search(word)):
        return True
    if word.startswith("--"):
        given = word[2:].partition("=")[0]
        return bool(given) and any(name.startswith(given) for name in hatch.long)
    return word.startswith("-") and any(letter in hatch.short for letter in word[1:])


_GIT = spec("C:c:pP", "git-dir= work-tree= namespace= no-pager paginate bare version help no-replace-objects")
_GIT_COMMANDS = programs(
    "bisect credential daemon difftool filter-branch instaweb mergetool receive-pack remote-ext send-email "
    "shell submodule upload-pack web--browse config"
)
_GIT_READS = {
    "submodule": ("status", "update", "init", "sync"),
    "bisect": ("start", "good", "bad", "reset", "log"),
    "config": ("-l", "--list", "--get", "--get-all", "--get-regexp", "--get-urlmatch", "list", "get"),
}
"""What is written into the configuration is started by the next `git status`: core.fsmonitor, alias.x."""
_GIT_LONG = ("upload-pack", "receive-pack", "exec", "extcmd", "open-files-in-pager", "template", "config")
"""As git takes them: by the beginning of their name too, as far as it is one option's."""
_GIT_WORDS = re.compile(r"(?:ext|fd)::.*")
_GIT_LETTERS = {"rebase": "x", "grep": "O", "clone": "uc", "ls-remote": "u"}


def _git_hands_over(words: Words) -> bool:
    """`-c alias.x=!…`, `submodule foreach`, `rebase --exec`, `ext::…`. Hooks are files, as is any program's code."""
    seen = read_options(words, _GIT)
    if seen is None or seen.has("c"):
        return True
    command, rest = (words[seen.at] or "" if seen.at < len(words) else ""), words[seen.at + 1 :]
    if command in _GIT_COMMANDS:
        return not rest or rest[0] not in _GIT_READS.get(command, ())
    hatch = Hatch(short=_GIT_LETTERS.get(command, ""), long=_GIT_LONG, operand=_GIT_WORDS)
    return any(is_hatch(word, hatch) for word in rest if word is not None)


_ALWAYS = programs(
    "ed ex vi vim nvim view rvim gvim vimdiff emacs emacsclient nano pico joe mg micro kak hx visudo vipw vigr "
    "sudoedit gdb lldb dc m4 gs openvpn pppd telnet cscope ncftp ftp lftp mutt mail mailx debugfs"
)
"""Editors, debuggers and others whose own language starts programs."""


def _hatch(long: str = "", *, short: str = "", exact: str = "", operand: str | None = None) -> Hatch:
    pattern = None if operand is None else re.compile(operand, re.IGNORECASE)
    return Hatch(short=short, long=tuple(long.split()), exact=tuple(exact.split()), operand=pattern)


_TAR = _hatch(
    "use-compress-program to-command checkpoint-action info-script new-volume-script rsh-command rmt-command",
    short="IF",
)
_SQL = _hatch("init-command pager", operand=r"\\|system|\bpager|\btee\b|program")
_NETCAT = _hatch("exec sh-exec lua-exec", short="ec")
_COMPILER = _hatch("wrapper plugin specs", exact="-wrapper", operand=r"^-fplugin|^-specs|^@|^-B")
_APT = _hatch("option config-file", short="oc")
_HATCHES: Mapping[str, Hatch] = {
    "tar": _TAR,
    "gtar": _TAR,
    "bsdtar": _TAR,
    "rsync": _hatch("rsh rsync-path daemon", short="e"),
    "scp": _hatch(short="SoFD"),
    "sftp": _hatch(short="SoFDb"),
    "zip": _hatch("unzip-command", operand=r"^-[a-z]*TT"),
    "tcpdump": _hatch("postrotate-command", short="z"),
    "nmap": _hatch("script interactive servicedb datadir"),
    "man": _hatch("pager html preprocessor browser", short="PH"),
    "less": _hatch("lesskey-content lesskey-src", operand=r"^\+"),
    "more": _hatch(operand=r"^\+"),
    "socat": _hatch(operand=r"exec:|system:|shell:"),
    "nc": _NETCAT,
    "ncat": _NETCAT,
    "netcat": _NETCAT,
    "openssl": _hatch(operand=r"^--?(?:engine|provider|provider-path)(?:=|$)"),
    "ssh-keygen": _hatch(short="Dw"),
    "sort": _hatch("compress-program"),
    "split": _hatch("filter"),
    "cpio": _hatch("rsh-command"),
    "install": _hatch("strip-program"),
    "wget": _hatch("use-askpass execute", short="e"),
    "sqlite3": _hatch("cmd init", exact="-cmd -init", operand=r"(?:^|[\n;])\s*\.|load_extension|edit\(|writefile"),
    "psql": _SQL,
    "mysql": _SQL,
    "mariadb": _SQL,
    "apt": _APT,
    "apt-get": _APT,
    "aptitude": _APT,
    "dpkg": _hatch("pre-invoke post-invoke status-logger"),
    "rpm": _hatch("eval define pipe rcfile macros load", short="ED"),
    "make": _hatch("eval", short="E", operand=r"\$\(|`|^(?:SHELL|MAKEFLAGS|\.SHELLFLAGS)[:+?]?="),
    "cargo": _hatch("config"),
    "go": _hatch(exact="generate run", operand=r"^--?(?:exec|toolexec|vettool)(?:=|$)"),
    "gcc": _COMPILER,
    "cc": _COMPILER,
    "clang": _COMPILER,
    "certbot": _hatch("pre-hook post-hook deploy-hook renew-hook manual-auth-hook manual-cleanup-hook"),
    "helm": _hatch("post-renderer"),
    "pandoc": _hatch("filter lua-filter", short="FL"),
    "exiftool": _hatch(exact="-if -config -p"),
    "pdflatex": _hatch("shell-escape enable-write18", exact="-shell-escape -enable-write18", operand=r"write18"),
    "gh": _hatch(exact="alias extension"),
}
