"""What a process does when it passes a named point: it notes that, and dies there by SIGKILL if it was told to.

Orders and notes are files of one home, so that they outlive who reads and writes them. Deliberately absent: where the
points are (see `wraps`).
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from bot.errors import StoreError


class Deed(StrEnum):
    KILL = "kill"
    FAIL = "fail"
    """The store fails there: before the commit nothing is written, after it the answer is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Do this at the `nth` pass of the point from now on."""

    point: str
    nth: int = 1
    deed: Deed = Deed.KILL

    def line(self) -> str:
        return f"{self.deed}\t{self.nth}\t{self.point}"


def order_of(line: str) -> Order:
    deed, nth, point = line.split("\t")
    return Order(point=point, nth=int(nth), deed=Deed(deed))


@dataclass(frozen=True, slots=True)
class Ledger:
    """The files of one kind of process, `gateway` or `node`, as both sides use them."""

    home: Path
    who: str

    @property
    def _orders(self) -> Path:
        return self.home / f"orders.{self.who}"

    @property
    def _passed(self) -> Path:
        return self.home / f"passed.{self.who}"

    def order(self, orders: list[Order]) -> None:
        """These, one after the other; whatever was ordered before is off."""
        draft = self._orders.with_suffix(".draft")
        draft.write_text("\n".join(one.line() for one in orders))
        draft.replace(self._orders)

    def orders(self) -> list[Order]:
        if not self._orders.exists():
            return []
        return [order_of(line) for line in self._orders.read_text().splitlines()]

    def note(self, what: str, detail: str) -> None:
        # One write of a short line to a file that is open for appending is whole, whoever else writes.
        with self._passed.open("ab", buffering=0) as file:
            file.write(f"{what}\t{detail}\n".encode())

    def passed(self, *, since: int = 0) -> list[tuple[str, str]]:
        """What was noted from this byte on: point and detail. Deeds are noted as `killed <point>`, `failed <point>`."""
        if not self._passed.exists():
            return []
        with self._passed.open("rb") as file:
            file.seek(since)
            lines = file.read().decode().splitlines()
        return [(what, detail) for what, _, detail in (line.partition("\t") for line in lines)]

    def size(self) -> int:
        return self._passed.stat().st_size if self._passed.exists() else 0


@dataclass(slots=True)
class Fuse:
    """In the process that may die. Passed from several threads."""

    ledger: Ledger
    lock: threading.Lock = field(default_factory=threading.Lock)

    def passes(self, point: str, detail: str = "") -> None:
        with self.lock:
            self.ledger.note(point, detail)
            orders = self.ledger.orders()
            if not orders or orders[0].point != point:
                return
            order, *rest = orders
            if order.nth > 1:
                self.ledger.order([Order(point=point, nth=order.nth - 1, deed=order.deed), *rest])
                return
            # Before the deed: whoever comes after does not find it again.
            self.ledger.order(rest)
            if order.deed is Deed.KILL:
                self.ledger.note(f"killed {point}", detail)
                os.kill(os.getpid(), signal.SIGKILL)
            self.ledger.note(f"failed {point}", detail)
        raise StoreError(f"ordered to fail: {point}")
