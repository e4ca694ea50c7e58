"""What Slack takes and refuses of texts, blocks, metadata and views: its published limits and shapes, to the letter.

Deliberately absent: how anything looks. `reading.py` shows it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

Form = dict[str, Any]

MAX_TEXT_CHARS = 4_000
"""Documented as 40,000 and cut there; refused at about so many (https://github.com/seratch/ChatGPT-in-Slack/issues/102)."""
MAX_BLOCKS = 50
MAX_VIEW_BLOCKS = 100
MAX_BLOCKS_CHARS = 13_200
"""Of all blocks together, as JSON: nowhere published; refused as `msg_blocks_too_long` at about so many
(https://github.com/slackapi/bolt-js/issues/2509)."""
MAX_METADATA_CHARS = 8_000


class Refused(Exception):
    """What the Web API answers with `ok: false`."""

    def __init__(self, error: str, *messages: str, **more: object) -> None:
        super().__init__(error, *messages)
        self.error = error
        self.messages = messages
        self.more = more


_FIELDS: dict[str, tuple[set[str], set[str]]] = {
    # kind: (needed, also known)
    "section": (set(), {"text", "fields", "accessory", "expand"}),
    "header": ({"text"}, set()),
    "divider": (set(), set()),
    "context": ({"elements"}, set()),
    "actions": ({"elements"}, set()),
    "input": ({"label", "element"}, {"dispatch_action", "hint", "optional"}),
    "markdown": ({"text"}, set()),
    "rich_text": ({"elements"}, set()),
    "file": ({"external_id", "source"}, set()),
}
_BUTTON = {"type", "text", "action_id", "url", "value", "style", "confirm", "accessibility_label"}
_RICH = {
    "rich_text_section": {"elements"},
    "rich_text_preformatted": {"elements", "border", "language"},
    "rich_text_quote": {"elements", "border"},
    "rich_text_list": {"elements", "style", "indent", "offset", "border"},
}
_INLINE = {
    "text": {"text", "style"},
    "link": {"url", "text", "unsafe", "style"},
    "user": {"user_id", "style"},
    "usergroup": {"usergroup_id", "style"},
    "channel": {"channel_id", "style"},
    "broadcast": {"range"},
    "emoji": {"name", "unicode", "style"},
    "date": {"timestamp", "format", "url", "fallback", "style"},
    "color": {"value"},
}


def check_message(form: Form) -> None:
    """`text` and `blocks` of a message."""
    text, blocks = form.get("text") or "", form.get("blocks") or []
    if not isinstance(blocks, list):
        raise Refused("invalid_blocks_format")
    if not text and not blocks and not form.get("attachments") and not form.get("file_ids"):
        raise Refused("no_text")
    if len(text) > MAX_TEXT_CHARS:
        raise Refused("msg_too_long")
    check_blocks(blocks, at_most=MAX_BLOCKS, places=_MESSAGE)
    if blocks and len(json.dumps(blocks, ensure_ascii=False, separators=(",", ":"))) > MAX_BLOCKS_CHARS:
        raise Refused("msg_blocks_too_long")
    check_metadata(form.get("metadata"))


def check_metadata(metadata: object) -> None:
    if not metadata:
        return
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_type"), str):
        raise Refused("invalid_metadata_format")
    if not isinstance(metadata.get("event_payload"), dict) or set(metadata) - {"event_type", "event_payload"}:
        raise Refused("invalid_metadata_format")
    if len(json.dumps(metadata)) > MAX_METADATA_CHARS:
        raise Refused("metadata_too_large")


_MESSAGE = {"section", "header", "divider", "context", "actions", "markdown", "rich_text", "file"}
_HOME = {"section", "header", "divider", "context", "actions", "input", "rich_text"}


def check_view(view: object, *, kind: str) -> None:
    """A modal or an App Home."""
    faults: list[str] = []
    if not isinstance(view, dict) or view.get("type") != kind:
        raise Refused("invalid_arguments", f"a view of type {kind} is needed")
    known = {"type", "blocks", "private_metadata", "callback_id", "external_id"}
    if kind == "modal":
        known |= {"title", "submit", "close", "clear_on_close", "notify_on_close", "submit_disabled"}
        faults += _plain(view.get("title"), 24, "title")
        for name in ("submit", "close"):
            if name in view:
                faults += _plain(view[name], 24, name)
    faults += [f"unknown field of a view: {name}" for name in set(view) - known]
    if len(view.get("private_metadata") or "") > 3_000 or len(view.get("callback_id") or "") > 255:
        faults.append("private_metadata or callback_id is too long")
    blocks = view.get("blocks")
    if not isinstance(blocks, list):
        faults.append("blocks are needed")
        blocks = []
    if any(block.get("type") == "input" for block in blocks) and kind == "modal" and "submit" not in view:
        faults.append("input blocks need a submit button")
    if faults:
        raise Refused("invalid_arguments", *faults)
    try:
        check_blocks(blocks, at_most=MAX_VIEW_BLOCKS, places=_HOME)
    except Refused as refused:
        raise Refused("invalid_arguments", *refused.messages) from refused
    if len(json.dumps(view)) > 250_000:
        raise Refused("view_too_large")


def check_blocks(blocks: list[Any], *, at_most: int, places: set[str]) -> None:
    faults: list[str] = []
    if len(blocks) > at_most:
        faults.append(f"no more than {at_most} items allowed")
    ids = [block.get("block_id") for block in blocks if isinstance(block, dict) and block.get("block_id")]
    if len(set(ids)) != len(ids):
        faults.append("block_id is used twice")
    for block in blocks:
        if not isinstance(block, dict) or block.get("type") not in places:
            faults.append(f"unsupported block: {block.get('type') if isinstance(block, dict) else block!r}")
            continue
        faults += _check_block(block)
    if faults:
        raise Refused("invalid_blocks", *faults, errors=list(faults))
    markdown = sum(len(block["text"]) for block in blocks if block["type"] == "markdown")
    if markdown > 12_000:
        raise Refused("msg_too_long")


def _check_block(block: Form) -> list[str]:
    kind = block["type"]
    needed, also = _FIELDS[kind]
    faults = [f"{kind} lacks {name}" for name in needed - set(block)]
    faults += [f"{kind} has an unknown field: {name}" for name in set(block) - needed - also - {"type", "block_id"}]
    if len(block.get("block_id") or "") > 255:
        faults.append("block_id is longer than 255 characters")
    if faults:
        return faults
    return _INSIDE[kind](block) if kind in _INSIDE else []


def _section(block: Form) -> list[str]:
    faults: list[str] = []
    if "text" not in block and "fields" not in block:
        faults.append("section lacks text")
    if "text" in block:
        faults += _text(block["text"], 3_000, "section")
    fields = block.get("fields", [{}])
    if not 1 <= len(fields) <= 10:
        faults.append("1 to 10 fields")
    for one in block.get("fields", []):
        faults += _text(one, 2_000, "field")
    if "accessory" in block:
        faults += _elements([block["accessory"]], {"button"}, 1)
    return faults


def _input(block: Form) -> list[str]:
    faults = _plain(block["label"], 2_000, "label")
    if "hint" in block:
        faults += _plain(block["hint"], 2_000, "hint")
    element = block["element"]
    known = {"type", "action_id", "multiline", "max_length", "min_length", "placeholder", "initial_value"}
    known |= {"focus_on_load", "dispatch_action_config"}
    if element.get("type") != "plain_text_input" or set(element) - known:
        faults.append("unsupported input element")
    if not 0 < element.get("max_length", 1) <= 3_000:
        faults.append("max_length must be between 1 and 3000")
    if "placeholder" in element:
        faults += _plain(element["placeholder"], 150, "placeholder")
    return faults + _action_id(element)


def _rich(block: Form) -> list[str]:
    faults: list[str] = []
    for outer in block["elements"]:
        kind = outer.get("type")
        if kind not in _RICH or set(outer) - _RICH[kind] - {"type"}:
            faults.append(f"unsupported rich text: {outer.get('type')} {sorted(outer)}")
            continue
        inner = outer.get("elements")
        if not isinstance(inner, list):
            faults.append("elements are needed")
            continue
        if kind == "rich_text_list":
            faults += [fault for one in inner for fault in _inline(one.get("elements", []), _INLINE)]
            continue
        allowed: Iterable[str] = {"text", "link"} if kind == "rich_text_preformatted" else _INLINE
        faults += _inline(inner, allowed)
    return faults


def _inline(elements: list[Form], allowed: Iterable[str]) -> list[str]:
    faults: list[str] = []
    for one in elements:
        kind = one.get("type")
        if kind not in set(allowed) or set(one) - _INLINE[kind] - {"type"}:
            faults.append(f"unsupported inside of rich text: {kind} {sorted(one)}")
        elif kind == "text" and (not isinstance(one.get("text"), str) or not one["text"]):
            faults.append("must be more than 0 characters: rich text")
        elif kind == "date" and not (isinstance(one.get("timestamp"), int) and isinstance(one.get("format"), str)):
            faults.append("a date needs a whole timestamp and a format")
    return faults


def _elements(elements: object, kinds: set[str], at_most: int) -> list[str]:
    faults: list[str] = []
    if not isinstance(elements, list) or not 1 <= len(elements) <= at_most:
        return [f"1 to {at_most} elements"]
    ids = [one["action_id"] for one in elements if one.get("action_id")]
    if len(set(ids)) != len(ids):
        faults.append("action_id is used twice in one block")
    for one in elements:
        if one.get("type") not in kinds:
            faults.append(f"unsupported element: {one.get('type')}")
        elif one["type"] == "button":
            faults += _button(one)
        else:
            faults += _text(one, 3_000, "context")
    return faults


def _button(one: Form) -> list[str]:
    faults = [f"button has an unknown field: {name}" for name in set(one) - _BUTTON]
    faults += _plain(one.get("text"), 75, "button") + _action_id(one)
    if len(one.get("value", "")) > 2_000 or len(one.get("accessibility_label", "")) > 75:
        faults.append("value (2000) or accessibility_label (75) is too long")
    if one.get("style", "primary") not in {"primary", "danger"}:
        faults.append("style is primary or danger")
    if "confirm" in one:
        confirm = one["confirm"]
        faults += _plain(confirm.get("title"), 100, "confirm") + _text(confirm.get("text"), 300, "confirm")
        faults += _plain(confirm.get("confirm"), 30, "confirm") + _plain(confirm.get("deny"), 30, "confirm")
    return faults


def _action_id(one: Form) -> list[str]:
    given = one.get("action_id", "x")
    return [] if isinstance(given, str) and 0 < len(given) <= 255 else ["action_id has 1 to 255 characters"]


def _text(text: object, at_most: int, where: str) -> list[str]:
    if not isinstance(text, dict) or text.get("type") not in {"mrkdwn", "plain_text"}:
        return [f"{where}: no text object"]
    if set(text) - {"type", "text", "verbatim" if text["type"] == "mrkdwn" else "emoji"}:
        return [f"{where}: unknown field of a text object"]
    if not isinstance(text.get("text"), str) or not 0 < len(text["text"]) <= at_most:
        return [f"{where}: must be 1 to {at_most} characters"]
    return []


def _plain(text: object, at_most: int, where: str) -> list[str]:
    if isinstance(text, dict) and text.get("type") == "mrkdwn":
        return [f"{where}: must be plain_text"]
    return _text(text, at_most, where)


_INSIDE: dict[str, Callable[[Form], list[str]]] = {
    "section": _section,
    "header": lambda block: _plain(block["text"], 150, "header"),
    "context": lambda block: _elements(block["elements"], {"mrkdwn", "plain_text"}, 10),
    "actions": lambda block: _elements(block["elements"], {"button"}, 25),
    "input": _input,
    "rich_text": _rich,
}
