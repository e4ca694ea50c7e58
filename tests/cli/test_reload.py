"""`homing reload`: the rules of the file count from then on, and a file with a fault changes nothing."""

from __future__ import annotations

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
