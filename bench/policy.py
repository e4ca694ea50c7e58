"""`python -m bench.policy`: the verdict of a thousand rules, beside its floor: parsing the same command alone.

Every rule is looked at: none but the last fits. `--json` gives one document.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

from bot.domain.command import parse_request
from bot.domain.directory import Directory, Person
from bot.domain.pattern import parse_pattern
from bot.domain.policy import Policy, Rule, Subject, Verdict
from bot.domain.session import AgentName, ChannelName, NativeId, Peer, PeerKind, PersonId
from bot.domain.shell import analyse
from bot.domain.terms import Terms

PEER = Peer(agent=AgentName("main"), channel=ChannelName("slack"), kind=PeerKind.CHANNEL, id=NativeId("C0OPS"))


def policy_of(count: int, programs: tuple[str, ...]) -> Policy:
    """Rules as a large site has them: each about some command, asked by some role."""
    people = tuple(Person(name=f"p{n}", ids=(PersonId(f"slack:U{n}"),), roles=(f"r{n % 20}",)) for n in range(200))
    rules = tuple(
        Rule(
            name=f"rule {n}",
            action=(Verdict.ASK, Verdict.ALLOW, Verdict.DENY)[n % 3],
            who=("*",) if n % 2 else (f"@r{n % 20}", "p1"),
            command=(parse_pattern(f"program-{n} **"), parse_pattern(f"{programs[n % len(programs)]} * unit-{n}")),
            deciders=(f"@r{n % 20}",),
            terms=Terms(quorum=2),
        )
        for n in range(count - 1)
    )
    last = Rule(name="the rest", action=Verdict.ASK, deciders=("@r1",))
    return Policy(directory=Directory(people=people), owners=("p1",), rules=(*rules, last))


def measure(count: int, rounds: int) -> dict[str, dict[str, float]]:
    """Microseconds, the median of `rounds`. `worst`: every rule is about the program that is asked for."""
    many = ("systemctl", *(f"tool-{n}" for n in range(49)))
    sides = {
        "plain": (many, "systemctl restart app"),
        "script": (many, "set -e; for i in 1 2 3; do systemctl restart app-$i | sort; done; df > /x"),
        "worst": (("systemctl",), "systemctl restart app"),
    }
    return {name: _side(policy_of(count, programs), text, rounds) for name, (programs, text) in sides.items()}


def _side(policy: Policy, text: str, rounds: int) -> dict[str, float]:
    subject = Subject(analysis=analyse(parse_request(text)))

    def judged() -> object:
        return policy.judge(peer=PEER, asker=PersonId("p1"), node_name="web-1", subject=subject)

    judged()
    floor_us = _median_us(lambda: analyse(parse_request(text)), rounds)
    verdict_us = _median_us(judged, rounds)
    return {"parse_us": floor_us, "verdict_us": verdict_us, "ratio": round(verdict_us / floor_us, 2)}


def _median_us(act: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter_ns()
        act()
        taken.append((time.perf_counter_ns() - begun) / 1_000)
    return round(statistics.median(taken), 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.policy", description=__doc__)
    parser.add_argument("--rules", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    figures = measure(wanted.rules, wanted.rounds)
    if wanted.json:
        sys.stdout.write(json.dumps({"rules": wanted.rules, "figures": figures}) + "\n")
        return
    for kind, one in figures.items():
        print(
            f"{kind:7} parse {one['parse_us']:8.1f} µs   verdict of {wanted.rules} rules {one['verdict_us']:8.1f} µs"
            f"   {one['ratio']:5.1f} times"
        )


if __name__ == "__main__":
    main()
