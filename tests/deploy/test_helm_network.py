"""The chart's network policies: everything is denied but what settings and probes need."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from audit_stream.settings import Settings
from tests.support.helm import (
    CASES,
    Object,
    Pod,
    Rendered,
    case,
    changed,
    environment,
    pod,
    pods,
    rendered,
    selects,
    settings_of,
)

GUARDED = tuple(name for name in CASES if name != "demo")  # which switches them off
every_case = pytest.mark.parametrize("name", GUARDED)
WITHOUT_STORES = {"topics"}


def policies(found: Rendered, each: Pod) -> list[Object]:
    """The specs of the policies that take a pod."""
    specs = [policy["spec"] for policy in found.kind("NetworkPolicy")]
    return [spec for spec in specs if selects(spec["podSelector"], each.labels)]


def ports(rules: list[Object], each: Pod) -> set[int]:
    """Numbers of TCP ports that rules open, by name or number."""
    named = {p["name"]: p["containerPort"] for c in each.containers for p in c.get("ports", [])}
    opened = [port for rule in rules for port in rule["ports"] if port["protocol"] == "TCP"]
    return {named.get(port["port"], port["port"]) for port in opened}


def rules(found: Rendered, each: Pod, way: str) -> list[Object]:
    return [rule for spec in policies(found, each) for rule in spec.get(way, [])]


def needed(found: Settings, each: Pod) -> Iterator[int]:
    """Ports that a process talks to, by what its settings say."""
    urls = [found.azure_endpoint, found.s3_endpoint, found.keyring_vault, found.gateway_jwks]
    urls += [found.azure_management if found.azure_subscription else None, found.delivery_url]
    for text in filter(None, urls if each.component not in WITHOUT_STORES else []):
        url = urlsplit(text)
        yield url.port or {"https": 443, "http": 80}[url.scheme]
    for witness in found.anchor_witnesses:
        yield urlsplit(str(witness).rpartition("@")[2]).port or 443
    # Everybody: alarms go to a topic, too.
    yield from (int(server.rpartition(":")[2]) for server in found.bootstrap_servers)


@every_case
def test_every_pod_is_denied_everything_but_names_at_first(name: str) -> None:
    found = case(name)
    default = found.named("NetworkPolicy", _default(found))["spec"]
    assert default["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in default
    assert {port["port"] for rule in default["egress"] for port in rule["ports"]} == {53}
    assert all(rule["to"] for rule in default["egress"])
    for each in pods(found):
        assert default in policies(found, each)
        assert len(policies(found, each)) == 2  # and its own


def _default(found: Rendered) -> str:
    names = [each["metadata"]["name"] for each in found.kind("NetworkPolicy")]
    return next(name for name in names if name.endswith("-default"))


@every_case
def test_every_port_that_listens_is_open_to_somebody_and_no_other(name: str) -> None:
    found = case(name)
    for each in pods(found):
        listening = {p["containerPort"] for c in each.containers for p in c.get("ports", [])}
        assert ports(rules(found, each, "ingress"), each) == listening


@every_case
def test_a_process_reaches_what_its_settings_name(name: str) -> None:
    found = case(name)
    for each in pods(found):
        opened = ports(rules(found, each, "egress"), each)
        for container in each.containers if not each.is_test else ():
            assert set(needed(settings_of(container), each)) <= opened, each.component


def test_who_only_makes_topics_reaches_no_store() -> None:
    found = case("everything")
    topics = rules(found, pod(found, "topics"), "egress")
    assert {port["port"] for rule in topics for port in rule["ports"]} == {53, 9093, 9194, 8200}


def test_what_the_hook_may_reach_is_there_before_it_runs() -> None:
    """It runs before everything else of an upgrade, by then against another broker's port."""
    found = case("everything")
    name = pod(found, "topics").owner["metadata"]["name"]
    hooks = [
        found.named(kind, name)["metadata"]["annotations"] for kind in ("NetworkPolicy", "Job")
    ]
    policy, job = hooks
    assert policy["helm.sh/hook"] == job["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert int(policy["helm.sh/hook-weight"]) < int(job.get("helm.sh/hook-weight", 0))
    assert "hook-succeeded" not in policy["helm.sh/hook-delete-policy"]
    others = [each for each in found.kind("NetworkPolicy") if each["metadata"]["name"] != name]
    assert not any("annotations" in each["metadata"] for each in others)
    # At the first installation no other policy is there yet, and the broker has a name.
    alone = found.named("NetworkPolicy", name)["spec"]["egress"]
    assert {port["port"] for rule in alone for port in rule["ports"]} >= {53, 9093}


def test_receivers_are_reached_by_who_speaks_to_them_alone() -> None:
    found = case("everything")
    reach = {
        each.component
        for each in pods(found)
        for rule in rules(found, each, "egress")
        if {"ipBlock": {"cidr": "192.0.2.0/24"}} in rule.get("to", [])
    }
    assert reach == {"deliverer-siem", "deliverer-lake", "keeper"}


def test_the_machines_identity_is_asked_where_it_is_meant_to_be() -> None:
    block = {"ipBlock": {"cidr": "169.254.169.254/32"}}
    for name, wanted in [("minimal", True), ("azure", False)]:
        found = case(name)
        worker = pod(found, "worker")
        asked = [rule for rule in rules(found, worker, "egress") if block in rule.get("to", [])]
        assert bool(asked) is wanted


def test_metrics_are_for_prometheus_and_the_api_for_its_callers() -> None:
    found = case("everything")
    gateway = pod(found, "gateway")
    metrics, api = rules(found, gateway, "ingress")
    spaces = [rule["namespaceSelector"]["matchLabels"] for rule in metrics["from"][:1]]
    assert spaces == [{"kubernetes.io/metadata.name": "monitoring"}]
    (caller,) = api["from"]
    assert caller["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "ingress"}


def test_helm_test_reaches_what_it_asks() -> None:
    found = case("everything")
    test = pod(found, "test")
    asked = {
        int(word.rpartition(":")[2]) for word in test.containers[0]["args"] if ".svc:" in word
    }  # fmt: skip
    assert asked <= ports(rules(found, test, "egress"), test)
    for each in pods(found):
        if each.owner["kind"] in {"StatefulSet", "Deployment"}:
            peers = [peer for rule in rules(found, each, "ingress") for peer in rule["from"]]
            mine = [peer["podSelector"] for peer in peers if "podSelector" in peer]
            assert any(selects(selector, test.labels) for selector in mine)


def test_brokers_ports_are_those_of_the_setting() -> None:
    found = rendered(changed("minimal", "settings.broker", "kafka://a:9092,b:19092"))
    worker = pod(found, "worker")
    assert {9092, 19092} <= ports(rules(found, worker, "egress"), worker)
    assert environment(worker.containers[0])["AUDIT_BROKER"] == "kafka://a:9092,b:19092"


def test_they_can_be_left_to_somebody_else() -> None:
    assert case("demo").kind("NetworkPolicy") == []
    assert "are open to every pod" in case("demo").texts["NOTES.txt"]
