"""The chart: accepted by Helm's linter and by the schemas of Kubernetes, and whole in itself."""

from __future__ import annotations

import itertools
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.go_peers import go_peer
from tests.support.helm import (
    CASES,
    CHART,
    NEWEST,
    OLDEST,
    Rendered,
    case,
    changed,
    plan,
    pods,
    rendered,
    selects,
    values_of,
)
from tests.support.image import ROOT, read

SCHEMAS = ROOT / "tests" / "deploy" / "schemas" / "kubernetes"
WORKLOADS = ("StatefulSet", "Deployment")
every_case = pytest.mark.parametrize("name", CASES)


def conforms(found: Rendered, folder: Path, kube: str) -> tuple[bool, str]:
    """Whether each object fits its kind's strict schema, and what kubeconform says."""
    for name, text in found.texts.items():
        if name.endswith(".yaml"):
            (folder / name.replace("/", "-")).write_text(text, encoding="utf-8")
    file = "{{.ResourceKind}}{{.KindSuffix}}.json"
    places = [f"--schema-location={SCHEMAS / part / file}" for part in (kube, "crds")]
    done = subprocess.run(
        [go_peer("kubeconform"), "-strict", "-verbose", *places, str(folder)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode == 0, done.stdout + done.stderr


def test_the_linter_finds_nothing() -> None:
    for answer in plan(*({"values": values_of(each), "lint": True} for each in CASES)):
        assert answer["error"] == ""
        assert answer["lint"] == ["[INFO] Chart.yaml: icon is recommended"]


@every_case
@pytest.mark.parametrize("kube", [OLDEST, NEWEST])
def test_every_object_fits_its_kind(name: str, kube: str, tmp_path: Path) -> None:
    found = case(name)
    good, said = conforms(found, tmp_path, kube)
    assert good, said
    assert len(re.findall(r" is valid$", said, re.M)) == len(found.objects)


@pytest.mark.parametrize(
    ("good", "bad"),
    [("podManagementPolicy: Parallel", "podManagement: Parallel"),
     ("terminationGracePeriodSeconds: 45", "terminationGracePeriodSeconds: long"),
     ("  serviceName: ", "  nameOfService: "),
     ("maxUnavailable: 1", "maxUnavailable: [1]"),
     ("      containers:", "      container:")],
)  # fmt: skip
def test_the_schemas_notice(good: str, bad: str, tmp_path: Path) -> None:
    found = case("minimal")
    texts = {name: text.replace(good, bad) for name, text in found.texts.items()}
    assert texts != dict(found.texts)
    assert not conforms(Rendered(texts, found.objects), tmp_path, NEWEST)[0]


def test_no_kubernetes_older_than_said_is_taken() -> None:
    wanted = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
    assert wanted == f">={OLDEST}-0"
    asked = [{"values": values_of("minimal"), "kube": kube} for kube in ("1.28.9", OLDEST)]
    old, new = plan(*asked)
    assert "wants Kubernetes" in old["error"]
    assert new["error"] == ""


def test_the_chart_is_of_the_images_version() -> None:
    _, stages = read()
    version = stages[-1].last("LABEL").pairs["org.opencontainers.image.version"]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == version


@every_case
def test_objects_have_names_of_their_own_and_the_releases_labels(name: str) -> None:
    seen = [(each["kind"], each["metadata"]["name"]) for each in case(name).objects]
    assert len(set(seen)) == len(seen)
    for each in case(name).objects:
        assert each["metadata"]["namespace"] == "audit"
        assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == "demo"
        assert each["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"


@every_case
def test_selectors_take_the_pods_they_are_for_and_no_others(name: str) -> None:
    found = case(name)
    everybody = list(pods(found))
    for each in found.kind(*WORKLOADS):
        chosen = [pod for pod in everybody if selects(each["spec"]["selector"], pod.labels)]
        assert [pod.owner for pod in chosen] == [each]
    for each in found.kind("PodDisruptionBudget", "Service"):
        chosen = [pod for pod in everybody if selects(each["spec"]["selector"], pod.labels)]
        assert [pod.owner["kind"] in WORKLOADS for pod in chosen] == [True]


@every_case
def test_pods_of_a_stateful_set_have_their_service(name: str) -> None:
    found = case(name)
    for each in found.kind("StatefulSet"):
        service = found.named("Service", each["spec"]["serviceName"])
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["selector"] == each["spec"]["selector"]["matchLabels"]


def test_a_new_chart_version_alone_restarts_nothing() -> None:
    for each in pods(case("everything")):
        if not each.is_test:
            assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(each.labels)


def test_what_is_several_times_there_is_drained_one_by_one() -> None:
    found = case("everything")
    names = {each["metadata"]["name"] for each in found.kind("PodDisruptionBudget")}
    assert names == {f"demo-audit-{part}" for part in ("worker", "notary", "gateway")}
    assert all(each["spec"]["maxUnavailable"] == 1 for each in found.kind("PodDisruptionBudget"))
    # Of one that is alone it would say nothing; minAvailable would hold every drain up for ever.
    assert case("demo").kind("PodDisruptionBudget") == []


def test_who_must_be_alone_is() -> None:
    found = case("everything")
    for part in ("deliverer-siem", "deliverer-lake", "mirror", "keeper", "holder"):
        each = found.named("StatefulSet", f"demo-audit-{part}")
        assert each["spec"]["replicas"] == 1


def test_two_releases_share_no_name() -> None:
    one, two = (rendered(values_of("demo"), name=name) for name in ("one", "two"))
    names = [{each["metadata"]["name"] for each in found.objects} for found in (one, two)]
    assert not names[0] & names[1]


def test_names_stay_short_enough_for_host_names() -> None:
    found = rendered(changed("everything", "nameOverride", "a" * 60), name="b" * 53)
    for each, pod in itertools.product(found.kind("StatefulSet"), ["-10000"]):
        assert len(each["metadata"]["name"] + pod) <= 63
    for each in found.objects:
        assert len(each["metadata"]["name"]) <= 63


@every_case
def test_notes_say_where_everything_is(name: str) -> None:
    notes = case(name).texts["NOTES.txt"]
    assert case(name).kind("StatefulSet")[0]["metadata"]["name"].rpartition("-")[0] in notes
    assert ("never write-once" in notes) == (name == "demo")
    assert ("no pod of this release" in notes) == (name not in {"azure", "everything"})
