"""A gate that hears everybody on every account: for tests of what comes behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bot.domain.gate import Admission, DirectPolicy, Gate, RoomPolicy
from bot.domain.session import AccountName, ChannelName

OPEN = Admission(dm_policy=DirectPolicy.OPEN, room_policy=RoomPolicy.OPEN, require_mention=False)


class _Everywhere(Mapping[tuple[ChannelName, AccountName], Admission]):
    """Any account there may be."""

    def __getitem__(self, account: tuple[ChannelName, AccountName]) -> Admission:
        return OPEN

    def __iter__(self) -> Iterator[tuple[ChannelName, AccountName]]:
        return iter(())

    def __len__(self) -> int:
        return 0


OPEN_GATE = Gate(admissions=_Everywhere())
