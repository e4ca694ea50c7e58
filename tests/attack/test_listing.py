"""What a list in a room gives away of what was asked elsewhere."""

from __future__ import annotations

from bot.domain.session import PeerKind
from tests.story.cast import a_peer
from tests.story.conftest import make_world, migrated, sqlite_url, world
from tests.story.world import World

__all__ = ["make_world", "migrated", "sqlite_url", "world"]
ROOM = a_peer("ops")


async def test_f073_pending_in_a_room_does_not_show_what_was_asked_elsewhere(world: World) -> None:
    alone, here = a_peer("ada", kind=PeerKind.DIRECT), a_peer("owner", kind=PeerKind.DIRECT)
    asked = await world.ask(alone, "ada", "mysql --user=sesame")
    listed = (await world.answered(ROOM, "owner", await world.say(ROOM, "owner", "pending"))).card
    assert asked.id in listed.text
    assert "sesame" not in listed.text
    mine = (await world.answered(here, "owner", await world.say(here, "owner", "pending"))).card
    assert "sesame" in mine.text
