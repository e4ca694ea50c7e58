"""Chat completions: the request read, an act as a whole answer or as the pieces of a stream."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from tests.platforms.model.script import Asked, Say, Use, Used, texts_of
from tests.platforms.model.strict import Body

_numbers = itertools.count(1)


def read(body: Body) -> Asked:
    system: list[str] = []
    users: list[str] = []
    assistants: list[str] = []
    used: list[Used] = []
    at: dict[str, int] = {}
    since = 0
    for message in body["messages"]:
        texts = texts_of(message.get("content"))
        match message["role"]:
            case "system" | "developer":
                system += texts
            case "user":
                users.append("\n".join(texts))
                since = len(used)
            case "assistant":
                assistants += texts
                for call in message.get("tool_calls") or []:
                    at[call["id"]] = len(used)
                    used.append(Used(call["function"]["name"], call["function"]["arguments"], None))
            case _:
                number = at[message["tool_call_id"]]
                used[number] = Used(used[number].name, used[number].arguments, "\n".join(texts))
    return Asked(
        wire="openai",
        model=body["model"],
        system="\n".join(system),
        users=tuple(users),
        assistants=tuple(assistants),
        used=tuple(used),
        since_prompt=tuple(used[since:]),
        tools=tuple(tool["function"]["name"] for tool in body.get("tools", [])),
    )


def calls_of(act: Use) -> list[dict[str, Any]]:
    first = next(_numbers)
    return [
        {
            "id": f"call_{first if act.same_ids else next(_numbers)}",
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }
        for name, arguments in act.calls
    ]


def usage(body: Body, act: Say | Use) -> dict[str, int]:
    """Bytes over four, as a tokenizer about makes it."""
    read_ = len(json.dumps(body["messages"])) // 4
    wrote = len(act.text) // 4 + sum(
        len(arguments) // 4 + 5 for _, arguments in (act.calls if isinstance(act, Use) else ())
    )
    return {"prompt_tokens": read_, "completion_tokens": wrote, "total_tokens": read_ + wrote}


def whole(body: Body, act: Say | Use) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": act.text or None, "refusal": None}
    if isinstance(act, Use):
        message["tool_calls"] = calls_of(act)
    choice = {"index": 0, "message": message, "finish_reason": act.finish, "logprobs": None}
    return {
        "id": f"chatcmpl-{next(_numbers)}",
        "object": "chat.completion",
        "created": 1_800_000_000,
        "model": body["model"],
        "choices": [choice],
        "usage": usage(body, act),
    }


def pieces(body: Body, act: Say | Use) -> Iterator[str]:
    """The lines of the stream: text in pieces of seven characters, arguments in pieces of five."""
    head = {"id": f"chatcmpl-{next(_numbers)}", "object": "chat.completion.chunk", "created": 1_800_000_000}
    head |= {"model": body["model"]}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return f"data: {json.dumps({**head, 'choices': [choice]})}\n\n"

    yield chunk({"role": "assistant", "content": ""})
    for at in range(0, len(act.text), 7):
        yield chunk({"content": act.text[at : at + 7]})
    for number, call in enumerate(calls_of(act) if isinstance(act, Use) else ()):
        function = {"name": call["function"]["name"], "arguments": ""}
        yield chunk({"tool_calls": [{"index": number, "id": call["id"], "type": "function", "function": function}]})
        arguments = call["function"]["arguments"]
        for at in range(0, len(arguments), 5):
            piece = {"index": number, "function": {"arguments": arguments[at : at + 5]}}
            yield chunk({"tool_calls": [piece]})
    yield chunk({}, act.finish)
    if (body.get("stream_options") or {}).get("include_usage"):
        yield f"data: {json.dumps({**head, 'choices': [], 'usage': usage(body, act)})}\n\n"
    yield "data: [DONE]\n\n"


def fault(code: str, words: str) -> dict[str, Any]:
    return {"error": {"message": words, "type": code or "server_error", "param": None, "code": code or None}}
