"""The metric catalogue and the registry made from it: names by Prometheus' conventions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from audit_stream import __version__
from audit_stream.telemetry.catalogue import (
    CATALOGUE,
    PREFIX,
    PROCESS,
    RECONCILED,
    RECONCILED_PREFIX,
    Metric,
)
from audit_stream.telemetry.metrics import Metrics, Reconciled

every_metric = pytest.mark.parametrize(
    "metric", CATALOGUE + RECONCILED, ids=lambda metric: metric.name
)
# A label must be bounded: never a message, a tenant, a person.
BOUNDED = {
    "topic", "partition", "disposition", "held", "came", "reason", "outcome", "target", "version",
    "condition", "folder", "code", "anchor", "route", "status", "profile", "state", "verdict",
}  # fmt: skip


def test_no_name_stands_twice() -> None:
    names = [metric.name for metric in CATALOGUE]
    assert len(set(names)) == len(names)


@every_metric
def test_names_follow_the_conventions(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert not re.search(r"_(ms|millis|milliseconds|kb|mb|minutes)(_|$)", metric.name)
    if metric.kind == "histogram":
        assert metric.name.endswith(("_seconds", "_bytes"))


@every_metric
def test_labels_are_bounded(metric: Metric) -> None:
    assert set(metric.labels) <= BOUNDED


@every_metric
def test_histograms_and_only_they_have_ascending_buckets(metric: Metric) -> None:
    assert (metric.kind == "histogram") == bool(metric.buckets)
    assert sorted(set(metric.buckets)) == list(metric.buckets)


@every_metric
def test_help_is_a_sentence(metric: Metric) -> None:
    assert metric.help.endswith(".") or metric.name == "build_info"


@every_metric
def test_each_metric_can_be_written_and_is_served_under_its_name(metric: Metric) -> None:
    ours = metric in CATALOGUE
    metrics = Metrics() if ours else Reconciled()
    found = getattr(metrics, metric.name)
    child = found.labels(*metric.labels) if metric.labels else found
    {"counter": lambda: child.inc(2), "gauge": lambda: child.set(2)}.get(
        metric.kind, lambda: child.observe(2)
    )()
    prefix = PREFIX if ours else RECONCILED_PREFIX
    wanted = prefix + metric.name + ("_sum" if metric.kind == "histogram" else "")
    labels = dict(zip(metric.labels, metric.labels, strict=True))
    served = [
        sample.value
        for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
        for sample in family.samples
        if sample.name == wanted and sample.labels == labels
    ]
    assert served == [2.0]


def test_build_info_names_the_version() -> None:
    assert Metrics().registry.get_sample_value(
        f"{PREFIX}build_info", {"version": __version__}
    ) == 1.0  # fmt: skip


def test_registries_share_nothing() -> None:
    first, second = Metrics(), Metrics()
    first.rebalances_total.inc()
    assert second.registry.get_sample_value(f"{PREFIX}rebalances_total") == 0.0


def test_the_registry_can_be_given() -> None:
    registry = CollectorRegistry()
    Metrics(registry).rebalances_total.inc()
    assert registry.get_sample_value(f"{PREFIX}rebalances_total") == 1.0


def test_a_name_outside_the_catalogue_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no metric record_total"):
        _ = Metrics().record_total


def test_what_any_process_tells_is_what_its_catalogue_says() -> None:
    served = {
        family.name: family.type
        for family in text_string_to_metric_families(generate_latest(Metrics().registry).decode())
        if family.name.startswith("process_")
    }
    wanted = {m.name.removesuffix("_total"): m.kind for m in PROCESS}
    assert served == wanted


def test_what_is_reconciled_is_written_as_a_file_at_once(tmp_path: Path) -> None:
    metrics = Reconciled()
    metrics.unexplained_offsets.labels("t").set(3)
    metrics.write(tmp_path / "audit.prom")
    text = (tmp_path / "audit.prom").read_text()
    assert 'audit_reconciled_unexplained_offsets{topic="t"} 3.0' in text
    assert list(tmp_path.iterdir()) == [tmp_path / "audit.prom"]


def test_topics_start_all_that_is_counted_by_topic_alone() -> None:
    metrics = Metrics()
    metrics.start_topics(["t"], ["archived"])
    counted = [m for m in CATALOGUE if m.kind == "counter" and m.labels == ("topic",)]
    assert counted
    for metric in counted:
        sample = metrics.registry.get_sample_value(PREFIX + metric.name, {"topic": "t"})
        assert sample == 0.0, metric.name
