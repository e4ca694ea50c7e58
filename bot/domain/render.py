"""Payload and execution -> what is posted. All words of cards, results and notices are here.

Deliberately absent: any channel's name or markup. Limits come from the channel's capabilities; strings
in blocks are data, which the channel escapes.
"""

from __future__ import annotations

from dataclasses import replace

from bot.domain.command import CommandHash
from bot.domain.event import Payload, Say, ShowCard, TellOutcome
from bot.domain.execution import (
    FINAL,
    HANDED_OVER,
    WAITING,
    Chunk,
    Ending,
    Execution,
    ExecutionResult,
    ExecutionState,
    Stream,
)
from bot.domain.message import (
    Action,
    Block,
    Button,
    Capabilities,
    Code,
    Facts,
    Heading,
    Instant,
    Post,
    PostKind,
    Prose,
    Span,
)
from bot.domain.parts import cut_middle, duration, fit, size, split, visible

S = ExecutionState

LISTED_CHARS = 80
"""Of a command in a list; a longer one is cut there, so nobody can decide by the list alone."""
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


_REPEAT = Prose(spans=("♻️ This may be a repeat: whether the first copy arrived is not known.",))
_REPEAT_CHARS = size(Post(kind=PostKind.NOTICE, blocks=(_REPEAT,)))


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


def render(
    payload: Payload,
    execution: Execution | None,
    capabilities: Capabilities,
    *,
    mention: str | None = None,
    maybe_repeat: bool = False,
    part: int = 0,
) -> tuple[Post, ...]:
    """The messages of one event, in order; each fits the channel. `execution` is the row as it stands.

    Where an earlier send of `part` may have arrived, that part says so. Room for the mark is kept in every part, so
    that the same event is cut at the same places whether it is repeated or not.
    """
    capabilities = replace(capabilities, text_chars=capabilities.text_chars - _REPEAT_CHARS)
    match payload:
        case Say():
            blocks: list[Block] = [Prose(spans=(visible(payload.text),))]
            if payload.code is not None:
                blocks.append(Code(text=visible(payload.code), label="Details"))
            post = Post(kind=PostKind.REPLY, blocks=tuple(blocks))
        case ShowCard():
            post = _gone(payload.execution_id) if execution is None else card(execution, capabilities)
        case TellOutcome():
            post = (
                _gone(payload.execution_id) if execution is None else _outcome(execution, payload.state, capabilities)
            )
        case _:
            post = _gone(payload.execution_id) if execution is None else _whole_output(execution)
    parts = split(replace(post, mention=mention), capabilities)
    if not maybe_repeat:
        return parts
    return tuple(
        replace(one, blocks=(_REPEAT, *one.blocks)) if number == part else one for number, one in enumerate(parts)
    )


def card(execution: Execution, capabilities: Capabilities) -> Post:
    """The one message of an execution that is edited through its life. Once settled it has no buttons that decide.

    It fits one message in every state but one: what people decide about is never cut, see `fits_one_message`.
    """
    if execution.state in FINAL and execution.command is None:
        return fit(_short_card(execution), capabilities)
    blocks: list[Block] = [
        Heading(spans=(f"{title(execution)} · {execution.id}",)),
        Prose(spans=_status(execution)),
        Code(text=shown_command(execution), label="Command"),
        Facts(rows=_facts(execution)),
    ]
    if execution.state is S.AWAITING_APPROVAL:
        blocks.append(Prose(spans=(f"Or type: approve {execution.id}, or: deny {execution.id} <reason>",)))
    post = Post(
        kind=PostKind.CARD,
        blocks=tuple(blocks),
        buttons=_buttons(execution),
        execution_id=execution.id,
        status=execution.state.value,
    )
    if execution.state is S.AWAITING_APPROVAL:
        return post
    post = fit(post, capabilities)
    if execution.live_tail and execution.state in HANDED_OVER:
        return _with_tail(post, visible(execution.live_tail), capabilities)
    return post


def _with_tail(post: Post, tail: str, capabilities: Capabilities) -> Post:
    """The newest output below the card, as far as the message has room for it."""
    label = "Output so far"
    with_nothing = replace(post, blocks=(*post.blocks, Code(text="", label=label)))
    room = min(capabilities.text_chars // 4, capabilities.text_chars - size(with_nothing))
    return post if room <= 0 else replace(post, blocks=(*post.blocks, Code(text=tail[-room:], label=label)))


def shown_command(execution: Execution) -> str:
    """All of what will run, to the letter, with what hides made visible."""
    return visible(execution.request.text)


def fits_one_message(execution: Execution, capabilities: Capabilities) -> bool:
    """Whether the card shows the whole command in one message: else nobody can be asked there."""
    post = card(execution, capabilities)
    return size(replace(post, blocks=(_REPEAT, *post.blocks))) <= capabilities.text_chars


def _gone(execution_id: str) -> Post:
    text = f"{execution_id} was pruned after its retention time; its details are no longer kept."
    return Post(kind=PostKind.NOTICE, blocks=(Prose(spans=(text,)),), execution_id=execution_id)


def _short_card(execution: Execution) -> Post:
    line = f"{title(execution)} · {execution.id}" + (f": {visible(execution.reason)}" if execution.reason else "")
    return Post(
        kind=PostKind.NOTICE,
        blocks=(Prose(spans=(line,)),),
        execution_id=execution.id,
        status=execution.state.value,
    )


def _status(execution: Execution) -> tuple[Span, ...]:
    match execution.state:
        case S.AWAITING_APPROVAL:
            who = ", ".join(execution.deciders)
            return (f"Waiting for one of: {who}. Expires ", Instant(execution.expires_at), ".")
        case S.APPROVED | S.DISPATCHED:
            return _decided(execution)
        case S.RUNNING:
            since: tuple[Span, ...] = () if execution.started_at is None else (Instant(execution.started_at),)
            return ("Running since ", *since, ".") if since else ("Running.",)
        case S.LOST:
            silent = "The node went silent after it was handed over. If it reports later, that is told here."
            return (f"{silent} It is never started a second time by itself.",)
        case S.FINISHED:
            took = f" after {duration(execution.result.duration_s)}" if execution.result is not None else ""
            return (f"Ended{took}. The result is a message of its own.",)
        case _:
            return (visible(execution.reason or "No reason was given."),)


def _decided(execution: Execution) -> tuple[Span, ...]:
    if execution.decided_by is None:
        return (f"Allowed by the rule “{execution.rule}”.",)
    at: tuple[Span, ...] = () if execution.decided_at is None else (", ", Instant(execution.decided_at))
    return (f"Approved by {visible(execution.decided_by)}", *at, ".")


def _facts(execution: Execution) -> tuple[tuple[str, tuple[Span, ...]], ...]:
    rows: list[tuple[str, tuple[Span, ...]]] = [("Node", (visible(execution.node_name),))]
    command = execution.command
    if command is not None:
        how = "without a shell:"
        if command.script is not None:
            # Counted, because blank lines can push the end of a script out of sight (F-083).
            lines = len(command.script.splitlines())
            how = "as a shell script, by" if lines < 2 else f"as a shell script of {lines} lines, by"
        rows.append(("Runs", (f"{how} {visible(command.executable)}",)))
        rows.append(("Directory", (visible(command.cwd),)))
        rows.append(("Time limit", (duration(command.limits.timeout_s),)))
        scripts = [file for file in command.files if file.path != command.executable]
        rows += [("Script", (f"{visible(file.path)} (SHA-256 {file.sha256[:12]}…)",)) for file in scripts]
    asker = visible(execution.asker_name)
    own = visible(execution.asker)
    rows.append(("Asked by", (asker if asker == own else f"{asker} ({own})", ", ", Instant(execution.created_at))))
    if execution.state in WAITING and execution.state is not S.AWAITING_APPROVAL:
        rows.append(("Expires", (Instant(execution.expires_at),)))
    if execution.decided_by is not None and execution.state not in {S.APPROVED, S.DISPATCHED}:
        rows.append(("Decided by", (visible(execution.decided_by),)))
    if execution.state is S.AWAITING_APPROVAL:
        rows.append(("Rule", (visible(execution.rule),)))
    return tuple(rows)


def _buttons(execution: Execution) -> tuple[Button, ...]:
    if execution.command_hash is None:
        return ()
    actions: tuple[Action, ...] = ()
    if execution.state is S.AWAITING_APPROVAL:
        actions = (Action.APPROVE, Action.STOP, Action.DENY)
    elif execution.state in {S.APPROVED, S.DISPATCHED, S.RUNNING} and execution.stop_wanted_by is None:
        actions = (Action.STOP,)
    return _of(execution, execution.command_hash, *actions)


def _of(execution: Execution, shown: CommandHash, *actions: Action) -> tuple[Button, ...]:
    return tuple(Button(action=action, execution_id=execution.id, shown=shown) for action in actions)


def _outcome(execution: Execution, state: ExecutionState, capabilities: Capabilities) -> Post:
    if state is S.FINISHED and execution.result is not None:
        return _result(execution, execution.result, capabilities)
    heading = f"{_TITLES.get(state, state.value)} · {execution.id}"
    rows: list[tuple[str, tuple[Span, ...]]] = [("Node", (visible(execution.node_name),))]
    if execution.decided_by is not None:
        rows.append(("Decided by", (visible(execution.decided_by),)))
    # `reason` is of the state that the execution is in now; a loss that was resolved meanwhile has lost its own.
    if execution.reason and execution.state is state:
        rows.append(("Reason", (visible(execution.reason),)))
    blocks: list[Block] = [
        Heading(spans=(heading,)),
        Code(text=cut_middle(shown_command(execution), capabilities.code_chars // 4, ""), label="Command"),
        Facts(rows=tuple(rows)),
    ]
    if state is S.LOST:
        blocks.append(Prose(spans=("Look on the node before you run it again: it may have run.",)))
    buttons = () if execution.command_hash is None else _of(execution, execution.command_hash, Action.AGAIN)
    return Post(
        kind=PostKind.NOTICE, blocks=tuple(blocks), buttons=buttons, execution_id=execution.id, status=state.value
    )


def _result(execution: Execution, result: ExecutionResult, capabilities: Capabilities) -> Post:
    text = visible(result.output.text())
    room = min(capabilities.code_chars, capabilities.text_chars // 2)
    is_cut = len(text) > room
    blocks: list[Block] = [
        Heading(spans=(f"{ending_words(result)} · {execution.id}",)),
        Code(text=cut_middle(shown_command(execution), room // 4, ""), label="Command"),
        Facts(
            rows=(
                ("Node", (visible(execution.node_name),)),
                ("Took", (duration(result.duration_s),)),
                *(() if execution.started_at is None else (("Started", (Instant(execution.started_at),)),)),
            )
        ),
        *_output_blocks(execution, result, room),
    ]
    actions = (Action.AGAIN, Action.OUTPUT) if is_cut else (Action.AGAIN,)
    shown = execution.command_hash
    return Post(
        kind=PostKind.RESULT,
        blocks=tuple(blocks),
        buttons=() if shown is None else _of(execution, shown, *actions),
        execution_id=execution.id,
        status="succeeded" if result.succeeded else "failed",
    )


def _output_blocks(execution: Execution, result: ExecutionResult, room: int) -> tuple[Block, ...]:
    text = visible(result.output.text())
    if not text:
        return (Prose(spans=("It wrote no output.",)),)
    runs = _runs((*result.output.head, *result.output.tail))
    if len(text) <= room and not result.output.omitted_bytes and len(runs) <= _INLINE_RUNS:
        return tuple(Code(text=visible(run.text), label=_LABELS[run.stream]) for run in runs)
    hint = f"; the whole is behind: output {execution.id}"
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


def _whole_output(execution: Execution) -> Post:
    if execution.result is None:
        text = f"{execution.id} has no output yet."
        return Post(kind=PostKind.REPLY, blocks=(Prose(spans=(text,)),), execution_id=execution.id)
    output = execution.result.output.text()
    body: Block = Code(text=visible(output), label="Output") if output else Prose(spans=("It wrote no output.",))
    heading = Heading(spans=(f"Output of {execution.id}",))
    return Post(kind=PostKind.REPLY, blocks=(heading, body), execution_id=execution.id)
