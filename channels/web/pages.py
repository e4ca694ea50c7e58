"""The pages and files that we serve: read once, from inside this package. Deliberately absent: who may see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    body: bytes
    content_type: str


class Pages:
    """Everything is in memory: a request never names a path on this machine."""

    def __init__(self) -> None:
        self.files: Mapping[str, StaticFile] = {
            path.name: StaticFile(path.read_bytes(), _TYPES[path.suffix])
            for path in sorted((_HERE / "static").iterdir())
            if path.suffix in _TYPES
        }

    def chat(self) -> str:
        return _rendered("chat.html")

    def join(self) -> str:
        return _rendered("join.html")

    def welcome(self) -> str:
        return _rendered("welcome.html")


@cache
def _rendered(name: str) -> str:
    # Imported by the first visit: a gateway whose people are all elsewhere does without its 5 MiB.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined)
    return templates.get_template(name).render()
