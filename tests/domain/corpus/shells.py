"""What the real shells of this machine make of shell texts: many texts to a process, as starting one costs most."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

PROGRAMS = ("pa", "pb", "pc", "pd")
"""The only programs that a text may start in `started`; each writes its words down and does nothing else."""
SHELLS = ("/bin/sh", "/bin/bash", "/bin/dash")
BATCH_TIMEOUT_S = 60
"""A batch takes well under a second; what hangs is a fault of the test."""


def _run(shell: str, lines: Sequence[str], cwd: Path, environment: dict[str, str]) -> list[list[str]]:
    """Runs the lines with descriptor 9 for records: words that end in NUL each, and the whole in \\x01 NUL."""
    script, record = cwd / "lines", cwd / "records"
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    record.write_bytes(b"")
    subprocess.run(
        ["/bin/sh", "-c", 'exec 9>>"$1"; exec "$2" "$3"', "_", str(record), shell, str(script)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=BATCH_TIMEOUT_S,
        check=False,
        cwd=cwd,
        env={"LC_ALL": "C.UTF-8", "HOME": "/home/nobody-of-this-name", **environment},
    )
    found = record.read_bytes().decode("utf-8", "replace").split("\0\x01\0")
    return [entry.split("\0") for entry in found if entry]


def words_read(shell: str, texts: Sequence[str], cwd: Path) -> list[tuple[str, ...] | None]:
    """The words of each text as this shell hands them to a program; None where it cannot read them."""
    ending = "printf '\\1\\0' >&9"
    lines = [
        "( eval " + shlex.quote(f"printf '%s\\0' {number} {text} >&9; {ending}") + " )"
        for number, text in enumerate(texts)
    ]
    found = {int(entry[0]): tuple(entry[1:]) for entry in _run(shell, lines, cwd, {"PATH": "/nonexistent"})}
    return [found.get(number) for number in range(len(texts))]


def run_as(shell: str, texts: Sequence[str], names: Sequence[str], cwd: Path) -> list[tuple[str, ...] | None]:
    """The argv that really starts, where each text's program is a recorder of this name, alone on the PATH."""
    folder = cwd / "path"
    folder.mkdir()
    recorder = folder / "recorder of argv"
    recorder.write_text(
        '#!/bin/sh\nprintf \'%s\\0\' "$NUMBER" "${0##*/}" "$@" >&9\nprintf \'\\1\\0\' >&9\n', encoding="utf-8"
    )
    recorder.chmod(0o755)
    for name in set(names):
        (folder / name).symlink_to(recorder)
    lines = [f"( NUMBER={number}; export NUMBER; eval {shlex.quote(text)} ) 2>&1" for number, text in enumerate(texts)]
    found = {int(entry[0]): tuple(entry[1:]) for entry in _run(shell, lines, cwd, {"PATH": str(folder)})}
    return [found.get(number) for number in range(len(texts))]


def carried(texts: Sequence[str], cwd: Path) -> list[list[tuple[str, ...]]]:
    """What the wrappers of this machine really start: the words behind `PROGRAM`, which is put in for a recorder."""
    recorder = cwd / "recorder"
    recorder.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\" >&9\nprintf '\\1\\0' >&9\n", encoding="utf-8")
    recorder.chmod(0o755)
    lines = [f"echo read | ( {text.replace('PROGRAM', f'{recorder} {number}')} )" for number, text in enumerate(texts)]
    found: list[list[tuple[str, ...]]] = [[] for _ in texts]
    for entry in _run("/bin/sh", [*lines, "wait"], cwd, {"PATH": os.defpath}):
        found[int(entry[0])].append(tuple(entry[1:]))
    return found


def started(shell: str, texts: Sequence[str], cwd: Path) -> list[list[tuple[str, ...]]]:
    """Every program of PROGRAMS that each text starts, with its words."""
    recorders = [f"{name}() {{ printf '%s\\0' \"$_n\" {name} \"$@\" '\1' >&9; }}" for name in PROGRAMS]
    lines = [
        *recorders,
        *(f"_n={number}; ( eval {shlex.quote(text)} ) </dev/null >/dev/null 2>&1" for number, text in enumerate(texts)),
        "wait",
    ]
    found: list[list[tuple[str, ...]]] = [[] for _ in texts]
    for entry in _run(shell, lines, cwd, {"PATH": "/nonexistent"}):
        # Two that ran at once may have written into each other's records; whoever compares runs such a text alone.
        if entry[0].isdecimal() and int(entry[0]) < len(texts):
            found[int(entry[0])].append(tuple(entry[1:]))
    return found


def cannot_parse(text: str) -> bool:
    """bash -n finds a fault in it. A here-document that the end of the text ends is only a warning to it."""
    seen = subprocess.run(
        ["/bin/bash", "-n", "-c", text],
        capture_output=True,
        timeout=BATCH_TIMEOUT_S,
        check=False,
        env={"LC_ALL": "C.UTF-8", "PATH": os.defpath},
    )
    return seen.returncode != 0
