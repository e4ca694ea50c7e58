"""`homing totp`, by the real command line; at a real terminal where it asks for a code."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from bot.cli.opened import WallClock
from bot.domain.factor import Check
from bot.domain.session import PersonId
from bot.node.identity import load_or_create_key
from bot.store import OpenStore, open_store
from tests.cli.terminal import ROOT, Ended, Terminal
from tests.device import Device

CODES = re.compile(r"\b[2-9A-Z]{4}-[2-9A-Z]{4}-[2-9A-Z]{4}\b")


@pytest.fixture
async def ready(terminal: Terminal) -> Terminal:
    """A gateway has run here once: there are a database and a key."""
    await gateway(terminal).close()
    return terminal


def gateway(terminal: Terminal) -> OpenStore:
    key = load_or_create_key(terminal.folder / "data" / "gateway.key").factor_key
    return open_store(terminal.url, clock=WallClock(), gateway=True, factor_key=key)


def enrolled(terminal: Terminal, person: str = "owner") -> Device:
    begun = terminal.homing("totp", "enroll", person, "--json").json()
    device = Device(begun["secret"])
    done = terminal.homing("totp", "enroll", person, "--code", device.code(time.time()), "--json")
    assert done.json()["state"] == "enrolled"
    return device


async def test_away_from_a_terminal_it_takes_two_calls_and_counts_after_the_second(ready: Terminal) -> None:
    begun = ready.homing("totp", "enroll", "owner")
    assert (begun.code, begun.err) == (0, "")
    uri = re.search(r"^otpauth://totp/Homing:owner\?secret=([A-Z2-7]{32})&issuer=Homing$", begun.out, re.MULTILINE)
    assert uri is not None
    assert "\x1b" not in begun.out
    assert len([line for line in begun.out.splitlines() if "▄" in line]) > 15
    assert ready.homing("totp", "list", "--json").json()[0]["state"] == "begun"
    device = Device(uri[1])
    wrong = ready.homing("totp", "enroll", "owner", "--code", device.wrong(time.time()))
    assert (wrong.code, "that code is wrong" in wrong.err) == (1, True)
    done = ready.homing("totp", "enroll", "owner", "--code", device.code(time.time()))
    assert done.code == 0
    assert len(set(CODES.findall(done.out))) == 10
    assert uri[1] not in done.out
    (row,) = ready.homing("totp", "list", "--json").json()
    assert (row["person"], row["state"], row["recovery_codes_left"]) == ("owner", "enrolled", 10)
    for again in (ready.homing("totp", "enroll", "owner"), ready.homing("totp", "enroll", "owner", "--code", "123456")):
        assert again.code == 1
        assert "owner has a device already; `homing totp remove owner` first" in again.err


async def test_what_it_enrolled_a_gateway_takes(ready: Terminal) -> None:
    device = enrolled(ready)
    store = gateway(ready)
    try:
        step_on = device.code(time.time() + 30)
        found = await store.write(lambda tx: tx.factors.check(PersonId("owner"), step_on))
        assert found.check is Check.RIGHT
    finally:
        await store.close()


async def test_a_lost_device_is_removed_a_locked_one_unlocked_and_codes_are_drawn_anew(ready: Terminal) -> None:
    device = enrolled(ready)
    store = gateway(ready)
    for _ in range(5):
        await store.write(lambda tx: tx.factors.check(PersonId("owner"), device.wrong(time.time())))
    await store.close()
    assert "locked until 20" in ready.homing("totp", "list").out
    assert ready.homing("totp", "list", "--json").json()[0]["state"] == "locked"
    assert ready.homing("totp", "unlock", "owner").out == "owner may try codes again\n"
    assert ready.homing("totp", "list", "--json").json()[0]["state"] == "enrolled"
    fresh = ready.homing("totp", "codes", "owner", "--json").json()["recovery_codes"]
    assert len(fresh) == 10
    assert "each good once" in ready.homing("totp", "codes", "owner").out
    assert "owner has no device any more" in ready.homing("totp", "remove", "owner").out
    assert ready.homing("totp", "list").out.startswith("Nobody has a device for codes.")
    for words in (("unlock",), ("remove",), ("codes",), ("remove", "--json")):
        ended = ready.homing("totp", words[0], "owner", *words[1:])
        assert ended.code == 1
        assert "owner has no device; `homing totp list` shows who has one" in ended.err
    kinds = [line["kind"] for line in ready.homing("audit", "show", "--json").json()]
    assert [kind for kind in kinds if kind.startswith("factor")] == [
        "factor_enrolled",
        *["factor_refused"] * 5,
        "factor_unlocked",
        "factor_codes",
        "factor_codes",
        "factor_removed",
    ]
    assert ready.homing("audit", "verify").code == 0


async def test_one_person_is_one_whichever_of_their_ids_is_typed_and_a_wrong_name_is_said(ready: Terminal) -> None:
    assert ready.homing("totp", "enroll", "slack:U1", "--json").json()["person"] == "ann"
    assert ready.homing("totp", "enroll", "slack:U9", "--json").json()["person"] == "slack:U9"
    wrong = ready.homing("totp", "enroll", "onwer")
    assert wrong.code == 1
    assert "'onwer' is none of [[people]] and no id; did you mean owner?" in wrong.err
    assert "that is no code" in ready.homing("totp", "enroll", "owner", "--code", "12345").err
    assert "nothing was begun for owner" in ready.homing("totp", "enroll", "owner", "--code", "123456").err


async def test_without_the_gateways_key_nothing_is_sealed_under_another(terminal: Terminal) -> None:
    await open_store(terminal.url, clock=WallClock(), gateway=True).close()
    ended = terminal.homing("totp", "enroll", "owner")
    assert ended.code == 1
    assert "gateway.key; do this on the gateway's machine, after its first `homing run`" in ended.err
    assert not (terminal.folder / "data" / "gateway.key").exists()


# --- at a terminal ---------------------------------------------------------------------------------


def at_a_terminal(terminal: Terminal, *words: str, answer: Callable[[str], str], times: int) -> Ended:
    """Run with a terminal of its own; each prompt is answered by what `answer` makes of all that was printed."""
    mine, its = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "bot", *words],
        cwd=terminal.folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"},
        stdin=its,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    printed, answered, until = "", 0, time.monotonic() + 60
    while time.monotonic() < until:
        if not select.select([mine], [], [], 0.2)[0]:
            continue
        try:
            got = os.read(mine, 65_536)
        except OSError:
            break
        printed += got.decode("utf-8", "replace")
        if printed.count("shows now:") > answered and answered < times:
            answered += 1
            os.write(mine, answer(printed).encode() + b"\n")
    os.close(mine)
    return Ended(running.wait(timeout=20), printed.replace("\r\n", "\n"), "")


def secret_in(printed: str) -> str:
    found = re.search(r"secret=([A-Z2-7]{32})&", printed)
    assert found is not None
    return found[1]


async def test_at_a_terminal_the_first_code_is_asked_for_and_a_slip_may_be_mended(ready: Terminal) -> None:
    typed: list[str] = []

    def answer(printed: str) -> str:
        device = Device(secret_in(printed))
        typed.append(device.code(time.time()) if typed else device.wrong(time.time()))
        return typed[-1]

    ended = at_a_terminal(ready, "totp", "enroll", "owner", answer=answer, times=2)
    assert ended.code == 0, ended.out
    assert "that code is wrong; is the device's clock right?" in ended.out
    assert "owner's device counts from now on." in ended.out
    assert len(set(CODES.findall(ended.out))) == 10
    # White on black, whatever the terminal's own colours are.
    assert ended.out.count("\x1b[97;40m") > 15


async def test_three_wrong_codes_end_it_and_nothing_counts(ready: Terminal) -> None:
    ended = at_a_terminal(
        ready, "totp", "enroll", "owner", answer=lambda out: Device(secret_in(out)).wrong(time.time()), times=3
    )
    assert ended.code == 1
    assert CODES.findall(ended.out) == []
    assert ready.homing("totp", "list", "--json").json()[0]["state"] == "begun"
