"""Messages: the request read, an act as a whole answer or as the events of a stream."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from tests.platforms.model.script import Asked, Say, Use, Used, texts_of
from tests.platforms.model.strict import Body

_numbers = itertools.count(1)
_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


def read(body: Body) -> Asked:
    users: list[str] = []
    assistants: list[str] = []
    used: list[Used] = []
    at: dict[str, int] = {}
    since = 0
    for message in body["messages"]:
        texts = texts_of(message["content"])
        if message["role"] == "user" and texts:
            users.append("\n".join(texts))
        elif message["role"] == "assistant":
            assistants += texts
        for block in message["content"] if isinstance(message["content"], list) else ():
            if block["type"] == "tool_use":
                at[block["id"]] = len(used)
                used.append(Used(block["name"], json.dumps(block["input"]), None))
            elif block["type"] == "tool_result":
                number = at[block["tool_use_id"]]
                answer = "\n".join(texts_of(block.get("content", "")))
                used[number] = Used(used[number].name, used[number].arguments, answer)
        if message["role"] == "user" and texts:
            since = len(used)
    return Asked(
        wire="anthropic",
        model=body["model"],
        system="\n".join(texts_of(body.get("system", ""))),
        users=tuple(users),
        assistants=tuple(assistants),
        used=tuple(used),
        since_prompt=tuple(used[since:]),
        tools=tuple(tool["name"] for tool in body.get("tools", [])),
    )


def _uses(act: Say | Use) -> list[tuple[str, str, str]]:
    if isinstance(act, Say):
        return []
    first = next(_numbers)
    return [(f"toolu_{first if act.same_ids else next(_numbers)}", name, given) for name, given in act.calls]


def usage(body: Body, act: Say | Use) -> dict[str, int]:
    wrote = len(act.text) // 4 + sum(len(given) // 4 + 5 for _, given in (act.calls if isinstance(act, Use) else ()))
    return {"input_tokens": len(json.dumps(body["messages"])) // 4, "output_tokens": wrote}


def _head(body: Body, act: Say | Use) -> dict[str, Any]:
    return {
        "id": f"msg_{next(_numbers)}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage(body, act), "output_tokens": 1},
    }


def whole(body: Body, act: Say | Use) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": act.text}] if act.text else []
    for id_, name, given in _uses(act):
        try:
            arguments = json.loads(given)
        except ValueError:
            # The real service gives an object always; what it could not read comes as an empty one.
            arguments = {}
        content.append({"type": "tool_use", "id": id_, "name": name, "input": arguments})
    return {
        **_head(body, act),
        "content": content,
        "stop_reason": _REASONS[act.finish],
        "usage": usage(body, act),
    }


def pieces(body: Body, act: Say | Use) -> Iterator[str]:
    def event(kind: str, **fields: object) -> str:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"

    yield event("message_start", message=_head(body, act))
    yield event("ping")
    number = 0
    if act.text:
        yield event("content_block_start", index=number, content_block={"type": "text", "text": ""})
        for at in range(0, len(act.text), 7):
            delta = {"type": "text_delta", "text": act.text[at : at + 7]}
            yield event("content_block_delta", index=number, delta=delta)
        yield event("content_block_stop", index=number)
        number += 1
    for id_, name, given in _uses(act):
        block = {"type": "tool_use", "id": id_, "name": name, "input": {}}
        yield event("content_block_start", index=number, content_block=block)
        for at in range(0, len(given), 5):
            delta = {"type": "input_json_delta", "partial_json": given[at : at + 5]}
            yield event("content_block_delta", index=number, delta=delta)
        yield event("content_block_stop", index=number)
        number += 1
    ended = {"stop_reason": _REASONS[act.finish], "stop_sequence": None}
    yield event("message_delta", delta=ended, usage={"output_tokens": usage(body, act)["output_tokens"]})
    yield event("message_stop")


def fault(code: str, words: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": code or "api_error", "message": words}}
