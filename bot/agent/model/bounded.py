"""The HTTP client for a model's service: how much it may send, how long it may take, and that it sends us nowhere else.

Deliberately absent: what is said in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from httpx2 import AsyncByteStream, AsyncClient, ReadError, Response, Timeout

_CONNECT_S = 10.0
_LEAST_ANSWER_BYTES = 262_144
"""Also where few tokens are asked for: a whole answer has a head, and a fault its words."""
_TOKEN_BYTES = 1_024
"""A token of a stream comes in some 300 bytes of JSON; local servers that add its probability send more."""


def answer_bytes(reply_tokens: int) -> int:
    return _LEAST_ANSWER_BYTES + reply_tokens * _TOKEN_BYTES


def bounded_client(*, timeout_s: float, limit_bytes: int) -> AsyncClient:
    return AsyncClient(
        timeout=Timeout(timeout_s, connect=_CONNECT_S),
        # What is packed could be a thousand times as long when it is unpacked, past every bound.
        headers={"Accept-Encoding": "identity"},
        # The key and the words are for the address that the config names.
        follow_redirects=False,
        event_hooks={"response": [partial(_bound, limit_bytes)]},
    )


async def _bound(limit_bytes: int, response: Response) -> None:
    if response.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
        raise ReadError("packed, which was not asked for", request=response.request)
    stream = response.stream
    if isinstance(stream, AsyncByteStream):
        response.stream = _Bounded(stream, limit_bytes, response)


@dataclass(slots=True)
class _Bounded(AsyncByteStream):
    inner: AsyncByteStream
    left_bytes: int
    response: Response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self.inner:
            self.left_bytes -= len(piece)
            if self.left_bytes < 0:
                raise ReadError("longer than an answer may be", request=self.response.request)
            yield piece

    async def aclose(self) -> None:
        await self.inner.aclose()
