"""`homing grants`, by the real command line, in real rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.cli.opened import WallClock
from bot.domain.execution import ExecutionId
from bot.domain.grant import GrantId
from bot.store import open_store
from tests.cli.terminal import Terminal
from tests.store.test_grants import GRANT

OVER = replace(GRANT, id=GrantId("G222222"), granted_at=1_000.0, expires_at=2_000.0, pattern=None)


@pytest.fixture
async def with_grants(terminal: Terminal) -> Terminal:
    """One that lives and was used, and one that is over."""
    store = open_store(terminal.url, clock=WallClock(), gateway=True)
    now = WallClock().now()
    live = replace(GRANT, granted_at=now, expires_at=now + 3_600, reason="it only \x1b[31mlooks")
    try:
        await store.write(lambda tx: tx.grants.add(live))
        await store.write(lambda tx: tx.grants.used(live, ExecutionId("7K3Q9C")))
        await store.write(lambda tx: tx.grants.add(OVER))
    finally:
        await store.close()
    return terminal


async def test_the_list_shows_what_is_allowed_and_with_all_what_was(with_grants: Terminal) -> None:
    (live,) = with_grants.homing("grants", "list", "--json").json()
    assert (live["id"], live["state"], live["pattern"], live["uses"]) == (GRANT.id, "live", "df *", 1)
    every = with_grants.homing("grants", "list", "--all", "--json").json()
    assert [(one["id"], one["state"]) for one in every] == [(GRANT.id, "live"), (OVER.id, "expired")]
    table = with_grants.homing("grants", "list").out
    assert "what fits df * (df, then any one word that is no option)" in table
    assert "CET" in table


async def test_one_is_explained_in_words(with_grants: Terminal) -> None:
    ended = with_grants.homing("grants", "show", f"`{GRANT.id.lower()}`")
    assert (ended.code, ended.err) == (0, "")
    for said in (
        "what fits df * (df, then any one word that is no option) on web-1 (as /usr/bin/df), for ann,",
        "and its threads",
    ):
        assert said in ended.out
    for said in ("given      by bob", "used       1 time, last", "/srv, as the account homing, without a shell"):
        assert said in ended.out
    assert "\x1b" not in ended.out
    assert "used       not yet" in with_grants.homing("grants", "show", OVER.id).out


async def test_they_are_taken_back_by_their_ids_with_a_reason(with_grants: Terminal) -> None:
    ended = with_grants.homing("grants", "revoke", GRANT.id, "--why", "freeze")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"{GRANT.id} is taken back: what fits df *")
    assert with_grants.homing("grants", "list").out == "Nothing is always allowed.\n"
    assert "terminal), " in with_grants.homing("grants", "show", GRANT.id).out
    assert ": freeze\n" in with_grants.homing("grants", "show", GRANT.id).out
    again = with_grants.homing("grants", "revoke", GRANT.id)
    assert again.code == 1
    assert again.err == f"homing: over already, or never given: {GRANT.id}; `homing grants list` shows them\n"


async def test_a_wrong_id_beside_a_right_one_keeps_nothing_from_being_taken_back(with_grants: Terminal) -> None:
    ended = with_grants.homing("grants", "revoke", OVER.id, GRANT.id, "--json")
    assert (ended.code, ended.json()["ok"]) == (1, False)
    assert f"taken back: {GRANT.id}" in ended.err
    assert with_grants.homing("grants", "list", "--json").json() == []


async def test_what_is_no_id_is_said(with_grants: Terminal) -> None:
    for words in (("show", "7K3Q9A"), ("revoke", "7K3Q9A")):
        ended = with_grants.homing("grants", *words)
        assert ended.code == 1
        assert "is no id of a grant, such as G7K3QA2" in ended.err
    assert "there is no grant G333333" in with_grants.homing("grants", "show", "G333333").err
