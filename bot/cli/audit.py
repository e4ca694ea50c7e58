"""`homing audit`: what was asked, decided and done. Shown, exported, checked offline, and redacted where it must be.

Deliberately absent: any way to change a line. `verify` with a file opens neither store nor config, and needs no key.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import shown
from bot.cli.audit_file import Format, heads_of, inner, is_table, lines_of, write_export
from bot.cli.opened import with_store
from bot.cli.options import DEFAULT_CONFIG, AsJson, ConfigPath, Limit
from bot.cli.switches import operator
from bot.domain.audit import REDACTED, Head, Line, line_to_text
from bot.domain.audit_check import Broken, Sound, check, head_from_text, redactions
from bot.domain.execution import ExecutionId
from bot.domain.words import parse_id
from bot.errors import HomingError, Malformed
from bot.ports import Tx

if TYPE_CHECKING:
    from bot.config import Settings
    from bot.store.open import OpenStore

_PAGE = 1_000
"""Lines of one look; some 2 MiB of bodies."""
_QUIET = frozenset({"by", "salt", "command", "command_hash", "asker", "session", "message", "deciders", "quorum"})
"""Fields that the table has elsewhere, or that only `--json` and an export show."""

Since = Annotated[str | None, typer.Option("--since", help='How far back, such as "30d", or from which day (UTC).')]


def show(
    execution: Annotated[str | None, typer.Option("--execution", "-e", help="Lines of this execution only.")] = None,
    since: Since = None,
    limit: Limit = 50,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """The newest lines, oldest of them first.

    Example: homing audit show --execution 7K3Q9A
    """
    wanted = None if execution is None else _id(execution)

    async def ask(settings: Settings, store: OpenStore) -> tuple[Settings, Sequence[Line]]:
        return settings, await store.read(lambda tx: _newest(tx, wanted, since, limit))

    settings, found = with_store(config, ask)
    if as_json:
        shown.raw("[" + ",\n".join(line_to_text(line) for line in found) + "]")
        return
    times = shown.Times(settings.display.time_zone)
    rows = [
        (
            str(line.seq),
            times.at(datetime.fromisoformat(line.at).timestamp()),
            line.kind,
            str(line.fields().get("by") or "–"),
            line.execution or "–",
            _summary(line),
        )
        for line in found
    ]
    shown.table(("line", "at", "what", "by", "execution", "about"), rows, none="The audit has no such line.")


def _newest(tx: Tx, execution: ExecutionId | None, since: str | None, limit: int) -> Sequence[Line]:
    after = 0 if since is None else tx.audit.before(moment(since, tx.now))
    if execution is not None:
        return [line for line in tx.audit.of_execution(execution) if line.seq > after][-limit:]
    head = tx.audit.head()
    return [] if head is None else tx.audit.lines(after=max(after, head.seq - limit), limit=limit)


def _summary(line: Line) -> str:
    if line.body is None:
        return "(redacted)"
    fields = line.fields()
    node, request = inner(fields, "node", "name"), fields.get("request")
    words = [f"on {node}: {request}"] if request is not None else []
    left = {name: value for name, value in fields.items() if name not in _QUIET | {"request", "node", "place", "rule"}}
    words += [f"{name} {value}" for name, value in left.items()] if request is None else []
    words += [str(left[name]) for name in ("detail", "reason") if request is not None and left.get(name)]
    words += [f"{name} {fields[name]}" for name in ("exit_code", "signal") if request is not None and name in fields]
    if request is None and node is not None:
        words.insert(0, str(node))
    return "; ".join(words) or "–"


def export(
    since: Since = None,
    form: Annotated[Format, typer.Option("--format", help="Lines of JSON, or a table.")] = Format.JSONL,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A new file, ours alone. Left out: standard output.")
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Write the lines out, to be kept elsewhere and checked with `homing audit verify`.

    No secret is in them, and no output: hashes stand for it.

    Example: homing audit export --since 30d --out audit.jsonl
    """
    if as_json and out is None:
        raise HomingError("with --json an export goes to a file: name one with --out")

    async def ask(_: Settings, store: OpenStore) -> tuple[int, Head | None]:
        return await store.read(partial(_export, since=since, form=form, out=out))

    count, head = with_store(config, ask)
    if as_json:
        shown.document({"ok": True, "file": str(out), "lines": count, "head": _head_form(head)})
        return
    named = "" if head is None else f"; a cut end shows with: --head {head.seq}:{head.hash}"
    shown.aside(f"{count} lines{named}")


def _export(tx: Tx, *, since: str | None, form: Format, out: Path | None) -> tuple[int, Head | None]:
    lines = _from_store(tx, 0 if since is None else tx.audit.before(moment(since, tx.now)))
    if out is None:
        put: Callable[[bytes], object] = sys.stdout.buffer.write
        ended = write_export(lines, form, put)
        sys.stdout.buffer.flush()
        return ended
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise HomingError(f"{out} exists already, and was left as it is; name a file that does not") from None
    with os.fdopen(descriptor, "wb") as file:
        return write_export(lines, form, file.write)


def verify(
    file: Annotated[
        Path | None, typer.Argument(help="An export. Left out: the lines in the store.", metavar="FILE")
    ] = None,
    head: Annotated[
        str | None, typer.Option("--head", help="A head that was kept elsewhere.", metavar="SEQ:HASH")
    ] = None,
    heads: Annotated[
        Path | None, typer.Option("--heads", help="A file of heads that was kept elsewhere.", metavar="FILE")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="When the export was made (UTC): later heads are left out.")
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Check that every line follows the one before and says what it said when it was written.

    With a file it needs nothing else: no store, no config, no key. Ends with 1 and names the first broken line. A chain
    alone does not show that its end was cut, or that all of it was written anew: heads that were kept elsewhere do.

    Example: homing audit verify audit.jsonl --heads heads.jsonl
    """
    kept = [] if head is None else [_typed(head)]
    kept += [] if heads is None else heads_of(heads)
    if until is not None:
        limit = _iso(until)
        kept = [one for one in kept if not one.at[:1].isdigit() or one.at <= limit]
    if file is not None:
        found = _check(partial(lines_of, file), partial(lines_of, file, kind=REDACTED), kept)
        above = int(is_table(file))
    else:

        async def ask(_: Settings, store: OpenStore) -> Sound | Broken:
            return await store.read(lambda tx: _check(partial(_from_store, tx, 0), partial(_from_store, tx, 0), kept))

        found, above = with_store(config, ask), 0
    _tell(found, str(file or "the store"), above=above, as_json=as_json, has_heads=bool(kept))


def _check(
    lines: Callable[[], Iterator[Line]], of_redactions: Callable[[], Iterator[Line]], heads: Sequence[Head]
) -> Sound | Broken:
    try:
        known = redactions(of_redactions())
    except Malformed:
        # The second pass comes to the same line, and names it.
        known = redactions(())
    return check(lines(), known, heads)


def _from_store(tx: Tx, after: int) -> Iterator[Line]:
    """All from one snapshot: what is redacted or appended meanwhile is not seen, or would contradict itself."""
    while page := tx.audit.lines(after=after, limit=_PAGE):
        yield from page
        after = page[-1].seq


def _tell(found: Sound | Broken, where: str, *, above: int, as_json: bool, has_heads: bool) -> None:
    if isinstance(found, Broken):
        found = replace(found, number=found.number + above)
        named = "" if found.seq is None else f" (line {found.seq} of the audit)"
        said = f"{where}: line {found.number}{named}: {found.what}"
        if as_json:
            place = {"line": found.number, "seq": found.seq, "what": found.what}
            shown.document({"ok": False, "error": said, "broken": place})
        shown.aside(f"homing: {said}")
        raise typer.Exit(1)
    if as_json:
        counts = {"lines": found.lines, "redacted": found.redacted}
        heads = {"heads": found.heads, "heads_before": found.heads_before}
        ends = {"first": _head_form(found.first), "head": _head_form(found.head)}
        shown.document({"ok": True, **counts, **heads, **ends})
        return
    if found.first is None or found.head is None:
        shown.line("there is no line, so none is broken")
        return
    shown.line(f"{found.lines} lines hold, {found.first.seq} ({found.first.at}) to {found.head.seq} ({found.head.at})")
    shown.line(f"head {found.head.seq}:{found.head.hash}")
    if found.first.seq > 1:
        shown.line(f"what stood before line {found.first.seq} is not in it")
    if found.redacted:
        shown.line(f"{found.redacted} of them were redacted, and later lines say so")
    if found.heads_before:
        shown.line(f"{found.heads_before} heads are of lines before its first; nothing here speaks for or against them")
    if has_heads:
        shown.line(f"{found.heads} heads fit")
    else:
        shown.line("a cut end, or a past that was written anew, shows only against heads that were kept elsewhere")


def redact(
    execution: Annotated[str | None, typer.Argument(help="Its id; every line of it so far.", metavar="ID")] = None,
    line: Annotated[int | None, typer.Option("--line", min=1, help="One line instead, by its number.")] = None,
    why: Annotated[str, typer.Option("--why", help="Stays in the audit, for whoever asks later.")] = "",
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Delete for ever what lines say, of one execution or one line.

    Their places in the chain stay, a new line says who did it and why, and the audit still verifies. What exports,
    backups, chats and the execution's own row hold is not touched.

    Example: homing audit redact 7K3Q9A --why "a password stood in the reason"
    """
    if (execution is None) == (line is None):
        raise HomingError("name one of them: the id of an execution, or --line with a number")
    if not why.strip():
        raise HomingError("say why, with --why: it is what stays in the place of what was said")
    wanted, by = None if execution is None else _id(execution), operator()

    async def change(_: Settings, store: OpenStore) -> int:
        return await store.write(lambda tx: _redact(tx, wanted, line, by, why.strip()))

    gone = with_store(config, change)
    if as_json:
        shown.document({"ok": True, "redacted": gone})
    else:
        shown.line(f"{gone} lines say nothing any more; a new line says so. `homing audit verify` still holds")


def _redact(tx: Tx, execution: ExecutionId | None, line: int | None, by: str, why: str) -> int:
    head = tx.audit.head()
    first, last = (1, 0 if head is None else head.seq) if line is None else (line, line)
    gone = tx.audit.redact(first=first, last=last, by=by, reason=why, execution=execution)
    if not gone:
        what = f"execution {execution}" if line is None else f"line {line}"
        raise HomingError(f"the audit has nothing of {what} that can be redacted; `homing audit show` lists it")
    return gone


def _typed(text: str) -> Head:
    try:
        return head_from_text(text)
    except Malformed as fault:
        raise HomingError(f"--head is {fault}") from fault


def _id(text: str) -> ExecutionId:
    found = parse_id(text)
    if found is None:
        raise HomingError(f"{text!r} is no id of an execution; `homing executions` lists them")
    return found


def _head_form(head: Head | None) -> dict[str, object] | None:
    return None if head is None else {"seq": head.seq, "at": head.at, "hash": head.hash}


def moment(text: str, now: float) -> float:
    """`30d` before now, or a day, or a moment. UTC where no zone is said."""
    from bot.config.values import parse_length_s

    try:
        length_s = parse_length_s(text)
    except ValueError:
        return _parsed(text).timestamp()
    return now - length_s if isinstance(length_s, float) else now


def _iso(text: str) -> str:
    return _parsed(text).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parsed(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise HomingError(f'{text!r} is no time; write "30d", "2027-01-15" or "2027-01-15T08:00"') from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
