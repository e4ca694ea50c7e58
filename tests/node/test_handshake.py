"""The handshake, without sockets: proofs, attacks, and frames that come when they have no place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.domain.node import Pairing
from bot.errors import Malformed, MalformedFrame
from bot.node.codec import decode, encode, frame_from_json
from bot.node.faults import NodeUnusable, Untrusted
from bot.node.frames import VERSION, Challenge, Go, Hello, Proof, Stop
from bot.node.identity import (
    KeyPair,
    check_gateway,
    fingerprint,
    load_or_create_key,
    new_key,
    new_nonce,
    parse_fingerprint,
)
from bot.node.protocol import FROM_GATEWAY, FROM_NODE, GatewayEnd, NodeEnd, State
from tests.node.made import ID


def ends(node: KeyPair | None = None, gateway: KeyPair | None = None) -> tuple[NodeEnd, GatewayEnd]:
    return NodeEnd(node or new_key(), new_nonce(), "web-1"), GatewayEnd(gateway or new_key(), new_nonce())


def opened() -> tuple[NodeEnd, GatewayEnd]:
    node, gateway = ends()
    gateway.read(node.hello())
    node.read(gateway.challenge())
    gateway.read(node.proof())
    node.read(gateway.welcome(Pairing.PAIRED))
    return node, gateway


def test_both_sides_prove_their_keys_and_the_connection_is_open() -> None:
    key, ours = new_key(), new_key()
    node, gateway = ends(key, ours)
    gateway.read(node.hello())
    node.read(gateway.challenge())
    assert node.gateway_key == ours.public_key
    gateway.read(node.proof())
    assert gateway.node == key.fingerprint
    node.read(gateway.welcome(Pairing.PENDING))
    node.read(gateway.welcome(Pairing.PAIRED))
    assert node.state is gateway.state is State.OPEN


def test_a_node_that_shows_a_key_of_another_is_not_trusted() -> None:
    victim, thief = new_key(), new_key()
    node, gateway = ends(thief)
    hello = decode(node.hello())
    assert isinstance(hello, Hello)
    forged = Hello(versions=(VERSION,), public_key=victim.public_key, nonce=hello.nonce, name="web-1")
    gateway.read(encode(forged))
    challenge = gateway.challenge()
    with pytest.raises(Untrusted):
        # The thief's own end already sees that what is signed is not what it said.
        node.read(challenge)
    with pytest.raises(Untrusted, match="did not prove"):
        gateway.read(encode(Proof(signature=thief.sign(b"node", b"anything"))))
    assert gateway.state is not State.PROVEN


def test_a_recorded_proof_is_worth_nothing_in_the_next_connection() -> None:
    key, ours = new_key(), new_key()
    node, gateway = ends(key, ours)
    hello = node.hello()
    gateway.read(hello)
    node.read(gateway.challenge())
    proof = node.proof()
    gateway.read(proof)
    again = GatewayEnd(ours, new_nonce())
    again.read(hello)
    again.challenge()
    with pytest.raises(Untrusted):
        again.read(proof)


def test_a_recorded_challenge_is_worth_nothing_to_a_new_hello() -> None:
    key, ours = new_key(), new_key()
    node, gateway = ends(key, ours)
    gateway.read(node.hello())
    recorded = gateway.challenge()
    later = NodeEnd(key, new_nonce(), "web-1")
    later.hello()
    with pytest.raises(Untrusted, match="gateway did not prove"):
        later.read(recorded)


def test_a_proof_cannot_be_reflected_to_whoever_made_it() -> None:
    node, gateway = ends()
    gateway.read(node.hello())
    text = gateway.challenge()
    challenge = decode(text)
    assert isinstance(challenge, Challenge)
    with pytest.raises(Untrusted):
        gateway.read(encode(Proof(signature=challenge.signature)))


@pytest.mark.parametrize("what", ["name", "nonce", "public_key"])
def test_a_man_in_the_middle_who_changes_the_hello_is_found_out(what: str) -> None:
    node, gateway = ends()
    form = json.loads(node.hello())
    form[what] = "web-2" if what == "name" else new_key().public_key.hex()
    gateway.read(encode(frame_from_json(form)))
    with pytest.raises(Untrusted):
        node.read(gateway.challenge())


def test_a_key_of_small_order_proves_nothing() -> None:
    # The neutral point, with which a signature of zeros verifies in lax implementations.
    weak = (1).to_bytes(32, "little")
    _, gateway = ends()
    gateway.read(encode(Hello(versions=(VERSION,), public_key=weak, nonce=new_nonce(), name="web-1")))
    gateway.challenge()
    with pytest.raises(Untrusted):
        gateway.read(encode(Proof(signature=bytes(64))))


def test_every_frame_outside_its_place_is_refused() -> None:
    for state in State:
        for word, ways in FROM_GATEWAY.items():
            if state in ways or word.startswith("welcome") or word == "challenge":
                continue
            node, _ = ends()
            node.state = state
            with pytest.raises(MalformedFrame, match="no place"):
                node.read(encode(Stop(execution=ID)))
    node, gateway = ends()
    with pytest.raises(MalformedFrame, match="no place"):
        gateway.read(encode(Proof(signature=bytes(64))))
    with pytest.raises(MalformedFrame, match="no place"):
        gateway.write(Go(execution=ID, token="0" * 32))


def test_f079_a_second_hello_in_an_open_connection_changes_nothing() -> None:
    _, gateway = opened()
    proven = gateway.node
    with pytest.raises(MalformedFrame):
        gateway.read(encode(Hello(versions=(VERSION,), public_key=new_key().public_key, nonce=new_nonce(), name="x")))
    assert gateway.node == proven


def test_a_node_cannot_send_what_only_a_gateway_says() -> None:
    assert not FROM_NODE.keys() & FROM_GATEWAY.keys()
    _, gateway = opened()
    with pytest.raises(MalformedFrame):
        gateway.read(encode(Go(execution=ID, token="0" * 32)))


def test_every_state_can_be_reached() -> None:
    reached = {State.NEW}
    ways = [*FROM_NODE.values(), *FROM_GATEWAY.values()]
    for _ in State:
        reached |= {after for way in ways for before, after in way.items() if before in reached}
    assert reached == set(State)


def test_a_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "node.key"
    key = load_or_create_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create_key(path).fingerprint == key.fingerprint == fingerprint(key.public_key)
    assert [file.name for file in path.parent.iterdir()] == ["node.key"]


def test_a_key_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    load_or_create_key(path)
    path.chmod(0o644)
    with pytest.raises(NodeUnusable, match="chmod 600"):
        load_or_create_key(path)


def test_a_damaged_key_is_refused_and_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    path.write_bytes(b"not a key")
    path.chmod(0o600)
    with pytest.raises(NodeUnusable, match="holds no key"):
        load_or_create_key(path)
    assert path.read_bytes() == b"not a key"


def test_the_gateways_key_of_the_first_contact_is_the_only_one(tmp_path: Path) -> None:
    first, second = new_key(), new_key()
    pin = tmp_path / "gateway.pin"
    check_gateway(pin, first.public_key, None)
    check_gateway(pin, first.public_key, first.fingerprint)
    with pytest.raises(Untrusted, match="not the one of the first contact"):
        check_gateway(pin, second.public_key, None)


def test_a_gateway_that_is_known_beforehand_is_held_to_its_fingerprint_at_first_contact(tmp_path: Path) -> None:
    pin = tmp_path / "gateway.pin"
    with pytest.raises(Untrusted, match="is configured"):
        check_gateway(pin, new_key().public_key, new_key().fingerprint)
    assert not pin.exists()


def test_a_fingerprint_is_read_as_people_type_it() -> None:
    shown = new_key().fingerprint
    assert parse_fingerprint(f"  {shown.lower().replace('-', ' ')} ") == shown
    assert len(shown.split("-")) == 7
    for wrong in ("", shown[:-1], shown + "A", shown.replace(shown[0], "1")):
        with pytest.raises(Malformed, match="7 groups"):
            parse_fingerprint(wrong)
