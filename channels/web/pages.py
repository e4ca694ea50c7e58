"""The pages and files that we serve: read once, from inside this package. Deliberately absent: who may see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE = Path(__file__).parent
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    body: bytes
    content_type: str


class Pages:
    """Everything is in memory: a request never names a path on this machine."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined
        )
        self.files: Mapping[str, StaticFile] = {
            path.name: StaticFile(path.read_bytes(), _TYPES[path.suffix])
            for path in sorted((_HERE / "static").iterdir())
            if path.suffix in _TYPES
        }

    def chat(self) -> str:
        return self._templates.get_template("chat.html").render()

    def join(self) -> str:
        return self._templates.get_template("join.html").render()

    def welcome(self) -> str:
        return self._templates.get_template("welcome.html").render()
