"""Both ends against frames that were recorded: what is on the wire of version 1 stays as it is."""

from __future__ import annotations

import json

from bot.domain.command import command_hash
from bot.domain.node import Pairing
from bot.node.codec import FRAME_KINDS, decode, encode, kind_of
from bot.node.frames import Finished, Frame, Offer
from bot.node.protocol import State
from tests.node.record import RECORDED, a_result, ends, lines, of_the_open_connection

SAID = [(line["from"], line["frame"]) for line in map(json.loads, RECORDED.read_text(encoding="utf-8").splitlines())]


def test_the_gateways_end_takes_all_that_a_node_said_and_says_the_same_again() -> None:
    _, gateway = ends()
    frames = [frame for who, frame in of_the_open_connection() if who == "gateway"]
    for who, text in SAID:
        if who == "node":
            gateway.read(text)
        elif gateway.state is State.OPEN:
            assert gateway.write(frames.pop(0)) == text
        elif gateway.state is State.GREETED:
            assert gateway.challenge() == text
        else:
            assert gateway.welcome(Pairing(json.loads(text)["pairing"])) == text
    assert gateway.state is State.OPEN
    assert frames == []


def test_the_nodes_end_takes_all_that_a_gateway_said_and_says_the_same_again() -> None:
    node, _ = ends()
    frames = [frame for who, frame in of_the_open_connection() if who == "node"]
    for who, text in SAID:
        if who == "gateway":
            node.read(text)
        elif node.state is State.OPEN:
            assert node.write(frames.pop(0)) == text
        else:
            assert (node.hello() if node.state is State.NEW else node.proof()) == text
    assert node.state is State.OPEN
    assert frames == []


def test_every_kind_of_frame_is_recorded() -> None:
    frames: list[Frame] = [decode(text) for _, text in SAID]
    assert {kind_of(frame) for frame in frames} == set(FRAME_KINDS)
    assert [encode(frame) for frame in frames] == [text for _, text in SAID]
    assert list(lines()) == SAID


def test_the_recorded_values_are_read_as_they_were_meant() -> None:
    frames = [decode(text) for _, text in SAID]
    (offer,) = (frame for frame in frames if isinstance(frame, Offer))
    assert command_hash(offer.command) == offer.hash
    (finished,) = (frame for frame in frames if isinstance(frame, Finished))
    assert finished.result == a_result()
