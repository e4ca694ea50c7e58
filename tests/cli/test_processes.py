"""`homing run` and `homing node` as processes: what they say at their start, how they end, and what they refuse."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.cli.terminal import ROOT, Ended, Terminal

START_S = 30.0


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Started:
    """A long-lived command, its words in files, so that they can be read while it runs."""

    def __init__(self, terminal: Terminal, *words: str, **environ: str) -> None:
        self._out, self._err = terminal.folder / "out.txt", terminal.folder / "err.txt"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bot", *words],
                cwd=terminal.folder,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def said(self) -> str:
        return self._out.read_text() + self._err.read_text()

    def wait_for(self, holds: Callable[[], bool]) -> None:
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if holds():
                return
            assert self.process.poll() is None, self.said()
            time.sleep(0.05)
        raise AssertionError(f"not within {START_S} s; it said: {self.said()}")

    def end(self) -> Ended:
        self.process.send_signal(signal.SIGTERM)
        return Ended(self.process.wait(timeout=START_S), self._out.read_text(), self._err.read_text())


@contextmanager
def started(terminal: Terminal, *words: str, **environ: str) -> Iterator[Started]:
    one = Started(terminal, *words, **environ)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def alone(port: int) -> Any:  # noqa: ANN401 -- keywords that stand beside another type
    """A gateway without its local node, which the tests of the node start."""
    return {"HOMING_GATEWAY__PORT": str(port), "HOMING_LOCAL_NODE__ENABLED": "false"}


def test_the_first_run_writes_a_config_and_prints_a_link_and_what_to_do(bare: Terminal) -> None:
    port = free_port()
    with started(bare, "run", **alone(port)) as gateway:
        gateway.wait_for(lambda: f"The web chat is at http://127.0.0.1:{port}." in gateway.said())
        assert (bare.folder / "config.toml").stat().st_mode & 0o777 == 0o600
        assert f"http://127.0.0.1:{port}/join#" in gateway.said()
        assert "write: run uptime" in gateway.said()
        doctor = bare.homing("doctor", "--json", **alone(port)).json()
        assert f"it runs, process {gateway.process.pid}" in [one["said"] for one in doctor["findings"]]
        second = bare.homing("run", **alone(free_port()))
        assert second.code == 1
        assert f"is in use by another gateway, process {gateway.process.pid}" in second.err.splitlines()[-1]
        ended = gateway.end()
        assert ended.code == 0
        assert "Traceback" not in ended.out + ended.err


def test_f105_a_second_gateway_on_the_same_store_refuses_to_start_and_disturbs_nothing(bare: Terminal) -> None:
    port = free_port()
    with started(bare, "run", **alone(port)) as gateway:
        gateway.wait_for(lambda: f"The web chat is at http://127.0.0.1:{port}." in gateway.said())
        # Also at the same door: whose store it is, is said first.
        for door in (port, free_port()):
            second = bare.homing("run", **alone(door))
            assert second.code == 1
            assert "is in use by another gateway" in second.err.splitlines()[-1]
        doctor = bare.homing("doctor", "--json", **alone(port)).json()
        assert f"it runs, process {gateway.process.pid}" in [one["said"] for one in doctor["findings"]]
    with started(bare, "run", **alone(port)) as after:
        after.wait_for(lambda: f"The web chat is at http://127.0.0.1:{port}." in after.said())


def test_a_gateway_on_a_copy_put_back_begins_paused_with_its_own_key(bare: Terminal) -> None:
    environ = alone(free_port())
    with started(bare, "run", **environ) as gateway:
        gateway.wait_for(lambda: "The web chat is at" in gateway.said())
        assert bare.homing("backup", "copy.db").code == 0
        assert gateway.end().code == 0
    data = bare.folder / "data"
    key = (data / "gateway.key").read_bytes()
    # As README says it.
    (bare.folder / "copy.db").replace(data / "homing.db")
    for left in ("homing.db-wal", "homing.db-shm"):
        (data / left).unlink(missing_ok=True)
    with started(bare, "run", **environ) as gateway:
        gateway.wait_for(lambda: "The web chat is at" in gateway.said())
        assert "PAUSED since" in bare.homing("status").out
        assert bare.homing("resume").out == "resumed\n"
        assert gateway.end().code == 0
    assert (data / "gateway.key").read_bytes() == key


def test_a_link_leads_to_the_port_that_the_gateway_really_has(terminal: Terminal) -> None:
    note = terminal.folder / "data" / "gateway.page"
    with started(terminal, "run", **alone(0)) as gateway:
        gateway.wait_for(lambda: "The web chat is at" in gateway.said())
        (page,) = set(re.findall(r"http://127\.0\.0\.1:\d+", gateway.said()))
        # Of the config and this environment the port is 8470.
        invited = terminal.homing("invite", "ann")
        assert invited.out.startswith(f"{page}/join#")
        assert invited.err == ""
        gateway.process.kill()
        gateway.process.wait()
    assert note.exists()
    assert "assumes its port 8470" in terminal.homing("invite", "ann").err
    with started(terminal, "run", **alone(0)) as gateway:
        gateway.wait_for(lambda: "The web chat is at" in gateway.said())
        assert gateway.end().code == 0
    assert not note.exists()


def test_with_json_a_run_prints_one_document_and_logs_json(bare: Terminal) -> None:
    port = free_port()
    with started(bare, "run", "--json", **alone(port)) as gateway:
        gateway.wait_for(lambda: "The web chat is at" in gateway.said())
        ended = gateway.end()
    assert ended.json() == {"ok": True}
    events = [json.loads(line)["event"] for line in ended.err.splitlines() if line.startswith("{")]
    assert "web.started" in events


def test_the_form_of_the_log_can_be_asked_for(bare: Terminal) -> None:
    words = ("node", "--gateway", f"ws://127.0.0.1:{free_port()}/node", "--state-dir", "state")
    with started(bare, *words, HOMING_LOG="text") as node:
        node.wait_for(lambda: "INFO    node.away" in node.said())
        assert '"event"' not in node.end().err
    wrong = bare.homing(*words, HOMING_LOG="xml")
    assert wrong.err == (
        "homing: environment HOMING_LOG: is json or text; left out it is text on a terminal, JSON elsewhere\n"
    )


def test_a_port_that_is_taken_is_one_line_with_the_remedy(terminal: Terminal) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = terminal.homing("run", **alone(taken.getsockname()[1]))
    assert ended.code == 1
    last = ended.err.splitlines()[-1]
    assert last.startswith("homing: ")
    assert "cannot listen at 127.0.0.1" in last
    assert "(Address already in use)" in last
    # It is known before anything is taken in.
    assert "web.started" not in ended.err
    assert "Traceback" not in ended.err


def test_a_node_waits_for_its_gateway_and_ends_when_it_is_told_to(bare: Terminal) -> None:
    address = f"ws://127.0.0.1:{free_port()}/node"
    with started(bare, "node", "--gateway", address, "--state-dir", "state", "--name", "web-1", "--json") as node:
        node.wait_for(lambda: "node.away" in node.said())
        ended = node.end()
    assert (ended.code, ended.json()) == (0, {"ok": True})
    assert (bare.folder / "state" / "node.key").stat().st_mode & 0o777 == 0o600


def test_a_node_is_let_in_by_its_fingerprint_as_people_type_it(bare: Terminal) -> None:
    port = free_port()
    address = f"ws://127.0.0.1:{port}/node"
    (bare.folder / "node").mkdir()
    machine = Terminal(bare.folder / "node")
    with (
        started(bare, "run", **alone(port)) as gateway,
        started(machine, "node", "--gateway", address, "--state-dir", "state", "--name", "web-1") as node,
    ):
        gateway.wait_for(lambda: "The web chat is at" in gateway.said())
        node.wait_for(lambda: listed(bare) == "pending")
        fingerprint = bare.homing("nodes", "list", "--json").json()[0]["fingerprint"]
        assert fingerprint in node.said()
        assert bare.homing("nodes", "pair", fingerprint.lower().replace("-", " ")).code == 0
        node.wait_for(lambda: "paired and connected" in node.said())
        assert bare.homing("nodes", "revoke", "web-1").code == 0
        assert listed(bare) == "revoked"
        gateway.end()


def listed(terminal: Terminal) -> str | None:
    nodes = terminal.homing("nodes", "list", "--json").json()
    return str(nodes[0]["pairing"]) if nodes else None


def test_all_faults_of_a_nodes_options_are_lines_of_their_own(bare: Terminal) -> None:
    ended = bare.homing("node", "--gateway", "http://x", "--name", "a b", "--env", "LD_PRELOAD", "--env", "A=B")
    assert ended.code == 1
    assert len(ended.err.splitlines()) >= 4
    assert all(line.startswith("homing: ") for line in ended.err.splitlines())
    assert not (bare.folder / "homing-node").exists()


def test_a_nodes_folder_that_cannot_be_used_is_one_line(bare: Terminal) -> None:
    (bare.folder / "state").write_text("a file")
    ended = bare.homing("node", "--gateway", "ws://127.0.0.1:1/node", "--state-dir", str(Path("state") / "x"))
    assert (ended.code, len(ended.err.splitlines())) == (1, 1)
    assert ended.err.startswith("homing: ")
