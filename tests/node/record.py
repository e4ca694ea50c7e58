"""One whole connection as both ends said it, from fixed keys: what `recorded.jsonl` holds.

Run as `python -m tests.node.record` to write it anew, which is only right together with a new version of the protocol.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.domain.command import Command, FileDigest, Limits, NodeFingerprint, command_hash, parse_request
from bot.domain.execution import Chunk, Ending, ExecutionResult, Output, Stream
from bot.domain.node import Known, Pairing
from bot.node.frames import (
    Accepted,
    Ack,
    Answers,
    Ask,
    Busy,
    Declined,
    Finished,
    Frame,
    Go,
    Inspect,
    Inspected,
    NotKnown,
    Offer,
    Progress,
    Refused,
    Started,
    Stop,
)
from bot.node.identity import KeyPair
from bot.node.protocol import GatewayEnd, NodeEnd
from tests.node.made import ID, OTHER

RECORDED = Path(__file__).with_name("recorded.jsonl")
NODE_KEY = KeyPair(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
GATEWAY_KEY = KeyPair(Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64))))
NODE_NONCE, GATEWAY_NONCE = bytes([1]) * 32, bytes([2]) * 32
TOKEN = "0123456789abcdef" * 2


def ends() -> tuple[NodeEnd, GatewayEnd]:
    return NodeEnd(NODE_KEY, NODE_NONCE, "web-1"), GatewayEnd(GATEWAY_KEY, GATEWAY_NONCE)


def a_command(node: NodeFingerprint) -> Command:
    request = parse_request("df -h | head -n 3")
    return Command(
        node=node,
        argv=request.argv,
        script=request.script,
        executable="/usr/bin/dash",
        cwd="/srv/app",
        cwd_id="64:2049",
        user="homing",
        gateway=GATEWAY_KEY.fingerprint,
        env=(("HOME", "/home/homing"), ("PATH", "/usr/bin:/bin")),
        limits=Limits(timeout_s=600.0, output_bytes=262_144),
        files=(FileDigest(path="/usr/bin/dash", sha256="ab" * 32),),
    )


def a_result() -> ExecutionResult:
    head = (Chunk(stream=Stream.OUT, text="Grüße\n"), Chunk(stream=Stream.ERR, text="warning\n"))
    output = Output(head=head, omitted_bytes=12, tail=(Chunk(stream=Stream.OUT, text="end\n"),))
    return ExecutionResult(ending=Ending.EXITED, exit_code=3, signal=None, duration_s=1.5, output=output)


def of_the_open_connection() -> Iterator[tuple[str, Frame]]:
    """Who says it, and what."""
    command, result = a_command(NODE_KEY.fingerprint), a_result()
    yield "gateway", Ask(executions=((ID, True), (OTHER, False)))
    yield "node", Answers(answers=((ID, Known.NEVER_STARTED), (OTHER, Known.UNSEEN)))
    request = parse_request("df -h | head -n 3")
    yield "gateway", Inspect(number=1, execution=ID, request=request, limits=Limits(timeout_s=600.0))
    yield "node", Inspected(number=1, command=command)
    yield "gateway", Offer(number=2, execution=ID, command=command, hash=command_hash(command))
    yield "node", Accepted(number=2, token=TOKEN)
    yield "gateway", Go(execution=ID, token=TOKEN)
    yield "node", Started(execution=ID, started_at=1_800_000_000.25)
    yield "gateway", Ack(execution=ID, report="started")
    yield "node", Progress(execution=ID, live_tail="Grüße")
    yield "gateway", Stop(execution=ID)
    yield (
        "node",
        Finished(execution=ID, result=result, started_at=1_800_000_000.25, ended_at=1_800_000_001.75),
    )
    yield "gateway", Ack(execution=ID, report="finished")
    yield "node", Declined(number=3, reason="the node has started it before", already_started=True)
    yield "node", Busy(number=4)
    yield "node", Refused(execution=OTHER, reason="it was stopped before it started")
    yield "node", NotKnown(execution=OTHER, detail="the node ended while it ran")


def lines() -> Iterator[tuple[str, str]]:
    node, gateway = ends()
    yield "node", (hello := node.hello())
    gateway.read(hello)
    yield "gateway", (challenge := gateway.challenge())
    node.read(challenge)
    yield "node", (proof := node.proof())
    gateway.read(proof)
    for pairing in (Pairing.PENDING, Pairing.PAIRED):
        yield "gateway", (welcome := gateway.welcome(pairing))
        node.read(welcome)
    for who, frame in of_the_open_connection():
        yield who, (node if who == "node" else gateway).write(frame)


if __name__ == "__main__":
    texts = [json.dumps({"from": who, "frame": text}, ensure_ascii=False) for who, text in lines()]
    RECORDED.write_text("\n".join(texts) + "\n", encoding="utf-8")
