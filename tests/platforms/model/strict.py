"""What the real services answer with 400 to. Each check names where the service says so.

https://platform.openai.com/docs/api-reference/chat/create and https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

import re
from typing import Any

Body = dict[str, Any]
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
ANTHROPIC_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
ANTHROPIC_ID = re.compile(r"[a-zA-Z0-9_-]+")
OPENAI_KEYS = frozenset(
    {"model", "messages", "tools", "tool_choice", "stream", "stream_options", "max_tokens", "max_completion_tokens"}
    | {"parallel_tool_calls", "temperature", "top_p", "seed", "stop", "user", "metadata", "n", "store"}
)
ANTHROPIC_KEYS = frozenset(
    {"model", "messages", "tools", "tool_choice", "stream", "max_tokens", "system", "temperature", "top_p", "metadata"}
    | {"stop_sequences", "thinking", "betas", "service_tier"}
)


class Refused(Exception):
    """What the service would answer with 400."""


def _demand(holds: object, words: str) -> None:
    if not holds:
        raise Refused(words)


def check_openai(body: Body) -> None:
    _demand(isinstance(body.get("model"), str), "you must provide a model parameter")
    unknown = body.keys() - OPENAI_KEYS
    _demand(not unknown, f"Unrecognized request arguments supplied: {sorted(unknown)}")
    messages = body.get("messages")
    _demand(isinstance(messages, list) and messages, "[] is too short - 'messages'")
    assert isinstance(messages, list)
    waiting: list[str] = []
    for message in messages:
        role = message.get("role")
        if role == "tool":
            _demand(
                message.get("tool_call_id") in waiting,
                "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'",
            )
            waiting.remove(message["tool_call_id"])
            _demand(isinstance(message.get("content"), (str, list)), "Invalid value for 'content': expected a string")
            continue
        _demand(
            not waiting,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {waiting}",
        )
        if role == "assistant":
            waiting = _openai_calls(message)
        else:
            _demand(role in {"system", "developer", "user"}, f"Invalid value: {role!r}. Supported values are: …")
            _demand(isinstance(message.get("content"), (str, list)), "Invalid value for 'content': expected a string")
    _demand(not waiting, f"tool_call_ids did not have response messages: {waiting}")
    for tool in body.get("tools", []):
        function = tool.get("function", {})
        _demand(tool.get("type") == "function" and NAME.fullmatch(function.get("name", "")), "Invalid 'tools'")
        _demand(function.get("parameters", {}).get("type") == "object", "Invalid schema for function")
    if body.get("stream_options") is not None:
        _demand(body.get("stream"), "The 'stream_options' parameter is only allowed when 'stream' is enabled.")


def _openai_calls(message: Body) -> list[str]:
    calls = message.get("tool_calls") or []
    _demand(calls or isinstance(message.get("content"), (str, list)), "Invalid value for 'content': got null")
    for call in calls:
        _demand(call.get("type") == "function" and call.get("id"), "Missing required parameter: 'tool_calls[0].id'")
        _demand(len(call["id"]) <= 40, "Invalid 'tool_calls[0].id': string too long")
        _demand(isinstance(call["function"].get("arguments"), str), "Invalid type for 'arguments': expected a string")
        _demand(NAME.fullmatch(call["function"].get("name", "")), "Invalid 'function.name'")
    ids = [call["id"] for call in calls]
    _demand(len(set(ids)) == len(ids), "Duplicate value for 'tool_call_id'")
    return ids


def check_anthropic(body: Body) -> None:
    _demand(isinstance(body.get("model"), str), "model: Field required")
    _demand(isinstance(body.get("max_tokens"), int) and body["max_tokens"] > 0, "max_tokens: Field required")
    unknown = body.keys() - ANTHROPIC_KEYS
    _demand(not unknown, f"{sorted(unknown)}: Extra inputs are not permitted")
    messages = body.get("messages")
    _demand(isinstance(messages, list) and messages, "messages: at least one message is required")
    assert isinstance(messages, list)
    _demand(messages[0].get("role") == "user", "messages: first message must use the user role")
    waiting: list[str] = []
    for number, message in enumerate(messages):
        role, blocks = message.get("role"), _blocks(message.get("content"))
        _demand(role in {"user", "assistant"}, f"messages.{number}.role: Input should be 'user' or 'assistant'")
        _demand(blocks, f"messages.{number}: all messages must have non-empty content")
        answered = [block["tool_use_id"] for block in blocks if block.get("type") == "tool_result"]
        _demand(
            sorted(answered) == sorted(waiting),
            f"messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately after, "
            f"or the other way round: {waiting} {answered}",
        )
        waiting = []
        for block in blocks:
            waiting += _anthropic_block(block, role, number)
    _demand(not waiting, f"`tool_use` ids were found without `tool_result` blocks immediately after: {waiting}")
    for tool in body.get("tools", []):
        _demand(ANTHROPIC_NAME.fullmatch(tool.get("name", "")), "tools.0.name: String should match pattern")
        _demand(tool.get("input_schema", {}).get("type") == "object", "tools.0.input_schema.type: Field required")


def _blocks(content: object) -> list[Body]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content if isinstance(content, list) else []


def _anthropic_block(block: Body, role: str, number: int) -> list[str]:
    kind = block.get("type")
    if kind == "text":
        _demand(
            block.get("text", "").strip(), f"messages.{number}: text content blocks must contain non-whitespace text"
        )
    elif kind == "tool_use":
        _demand(role == "assistant", f"messages.{number}: `tool_use` blocks can only be in `assistant` messages")
        _demand(isinstance(block.get("input"), dict), "tool_use.input: Input should be a valid dictionary")
        _demand(ANTHROPIC_ID.fullmatch(block.get("id", "")), "tool_use.id: String should match pattern")
        return [block["id"]]
    elif kind == "tool_result":
        _demand(role == "user", f"messages.{number}: `tool_result` blocks can only be in `user` messages")
    else:
        _demand(kind in {"thinking", "redacted_thinking"}, f"messages.{number}.content.0.type: unknown {kind!r}")
    return []
