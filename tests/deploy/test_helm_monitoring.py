"""Monitors, rules, dashboard and scaling of the chart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.support.helm import CHART, case, changed, pod, pods, rendered, selects, settings_of
from tests.support.image import ROOT
from tests.support.prometheus import RULES, run, tool

MONITORING = ROOT / "deploy" / "monitoring"
FOUND = "everything"


def test_rules_and_dashboard_have_one_home() -> None:
    homes = {
        "rules.yaml": RULES,
        "dashboard.json": MONITORING / "grafana" / "dashboards" / "audit_stream.json",
    }
    for name, home in homes.items():
        link = CHART / "files" / name
        assert link.is_symlink()
        assert link.resolve() == home


def test_the_rules_are_ours_but_for_the_runbooks(tmp_path: Path) -> None:
    (rule,) = case("s3").kind("PrometheusRule")
    ours = RULES.read_text("utf-8")
    there = ours.replace(
        "{{ $externalLabels.runbooks }}", "https://wiki.example/audit-stream/runbooks"
    )
    assert there != ours
    assert rule["spec"] == yaml.safe_load(there)
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(rule["spec"]), encoding="utf-8")
    assert "SUCCESS" in run(tool("promtool"), "check", "rules", str(file))


def test_the_dashboard_is_ours_but_for_the_runbooks() -> None:
    found = case(FOUND).named("ConfigMap", "demo-audit-dashboard")
    home = (CHART / "files" / "dashboard.json").read_text("utf-8")
    assert found["data"]["audit_stream.json"] == home
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    other = rendered(changed(FOUND, "monitoring.runbooks", "https://wiki.example/books/"))
    text = other.named("ConfigMap", "demo-audit-dashboard")["data"]["audit_stream.json"]
    assert text == home.replace(
        "https://runbooks.example/audit-stream", "https://wiki.example/books"
    )
    assert text != home


def test_every_process_that_has_metrics_is_scraped_under_the_name_its_alerts_know() -> None:
    found, jobs = case(FOUND), dict[str, set[str]]()
    for monitor in found.kind("ServiceMonitor"):
        (service,) = [
            each for each in found.kind("Service")
            if selects(monitor["spec"]["selector"], each["metadata"]["labels"])
        ]  # fmt: skip
        ports = {port["name"] for port in service["spec"]["ports"]}
        assert {each["port"] for each in monitor["spec"]["endpoints"]} == ports
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
        assert monitor["spec"]["namespaceSelector"]["matchNames"] == ["audit"]
        for each in monitor["spec"]["endpoints"]:
            (relabel,) = each["relabelings"]
            assert relabel["targetLabel"] == "job"
            part = service["spec"]["selector"]["app.kubernetes.io/component"]
            jobs.setdefault(relabel["replacement"], set()).add(part)
    assert jobs == {
        "audit-stream": {"worker"}, "audit-stream-notary": {"notary"},
        "audit-stream-gateway": {"gateway"}, "audit-stream-mirror": {"mirror"},
        "audit-stream-keeper": {"keeper", "holder"},
        "audit-stream-deliverer": {"deliverer-siem", "deliverer-lake"},
    }  # fmt: skip
    named = set(re.findall(r'job="([\w-]+)"', RULES.read_text("utf-8")))
    assert named <= set(jobs)
    probed = {p.component for p in pods(found) for c in p.containers if "livenessProbe" in c}
    assert probed == {part for parts in jobs.values() for part in parts}


def test_nothing_of_the_operators_is_made_unasked() -> None:
    kinds = {each["kind"] for each in case("minimal").objects}
    assert not {"ServiceMonitor", "PrometheusRule", "ScaledObject"} & kinds


def test_workers_are_scaled_by_the_lag_of_every_topic_they_archive() -> None:
    found = case(FOUND)
    (scaled,) = found.kind("ScaledObject")
    worker = pod(found, "worker")
    spec, settings = scaled["spec"], settings_of(worker.containers[0])
    assert spec["scaleTargetRef"]["kind"] == worker.owner["kind"]
    assert spec["scaleTargetRef"]["name"] == worker.owner["metadata"]["name"]
    assert "replicas" not in worker.owner["spec"]  # each upgrade would set it back
    assert 1 <= spec["minReplicaCount"] <= spec["maxReplicaCount"] <= settings.partitions
    archived = {t + "-rekeyed" if t in settings.rekey_topics else t for t in settings.topics}
    triggers = [each["metadata"] for each in spec["triggers"]]
    assert [each["topic"] for each in triggers] == sorted(archived)
    for each in triggers:
        assert each["consumerGroup"] == settings.app_id
        servers = tuple(part.strip() for part in each["bootstrapServers"].split(","))
        assert servers == settings.bootstrap_servers
        assert each["excludePersistentLag"] == "false"
        assert each["ensureEvenDistributionOfPartitions"] == "true"
        assert each["limitToPartitionsWithLag"] == "false"  # KEDA refuses both together
        assert each["allowIdleConsumers"] == "false"
        assert each["lagThreshold"] == "2000000"
        assert (each["tls"], each["sasl"]) == ("enable", "scram_sha256")
        assert all(isinstance(value, str) for value in each.values())


@pytest.mark.parametrize(
    ("mechanism", "sasl"),
    [("PLAIN", "plaintext"), ("SCRAM-SHA-256", "scram_sha256"), ("SCRAM-SHA-512", "scram_sha512")],
)
def test_mechanisms_are_named_as_keda_names_them(mechanism: str, sasl: str) -> None:
    found = rendered(changed(FOUND, "settings.kafka_sasl_mechanism", mechanism))
    (scaled,) = found.kind("ScaledObject")
    assert {each["metadata"]["sasl"] for each in scaled["spec"]["triggers"]} == {sasl}


def test_the_fleet_grows_to_its_partitions_and_shrinks_slowly() -> None:
    values = changed("minimal", "autoscaling.enabled", True)
    (scaled,) = rendered(values).kind("ScaledObject")
    assert scaled["spec"]["maxReplicaCount"] == 8  # the default of AUDIT_PARTITIONS
    behavior = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    (policy,) = behavior["scaleDown"]["policies"]
    assert (policy["value"], policy["periodSeconds"]) == (1, 1800)
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 1800
    assert rendered(values).named("PodDisruptionBudget", "demo-audit-stream-worker")


def test_kedas_login_is_a_secrets() -> None:
    found = case(FOUND)
    (login,) = found.kind("TriggerAuthentication")
    (scaled,) = found.kind("ScaledObject")
    for each in scaled["spec"]["triggers"]:
        assert each["authenticationRef"]["name"] == login["metadata"]["name"]
    named = {each["parameter"]: each["name"] for each in login["spec"]["secretTargetRef"]}
    assert named == {"username": "kafka-keda", "password": "kafka-keda", "ca": "kafka-ca"}
