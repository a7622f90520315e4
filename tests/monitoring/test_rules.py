"""The alert rules: valid, made of what there is, tested both ways, explained."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.prometheus import (
    MONITORING,
    ROOT,
    RULES,
    alerts,
    groups,
    records,
    run,
    shortened,
    tool,
)
from tests.support.promql import uses, vocabulary, wrong

ALERTS = alerts()
TESTS = sorted((MONITORING / "tests").glob("*.yaml"))
every_alert = pytest.mark.parametrize("name", ALERTS)


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    said = run(tool("promtool"), "check", "rules", str(RULES))
    assert f"{len(ALERTS) + len(records())} rules found" in said


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_promtool_sees_each_alert_fire_and_be_silent(path: Path) -> None:
    said = run(tool("promtool"), "test", "rules", str(path))
    assert "SUCCESS" in said


def _tried() -> Iterator[tuple[str, bool]]:
    """Alert and whether it is expected to fire, of every moment that is tested."""
    for path in TESTS:
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            for moment in case["promql_expr_test"]:
                name = re.search(r'alertname="(\w+)"', moment["expr"])
                assert name is not None
                assert name[1] == case["name"]
                yield name[1], bool(moment["exp_samples"])


@every_alert
def test_each_alert_is_tested_to_fire_and_to_be_silent(name: str) -> None:
    tried = {fires for alert, fires in _tried() if alert == name}
    assert tried == ({True} if name == "AuditStreamWatchdog" else {True, False})


def test_only_alerts_that_there_are_are_tested() -> None:
    assert {name for name, _ in _tried()} == set(ALERTS)


def test_every_rule_is_made_of_metrics_and_labels_that_there_are() -> None:
    known = vocabulary(records())
    problems = {
        rule.get("alert") or rule["record"]: found
        for group in groups()
        for rule in group["rules"]
        if (found := wrong(rule["expr"], known, _shown(rule)))
    }
    assert problems == {}


def _shown(rule: dict[str, Any]) -> set[str]:
    texts = " ".join(rule.get("annotations", {}).values())
    return set(re.findall(r"\$labels\.(\w+)", texts))


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("audit_stream_nothing > 0", "no metric audit_stream_nothing"),
        ("rate(lost_total[5m]) > 0", "no metric lost_total"),
        ('audit_stream_ready{state="x"}', "audit_stream_ready has no label state"),
        ("sum by (tenant) (audit_stream_ready)", "no label tenant to group by"),
        ("audit_stream_archive_delay_seconds > 1", "no metric audit_stream_archive_delay_seconds"),
        ('audit_stream_ready{condition="broker"} == 0', "no label topic to show"),
    ],
)
def test_a_rule_of_what_there_is_not_is_found(expression: str, problem: str) -> None:
    assert wrong(expression, vocabulary(records()), {"topic"})[0] == problem


def test_no_metric_is_measured_for_nothing() -> None:
    """Each is in an alert or on the dashboard, so that somebody can see it."""
    dashboard = (MONITORING / "grafana" / "dashboards" / "audit_stream.json").read_text("utf-8")
    used = set(re.findall(r"[A-Za-z_]+", dashboard + RULES.read_text(encoding="utf-8")))
    unused = {
        re.sub("_(bucket|sum|count)$", "", name)
        for name in vocabulary({})
        if not {re.sub("_(bucket|sum|count)$", "", name) + s
                for s in ("", "_bucket", "_sum", "_count")} & used
    }  # fmt: skip
    assert unused == {
        "process_virtual_memory_bytes", "process_open_fds", "process_max_fds",
        "audit_reconciled_unarchived_offsets", "audit_stream_last_archived_timestamp_seconds",
    }  # fmt: skip


@every_alert
def test_each_alert_says_what_it_must(name: str) -> None:
    rule = ALERTS[name]
    assert re.fullmatch(r"AuditStream([A-Z][a-z]+)+", name)
    assert rule["labels"] == {"severity": rule["labels"]["severity"]}
    assert rule["labels"]["severity"] in {"critical", "warning", "none"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert re.fullmatch(r"[A-Z][^{}]*\.", rule["annotations"]["summary"])
    assert rule["annotations"]["description"].endswith(".")


@every_alert
def test_each_alert_is_explained_with_the_durations_it_has(name: str) -> None:
    page = (ROOT / "docs" / "how-to" / "monitoring.md").read_text(encoding="utf-8")
    rows = [row for row in page.splitlines() if row.startswith(f"| `{name}` |")]
    assert len(rows) == 2, "one row of thresholds, one of how it was provoked"
    _, _, severity, _, waits, *_ = (cell.strip() for cell in rows[0].split("|"))
    assert severity == ALERTS[name]["labels"]["severity"]
    assert waits == ALERTS[name].get("for", "-")


def test_recorded_series_name_their_level() -> None:
    known = vocabulary(records())
    for name in records():
        level = set(name.partition(":")[0].split("_"))
        assert level <= known[name], name


def test_shortening_changes_durations_and_nothing_else() -> None:
    rules = RULES.read_text(encoding="utf-8")
    short = shortened(rules, 30, 15)
    assert "[10000ms]" in short
    assert "for: 2000ms" in short
    assert "> 10 * 60" not in short
    number = re.compile(r"(\[|for: )\d+m?s?[mhd]?s?|\b\d+ \* (60|3600|86400)\b|> 15\b|, 15\)")
    assert uses(short).metrics.keys() == uses(rules).metrics.keys()
    changed = [
        (a, b) for a, b in zip(rules.splitlines(), short.splitlines(), strict=True) if a != b
    ]
    assert changed
    assert all(number.search(a) for a, _ in changed)
