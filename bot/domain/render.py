"""Payload and execution -> what is posted. All words of cards, results and notices are here.

Deliberately absent: any channel's name or markup. Limits come from the channel's capabilities; strings
in blocks are data, which the channel escapes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.domain.command import Command, Limits
from bot.domain.event import Payload, Say, ShowBatch, ShowCard, TellOutcome
from bot.domain.execution import (
    FINAL,
    HANDED_OVER,
    WAITING,
    Execution,
    ExecutionState,
)
from bot.domain.message import (
    MIN_CODE_CHARS,
    Action,
    Attachment,
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
from bot.domain.parts import cut_middle, duration, fit, in_a_line, size, split, visible, visible_command
from bot.domain.results import buttons_of, deciders_of, outcome, shown_command, title, whole_output
from bot.domain.session import Peer
from bot.domain.unmasked import shown_path

S = ExecutionState

LISTED_CHARS = 80
"""Of a command in a list; a longer one is cut there, so nobody can decide by the list alone."""

_MAX_SCRIPTS_SHOWN = 8
"""On a card; the node binds up to 64 files, and a card must fit a message."""
_REPEAT = Prose(spans=("♻️ This may be a repeat: whether the first copy arrived is not known.",))
_REPEAT_CHARS = size(Post(kind=PostKind.NOTICE, blocks=(_REPEAT,)))


def render(
    payload: Payload,
    execution: Execution | None,
    capabilities: Capabilities,
    *,
    here: Peer | None = None,
    mention: str | None = None,
    maybe_repeat: bool = False,
    part: int = 0,
) -> tuple[Post, ...]:
    """The messages of one event, in order; each fits the channel. `execution` is the row as it stands.

    `here` is where it is told: a card elsewhere than where it was asked is a copy.

    Where an earlier send of `part` may have arrived, that part says so. Room for the mark is kept in every part, so
    that the same event is cut at the same places whether it is repeated or not.
    """
    whole, capabilities = capabilities, with_room_for_mark(capabilities)
    match payload:
        case Say():
            blocks: list[Block] = [Prose(spans=(visible(payload.text),))]
            if payload.code is not None:
                blocks.append(Code(text=visible(payload.code), label="Details"))
            post = Post(kind=PostKind.REPLY, blocks=tuple(blocks))
        case ShowCard() | ShowBatch():
            # A batch's card comes from `batch_card`; what is left of one whose rows are gone, from here.
            post = _gone(payload.execution_id) if execution is None else card(execution, capabilities, here=here)
        case TellOutcome():
            post = _gone(payload.execution_id) if execution is None else outcome(execution, payload.state, capabilities)
        case _:
            post = _gone(payload.execution_id) if execution is None else whole_output(execution, capabilities)
    return parts_of(post, whole, mention=mention, repeated=part if maybe_repeat else None)


def parts_of(post: Post, capabilities: Capabilities, *, mention: str | None, repeated: int | None) -> tuple[Post, ...]:
    """The messages that a post takes there; the one numbered `repeated` says that it may be a repeat."""
    parts = split(replace(post, mention=mention), with_room_for_mark(capabilities))
    return tuple(
        replace(one, blocks=(_REPEAT, *one.blocks)) if number == repeated else one for number, one in enumerate(parts)
    )


def with_room_for_mark(capabilities: Capabilities) -> Capabilities:
    return replace(capabilities, text_chars=capabilities.text_chars - _REPEAT_CHARS)


def card(execution: Execution, capabilities: Capabilities, *, here: Peer | None = None) -> Post:
    """The one message of an execution that is edited through its life. Once settled it has no buttons that decide.

    A copy, `here` and not where it was asked, shows the command and the outcome in a word, never any output.

    It fits one message in every state but one: what people decide about is never cut, see `fits_one_message`.
    """
    is_own = here is None or here == execution.origin.peer
    if execution.state in FINAL and execution.command is None:
        return fit(_short_card(execution), capabilities)
    blocks: list[Block] = [
        Heading(spans=(f"{title(execution)} · {execution.id}",)),
        Prose(spans=_status(execution)),
        Code(text=shown_command(execution), label="Command"),
        Facts(rows=_facts(execution) if is_own else (*_facts(execution), asked_in(execution))),
    ]
    if execution.state is S.AWAITING_APPROVAL:
        blocks.append(Prose(spans=(f"Or type{_typed_yes(execution)}, or: deny {execution.id} <reason>",)))
    post = Post(
        kind=PostKind.CARD,
        blocks=tuple(blocks),
        buttons=_buttons(execution),
        execution_id=execution.id,
        status=execution.state.value,
    )
    if execution.state is S.AWAITING_APPROVAL:
        return post if size(post) <= capabilities.text_chars else _with_command_file(post, execution, capabilities)
    post = fit(post, capabilities)
    if is_own and execution.live_tail and execution.state in HANDED_OVER:
        return _with_tail(post, visible(execution.live_tail), capabilities)
    return post


def _with_command_file(post: Post, execution: Execution, capabilities: Capabilities) -> Post:
    """The whole command as a file beside the card, where the channel has such; else the card as it is, too long.

    A press counts once the card's receipt is kept, and that comes after the file stands.
    """
    whole = Attachment(name=f"{execution.id}-command.txt", text=shown_command(execution))
    if not capabilities.card_files or len(whole.text.encode("utf-8", "replace")) > capabilities.file_bytes:
        return post
    told = Prose(spans=("The whole command is in the file. Read it before you decide.",))
    heading, status, _, *rest = post.blocks

    def cut(chars: int) -> Post:
        code = Code(text=cut_middle(whole.text, chars, "; the whole is in the file"), label="Command")
        return replace(post, blocks=(heading, status, told, code, *rest), attachment=whole)

    room = capabilities.text_chars - size(cut(0))
    return cut(min(room, capabilities.code_chars)) if room >= MIN_CODE_CHARS else post


def _with_tail(post: Post, tail: str, capabilities: Capabilities) -> Post:
    """The newest output below the card, as far as the message has room for it."""
    label = "Output so far"
    with_nothing = replace(post, blocks=(*post.blocks, Code(text="", label=label)))
    room = min(capabilities.text_chars // 4, capabilities.text_chars - size(with_nothing))
    return post if room <= 0 else replace(post, blocks=(*post.blocks, Code(text=tail[-room:], label=label)))


@dataclass(frozen=True, slots=True)
class Line:
    """What follows a card that cannot be edited."""

    mark: str
    """The same for all that the line says once."""
    text: str


def card_line(execution: Execution, *, here: Peer) -> Line | None:
    """Where it was asked: that it was approved; its end is told there anyway. At a copy: how it was settled, too."""
    if execution.state in {S.APPROVED, S.DISPATCHED, S.RUNNING} and execution.decided_by is not None:
        return Line("approved", f"✅ {execution.id} was approved by {deciders_of(execution)}.")
    is_settled = execution.state in FINAL or execution.state is S.LOST
    if is_settled and here != execution.origin.peer:
        return Line(execution.state.value, f"{execution.id}: {title(execution)}.")
    return None


def fits_one_message(execution: Execution, capabilities: Capabilities, *, here: Peer | None = None) -> bool:
    """Whether the card shows the whole command, in one message or a file beside it: else nobody can be asked there."""
    with_mark = with_room_for_mark(capabilities)
    return size(card(execution, with_mark, here=here)) <= with_mark.text_chars


def _gone(execution_id: str) -> Post:
    text = f"{execution_id} was pruned after its retention time; its details are no longer kept."
    return Post(kind=PostKind.NOTICE, blocks=(Prose(spans=(text,)),), execution_id=execution_id)


def _short_card(execution: Execution) -> Post:
    line = f"{title(execution)} · {execution.id}" + (f": {in_a_line(execution.reason)}" if execution.reason else "")
    return Post(
        kind=PostKind.NOTICE,
        blocks=(Prose(spans=(line,)),),
        execution_id=execution.id,
        status=execution.state.value,
    )


def _status(execution: Execution) -> tuple[Span, ...]:
    match execution.state:
        case S.AWAITING_APPROVAL:
            return (f"{_awaited(execution)} Expires ", Instant(execution.expires_at), ".")
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
            return (in_a_line(execution.reason or "No reason was given."),)


def _awaited(execution: Execution) -> str:
    """Whose word it waits for, how many of them, and what their yes needs."""
    terms = execution.terms
    missing = terms.quorum - len(execution.approved_by)
    left = visible(still_needed(execution, missing))
    if execution.approved_by:
        counted = (
            f"{len(execution.approved_by)} of {terms.quorum} approved: {visible(', '.join(execution.approved_by))}."
        )
        words = [counted, f"Waiting for {'one more' if missing == 1 else f'{missing} more'}{left}."]
    else:
        words = [f"Waiting for {'one' if missing == 1 else missing}{left}."]
    if terms.four_eyes:
        words.append("Whoever asked may not approve.")
    if terms.needs_reason:
        words.append("A yes needs a reason.")
    if terms.second_factor:
        words.append("A yes needs a code of one's own device.")
    return " ".join(words)


def still_needed(execution: Execution, missing: int) -> str:
    """Behind the number that is missing: of whom. Fewer than that are left where four eyes or a removed role took some;
    then it is said, because nobody's yes can end the wait."""
    left = [who for who in execution.deciders if who not in execution.approved_by]
    if len(left) >= missing:
        return f" of: {', '.join(left)}"
    return f", and only {', '.join(left)} may say it" if left else ", and nobody is left who may say it"


def asked_in(execution: Execution) -> tuple[str, tuple[Span, ...]]:
    peer = execution.origin.peer
    return ("Asked in", (f"{peer.channel} {peer.kind.value} {visible(peer.id)}",))


def _decided(execution: Execution) -> tuple[Span, ...]:
    if execution.decided_by is None:
        # With a grant the rule names it, and who gave it, behind its own name.
        quoted = execution.rule if execution.grant is not None else f"“{execution.rule}”"
        return (f"Allowed by the rule {visible(quoted)}.",)
    at: tuple[Span, ...] = () if execution.decided_at is None else (", ", Instant(execution.decided_at))
    return (f"Approved by {deciders_of(execution)}", *at, ".")


def particulars(execution: Execution) -> list[tuple[str, tuple[Span, ...]]]:
    """Where and as what it would run: what never changes once its node has looked."""
    rows: list[tuple[str, tuple[Span, ...]]] = [("Node", (visible(execution.node_name),))]
    command = execution.command
    if command is not None:
        how = "without a shell:"
        if command.script is not None:
            # Counted, because blank lines can push the end of a script out of sight (F-083).
            lines = len(command.script.splitlines())
            how = "as a shell script, by" if lines < 2 else f"as a shell script of {lines} lines, by"
        rows.append(("Runs", (f"{how} {visible_command(shown_path(execution, command.executable))}",)))
        if execution.masked is not None:
            rows.append(("Masked", ("‹secret› stands for a value that is part of what is decided and run",)))
        rows.append(("Directory", (visible_command(command.cwd),)))
        rows += [("Runs as", (visible(command.user),))] if command.user else []
        rows.append(("Limits", (_limits(command.limits),)))
        rows += _scripts(execution, command)
    if execution.worded_by is not None:
        read = ", which had read output or other words of unknown origin" if execution.read_untrusted else ""
        rows.append(("Worded by", (f"the agent {in_a_line(execution.worded_by)}{read}",)))
    return rows


def asked_by(execution: Execution) -> tuple[str, tuple[Span, ...]]:
    asker, own = in_a_line(execution.asker_name), in_a_line(execution.asker)
    return ("Asked by", (asker if asker == own else f"{asker} ({own})", ", ", Instant(execution.created_at)))


def _facts(execution: Execution) -> tuple[tuple[str, tuple[Span, ...]], ...]:
    rows = [*particulars(execution), asked_by(execution)]
    if execution.state in WAITING and execution.state is not S.AWAITING_APPROVAL:
        rows.append(("Expires", (Instant(execution.expires_at),)))
    if execution.decided_by is not None and execution.state not in {S.APPROVED, S.DISPATCHED}:
        rows.append(("Decided by", (deciders_of(execution),)))
    if execution.state is S.AWAITING_APPROVAL:
        rows.append(("Rule", (visible(execution.rule),)))
        if execution.terms.grant_for_s is not None:
            # The word order of the button's effect: what, where, for whom, for how long (F-085).
            until, asker = duration(execution.terms.grant_for_s), in_a_line(execution.asker_name)
            rows.append(
                ("Always allow", (f"exactly this on {visible(execution.node_name)}, for {asker}, here, for {until}",))
            )
    return tuple(rows)


def _limits(limits: Limits) -> str:
    """What it may take, in words; what nobody limits is left out."""
    words = [duration(limits.timeout_s)]
    if limits.memory_bytes is not None:
        words.append(f"{limits.memory_bytes // 1_048_576} MiB of memory for each process")
    if limits.processes is not None:
        words.append(f"{limits.processes} processes of that account")
    if limits.open_files is not None:
        words.append(f"{limits.open_files} open files")
    return ", ".join(words)


def _scripts(execution: Execution, command: Command) -> list[tuple[str, tuple[Span, ...]]]:
    """What else it runs, with its digest. Programs of the search path are bound as well, and counted: they are many."""
    path = dict(command.env).get("PATH", "").split(":")
    others = [file for file in command.files if file.path != command.executable]
    scripts = [file for file in others if file.path.rpartition("/")[0] not in path]
    shown = [
        ("Script", (f"{visible_command(shown_path(execution, file.path))} (SHA-256 {file.sha256[:12]}…)",))
        for file in scripts[:_MAX_SCRIPTS_SHOWN]
    ]
    rest = len(others) - len(shown)
    return [*shown, ("Also bound", (f"{rest} more file{'s' if rest > 1 else ''} that it names",))] if rest else [*shown]


def _typed_yes(execution: Execution) -> str:
    """The words that approve it, with what a yes needs beside itself, and where they may be said."""
    terms = execution.terms
    where = " (to me alone)" if terms.second_factor else ""
    reason, code = " because <reason>" if terms.needs_reason else "", " code <code>" if terms.second_factor else ""
    return f"{where}: approve {execution.id}{reason}{code}"


def _buttons(execution: Execution) -> tuple[Button, ...]:
    if execution.command_hash is None:
        return ()
    actions: tuple[Action, ...] = ()
    if execution.state is S.AWAITING_APPROVAL:
        always = () if execution.terms.grant_for_s is None else (Action.ALWAYS,)
        actions = (Action.APPROVE, *always, Action.STOP, Action.DENY)
    elif execution.state in {S.APPROVED, S.DISPATCHED, S.RUNNING} and execution.stop_wanted_by is None:
        actions = (Action.STOP,)
    return buttons_of(execution, execution.command_hash, *actions)
