"""The card of several executions that were asked for together: what it shows, and how many of them it holds.

Each stands there with its id, its state and its whole command, as on a card of its own. Deliberately absent: any
output, and the permission to always allow, which is given for one command that was read alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from bot.domain.batch import BatchId, batch_hash
from bot.domain.command import CommandHash
from bot.domain.execution import FINAL, WAITING, Execution, ExecutionState
from bot.domain.message import (
    OF_ALL,
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
from bot.domain.parts import cut_middle, fit, size, visible
from bot.domain.render import Line, asked_by, asked_in, particulars, with_room_for_mark
from bot.domain.results import buttons_of, shown_command, title
from bot.domain.session import Peer

S = ExecutionState
Row = tuple[str, tuple[Span, ...]]

_STATE_CHARS = 40
"""Kept free for each: `⏱ Ended at its time limit, by SIGKILL` is the longest state, `12 of 12 said yes` a vote."""
_STATUS_CHARS = 160
"""Kept free for a heading and a status that grow: with further people that are asked, with a tally of ends."""
_SETTLED_CHARS = 160
"""Of a command that nobody decides about any more, where the card has grown too long."""
_STOPPABLE = WAITING | {S.DISPATCHED, S.RUNNING}


def shown_hash(members: Sequence[Execution]) -> CommandHash:
    return batch_hash((one.id, one.command_hash) for one in members)


def revision_of(members: Sequence[Execution]) -> int:
    """How new a view of these is. It grows with each change of any of them."""
    return sum(one.revision for one in members)


def is_settled(members: Sequence[Execution]) -> bool:
    return all(one.state in FINAL for one in members)


def batch_card(
    batch: BatchId, members: Sequence[Execution], capabilities: Capabilities, *, here: Peer | None = None
) -> Post:
    """One message for all of `members`, in their order. What somebody is asked about is never cut, see `cut`."""
    post = _whole(batch, members, here)
    if size(post) <= capabilities.text_chars:
        return post
    blocks = list(post.blocks)
    first = next(at for at, block in enumerate(blocks) if isinstance(block, Code))
    for at, one in enumerate(members, first):
        block = blocks[at]
        if one.state is not S.AWAITING_APPROVAL and isinstance(block, Code):
            blocks[at] = replace(block, text=cut_middle(block.text, _SETTLED_CHARS, ""))
    post = replace(post, blocks=tuple(blocks))
    # Only where nobody is asked any more may more than that be cut: see `cut` for the room that is kept.
    return post if _awaiting(members) else fit(post, capabilities)


def cut(members: Sequence[Execution], places: Sequence[Capabilities]) -> list[list[Execution]]:
    """The fewest cards, in order, of which each shows all of its commands whole in every one of these places."""
    cards: list[list[Execution]] = []
    filling: list[Execution] = []
    for one in members:
        if filling and all(fits([*filling, one], place) for place in places):
            filling.append(one)
            continue
        cards.append([one])
        if all(fits([one], place) for place in places):
            # What is too long for any such card stands alone, and ends none for those around it.
            filling = cards[-1]
    return cards


def fits(members: Sequence[Execution], place: Capabilities) -> bool:
    """Whether one card can show all of these whole there, whatever becomes of them."""
    if len(members) > place.batch_members:
        return False
    room = with_room_for_mark(place).text_chars
    room = min(room, place.batch_chars) if place.batch_chars else room
    # What is not edited does not grow.
    grown = _STATUS_CHARS + _STATE_CHARS * len(members) if place.can_edit else 0
    # As a copy, which says where it was asked: a card that fits as one fits everywhere.
    return size(_whole(BatchId("T" * 7), members, None, is_copy=True)) + grown <= room


def kin(execution: Execution) -> tuple[object, ...]:
    """What those have in common who may stand on one card: whom they ask, and what a yes of them takes."""
    return execution.deciders, replace(execution.terms, grant_for_s=None)


def batch_lines(batch: BatchId, members: Sequence[Execution], *, here: Peer) -> tuple[Line, ...]:
    """What follows such a card on a network that cannot edit: once, when all is decided; at a copy also when all ended.

    Where it was asked, each is told by a message of its own anyway.
    """
    lines = []
    if not _awaiting(members):
        yes = [one for one in members if one.decided_by is not None and one.state is not S.DENIED]
        if yes:
            names = ", ".join(
                dict.fromkeys(who for one in yes for who in (*one.approved_by, one.decided_by or "") if who)
            )
            lines.append(Line("approved", f"✅ {_ids(yes)}: approved by {visible(names)}."))
    if is_settled(members) and here != members[0].origin.peer:
        lines.append(Line("settled", f"{batch}: " + "; ".join(f"{one.id} {title(one)}" for one in members) + "."))
    return tuple(lines)


# --- its parts -------------------------------------------------------------------------------------


def _whole(batch: BatchId, members: Sequence[Execution], here: Peer | None, *, is_copy: bool = False) -> Post:
    first, awaiting = members[0], _awaiting(members)
    is_copy = is_copy or (here is not None and here != first.origin.peer)
    theirs = [particulars(one) for one in members]
    common = [row for row in theirs[0] if all(row in rows for rows in theirs)]
    rows = [*common, asked_by(first), *([asked_in(first)] if is_copy else [])]
    if awaiting:
        rules = dict.fromkeys(one.rule for one in awaiting)
        rows.append(("Rule", (visible(", ".join(rules)),)))
    blocks: list[Block] = [
        Heading(spans=(f"{_heading(members)} · {batch}",)),
        Prose(spans=_status(members)),
        Facts(rows=tuple(rows)),
        *(
            Code(
                text=shown_command(one),
                label=_label(number, one, [row for row in own if row not in common]),
                buttons=_own_buttons(one),
            )
            for number, (one, own) in enumerate(zip(members, theirs, strict=True), start=1)
        ),
    ]
    if awaiting:
        ids = " ".join(one.id for one in awaiting)
        blocks.append(Prose(spans=(f"Or type: approve {ids}, or: deny {awaiting[0].id} <reason>",)))
    return Post(
        kind=PostKind.CARD,
        blocks=tuple(blocks),
        buttons=_all_buttons(batch, members),
        execution_id=batch,
        status=_mood(members),
    )


def _awaiting(members: Sequence[Execution]) -> list[Execution]:
    return [one for one in members if one.state is S.AWAITING_APPROVAL]


def _heading(members: Sequence[Execution]) -> str:
    waiting, total = len(_awaiting(members)), len(members)
    if waiting:
        return f"⚠️ Approval needed for {f'{waiting} of ' if waiting < total else ''}{total} commands"
    if is_settled(members):
        return f"🏁 All {total} commands are settled"
    return f"⏳ {sum(one.state not in FINAL for one in members)} of {total} commands are under way"


def _mood(members: Sequence[Execution]) -> str:
    """As of one execution: how a channel that shows states in its own way is to show this one."""
    if _awaiting(members):
        return S.AWAITING_APPROVAL.value
    return S.FINISHED.value if is_settled(members) else S.DISPATCHED.value


def _status(members: Sequence[Execution]) -> tuple[Span, ...]:
    awaiting = _awaiting(members)
    if not awaiting:
        ends = Counter(title(one) for one in members)
        return ("; ".join(f"{count} × {state}" for state, count in ends.items()) + ".",)
    terms = awaiting[0].terms
    who = visible(", ".join(dict.fromkeys(person for one in awaiting for person in one.deciders)))
    needs = "One" if terms.quorum == 1 else str(terms.quorum)
    words = [f"{needs} of these decide{'s' if terms.quorum == 1 else ''} each: {who}."]
    if terms.four_eyes:
        words.append("Whoever asked may not approve.")
    if terms.needs_reason:
        words.append("A yes needs a reason.")
    words.append("The last buttons are for all that still wait. The first expires ")
    return (" ".join(words), Instant(min(one.expires_at for one in awaiting)), ".")


def _label(number: int, one: Execution, own: Sequence[Row]) -> str:
    words = [str(number), one.id]
    if one.state is not S.AWAITING_APPROVAL:
        return " · ".join([*words, title(one)])
    # Every span of a particular is a word: moments stand in the rows that all have in common.
    words += [f"{label}: {''.join(map(str, spans))}" for label, spans in own]
    if one.approved_by:
        words.append(f"{len(one.approved_by)} of {one.terms.quorum} said yes")
    return " · ".join(words)


def _own_buttons(one: Execution) -> tuple[Button, ...]:
    if one.command_hash is None:
        return ()
    if one.state is S.AWAITING_APPROVAL:
        return buttons_of(one, one.command_hash, Action.APPROVE, Action.DENY)
    return buttons_of(one, one.command_hash, Action.STOP) if _can_be_stopped(one) else ()


def _can_be_stopped(one: Execution) -> bool:
    return one.state in _STOPPABLE and one.stop_wanted_by is None


def _all_buttons(batch: BatchId, members: Sequence[Execution]) -> tuple[Button, ...]:
    """For two and more: what is there for one stands beside it."""
    awaiting = _awaiting(members)
    actions: list[Action] = []
    if len(awaiting) > 1:
        actions += [Action.APPROVE_ALL, Action.DENY_ALL]
    if sum(map(_can_be_stopped, members)) > 1:
        actions.insert(1, Action.STOP_ALL)
    # All on a card have the same terms: what one yes needs, each needs.
    example, shown = (awaiting or members)[0], shown_hash(members)
    return tuple(
        replace(button, action=action, execution_id=batch)
        for action in actions
        for button in buttons_of(example, shown, OF_ALL[action])
    )


def _ids(members: Sequence[Execution]) -> str:
    return ", ".join(one.id for one in members)
