"""Prometheus' and Alertmanager's configuration: valid, and routed as the rules need it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.support.prometheus import MONITORING, RULES, alerts, run, tool

ALERTS = alerts()
PROMETHEUS, ALERTMANAGER = MONITORING / "prometheus.yaml", MONITORING / "alertmanager.yaml"


def test_promtool_finds_nothing_wrong_with_the_configuration_and_its_rules(tmp_path: Path) -> None:
    text = PROMETHEUS.read_text(encoding="utf-8")
    config = tmp_path / "prometheus.yaml"
    config.write_text(text.replace("/etc/prometheus/rules", str(RULES.parent)))
    said = run(tool("promtool"), "check", "config", str(config))
    assert "1 rule files found" in said
    assert "rules found" in said


def test_the_rules_find_the_workers_job_and_where_the_runbooks_lie() -> None:
    config = yaml.safe_load(PROMETHEUS.read_text(encoding="utf-8"))
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    assert set(re.findall(r'job="([a-z-]+)"', RULES.read_text(encoding="utf-8"))) <= jobs
    assert config["global"]["external_labels"]["runbooks"].startswith("https://")
    assert {"regex": "runbooks", "action": "labeldrop"} in config["alerting"][
        "alert_relabel_configs"
    ]


def test_amtool_finds_nothing_wrong_with_the_configuration() -> None:
    said = run(tool("amtool"), "check-config", str(ALERTMANAGER))
    assert "SUCCESS" in said


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_goes_where_its_severity_belongs(name: str) -> None:
    severity = ALERTS[name]["labels"]["severity"]
    receiver = run(
        tool("amtool"), "config", "routes", "test", f"--config.file={ALERTMANAGER}",
        f"alertname={name}", f"severity={severity}",
    ).strip()  # fmt: skip
    assert receiver == {"critical": "pager", "warning": "tickets", "none": "heartbeat"}[severity]


def test_inhibition_names_alerts_that_there_are_and_never_silences_the_archives_word() -> None:
    sources, targets = set(), set()
    for rule in yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))["inhibit_rules"]:
        (source,) = rule["source_matchers"]
        (target,) = rule["target_matchers"]
        sources |= _alerts_of(source)
        targets |= _alerts_of(target)
    assert sources | targets <= set(ALERTS)
    never = {"Fork", "LogLeftOut", "OffsetsLost", "UnexplainedOffsets", "AssuranceBelowTarget",
             "FleetDown"}  # fmt: skip
    assert not targets & {f"AuditStream{name}" for name in never}


def _alerts_of(matcher: str) -> set[str]:
    """``alertname = X`` or ``alertname =~ "AuditStream(A|B)"``."""
    found = re.fullmatch(r'alertname =~? "?(\w+?)(?:\(([\w|]+)\))?"?', matcher)
    assert found is not None, matcher
    return {found[1] + end for end in (found[2] or "").split("|")}
