"""The canonical form of a command: the bytes that are hashed never change by accident, and every field is in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.command import (
    Command,
    FileDigest,
    Limits,
    NodeFingerprint,
    canonical,
    command_from_json,
    command_hash,
    command_to_json,
    is_of_old_form,
    limits_to_json,
    lower_of,
)
from bot.errors import Malformed

COMMAND = Command(
    node=NodeFingerprint("ab12"),
    argv=("/bin/sh", "-c", "echo 'grüße' | wc -c"),
    script="echo 'grüße' | wc -c",
    executable="/usr/bin/dash",
    cwd="/srv/app",
    cwd_id="64:2049",
    user="deploy",
    gateway="KZDV-VJ2U",
    env=(("LANG", "C.UTF-8"), ("PATH", "/usr/bin:/bin")),
    limits=Limits(timeout_s=90.0, output_bytes=65_536, memory_bytes=2**30, processes=64, open_files=256),
    files=(FileDigest(path="/usr/bin/dash", sha256="0" * 64), FileDigest(path="/srv/app/x.py", sha256="1" * 64)),
)
FORM: dict[str, object] = command_to_json(COMMAND)
LIMITS = limits_to_json(COMMAND.limits)
TEXT = (
    '{"argv":["/bin/sh","-c","echo \'grüße\' | wc -c"],"cwd":"/srv/app","cwd_id":"64:2049",'
    '"env":{"LANG":"C.UTF-8","PATH":"/usr/bin:/bin"},"executable":"/usr/bin/dash",'
    f'"files":[{{"path":"/usr/bin/dash","sha256":"{"0" * 64}"}},{{"path":"/srv/app/x.py","sha256":"{"1" * 64}"}}],'
    '"form":2,"gateway":"KZDV-VJ2U","limits":{"memory_bytes":1073741824,"open_files":256,"output_bytes":65536,'
    '"processes":64,"timeout_s":90.0},"node":"ab12","script":"echo \'grüße\' | wc -c","user":"deploy"}'
)
GOLDEN = "591e02c9ebdae73302566b49c6c06573eb0959136ad5917bca56000800b6ecd2"
OLD = replace(COMMAND, cwd_id="", user="", gateway="", limits=Limits(timeout_s=90.0, output_bytes=65_536))
OLD_TEXT = (
    '{"argv":["/bin/sh","-c","echo \'grüße\' | wc -c"],"cwd":"/srv/app",'
    '"env":{"LANG":"C.UTF-8","PATH":"/usr/bin:/bin"},"executable":"/usr/bin/dash",'
    f'"files":[{{"path":"/usr/bin/dash","sha256":"{"0" * 64}"}},{{"path":"/srv/app/x.py","sha256":"{"1" * 64}"}}],'
    '"form":1,"limits":{"output_bytes":65536,"timeout_s":90.0},"node":"ab12","script":"echo \'grüße\' | wc -c"}'
)
OLD_GOLDEN = "6b0ae584ed85583e9fb27e99460e89c645adc5a6b711f9443ffa4129678eff57"

texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
many = st.none() | st.integers(1, 2**40)
commands = st.builds(
    Command,
    node=texts.map(NodeFingerprint),
    argv=st.lists(texts, min_size=1, max_size=4).map(tuple),
    script=st.none() | texts,
    executable=texts,
    cwd=texts,
    cwd_id=st.builds("{}:{}".format, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)),
    user=names,
    gateway=texts,
    env=st.dictionaries(names, texts, max_size=4).map(lambda env: tuple(sorted(env.items()))),
    limits=st.builds(
        Limits,
        timeout_s=st.floats(0.001, 1e9),
        output_bytes=st.integers(0, 2**40),
        memory_bytes=many,
        processes=many,
        open_files=many,
    ),
    files=st.lists(st.builds(FileDigest, path=texts, sha256=texts), max_size=3).map(tuple),
)


def test_the_canonical_bytes_and_their_hash_are_those_of_the_first_day() -> None:
    """Approvals that are stored, and nodes of other versions, hold hashes of exactly these bytes."""
    assert canonical(COMMAND).decode() == TEXT
    assert command_hash(COMMAND) == GOLDEN


def test_a_command_that_was_stored_in_the_first_form_is_still_read_and_keeps_its_hash() -> None:
    assert command_from_json(json.loads(OLD_TEXT)) == OLD
    assert canonical(OLD).decode() == OLD_TEXT
    assert command_hash(OLD) == OLD_GOLDEN
    assert is_of_old_form(OLD)
    assert not is_of_old_form(COMMAND)
    with pytest.raises(Malformed, match="command is not an object of"):
        command_from_json({**json.loads(OLD_TEXT), "user": "deploy"})
    with pytest.raises(Malformed, match="limits is not an object of"):
        command_from_json({**json.loads(OLD_TEXT), "limits": FORM["limits"]})


@pytest.mark.parametrize(
    "changed",
    [
        replace(COMMAND, node=NodeFingerprint("ab13")),
        replace(COMMAND, argv=("/bin/sh", "-c", "echo 'grüße' | wc  -c")),
        replace(COMMAND, argv=("/bin/sh", "-c echo 'grüße' | wc -c")),
        replace(COMMAND, argv=("/bin/sh", "-c", "echo 'grüße' | wc -c", "")),
        replace(COMMAND, script=None),
        replace(COMMAND, script=""),
        replace(COMMAND, executable="/usr/bin/bash"),
        replace(COMMAND, cwd="/srv/app/"),
        replace(COMMAND, env=()),
        replace(COMMAND, env=(("LANG", "C"), ("PATH", "/usr/bin:/bin"))),
        replace(COMMAND, env=(*COMMAND.env, ("PATHX", ""))),
        replace(COMMAND, cwd_id="64:2050"),
        replace(COMMAND, user="root"),
        replace(COMMAND, gateway=""),
        replace(COMMAND, limits=replace(COMMAND.limits, timeout_s=90.5)),
        replace(COMMAND, limits=replace(COMMAND.limits, output_bytes=65_537)),
        replace(COMMAND, limits=replace(COMMAND.limits, memory_bytes=None)),
        replace(COMMAND, limits=replace(COMMAND.limits, memory_bytes=2**30 + 1)),
        replace(COMMAND, limits=replace(COMMAND.limits, processes=None)),
        replace(COMMAND, limits=replace(COMMAND.limits, open_files=None)),
        replace(COMMAND, files=()),
        replace(COMMAND, files=COMMAND.files[:1]),
        replace(COMMAND, files=COMMAND.files[::-1]),
        replace(COMMAND, files=(replace(COMMAND.files[0], sha256="2" * 64), COMMAND.files[1])),
        replace(COMMAND, files=(replace(COMMAND.files[0], path="/usr/bin/dash2"), COMMAND.files[1])),
    ],
)
def test_every_change_of_a_command_changes_its_hash(changed: Command) -> None:
    assert command_hash(changed) != GOLDEN


def test_every_field_of_a_command_is_in_its_form() -> None:
    assert FORM.keys() == {field.name for field in fields(Command)} | {"form"}
    limits = FORM["limits"]
    assert isinstance(limits, dict)
    assert limits.keys() == {field.name for field in fields(Limits)}


def test_what_means_the_same_has_one_hash() -> None:
    assert command_hash(replace(COMMAND, limits=replace(COMMAND.limits, timeout_s=90))) == GOLDEN
    assert command_hash(replace(COMMAND, env=COMMAND.env[::-1])) == GOLDEN


@given(commands, commands)
def test_two_commands_have_one_hash_only_if_they_are_one(one: Command, other: Command) -> None:
    assert (command_hash(one) == command_hash(other)) == (one == other)


@given(commands)
def test_a_command_comes_back_from_its_form_with_its_hash(command: Command) -> None:
    back = command_from_json(json.loads(json.dumps(command_to_json(command))))
    assert back == command
    assert command_hash(back) == command_hash(command)
    assert command_from_json(json.loads(canonical(command))) == command


def test_names_of_files_that_are_no_text_still_have_a_hash() -> None:
    """Linux's file names are bytes; Python carries the odd ones as half surrogate pairs."""
    odd = replace(COMMAND, cwd="/srv/\udcff")
    assert command_from_json(command_to_json(odd)) == odd
    assert command_hash(odd) != command_hash(replace(COMMAND, cwd="/srv/\udcfe"))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"form": 3}, "a command of form 3; this side knows 2"),
        ({"form": 0}, "a command of form 0"),
        ({"form": True}, "form is not a version"),
        ({"form": 1.0}, "form is not a version"),
        ({"form": "1"}, "form is not a version"),
        ({"form": None}, "form is not a version"),
        ({"surplus": 1}, "command is not an object of"),
        ({"node": None}, "node is not a text"),
        ({"argv": "ls"}, "argv is not a list"),
        ({"argv": {"0": "ls"}}, "argv is not a list"),
        ({"argv": []}, "argv names no program"),
        ({"argv": ["ls", 1]}, "argv is not a text"),
        ({"argv": ["ls", None]}, "argv is not a text"),
        ({"script": False}, "script is not a text"),
        ({"script": ["ls"]}, "script is not a text"),
        ({"executable": 1}, "executable is not a text"),
        ({"cwd": None}, "cwd is not a text"),
        ({"env": [["A", "b"]]}, "env is not an object"),
        ({"env": {"A": 1}}, "env is not a text"),
        ({"env": {"A": None}}, "env is not a text"),
        ({"limits": None}, "limits is not an object of"),
        ({"cwd_id": None}, "cwd_id is not a text"),
        ({"cwd_id": ""}, "cwd_id is no device:inode"),
        ({"cwd_id": "64"}, "cwd_id is no device:inode"),
        ({"cwd_id": "64:x"}, "cwd_id is no device:inode"),
        ({"cwd_id": "64:2049\n"}, "cwd_id is no device:inode"),
        ({"user": None}, "user is not a text"),
        ({"user": ""}, "user is empty"),
        ({"gateway": None}, "gateway is not a text"),
        ({"limits": {"timeout_s": 1.0, "output_bytes": 1}}, "limits is not an object of memory_bytes, open_files"),
        ({"limits": {**LIMITS, "more": 1}}, "limits is not an object of"),
        ({"limits": {**LIMITS, "memory_bytes": 0}}, "limits.memory_bytes is neither null nor a count"),
        ({"limits": {**LIMITS, "memory_bytes": True}}, "limits.memory_bytes is neither null nor a count"),
        ({"limits": {**LIMITS, "processes": 1.0}}, "limits.processes is neither null nor a count"),
        ({"limits": {**LIMITS, "open_files": 2**53}}, "limits.open_files is neither null nor a count"),
        ({"limits": {**LIMITS, "timeout_s": "1"}}, "timeout_s is not a length of time"),
        ({"limits": {**LIMITS, "timeout_s": True}}, "timeout_s is not a length of time"),
        ({"limits": {**LIMITS, "timeout_s": 0}}, "timeout_s is not a length of time"),
        ({"limits": {**LIMITS, "timeout_s": -1.0}}, "timeout_s is not a length of time"),
        ({"limits": {**LIMITS, "timeout_s": float("nan")}}, "timeout_s is not a length of time"),
        ({"limits": {**LIMITS, "timeout_s": float("inf")}}, "timeout_s is not a length of time"),
        ({"limits": {**LIMITS, "timeout_s": 10**400}}, "timeout_s is not a length of time"),
        ({"limits": {**LIMITS, "output_bytes": 1.0}}, "output_bytes is not a count"),
        ({"limits": {**LIMITS, "output_bytes": True}}, "output_bytes is not a count"),
        ({"limits": {**LIMITS, "output_bytes": -1}}, "output_bytes is not a count"),
        ({"files": None}, "files is not a list"),
        ({"files": ["/x"]}, "files is not an object of path, sha256"),
        ({"files": [{"path": "/x"}]}, "files is not an object of"),
        ({"files": [{"path": "/x", "sha256": "0", "size": 1}]}, "files is not an object of"),
        ({"files": [{"path": 1, "sha256": "0"}]}, "files.path is not a text"),
        ({"files": [{"path": "/x", "sha256": None}]}, "files.sha256 is not a text"),
    ],
    ids=str,
)
def test_any_other_form_is_malformed_and_names_the_field(change: Mapping[str, object], fault: str) -> None:
    with pytest.raises(Malformed, match=fault):
        command_from_json({**FORM, **change})


@pytest.mark.parametrize("missing", sorted(FORM))
def test_a_form_without_one_of_its_fields_is_malformed(missing: str) -> None:
    with pytest.raises(Malformed):
        command_from_json({name: value for name, value in FORM.items() if name != missing})


@pytest.mark.parametrize("form", [None, [], "x", 1, {}])
def test_what_is_no_object_is_no_command(form: object) -> None:
    with pytest.raises(Malformed, match="command is not an object"):
        command_from_json(form)


def test_of_two_sides_limits_the_lower_one_counts_each_by_itself() -> None:
    one = Limits(timeout_s=90.0, output_bytes=1_000, memory_bytes=None, processes=64, open_files=None)
    other = Limits(timeout_s=60.0, output_bytes=2_000, memory_bytes=2**20, processes=8, open_files=None)
    lower = Limits(timeout_s=60.0, output_bytes=1_000, memory_bytes=2**20, processes=8, open_files=None)
    assert lower_of(one, other) == lower_of(other, one) == lower


def test_a_command_cannot_be_changed_once_it_is_made() -> None:
    for value, name in ((COMMAND, "argv"), (COMMAND.limits, "timeout_s"), (COMMAND.files[0], "sha256")):
        with pytest.raises(AttributeError):
            setattr(value, name, ())
