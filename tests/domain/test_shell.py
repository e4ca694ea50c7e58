"""Which commands a request could start: the corpus and its verdicts, the readings of wrappers, and the bounds."""

from __future__ import annotations

import pytest

from bot.domain.command import Request, parse_request
from bot.domain.shell import MAX_UNITS, UNKNOWN, Analysis, View, analyse, is_grantable
from bot.errors import Malformed
from tests.domain.corpus import Sample, samples

ALL = [sample for sample in samples() if sample.verdict != "refused"]


def told(sample: Sample) -> str:
    return f"{sample.chapter}: {sample.text[:60]!r}"


def read(text: str) -> Analysis:
    return analyse(parse_request(text))


def views(text: str) -> list[tuple[tuple[tuple[str | None, ...], int], ...]]:
    """The readings of each command, as plain tuples."""
    return [tuple((view.words, view.through) for view in unit.views) for unit in read(text).units]


def kind_of(analysis: Analysis) -> str:
    if any(unit.is_unknown for unit in analysis.units):
        return "unknown"
    return "code" if any(unit.runs_code for unit in analysis.units) else "all"


def test_f084_the_corpus_holds_at_least_three_hundred_texts_and_none_twice() -> None:
    texts = [sample.text for sample in samples()]
    assert len(texts) >= 300
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("sample", ALL, ids=told)
def test_f084_every_text_of_the_corpus_gets_its_verdict_and_its_programs(sample: Sample) -> None:
    analysis = read(sample.text)
    assert ("plain" if analysis.is_plain else "script") == sample.verdict
    assert kind_of(analysis) == sample.reads
    assert sample.programs <= {view.words[0] for unit in analysis.units for view in unit.views}
    assert analysis.units


@pytest.mark.parametrize("sample", [sample for sample in samples() if sample.verdict == "refused"], ids=told)
def test_what_nobody_could_be_given_is_refused_before_anything_is_read(sample: Sample) -> None:
    with pytest.raises(Malformed):
        parse_request(sample.text)


@pytest.mark.parametrize("sample", ALL, ids=told)
def test_f084_nothing_outside_the_plain_form_is_plain_and_nothing_plain_holds_an_unknown_word(sample: Sample) -> None:
    request = parse_request(sample.text)
    analysis = analyse(request)
    if not analysis.is_plain:
        assert request.script == sample.text
        return
    outermost = {unit.views[0].words for unit in analysis.units if unit.views[0].words == request.argv}
    assert outermost == {request.argv}
    assert not any(unit.is_unknown and unit.views[0].words == request.argv for unit in analysis.units)


@pytest.mark.parametrize("sample", [sample for sample in ALL if sample.chapter == "ordinary"], ids=told)
def test_f087_an_ordinary_command_is_plain_and_all_that_it_starts_is_known(sample: Sample) -> None:
    analysis = read(sample.text)
    assert analysis.is_plain
    assert analysis.is_ascii
    assert kind_of(analysis) == "all"


@pytest.mark.parametrize("sample", [sample for sample in ALL if sample.chapter == "unicode"], ids=told)
def test_f083_a_word_with_a_character_that_could_be_mistaken_is_not_ascii(sample: Sample) -> None:
    assert not read(sample.text).is_ascii


def test_a_script_is_ascii_with_its_line_ends_and_not_with_a_hidden_character() -> None:
    assert read("ls\n\tid").is_ascii
    assert not read("ls\n\u200bid").is_ascii
    assert not read("ls | \x1bid").is_ascii


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("systemctl restart app", [((("systemctl", "restart", "app"), 0),)]),
        (
            "sudo systemctl restart app",
            [((("sudo", "systemctl", "restart", "app"), 1), (("systemctl", "restart", "app"), 0))],
        ),
        ("sudo -u root rm x", [((("sudo", "-u", "root", "rm", "x"), 3), (("rm", "x"), 0))]),
        ("env A=b C=d rm", [((("env", "A=b", "C=d", "rm"), 3), (("rm",), 0))]),
        (
            "sudo timeout 5 rm x",
            [((("sudo", "timeout", "5", "rm", "x"), 3), (("timeout", "5", "rm", "x"), 2), (("rm", "x"), 0))],
        ),
        ("python3 /srv/x.py a", [((("python3", "/srv/x.py", "a"), 1),)]),
        ("python3 -u /srv/x.py a", [((("python3", "-u", "/srv/x.py", "a"), 2),)]),
        ("python3 -m pytest a", [((("python3", "-m", "pytest", "a"), 2),)]),
        ("python3 -mpytest a", [((("python3", "-mpytest", "a"), 1),)]),
        ("bash -eu x.sh a", [((("bash", "-eu", "x.sh", "a"), 2),)]),
        (
            "sudo python3 /srv/x.py a",
            [((("sudo", "python3", "/srv/x.py", "a"), 2), (("python3", "/srv/x.py", "a"), 1))],
        ),
        ("sh -c 'rm x' a", [((("sh", "-c", "rm x", "a"), 3),), ((("rm", "x"), 0),)]),
        ("xargs rm -f", [((("xargs", "rm", "-f"), 2), (("rm", "-f", None), 0))]),
        ("xargs -I % mv % /x", [((("xargs", "-I", "%", "mv", "%", "/x"), 5), (("mv", None, "/x"), 0))]),
        ("find . -delete", [((("find", ".", "-delete"), 2), (("rm", None), 0))]),
        (
            "docker run alpine rm x",
            [((("docker", "run", "alpine", "rm", "x"), 4), (("rm", "x"), 0))],
        ),
        ("docker exec web rm x", [((("docker", "exec", "web", "rm", "x"), 3), (("rm", "x"), 0))]),
        ("awk '{print $1}' f", [((("awk", "{print $1}", "f"), 1),)]),
        ("busybox rm x", [((("busybox", "rm", "x"), 1), (("rm", "x"), 0))]),
        ("ip -n a vrf e red rm x", [((("ip", "-n", "a", "vrf", "e", "red", "rm", "x"), 6), (("rm", "x"), 0))]),
        ("make -s deploy", [((("make", "-s", "deploy"), 0),)]),
        ("make deploy 'CC=rm -rf x'", [((("make", "deploy", "CC=rm -rf x"), 2),)]),
        ("make -sf x deploy", [((("make", "-sf", "x", "deploy"), 3),)]),
        ("make --dir=x deploy", [((("make", "--dir=x", "deploy"), 2),)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrapper_counts_as_what_it_starts(text: str, readings: object) -> None:
    assert views(text) == readings


def test_a_wrapper_that_cannot_be_read_may_start_any_of_its_words() -> None:
    """So a rule that denies still sees what it may start; one that allows sees that it is not known."""
    [unit] = read("sudo --what -u root rm x").units
    assert unit.runs_code
    assert [view.words[0] for view in unit.views] == ["sudo", "root", "rm", "x"]
    assert all(view.through == len(view.words) - 1 for view in unit.views)


def test_the_text_of_a_shell_within_a_wrapper_is_a_command_of_its_own() -> None:
    outer, inner, other = read("sudo sh -c 'rm x; env A=b ls'").units
    assert outer.runs_code
    assert [view.words[0] for view in outer.views] == ["sudo", "sh"]
    assert inner.views == (View(words=("rm", "x"), through=0),)
    assert [view.words[0] for view in other.views] == ["env", "ls"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ls >x -l >y -a", ("ls", "-l", "-a")),
        ("ls | wc >x -l", ("wc", "-l")),
        ("! wc 2>&1 -l", ("wc", "-l")),
        ("wc <<E -l\nx\nE", ("wc", "-l")),
        ("wc <<<a -l", ("wc", "-l")),
        ("l\\s -\\l | wc", ("ls", "-l")),
        ('r""m "a\\$b" "c\\d" | wc', ("rm", "a$b", "c\\d")),
        ("echo 'a'b\"c\" | wc", ("echo", "abc")),
        ("echo $x b* c | wc", ("echo", None, None, "c")),
        ("echo \"$x\" '$x' | wc", ("echo", None, "$x")),
        ("echo a~ ~ | wc", ("echo", None, None)),
        ("echo $'a' | wc", ("echo", None)),
        ("echo {} {a,b} | wc", ("echo", "{}", None)),
        ("A=b C=$(id) echo x | wc", ("echo", "x")),
        ("echo a \\\n  b | wc", ("echo", "a", "b")),
    ],
)
def test_words_are_those_that_the_shell_hands_over_or_unknown(text: str, words: tuple[str | None, ...]) -> None:
    assert words in {view.words for unit in read(text).units for view in unit.views}


def test_a_name_that_the_text_itself_gives_a_meaning_is_unknown() -> None:
    for text in ("ls() { id; }; ls", "alias ls=id; ls", "f() { g; }; env x | ls; function ls { id; }"):
        assert [unit.is_unknown for unit in read(text).units if unit.views[0].words == ("ls",)] == [True]


def test_a_function_of_the_outer_text_shadows_in_the_inner_one() -> None:
    assert any(unit.is_unknown for unit in read("ls() { id; }; eval 'ls'").units)


def nested(levels: int) -> str:
    return f"{'eval ' * levels}rm x; id"


def test_texts_within_texts_are_read_to_a_depth_and_told_as_code_below_it() -> None:
    shallow, deep = read(nested(4)), read(nested(8))
    assert any(unit.views[0].words == ("rm", "x") for unit in shallow.units)
    assert not any(unit.views[0].words == ("rm", "x") for unit in deep.units)
    assert deep.units[-2].runs_code


def test_wrappers_within_wrappers_are_read_to_a_depth_and_told_as_code_below_it() -> None:
    assert not read(f"{'sudo ' * 5}rm x").units[0].runs_code
    assert read(f"{'sudo ' * 7}rm x").units[0].runs_code


def test_a_request_of_more_commands_than_anybody_reads_ends_in_an_unknown_one() -> None:
    many = " ".join(["find", ".", *["-delete"] * (MAX_UNITS + 5)])
    units = read(many).units
    assert len(units) == MAX_UNITS + 1
    assert units[-1] == UNKNOWN


def test_what_a_node_or_a_test_makes_by_hand_is_read_like_what_is_typed() -> None:
    request = Request(text="x", argv=("/bin/sh", "-c", "a\x00b"), script="a\x00b")
    assert any(unit.is_unknown for unit in analyse(request).units)
    assert any(unit.is_unknown for unit in analyse(Request(text="", argv=("",), script="")).units)
    assert any(unit.is_unknown for unit in analyse(Request(text="", argv=("",), script="a;" * 4_001)).units)


GRANTABLE = [
    "systemctl restart app",
    "sudo systemctl restart app",
    "sudo -u app timeout 5 df -h",
    "git pull",
    "make deploy",
    "journalctl -u app",
    "./deploy.sh production",
    "sed -n 1p f",
    "nice -n 5 tar czf a.tgz b",
]
TOO_BROAD = [
    "/bin/zsh",
    "sh x.sh",
    "bash -c ls",
    "python3 /srv/x.py",
    "python3.11 -m pytest",
    "node server.js",
    "perl x.pl",
    "busybox",
    "busybox ls",
    "toybox rm x",
    "env",
    "env ls",
    "xargs rm",
    "find . -delete",
    "ssh host ls",
    "su app",
    "docker exec web ls",
    "sudo sh x.sh",
    "sudo -s",
    "sudo --what ls",
    "nice python3 x.py",
    "vim f",
    "awk 'BEGIN{system(1)}'",
    "git -c a=b log",
    "ansible-playbook x.yml",
]


@pytest.mark.parametrize("text", GRANTABLE)
def test_f085_exact_words_of_an_ordinary_program_may_be_granted(text: str) -> None:
    assert is_grantable(parse_request(text).argv) is None


@pytest.mark.parametrize("text", TOO_BROAD)
def test_f085_no_standing_permission_for_what_can_come_to_mean_anything(text: str) -> None:
    reason = is_grantable(parse_request(text).argv)
    assert reason is not None
    assert "[[rule]]" in reason
