"""Which files a program is given to run: the line `#!` of a script, the first file of an interpreter's arguments.

Deliberately absent: any reading of shell text. What is written in a script for a shell is approved as that text.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_INTERPRETER = re.compile(
    r"(sh|bash|dash|ash|zsh|ksh|mksh|fish|csh|tcsh|busybox|python|pypy|perl|ruby|node|nodejs|deno|bun|php|lua|luajit"
    r"|tclsh|wish|expect|Rscript|R|julia|java|guile|groovy|pwsh|ansible-playbook)[0-9.]*t?"
)
"""Programs whose first file is what runs. Not sed or awk: theirs is mostly a file of data, which may change."""
_WRAPPER = re.compile(r"(env|nice|ionice|nohup|setsid|stdbuf|time|timeout|chrt|taskset|xargs|sudo|doas|runuser|flock)")
"""Programs that run the one which stands among their arguments."""


def interpreter_line(head: bytes) -> tuple[str, ...]:
    """The programs that a file's first line names: the interpreter, and what `env` would find for it."""
    if not head.startswith(b"#!"):
        return ()
    # Linux takes 256 bytes of the line: BINPRM_BUF_SIZE in include/uapi/linux/binfmts.h
    line = head[2:256].split(b"\n", 1)[0].decode("utf-8", "replace").strip()
    words = line.split()
    if not words:
        return ()
    if Path(words[0]).name != "env":
        return (words[0],)
    programs = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    return (words[0], *programs[:1])


def script_operands(executable: str, argv: tuple[str, ...], cwd: str) -> tuple[str, ...]:
    """The files of `argv` that a known interpreter or wrapper would run, as paths seen from `cwd`."""
    names = (Path(executable).name, Path(argv[0]).name)
    if any(_WRAPPER.fullmatch(name) for name in names):
        for at, word in enumerate(argv[1:], start=1):
            if _INTERPRETER.fullmatch(Path(word).name):
                return script_operands(word, argv[at:], cwd)
            path = str(Path(cwd, word))
            if _is_file(path) and os.access(path, os.X_OK):
                return (path,)
    elif any(_INTERPRETER.fullmatch(name) for name in names):
        for word in argv[1:]:
            if not word.startswith("-") and _is_file(str(Path(cwd, word))):
                return (str(Path(cwd, word)),)
    return ()


def _is_file(path: str) -> bool:
    # Not Path.is_file: a name that is too long for a path is no file here, and no fault.
    return os.path.isfile(path)  # noqa: PTH113
