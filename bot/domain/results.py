"""How an execution ended, as it is told where it was asked: the result, or the way out that it took; its output.

Deliberately absent: the card, and how a message is cut into parts.
"""

from __future__ import annotations

from dataclasses import replace

from bot.domain.command import CommandHash
from bot.domain.execution import Chunk, Ending, Execution, ExecutionResult, ExecutionState, Stream
from bot.domain.message import (
    Action,
    Attachment,
    Block,
    Button,
    Capabilities,
    Code,
    Facts,
    FormField,
    Heading,
    Instant,
    Post,
    PostKind,
    Prose,
    Span,
)
from bot.domain.parts import cut_middle, duration, in_a_line, looks_like_itself, size, visible, visible_command

S = ExecutionState

_INLINE_RUNS = 6
"""Up to so many turns between stdout and stderr stand in blocks of their own; more would tear the output apart."""

_TITLES: dict[ExecutionState, str] = {
    S.PREPARING: "⏳ Being prepared",
    S.AWAITING_APPROVAL: "⚠️ Approval needed",
    S.APPROVED: "✅ Approved, waiting for the node",
    S.DISPATCHED: "⏳ Handed to the node",
    S.RUNNING: "⏳ Running",
    S.LOST: "❓ Not known whether it ran",
    S.DENIED: "❌ Denied, nothing ran",
    S.EXPIRED: "⏱ Expired, nothing ran",
    S.CANCELLED: "⏹ Cancelled, nothing ran",
    S.REFUSED: "🚫 Refused, nothing ran",
}


def title(execution: Execution) -> str:
    """The state in a sign and a word; a result says how it ended."""
    if execution.state is S.FINISHED and execution.result is not None:
        return ending_words(execution.result)
    return _TITLES.get(execution.state, execution.state.value)


def ending_words(result: ExecutionResult) -> str:
    """How it ended, with exit status or signal: `❌ Failed, exit 3`. Never a bare success by default."""
    how = f"exit {result.exit_code}" if result.exit_code is not None else f"by {result.signal}"
    match result.ending:
        case Ending.EXITED:
            return f"✅ Finished, {how}" if result.succeeded else f"❌ Failed, {how}"
        case Ending.SIGNALLED:
            return f"❌ Killed {how}"
        case Ending.TIMED_OUT:
            return f"⏱ Ended at its time limit, {how}"
        case _:
            return f"⏹ Stopped, {how}"


def shown_command(execution: Execution) -> str:
    """All of what will run, to the letter, with what hides made visible."""
    return visible_command(execution.shown.text)


def listed_command(execution: Execution, chars: int) -> str:
    """In a line of a list, which names nothing: what could be read for another command stands on its card only."""
    text = execution.shown.text
    if not looks_like_itself(text):
        return "(some of its characters look like others; read its card)"
    return cut_middle(" ⏎ ".join(text.splitlines()), chars, "")


def buttons_of(execution: Execution, shown: CommandHash, *actions: Action) -> tuple[Button, ...]:
    return tuple(
        Button(action=action, execution_id=execution.id, shown=shown, asks=_asks(execution, action))
        for action in actions
    )


def _asks(execution: Execution, action: Action) -> tuple[FormField, ...]:
    """What a yes needs beside the press. A denial's reason is offered by every channel, and never needed."""
    if action not in (Action.APPROVE, Action.ALWAYS):
        return ()
    terms = execution.terms
    needed = ((FormField.REASON, terms.needs_reason), (FormField.CODE, terms.second_factor))
    return tuple(field for field, is_needed in needed if is_needed)


def _again(execution: Execution) -> tuple[Action, ...]:
    """What held a secret is not kept, so it cannot be asked for again by a button."""
    return (Action.AGAIN,) if execution.masked is None else ()


def deciders_of(execution: Execution) -> str:
    """Who decided it: everybody whose yes counted, or the one who said no."""
    named = execution.approved_by if execution.state is not S.DENIED else ()
    who = ", ".join(named or ((execution.decided_by,) if execution.decided_by is not None else ()))
    return visible(who if execution.glass is None else f"{who} alone, under break-glass {execution.glass}")


def outcome(execution: Execution, state: ExecutionState, capabilities: Capabilities) -> Post:
    if state is S.FINISHED and execution.result is not None:
        return _result(execution, execution.result, capabilities)
    heading = f"{_TITLES.get(state, state.value)} · {execution.id}"
    rows: list[tuple[str, tuple[Span, ...]]] = [("Node", (visible(execution.node_name),))]
    if execution.decided_by is not None:
        rows.append(("Decided by", (deciders_of(execution),)))
    # `reason` is of the state that the execution is in now; a loss that was resolved meanwhile has lost its own.
    if execution.reason and execution.state is state:
        rows.append(("Reason", (in_a_line(execution.reason),)))
    blocks: list[Block] = [
        Heading(spans=(heading,)),
        Code(text=cut_middle(shown_command(execution), capabilities.code_chars // 4, ""), label="Command"),
        Facts(rows=tuple(rows)),
    ]
    if state is S.LOST:
        blocks.append(Prose(spans=("Look on the node before you run it again: it may have run.",)))
    shown = execution.command_hash
    buttons = () if shown is None else buttons_of(execution, shown, *_again(execution))
    return Post(
        kind=PostKind.NOTICE, blocks=tuple(blocks), buttons=buttons, execution_id=execution.id, status=state.value
    )


def _result(execution: Execution, result: ExecutionResult, capabilities: Capabilities) -> Post:
    text = visible(result.output.text())
    room = min(capabilities.code_chars, capabilities.text_chars // 2)
    is_cut = len(text) > room or result.output.omitted_bytes > 0
    attachment = _attached(execution, capabilities) if is_cut else None
    blocks: list[Block] = [
        Heading(spans=(f"{ending_words(result)} · {execution.id}",)),
        Code(text=cut_middle(shown_command(execution), room // 4, ""), label="Command"),
        Facts(
            rows=(
                ("Node", (visible(execution.node_name),)),
                ("Took", (duration(result.duration_s),)),
                *(() if execution.glass is None else (("Approved by", (deciders_of(execution),)),)),
                *(() if execution.started_at is None else (("Started", (Instant(execution.started_at),)),)),
            )
        ),
        *_output_blocks(execution, result, room, is_attached=attachment is not None),
    ]
    actions = (*_again(execution), *((Action.OUTPUT,) if is_cut and attachment is None else ()))
    shown = execution.command_hash
    return Post(
        kind=PostKind.RESULT,
        blocks=tuple(blocks),
        buttons=() if shown is None else buttons_of(execution, shown, *actions),
        execution_id=execution.id,
        status="succeeded" if result.succeeded else "failed",
        attachment=attachment,
    )


def output_file(execution: Execution, limit_bytes: int) -> Attachment | None:
    """All of the output that was kept, as a file; cut in the middle where it is longer than the limit, and it says so.

    None where there is none.
    """
    text = "" if execution.result is None else visible(execution.result.output.text())
    if not text:
        return None
    while len(text.encode("utf-8", "replace")) > limit_bytes:
        # A character takes up to four bytes: what is over is taken off, at most so often as it halves.
        over = len(text.encode("utf-8", "replace")) - limit_bytes
        text = cut_middle(text, max(limit_bytes // 4, len(text) - over), "")
    return Attachment(name=f"{execution.id}.txt", text=text)


def _attached(execution: Execution, capabilities: Capabilities) -> Attachment | None:
    return output_file(execution, capabilities.file_bytes) if capabilities.file_bytes else None


def _output_blocks(execution: Execution, result: ExecutionResult, room: int, *, is_attached: bool) -> tuple[Block, ...]:
    text = visible(result.output.text())
    if not text:
        return (Prose(spans=("It wrote no output.",)),)
    runs = _runs((*result.output.head, *result.output.tail))
    if len(text) <= room and not result.output.omitted_bytes and len(runs) <= _INLINE_RUNS:
        return tuple(Code(text=visible(run.text), label=_LABELS[run.stream]) for run in runs)
    hint = "; the whole is in the file" if is_attached else f"; the whole is behind: output {execution.id}"
    return (Code(text=cut_middle(text, room, hint), label="Output"),)


_LABELS = {Stream.OUT: "Output", Stream.ERR: "Errors (stderr)"}


def _runs(chunks: tuple[Chunk, ...]) -> list[Chunk]:
    """Neighbouring chunks of one stream as one."""
    runs: list[Chunk] = []
    for chunk in (chunk for chunk in chunks if chunk.text):
        if runs and runs[-1].stream is chunk.stream:
            runs[-1] = replace(runs[-1], text=runs[-1].text + chunk.text)
        else:
            runs.append(chunk)
    return runs


def whole_output(execution: Execution, capabilities: Capabilities) -> Post:
    if execution.result is None:
        text = f"{execution.id} has no output yet."
        return Post(kind=PostKind.REPLY, blocks=(Prose(spans=(text,)),), execution_id=execution.id)
    output = execution.result.output.text()
    body: Block = Code(text=visible(output), label="Output") if output else Prose(spans=("It wrote no output.",))
    heading = Heading(spans=(f"Output of {execution.id}",))
    post = Post(kind=PostKind.REPLY, blocks=(heading, body), execution_id=execution.id)
    attachment = _attached(execution, capabilities)
    if attachment is None or size(post) <= capabilities.text_chars:
        return post
    return replace(post, blocks=(heading, Prose(spans=("It is in the file.",))), attachment=attachment)
