"""What the model of a test does when it is asked, and what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Used:
    """One use of a tool that the request holds, and its answer, if there is one yet."""

    name: str
    arguments: str
    answer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, the same for both wires."""

    wire: str
    model: str
    system: str
    users: tuple[str, ...]
    """What stands in the user's role, in order, without answers of tools."""
    assistants: tuple[str, ...]
    used: tuple[Used, ...]
    """All of them, in order."""
    since_prompt: tuple[Used, ...]
    """Those of the present turn: after the last words in the user's role."""
    tools: tuple[str, ...]

    @property
    def prompt(self) -> str:
        return self.users[-1]

    @property
    def text(self) -> str:
        """Everything that the model sees."""
        parts = [self.system, *self.users, *self.assistants]
        parts += [part for one in self.used for part in (one.arguments, one.answer or "")]
        return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class Say:
    text: str
    finish: str = "stop"
    """`stop`, `length` or `content_filter`."""


@dataclass(frozen=True, slots=True)
class Use:
    """Uses of tools: name and arguments, as a JSON text."""

    calls: tuple[tuple[str, str], ...]
    text: str = ""
    finish: str = "tool_calls"
    same_ids: bool = False


@dataclass(frozen=True, slots=True)
class Fail:
    status: int
    code: str = ""
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer, until the other side goes away."""


@dataclass(frozen=True, slots=True)
class Break:
    """The answer begins and the connection ends: in the middle of a body, or cleanly between two pieces of a stream."""

    act: Say | Use
    is_clean: bool = False


@dataclass(frozen=True, slots=True)
class Junk:
    """Something that is no answer at all."""

    body: str = "<html>Bad gateway</html>"


@dataclass(frozen=True, slots=True)
class Flood:
    """Words without end, as one answer: as long as the other side reads, or `limit_bytes` of them."""

    limit_bytes: int = 100_000_000
    status: int = 200
    encoding: str | None = None
    """What the answer says that it is packed with. It is packed with gzip then."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Another address, where the request should be sent again, as it is."""

    to: str


Act = Say | Use | Fail | Hang | Break | Junk | Flood | Redirect
Model = Callable[[Asked], Act]


def use(name: str, **arguments: object) -> Use:
    return Use(((name, json.dumps(arguments)),))


@dataclass
class Acting:
    """A model that does what is laid ready, one a request; then what `then` makes of the request."""

    then: Model = field(default=lambda _asked: Say("HEARTBEAT_OK"))
    acts: list[Act] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Act:
        return self.acts.pop(0) if self.acts else self.then(asked)

    def will(self, *acts: Act) -> None:
        self.acts += acts


def texts_of(content: object) -> Sequence[str]:
    """The texts of a content that is a text or a list of blocks."""
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        return []
    return [block["text"] for block in content if isinstance(block, dict) and block.get("type") == "text"]
