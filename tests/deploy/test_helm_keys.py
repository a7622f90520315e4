"""Secrets, keys and identities of the chart's pods."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from pydantic import SecretStr

from audit_stream.settings import Settings, env_name
from tests.support.aws import plan as aws
from tests.support.helm import (
    CASES,
    case,
    environment,
    mount_of,
    pod,
    pods,
    processes,
    rendered,
    settings_of,
    values_of,
)

SECRETS = {
    env_name(name)
    for name, field in Settings.model_fields.items()
    if SecretStr in {field.annotation, *getattr(field.annotation, "__args__", ())}
}
#: Whose view of the keyring each component has; None: no secret of it at all.
VIEWS = {
    "worker": "worker", "notary": "notary", "gateway": "gateway", "mirror": "gateway",
    "keeper": "whole", "holder": "whole", "disposal": "whole", "topics": None,
    "deliverer-siem": "gateway", "deliverer-lake": None,
}  # fmt: skip
every_case = pytest.mark.parametrize("name", CASES)


@every_case
def test_no_secret_is_in_the_environment(name: str) -> None:
    for each, container in processes(name):
        assert not SECRETS & {entry["name"] for entry in container["env"]}
        assert "envFrom" not in container
        assert all("secretKeyRef" not in entry.get("valueFrom", {}) for entry in container["env"])
        assert "AccountKey" not in str(each.template)


@every_case
def test_every_file_of_the_settings_is_mounted_under_its_name(name: str) -> None:
    for each, container in processes(name):
        given = PurePosixPath("/etc/audit-stream")
        files = {
            PurePosixPath(v) for v in environment(container).values() if v.startswith(str(given))
        }
        volumes = each.volumes()
        for file in files:
            mount = mount_of(container, file)
            source = volumes[mount["name"]]
            (item,) = (source.get("secret") or source["configMap"])["items"]
            assert PurePosixPath(mount["mountPath"]) / item["path"] == file
            assert mount["readOnly"] is True
            assert "subPath" not in mount  # it would never see a secret that rotates
        mounted = {m["mountPath"] for m in container["volumeMounts"] if "/etc/" in m["mountPath"]}
        assert mounted == {str(file.parent) for file in files}


@every_case
def test_secrets_are_readable_by_the_pod_alone(name: str) -> None:
    for each in pods(case(name)):
        for volume in each.spec.get("volumes", []):
            if "secret" in volume:
                assert (
                    volume["secret"]["defaultMode"] == 0o440
                )  # root's, of our group: keys/modes.py


@every_case
def test_a_role_has_its_view_of_the_keyring_and_no_other(name: str) -> None:
    for each, container in processes(name):
        view, volumes = VIEWS[each.component], each.volumes()
        if view is None:
            assert "keys" not in volumes
            assert "AUDIT_KEYRING" not in environment(container)
            continue
        found = settings_of(container)
        mount = mount_of(container, PurePosixPath(found.keyring))
        source = volumes[mount["name"]]
        if view == "whole":
            assert "persistentVolumeClaim" in source
            assert not mount.get("readOnly")
            assert found.keyring.parent.name == "whole"
            views = [PurePosixPath(path) for path in found.keyring_views]
            assert bool(views) is (each.component != "holder")  # it moves no keyring on
            assert all(mount_of(container, path) == mount for path in views)
            continue
        assert mount["readOnly"] is True
        assert found.keyring_views == ()
        if "secret" in source:
            assert source["secret"]["secretName"] == f"audit-keyring-{view}"
            assert "subPath" not in mount  # a new epoch must be seen
        else:
            assert mount["subPath"] == view


def test_views_lie_where_the_keeper_brings_them_up_to_date() -> None:
    found = case("azure")
    keeper = pod(found, "keeper")
    views = settings_of(keeper.containers[0]).keyring_views
    root = mount_of(keeper.containers[0], PurePosixPath(views[0]))["mountPath"]
    kept = {str(PurePosixPath(view).relative_to(root).parent) for view in views}
    shared = {
        mount["subPath"]
        for each in pods(found)
        for container in each.containers
        for mount in container.get("volumeMounts", [])
        if mount["name"] == "keys" and "subPath" in mount
    }
    assert kept == shared == {"worker", "notary", "gateway"}


def test_a_deliverer_without_personal_fields_needs_public_keys_only() -> None:
    (container,) = pod(case("everything"), "deliverer-lake").containers
    found = settings_of(container)
    assert found.delivery_fields == ()
    assert str(found.delivery_public_keys).endswith("public.txt")


def test_who_each_pod_is_to_the_cloud() -> None:
    found = case("azure")
    accounts = {each["metadata"]["name"]: each["metadata"] for each in found.kind("ServiceAccount")}
    for part, number in [("worker", 1), ("notary", 1), ("gateway", 2), ("keeper", 3),
                         ("disposal", 4), ("holder", 5), ("deliverer-lake", 6)]:  # fmt: skip
        each = pod(found, part)
        annotations = accounts[each.spec["serviceAccountName"]]["annotations"]
        assert annotations["azure.workload.identity/client-id"].startswith(str(number) * 8)
        assert each.labels["azure.workload.identity/use"] == "true"
    assert all(
        each["automountServiceAccountToken"] is False for each in found.kind("ServiceAccount")
    )
    assert pod(case("everything"), "worker").spec["serviceAccountName"] == "audit-worker"


def test_the_roles_of_aws_trust_the_accounts_of_a_release_of_the_charts_name() -> None:
    found = rendered(values_of("azure"), name="audit-stream", namespace="audit-stream")
    made = {each["metadata"]["name"] for each in found.kind("ServiceAccount")}
    roles = aws().resources["aws_iam_role.this"]
    trusted = {
        name
        for role in roles.values()
        for name in re.findall(r"serviceaccount:audit-stream:([\w-]+)", role["assume_role_policy"])
    }
    assert made == trusted


def test_the_workers_account_can_be_the_mirrors() -> None:
    values = values_of("everything")
    values["serviceAccounts"] = {"mirror": {"name": "demo-audit-worker"}}
    found = rendered(values)
    assert pod(found, "mirror").spec["serviceAccountName"] == "demo-audit-worker"
    assert [each for each in found.kind("ServiceAccount")
            if each["metadata"]["name"] in ("demo-audit-worker", "demo-audit-mirror")
            ] == [found.named("ServiceAccount", "demo-audit-worker")]  # fmt: skip
