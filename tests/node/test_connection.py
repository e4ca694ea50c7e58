"""Hub and node over a real socket: the path, the pairing, the losses of connection, the strangers at the door."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from bot.domain.command import Command, Limits, Request, command_hash, parse_request
from bot.domain.execution import Ending, ExecutionId
from bot.domain.node import Pairing
from bot.errors import NodeAbsent, NodeSilent
from bot.node import client as client_module
from bot.node.frames import MAX_FRAME_BYTES
from bot.node.hub import HubBounds
from bot.node.identity import new_key
from bot.node.protocol import Close
from bot.ports import Acceptance, NodeHub, NodeRefusal, Reports
from tests.node.made import ID, NODE, OTHER, Book, gateway, node, raw_node, settings, until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between connections that a test can wait for; their growth is tested by itself."""
    monkeypatch.setattr(client_module, "_NETWORK_PAUSE_S", 0.05)


async def test_inspect_offer_go_and_the_result_is_reported_and_acknowledged(tmp_path: Path) -> None:
    lines: list[str] = []
    async with gateway() as there, node(settings(tmp_path, there.url), lines):
        book, hub = there.book, there.hub
        as_asked: NodeHub = hub
        reports: Reports = book
        assert (as_asked, reports) == (hub, book)
        await there.hand_over("echo out; echo err >&2; exit 3")
        await until(lambda: ID in book.results)
        result = book.results[ID]
        assert (result.ending, result.exit_code) == (Ending.EXITED, 3)
        assert sorted(result.output.text().splitlines()) == ["err", "out"]
        assert book.kinds(ID) == ["started", "finished"]
        await until(lambda: (tmp_path / "state" / "settled" / f"{ID}.finished").exists())
        assert book.connects == 1
    assert lines[0].startswith("connecting to ws://127.0.0.1")
    assert "paired and connected" in lines[1]


async def test_a_node_waits_to_be_paired_and_says_how(tmp_path: Path) -> None:
    lines: list[str] = []
    async with gateway(Book(pairs_at_once=False)) as there, node(settings(tmp_path, there.url), lines):
        book = there.book
        await until(lambda: len(lines) == 2)
        (fingerprint,) = book.nodes
        assert lines[1] == f"waiting for approval; on the gateway: homing nodes pair {fingerprint}"
        await asyncio.sleep(0.3)
        assert (book.hellos, list(there.hub.connected())) == (1, [])
        with pytest.raises(NodeAbsent):
            await there.hub.inspect(fingerprint, ID, parse_request("true"), Limits())
        book.pair(fingerprint)
        assert await there.node() == fingerprint
        assert book.hellos == 1
        assert isinstance(await there.prepared("true"), Command)


async def test_f115_a_revoked_node_is_cut_off_on_the_open_socket_and_stays_out(tmp_path: Path) -> None:
    lines: list[str] = []
    async with gateway() as there, node(settings(tmp_path, there.url), lines):
        fingerprint = await there.node()
        there.book.pair(fingerprint, Pairing.REVOKED)
        await until(lambda: not there.hub.connected(), within_s=2)
        await until(lambda: "revoked this node's key" in " ".join(lines[-1:]))
        with pytest.raises(NodeAbsent):
            await there.hub.stop(fingerprint, ID)
        await asyncio.sleep(0.3)
        assert not there.hub.connected()


async def test_a_node_that_loses_its_connection_goes_on_and_reports_when_it_is_back(tmp_path: Path) -> None:
    mark, gate = tmp_path / "mark", tmp_path / "gate"
    async with gateway() as there, node(settings(tmp_path, there.url)):
        await there.hand_over(f"echo started >> {mark}; while [ ! -e {gate} ]; do sleep 0.05; done; echo done")
        await until(mark.exists)
        await there.stop()
        gate.touch()
        await until(lambda: "finished" in (tmp_path / "state" / "journal" / f"{ID}.json").read_text())
        there.book.open = [(ID, True)]
        await there.start()
        await until(lambda: "finished" in there.book.kinds(ID))
        assert there.book.results[ID].output.text() == "done\n"
        await until(lambda: "known running" in there.book.kinds(ID))
        # The report comes before the answer, so that nothing is told of it that the report would contradict.
        assert there.book.kinds(ID)[-2:] == ["finished", "known running"]
        assert mark.read_text() == "started\n"


async def test_a_report_that_the_store_did_not_take_is_not_acknowledged_and_comes_again(tmp_path: Path) -> None:
    async with gateway() as there, node(settings(tmp_path, there.url)):
        await there.prepared("true")
        there.book.is_broken = True
        await there.hand_over("true")
        journal = tmp_path / "state" / "journal" / f"{ID}.json"
        await until(lambda: journal.exists() and '"state":"finished"' in journal.read_text())
        await asyncio.sleep(0.1)
        assert there.book.said == []
        assert journal.exists()
        there.book.is_broken = False
        await there.stop()
        await there.start()
        await until(lambda: ID in there.book.results)
        await until(lambda: not journal.exists())


async def test_on_reconnect_it_is_asked_about_what_is_open(tmp_path: Path) -> None:
    third = ExecutionId("7K3QA4")
    async with gateway() as there, node(settings(tmp_path, there.url)):
        accepted = await there.offered(await there.prepared("true"))
        assert isinstance(accepted, Acceptance)
        await there.hub.offer(
            await there.node(), OTHER, found := await there.prepared("true", OTHER), command_hash(found)
        )
        await there.stop()
        there.book.open = [(ID, True), (OTHER, False), (third, True)]
        await there.start()
        await until(lambda: len(there.book.said) == 3)
        assert sorted(there.book.said) == [
            (ID, "known never_started"),
            (OTHER, "known unseen"),
            (third, "known unseen"),
        ]
        # A `go` that comes now is too late, and the approved one can still be handed over.
        await there.hub.go(await there.node(), ID, accepted)
        await there.hand_over("true", OTHER)
        await until(lambda: OTHER in there.book.results)
        assert "started" not in there.book.kinds(ID)


async def test_f065_a_go_counts_on_another_connection_than_its_offer(tmp_path: Path) -> None:
    async with gateway() as there, node(settings(tmp_path, there.url)):
        accepted = await there.offered(await there.prepared("true"))
        assert isinstance(accepted, Acceptance)
        await there.stop()
        there.book.open = [(ID, False)]
        await there.start()
        await there.hub.go(await there.node(), ID, accepted)
        await until(lambda: ID in there.book.results)
        assert "known unseen" in there.book.kinds(ID)


async def test_what_runs_is_said_anew_on_each_connection(tmp_path: Path) -> None:
    async with gateway() as there, node(settings(tmp_path, there.url)):
        await there.hand_over("sleep 30")
        await until(lambda: there.book.kinds(ID) == ["started"])
        await there.stop()
        there.book.open = [(ID, True)]
        await there.start()
        await until(lambda: there.book.kinds(ID) == ["started", "started", "known running"])


async def test_f078_an_answer_that_nobody_asked_for_is_not_passed_on() -> None:
    async with gateway() as there, raw_node(there) as socket:
        await until(lambda: there.hub.connected())
        await socket.send_str(json.dumps({"kind": "answers", "answers": [[ID, "never_started"]]}))
        await socket.send_str(json.dumps({"kind": "not_known", "execution": OTHER, "detail": "x"}))
        await until(lambda: there.book.said)
        assert there.book.said == [(OTHER, "not_known")]


async def test_f089_the_newer_connection_of_a_key_counts_and_the_older_is_closed() -> None:
    key = new_key()
    async with gateway() as there, raw_node(there, key) as old:
        await until(lambda: there.hub.connected())
        async with raw_node(there, key) as new:
            message = await asyncio.wait_for(old.receive(), 5)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, Close.SUPERSEDED)
            await until(lambda: list(there.hub.connected()) == [key.fingerprint])
            await asyncio.sleep(0.1)
            assert list(there.hub.connected()) == [key.fingerprint]
            assert not new.closed


async def test_f090_an_absent_or_silent_node_is_said_in_time() -> None:
    bounds = HubBounds(inspect_s=0.2, offer_s=0.2, pairing_s=0.05)
    async with gateway(bounds=bounds) as there:
        with pytest.raises(NodeAbsent):
            await there.hub.stop(NODE, ID)
        async with raw_node(there):
            fingerprint = await there.node()
            with pytest.raises(NodeSilent, match=r"0\.2 s"):
                await there.hub.inspect(fingerprint, ID, parse_request("true"), Limits())


async def test_f088_a_question_whose_connection_ends_is_answered_by_silence_at_once() -> None:
    async with gateway() as there, raw_node(there) as socket:
        fingerprint = await there.node()
        asked = asyncio.create_task(there.hub.inspect(fingerprint, ID, parse_request("true"), Limits()))
        await socket.receive()
        await socket.close()
        async with asyncio.timeout(5):
            with pytest.raises(NodeSilent):
                await asked
        await until(lambda: not there.hub.connected())


async def test_f090_a_late_answer_fits_no_later_question() -> None:
    bounds = HubBounds(inspect_s=0.2, pairing_s=0.05)
    async with gateway(bounds=bounds) as there, raw_node(there) as socket:
        fingerprint = await there.node()
        with pytest.raises(NodeSilent):
            await there.hub.inspect(fingerprint, ID, parse_request("true"), Limits())
        second = asyncio.create_task(there.hub.inspect(fingerprint, ID, parse_request("true"), Limits()))
        numbers = [json.loads((await socket.receive()).data)["number"] for _ in range(2)]
        refusal = {"kind": "declined", "reason": "first", "already_started": False}
        for number, reason in zip(numbers, ("late", "in time"), strict=True):
            await socket.send_str(json.dumps(refusal | {"number": number, "reason": reason}))
        answer = await second
        assert isinstance(answer, NodeRefusal)
        assert answer.reason == "in time"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("garbage", Close.MALFORMED),
        (b"\x00\x01", Close.MALFORMED),
        ('{"kind":"proof","signature":"' + "0" * 128 + '"}', Close.MALFORMED),
        (f'{{"kind":"hello","versions":[7],"public_key":"{"0" * 64}","nonce":"{"0" * 64}","name":"x"}}', Close.VERSION),
    ],
)
async def test_garbage_before_the_proof_is_closed_with_its_reason(said: str | bytes, code: int) -> None:
    async with gateway() as there, aiohttp.ClientSession() as session:
        async with session.ws_connect(there.url, max_msg_size=0) as socket:
            await (socket.send_str(said) if isinstance(said, str) else socket.send_bytes(said))
            message = await asyncio.wait_for(socket.receive(), 5)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, code)
        assert there.book.hellos == 0


async def test_f097_a_frame_over_the_bound_ends_the_connection() -> None:
    async with gateway() as there, raw_node(there) as socket:
        await until(lambda: there.hub.connected())
        with contextlib.suppress(ConnectionError):
            # It may be cut off before it has said all of it.
            await socket.send_str("x" * (MAX_FRAME_BYTES + 10))
        await until(lambda: not there.hub.connected())
        assert there.book.said == []


async def test_garbage_in_the_open_connection_is_closed_and_changes_nothing() -> None:
    async with gateway() as there, raw_node(there) as socket:
        await until(lambda: there.hub.connected())
        await socket.send_str('{"kind":"go","execution":"7K3QA2","token":"' + "0" * 32 + '"}')
        message = await asyncio.wait_for(socket.receive(), 5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, Close.MALFORMED)
        await until(lambda: not there.hub.connected())
        assert there.book.said == []


async def test_a_stranger_who_says_nothing_is_closed_and_strangers_are_bounded() -> None:
    bounds = HubBounds(handshake_s=0.3, strangers_an_address=2, pairing_s=0.05)
    async with gateway(bounds=bounds) as there, aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(there.url) for _ in range(2)]
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(there.url)
        for socket in sockets:
            message = await asyncio.wait_for(socket.receive(), 5)
            assert message.data == Close.SLOW
            await socket.close()
        async with raw_node(there):
            await until(lambda: there.hub.connected())
            await (await session.ws_connect(there.url)).close()


async def test_f091_nodes_that_wait_are_bounded_and_write_nothing_beyond() -> None:
    bounds = HubBounds(waiting=1, pairing_s=0.05)
    async with gateway(Book(pairs_at_once=False), bounds=bounds) as there, raw_node(there, wait=False):
        await until(lambda: there.book.hellos == 1)
        async with raw_node(there, wait=False) as second:
            message = await asyncio.wait_for(second.receive(), 5)
            assert message.data == Close.CROWDED
        assert there.book.hellos == 1


async def test_f091_a_gateway_that_is_away_is_tried_ever_more_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_NETWORK_PAUSE_S", 60.0)
    pauses: list[float] = []
    real = asyncio.sleep

    async def note(seconds: float) -> None:
        if seconds >= 0.3:
            pauses.append(seconds)
            seconds = 0.001
        await real(seconds)

    monkeypatch.setattr(asyncio, "sleep", note)
    lines: list[str] = []
    async with node(settings(tmp_path, "ws://127.0.0.1:9/node"), lines):
        await until(lambda: len(pauses) > 12)
    assert all(0.75 * 0.5 * 2**at <= pause <= 1.25 * 0.5 * 2**at for at, pause in enumerate(pauses[:6]))
    assert len(set(pauses[:6])) == 6
    assert max(pauses) == 60.0
    assert len(lines) <= 3


async def test_a_revoked_node_asks_again_in_minutes_and_ends_at_once_when_it_is_told_to(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", logger=client_module.__name__)
    lines: list[str] = []
    pauses: list[float] = []
    real = asyncio.sleep

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await real(seconds)

    monkeypatch.setattr(asyncio, "sleep", note)
    async with gateway() as there, node(settings(tmp_path, there.url), lines) as running:
        there.book.pair(await there.node(), Pairing.REVOKED)
        await until(lambda: "revoked this node's key" in lines[-1])
        hellos = there.book.hellos
        # More than the first three pauses of a node whose gateway is merely away.
        await asyncio.sleep(2.5)
        assert there.book.hellos <= hellos + 1
        assert [record.message for record in caplog.records].count("node.refused") == 1
        os.kill(os.getpid(), signal.SIGINT)
        async with asyncio.timeout(2):
            await running
    assert lines[-1].startswith("stopping")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ws://127.0.0.1:{closed}/node", "nothing listens there"),
        ("wss://127.0.0.1:{open}/node", "speaks no TLS there; put TLS in front of it, or use ws://"),
        ("ws://127.0.0.1:{open}/elsewhere/node", "or not at this path: HTTP status 404"),
    ],
)
async def test_why_there_is_no_connection_is_said_in_words_of_ours(tmp_path: Path, address: str, said: str) -> None:
    lines: list[str] = []
    with contextlib.closing(socket.socket()) as bound:
        # Bound and not listening: nobody else can take it, and nothing answers there.
        bound.bind(("127.0.0.1", 0))
        async with gateway() as there:
            url = address.format(open=there.port, closed=bound.getsockname()[1])
            async with node(settings(tmp_path, url), lines):
                await until(lambda: len(lines) > 1)
    assert said in lines[1]
    assert "ssl:" not in lines[1]


async def test_a_gateway_with_another_key_is_refused_and_nothing_is_served(tmp_path: Path) -> None:
    lines: list[str] = []
    async with gateway() as there, node(settings(tmp_path, there.url), lines):
        await there.node()
        await there.stop()
        honest = there.key
        there.key = new_key()
        await there.start()
        await until(lambda: "somebody may stand in between" in " ".join(lines[-1:]))
        assert not there.hub.connected()
        assert there.book.hellos == 1
        await there.stop()
        there.key = honest
        await there.start()
        await until(lambda: there.hub.connected(), within_s=15)


async def test_a_man_in_the_middle_of_the_first_contact_is_held_to_the_configured_key(tmp_path: Path) -> None:
    lines: list[str] = []
    expected = new_key().fingerprint
    async with gateway() as there, node(settings(tmp_path, there.url, gateway_key=expected), lines):
        await until(lambda: f"{expected} is configured" in " ".join(lines[-1:]))
        assert there.book.hellos == 0


async def test_live_tail_comes_while_it_runs_and_no_more_than_once_a_second(tmp_path: Path) -> None:
    async with gateway() as there, node(settings(tmp_path, there.url)):
        await there.hand_over("for i in 1 2 3 4 5 6; do echo line $i; sleep 0.2; done")
        await until(lambda: there.book.results)
        assert 1 <= len(there.book.tails) <= 2
        assert there.book.tails[0].startswith("line 1\n")
        assert len(there.book.said) <= 4


async def test_a_stop_reaches_the_process(tmp_path: Path) -> None:
    async with gateway() as there, node(settings(tmp_path, there.url)):
        await there.hand_over("sleep 30")
        await until(lambda: there.book.kinds(ID) == ["started"])
        await there.hub.stop(await there.node(), ID)
        await there.hub.stop(await there.node(), ID)
        await until(lambda: ID in there.book.results)
        assert there.book.results[ID].ending is Ending.STOPPED


async def test_fifty_at_once_each_come_back_once_with_their_own_output(tmp_path: Path) -> None:
    async with gateway() as there, node(settings(tmp_path, there.url, max_executions=64)):
        alphabet = "2345679ACFHKMQRWXY"
        ids = [ExecutionId(f"7K3Q{first}{second}") for first in alphabet[:5] for second in alphabet[:10]]
        await asyncio.gather(*(there.hand_over(f"echo {execution}", execution) for execution in ids))
        await until(lambda: len(there.book.results) == 50, within_s=20)
        assert all(there.book.results[execution].output.text() == f"{execution}\n" for execution in ids)
        assert all(there.book.kinds(execution) == ["started", "finished"] for execution in ids)


async def test_a_full_node_is_silence_and_the_offer_may_repeat(tmp_path: Path) -> None:
    async with gateway() as there, node(settings(tmp_path, there.url, max_executions=1)):
        await there.hand_over("sleep 0.5")
        other = await there.prepared("true", OTHER)
        with pytest.raises(NodeSilent, match="no place"):
            await there.offered(other, OTHER)
        await until(lambda: ID in there.book.results)
        assert isinstance(await there.offered(other, OTHER), Acceptance)


async def test_a_request_that_no_frame_can_carry_is_a_refusal(tmp_path: Path) -> None:
    async with gateway() as there, node(settings(tmp_path, there.url)):
        request = Request(text="\udcff", argv=("echo", "\udcff"), script=None)
        answer = await there.hub.inspect(await there.node(), ID, request, Limits())
        assert isinstance(answer, NodeRefusal)
        assert "surrogate" in answer.reason


async def test_the_program_ends_on_sigterm_and_the_stopped_command_is_reported(tmp_path: Path) -> None:
    """As a process of its own, as `homing node` runs it."""
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom bot.node.client import run_node\n"
        "from tests.node.made import settings\n"
        "asyncio.run(run_node(settings(Path(sys.argv[1]), sys.argv[2]), tell=lambda line: print(line, flush=True)))\n"
    )
    async with gateway() as there:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-c", script, str(tmp_path), there.url,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        await there.hand_over("sleep 30")
        await until(lambda: there.book.kinds(ID) == ["started"])
        process.send_signal(signal.SIGTERM)
        out, err = await asyncio.wait_for(process.communicate(), 15)
        assert (process.returncode, err) == (0, b"")
        assert b"stopping" in out
        await until(lambda: ID in there.book.results)
        assert there.book.results[ID].ending is Ending.STOPPED
        assert (tmp_path / "state" / "settled" / f"{ID}.finished").exists()


async def test_a_node_that_was_killed_tells_on_its_next_start_that_it_does_not_know(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom bot.node.client import run_node\n"
        "from tests.node.made import settings\nasyncio.run(run_node(settings(Path(sys.argv[1]), sys.argv[2])))\n"
    )
    gate = tmp_path / "gate"
    async with gateway() as there:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(tmp_path), there.url)
        await there.hand_over(f"while [ ! -e {gate} ]; do sleep 0.05; done")
        await until(lambda: there.book.kinds(ID) == ["started"])
        process.kill()
        await process.wait()
        there.book.open = [(ID, True)]
        async with node(settings(tmp_path, there.url)):
            await until(lambda: "known unknown" in there.book.kinds(ID))
            assert there.book.kinds(ID) == ["started", "not_known", "known unknown"]
            assert "is still there" in there.book.words[ID]
            await until(lambda: (tmp_path / "state" / "settled" / f"{ID}.unknown").exists())
        gate.touch()


async def test_the_pairings_of_all_nodes_are_looked_at_together() -> None:
    """A thousand nodes are looked after by as many reads as one."""
    async with gateway() as there, contextlib.AsyncExitStack() as nodes:
        for _ in range(6):
            await nodes.enter_async_context(raw_node(there))
        await until(lambda: len(there.hub.connected()) == 6)
        before = there.book.looks
        await asyncio.sleep(0.5)
        assert 1 <= there.book.looks - before <= 0.5 / there.bounds.pairing_s + 1
