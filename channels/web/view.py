"""An entry of the log -> what the page of one person is handed. Pure; words and looks are the page's own.

Deliberately absent: the decision who may read an entry, which `access` has made before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from bot.domain.message import parse_button
from bot.ports import ChatEntry
from channels.web.access import proof_of

RUNNING = "running"
"""The status of a card whose first moment is the start, from which the page counts on."""


def entry_for_page(entry: ChatEntry, *, viewer: str, cookie: str, names: Mapping[str, str]) -> dict[str, object]:
    """JSON for one page. Each button carries the proof that this sign-in was shown it on this card."""
    body = json.loads(entry.body)
    message_id = str(entry.id)
    shown: dict[str, object] = {
        "id": entry.id,
        "change": entry.change,
        "kind": entry.kind,
        "room": entry.room,
        "thread": entry.thread,
        "author": {"id": entry.author, "name": names.get(entry.author, entry.author)} if entry.author else None,
        "at": entry.created_at,
    }
    if "text" in body:
        shown["text"] = body["text"]
        if entry.author == viewer:
            # By this the page knows its own send again when the stream is faster than the answer.
            shown["nonce"] = entry.nonce
        return shown
    post = body["post"]
    theirs = [button for block in post["blocks"] for button in block.get("buttons", ())]
    for button in (*post["buttons"], *theirs):
        button["proof"] = proof_of(cookie, message_id, button["token"])
        known = parse_button(button["token"])
        button["asks"] = [] if known is None else [ask.name.lower() for ask in known.asks]
    mention = post["mention"]
    post["mention"] = None if mention is None else {"id": mention, "name": names.get(mention, mention)}
    post["since"] = _first_moment(post["blocks"]) if post["status"] == RUNNING else None
    answers = body["answers"]
    if answers is not None:
        answers["name"] = names.get(answers["author"], answers["author"])
    return {**shown, "post": post, "answers": answers}


def people_in(entry: ChatEntry) -> set[str]:
    """The native ids whose names `entry_for_page` looks up."""
    body = json.loads(entry.body)
    found = {entry.author}
    if "post" in body:
        found |= {body["post"]["mention"] or "", (body["answers"] or {"author": ""})["author"]}
    return found - {""}


def _first_moment(blocks: list[Mapping[str, object]]) -> float | None:
    for block in blocks:
        spans = block.get("spans")
        if block["is"] == "prose" and isinstance(spans, list):
            for span in spans:
                if isinstance(span, dict):
                    return float(span["at"])
    return None
