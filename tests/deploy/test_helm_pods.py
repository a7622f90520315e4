"""What runs in the chart's pods: settings, folders, rights, probes; each component of each case."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath
from typing import Any, cast

import pytest

from audit_stream.cli.main import main
from audit_stream.settings import Settings, env_name
from tests.support.helm import (
    CASES,
    case,
    environment,
    mount_of,
    pod,
    pods,
    processes,
    settings_of,
)
from tests.support.image import read

KNOWN = {env_name(name) for name in Settings.model_fields}
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
every_case = pytest.mark.parametrize("name", CASES)


@every_case
def test_every_variable_is_a_setting_and_valid(name: str) -> None:
    for _, container in processes(name):
        names = [entry["name"] for entry in container["env"]]
        assert len(set(names)) == len(names)
        assert {name for name in names if name.startswith("AUDIT_")} <= KNOWN
        found = settings_of(container)
        assert found.archive != found.subjects
        assert found.log_format == ("console" if name == "demo" else "json")


@every_case
def test_what_the_program_writes_lies_on_a_volume(name: str) -> None:
    for each, container in processes(name):
        found, volumes = settings_of(container), each.volumes()
        written = {
            "worker": [found.state_dir],
            "gateway": [found.index_dir, found.answer_keys, found.journal_dir],
            "deliverer": [] if found.delivery_positions else [found.state_dir / "delivery"],
        }.get(container["name"], [])
        if found.archive.startswith("file:"):
            written += [found.archive_path, found.subjects_path]
        for path in written:
            mount = mount_of(container, PurePosixPath(path))
            assert not mount.get("readOnly")
            assert {"emptyDir", "volumeClaimTemplate", "persistentVolumeClaim"} & set(
                volumes[mount["name"]]
            )


def test_what_is_no_cache_lies_on_a_claim_of_its_own() -> None:
    for name in CASES:
        gateway = pod(case(name), "gateway")
        container = gateway.container("gateway")
        found = settings_of(container)
        kept = [found.answer_keys, found.journal_dir]
        if "gateway_tokens" not in str(container["volumeMounts"]):
            kept.append(found.gateway_tokens)
        for path in kept:
            if not str(path).startswith("/etc/audit-stream"):
                mount = mount_of(container, PurePosixPath(path))
                assert "volumeClaimTemplate" in gateway.volumes()[mount["name"]]
        assert "persistentVolumeClaimRetentionPolicy" not in gateway.owner["spec"]
    lake = pod(case("everything"), "deliverer-lake")
    assert "volumeClaimTemplate" in lake.volumes()["state"]


@every_case
def test_volumes_and_mounts_are_the_same(name: str) -> None:
    for each in pods(case(name)):
        if each.is_test:
            assert not {"volumes", "volumeMounts"} & {*each.spec, *each.containers[0]}
            continue
        names = [volume["name"] for volume in each.spec["volumes"]]
        assert len(set(names)) == len(names)
        assert all(len(name) <= 63 for name in each.volumes())
        for container in each.containers:
            paths = [mount["mountPath"] for mount in container["volumeMounts"]]
            assert len(set(paths)) == len(paths)
            assert {mount["name"] for mount in container["volumeMounts"]} == set(each.volumes())


@every_case
def test_nothing_has_more_rights_than_it_needs(name: str) -> None:
    for each in pods(case(name)):
        spec, (user, group) = each.spec, read()[1][-1].last("USER").text.split(":")
        assert spec["automountServiceAccountToken"] is False
        # A Service named audit-gateway would set AUDIT_GATEWAY_PORT to tcp://….
        assert spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers", "initContainers"} & set(spec)
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert (context["runAsUser"], context["runAsGroup"]) == (int(user), int(group))
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        if not each.is_test:
            assert context["fsGroup"] == int(group)
            # Done at each start it would make keys readable to the group, and their program refuse.
            assert context["fsGroupChangePolicy"] == "OnRootMismatch"
        for container in each.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip
            assert container["resources"]["limits"]["memory"]
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}


def test_a_workers_name_in_the_group_is_its_pods() -> None:
    for name in CASES:
        worker = pod(case(name), "worker")
        assert environment(worker.containers[0])["AUDIT_INSTANCE_ID"] == "{metadata.name}"
        assert worker.owner["spec"]["podManagementPolicy"] == "Parallel"
        others = [each for each in pods(case(name)) if each.component != "worker"]
        assert all("AUDIT_INSTANCE_ID" not in environment(c) for p in others for c in p.containers)


@every_case
def test_ports_and_probes_are_those_of_the_process(name: str) -> None:
    for each, container in processes(name):
        found = settings_of(container)
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        if each.owner["kind"] in {"Job", "CronJob"}:
            assert not ports
            assert not set(PROBES) & set(container)
            continue
        assert found.web_host == "0.0.0.0"
        probes = {name: container[name]["httpGet"] for name in PROBES}
        assert {ports[probe["port"]] for probe in probes.values()} == {found.web_port}
        assert [probes[name]["path"] for name in PROBES] == ["/healthz", "/healthz", "/readyz"]
        if each.component == "gateway":
            assert ports["api"] == found.gateway_port
            assert found.gateway_host == "0.0.0.0"


@every_case
def test_no_probe_is_faster_than_the_program_itself(name: str) -> None:
    for _, container in processes(name):
        if "livenessProbe" not in container:
            continue
        found, alive = settings_of(container), container["livenessProbe"]
        # The watchdog ends a loop that stands, with last words, before a probe would without.
        assert alive["periodSeconds"] * alive["failureThreshold"] > found.stall_seconds
        begin = container["startupProbe"]
        assert begin["periodSeconds"] * begin["failureThreshold"] >= 300


@every_case
def test_a_pod_has_the_time_to_stop(name: str) -> None:
    for each, container in processes(name):
        found, grace = settings_of(container), each.spec["terminationGracePeriodSeconds"]
        assert grace >= found.shutdown_seconds + 20
        assert grace > min(found.segment_max_seconds, 30)


@every_case
def test_the_command_is_one_of_ours(name: str) -> None:
    for _, container in processes(name):
        assert "command" not in container  # the image's entry point
        command, words = cast("Any", main), list(container["args"])
        while hasattr(command, "get_command"):
            command = command.get_command(command.make_context("", [], resilient_parsing=True),
                                          words.pop(0))  # fmt: skip
            assert command is not None, shlex.join(container["args"])
        command.make_context(command.name, words)  # an option that there is not is an error


def test_services_and_their_ports_lead_to_the_process() -> None:
    for name in CASES:
        found = case(name)
        for service in found.kind("Service"):
            part = service["spec"]["selector"]["app.kubernetes.io/component"]
            named = {
                port["name"]: port["containerPort"]
                for container in pod(found, part).containers
                for port in container["ports"]
            }
            targets = [port["targetPort"] for port in service["spec"]["ports"]]
            assert set(targets) <= set(named)
            if service["spec"].get("clusterIP") == "None":
                assert set(targets) == set(named) - {"api"}


@pytest.mark.parametrize("name", ["minimal", "everything"])
def test_the_gateways_port_is_named_for_what_it_speaks(name: str) -> None:
    (api,) = [
        each for each in case(name).kind("Service") if each["metadata"]["name"].endswith("api")
    ]
    (port,) = api["spec"]["ports"]
    found = settings_of(pod(case(name), "gateway").containers[0])
    assert port["name"] == ("http" if found.gateway_tls_cert is None else "https")
    assert port["targetPort"] == "api"
    for each in case(name).kind("Ingress"):
        (rule,) = each["spec"]["rules"]
        (path,) = rule["http"]["paths"]
        assert path["backend"]["service"]["port"]["name"] == port["name"]
        assert path["backend"]["service"]["name"] == api["metadata"]["name"]
        assert each["spec"]["tls"][0]["hosts"] == [rule["host"]]


def test_state_may_be_kept_or_rebuilt() -> None:
    kept, rebuilt = pod(case("azure"), "worker"), pod(case("s3"), "worker")
    assert "volumeClaimTemplate" in kept.volumes()["state"]
    assert kept.owner["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] == "Retain"
    assert rebuilt.volumes()["state"]["emptyDir"] == {"sizeLimit": "30Gi"}
    assert "volumeClaimTemplates" not in rebuilt.owner["spec"]


@pytest.mark.parametrize("name", ["azure", "everything"])
def test_who_erases_cannot_lift_a_hold(name: str) -> None:
    """Each has an identity of its own; both work on the one keyring."""
    found = case(name)
    keeper, holder = pod(found, "keeper"), pod(found, "holder")
    [erasures], [holds] = keeper.containers, holder.containers
    assert erasures["args"][:2] == ["redact", "run"]
    assert holds["args"][:2] == ["hold", "run"]
    accounts = {keeper.spec["serviceAccountName"], holder.spec["serviceAccountName"]}
    assert len(accounts) == 2
    claims = [
        [volume for volume in one.spec["volumes"] if volume["name"] == "keys"]
        for one in (keeper, holder)
    ]
    assert claims[0] == claims[1] != []
