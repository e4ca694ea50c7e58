"""The models -> a commented config.toml that loads, and the first config of a new gateway.

Deliberately absent: any text that is not in the models, so that the example cannot say what the code does not.
"""

from __future__ import annotations

import json
import os
import textwrap
from enum import Enum
from pathlib import Path
from typing import get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from bot.config.settings import Settings
from bot.errors import ConfigError

_WIDTH_CHARS = 110
_HEAD = """\
# Homing's configuration, every key with its default. `homing config check` names every fault at once.
# A key in a comment is left out; its value there is an example.
# The environment wins over this file: HOMING_GATEWAY__PORT=9000 is port in [gateway]. A text may hold ${NAME} of the
# environment; a key that ends in _file names a file that holds the value.
"""
_FIRST = """\
# Written at the first start. `homing config example` shows every key; `homing config check` names every fault.

# Who may decide where no rule names deciders.
owners = ["owner"]

[[people]]
name = "owner"
ids = ["web:owner"]
"""


def example() -> str:
    """The text of config.example.toml."""
    blocks = [_HEAD]
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            doc = _comment(field.annotation.__doc__ or "")
            blocks.append(f"{doc}[{name}]\n" + "".join(_entry(key, one) for key, one in _fields(field.annotation)))
        elif (model := _entries(field) or _optional(field)) is not None:
            blocks.append(_tables(name, model, field))
        else:
            blocks.append(_entry(name, field))
    return "\n".join(blocks)


def first_config(path: Path) -> bool:
    """Write the config of a new gateway, readable by its owner alone. False where there is a file already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    except OSError as fault:
        text = f"{path.name}: cannot be written ({type(fault).__name__}); start in a folder that you may write to"
        raise ConfigError((text,)) from fault
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(_FIRST)
    return True


def _fields(model: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    return list(model.model_fields.items())


def _entries(field: FieldInfo) -> type[BaseModel] | None:
    """The model of the entries, where the field is a list of tables."""
    if get_origin(field.annotation) is not tuple:
        return None
    first = getattr(field.annotation, "__args__", (None,))[0]
    return first if isinstance(first, type) and issubclass(first, BaseModel) else None


def _optional(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a table that means something else when it is left out than when it is empty."""
    named = [one for one in get_args(field.annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
    return named[0] if named else None


def _tables(name: str, model: type[BaseModel], field: FieldInfo) -> str:
    extra = field.json_schema_extra
    sign = "# " if isinstance(extra, dict) and extra.get("is_left_out") else ""
    lines = _comment(model.__doc__ or "")
    for key, one in _fields(model):
        # Entries show few keys: the defaults of the others are said here.
        default = "" if one.default in (None, (), {}, PydanticUndefined) else f" Default: {_value(one.default)}"
        lines += _comment(f"{key}: {one.description}{default}")
    for entry in field.examples or []:
        lines += f"{sign}[{name}]\n" if _entries(field) is None else f"{sign}[[{name}]]\n"
        lines += "".join(f"{sign}{key} = {_value(value)}\n" for key, value in entry.items()) + "\n"
    return lines.rstrip("\n") + "\n"


def _entry(key: str, field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    value, sign = default, ""
    if field.examples and default in (None, (), PydanticUndefined):
        value = field.examples[0]
        sign = "# " if default is None else ""
    return _comment(field.description or "") + f"{sign}{key} = {_value(value)}\n"


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in textwrap.wrap(" ".join(text.split()), _WIDTH_CHARS))


def _value(value: object) -> str:
    """A value as TOML writes it. Texts as JSON: its escapes are TOML's as well, for what can be printed."""
    match value:
        case bool():
            return "true" if value else "false"
        case Enum():
            return _value(value.value)
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return str(value)
        case dict():
            return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(_value(one) for one in value) + "]"
        case _:
            return json.dumps(str(value), ensure_ascii=False)
