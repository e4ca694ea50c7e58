"""`homing reload`: the rules of the file count from then on, and a file with a fault changes nothing."""

from __future__ import annotations

import contextlib
import http.client

from tests.cli.terminal import Terminal
from tests.cli.test_processes import alone, free_port, started

RULE = """
[[rule]]
name = "freeze"
action = "deny"
"""


def test_without_a_gateway_there_is_nothing_to_reload_and_that_is_said(terminal: Terminal) -> None:
    ended = terminal.homing("reload")
    assert ended.code == 1
    assert "no gateway of this config runs here" in ended.err


def test_a_changed_rule_counts_without_a_restart_and_a_faulty_file_is_refused(terminal: Terminal) -> None:
    config = terminal.folder / "config.toml"
    before = config.read_text()
    with started(terminal, "run", HOMING_LOG="json", **alone(free_port())) as gateway:
        gateway.wait_for(lambda: "The web chat is at" in gateway.said())

        config.write_text(before + RULE.replace("deny", "dny"))
        refused = terminal.homing("reload")
        assert refused.code == 1
        assert "rule[0].action" in refused.err
        # Whoever sends the signal by hand is told in the log.
        gateway.process.send_signal(1)
        gateway.wait_for(lambda: "policy.not_reloaded" in gateway.said())
        assert "rule[0].action" in gateway.said()

        config.write_text(before + RULE)
        assert terminal.homing("reload").code == 0
        gateway.wait_for(lambda: "policy.reloaded" in gateway.said())
        assert terminal.homing("reload").code == 0
        gateway.wait_for(lambda: "policy.unchanged" in gateway.said())
        assert gateway.end().code == 0
    lines = terminal.homing("audit", "show", "--json").json()
    kinds = [line["kind"] for line in lines]
    assert kinds[-2:] == ["policy_loaded", "policy_reloaded"]


WOKEN = """
[heartbeat]
every = "1h"
target = "web:channel:ops"

[[schedule]]
name = "nightly"
cron = "0 3 * * *"
to = "web:channel:ops"
text = "Good night."
"""
HOOK = """
[[hook]]
name = "deploys"
to = "web:channel:ops"
token = "token-0123456789abcdef"
text = "A deploy has ended."
"""


def called(port: int, name: str = "deploys", token: str = "token-0123456789abcdef") -> int:
    """The status of a call of this hook."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("POST", f"/hooks/{name}", b"{}", {"Authorization": f"Bearer {token}"})
        return connection.getresponse().status


def test_schedules_and_hooks_are_taken_and_what_needs_a_restart_is_named(terminal: Terminal) -> None:
    config = terminal.folder / "config.toml"
    before = config.read_text()
    config.write_text(before + HOOK)
    port = free_port()
    with started(terminal, "run", HOMING_LOG="json", **alone(port)) as gateway:
        gateway.wait_for(lambda: "The web chat is at" in gateway.said())
        assert called(port) == 202
        assert terminal.homing("config", "check", "--json", **alone(port)).json()["needs_restart"] == []

        # The same secret under another name; and a cadence and a schedule where there were none.
        config.write_text(before + WOKEN + HOOK.replace('"deploys"', '"releases"'))
        said = terminal.homing("reload", "--json", **alone(port)).json()
        assert said["needs_restart"] == []
        gateway.wait_for(lambda: "hooks.reloaded" in gateway.said() and "clocks.reloaded" in gateway.said())
        assert (called(port), called(port, "releases")) == (404, 202)
        gateway.wait_for(lambda: "schedule:nightly: never ran, next" in terminal.homing("status", **alone(port)).out)
        assert "heartbeat:main: ran" in terminal.homing("status", **alone(port)).out

        # A secret that the gateway does not mask yet: the hook waits, and so it is said, by it and by the commands.
        config.write_text(before + WOKEN + HOOK.replace("token-", "newer-"))
        assert "not taken before its next start: hook\n" in terminal.homing("reload", **alone(port)).out
        gateway.wait_for(lambda: "config.needs_restart" in gateway.said())
        assert (called(port, "releases"), called(port)) == (202, 404)

        # What a schedule may name comes with a start only, so the schedule does too.
        agents = '[[agents]]\nname = "night"\nmodel = "openai:x"\nbase_url = "http://127.0.0.1:9/v1"\n'
        config.write_text(before + WOKEN.replace("Good night.", "Sleep well.") + agents)
        checked = terminal.homing("config", "check", **alone(port)).out
        assert "the gateway that runs takes at its next start only: agents, heartbeat, hook, schedule\n" in checked
        assert gateway.end().code == 0
    assert "next start only" not in terminal.homing("config", "check", **alone(port)).out
