"""docs/APPROVALS.md: its configuration loads and means what the page says, and its expectations are met."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from bot.config import load_settings, trial, warnings
from bot.domain.policy import Verdict

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "APPROVALS.md").read_text(encoding="utf-8")
CONFIG, CASES = re.findall(r"```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_pages_rules_load_without_a_warning_and_its_cases_are_as_it_says(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG)
    (tmp_path / "cases.toml").write_text(CASES)
    settings = load_settings(tmp_path / "config.toml", {})
    assert warnings(settings) == ()
    policy = trial.policy_of(settings, tmp_path / "config.toml")
    for case in trial.cases_of(tmp_path / "cases.toml"):
        assert trial.try_case(settings, policy, case).wrong == ()


def test_the_pages_explanations_are_what_the_rules_say(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG)
    settings = load_settings(tmp_path / "config.toml", {})
    policy = trial.policy_of(settings, tmp_path / "config.toml")

    def said(command: str) -> tuple[Verdict, list[str]]:
        asked = trial.question(settings, place="web:channel:ops", person="bob", node="web-1", command=command)
        found = trial.explain(policy, asked)
        return trial.verdict_of(found.said), [one.rule.name for one in found.readings]

    assert said("systemctl restart app") == (Verdict.ASK, ["restarts"])
    assert said("true; shutdown now") == (Verdict.DENY, ["default: ask the owners", "never"])
    assert said("df -h") == (Verdict.ALLOW, ["look at the disks"])
    assert said("df -h | sort")[0] is Verdict.ASK


def test_every_key_that_the_page_names_is_one() -> None:
    tree = tomllib.loads((ROOT / "config.example.toml").read_text(encoding="utf-8"))
    example = (ROOT / "config.example.toml").read_text(encoding="utf-8")
    assert "rule" in tree
    for row in re.findall(r"^\| (`[a-z_`, ]+`) \|", PAGE, re.MULTILINE):
        for key in re.findall(r"`([a-z_]+)`", row):
            assert f"\n# {key}: " in example, key
