"""The chart, rendered by Helm's own engine for each of its ci values; no cluster is needed."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from audit_stream.settings import Settings
from tests.support.go_peers import go_peer

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "audit-stream"
CASES = tuple(sorted(path.name.removesuffix("-values.yaml") for path in CHART.glob("ci/*.yaml")))
OLDEST, NEWEST = "1.29.0", "1.37.0"  # of Kubernetes
RELEASE, NAMESPACE = "demo", "audit"
Object = dict[str, Any]


def values_of(case: str) -> dict[str, Any]:
    """A ci file's values."""
    found: dict[str, Any] = yaml.safe_load((CHART / "ci" / f"{case}-values.yaml").read_text())
    return found


def changed(case: str, path: str, value: object) -> dict[str, Any]:
    """A ci file's values with another value at ``a.b.c``; a number is an item of a list."""
    values = copy.deepcopy(values_of(case))
    *way, last = path.split(".")
    place: Any = values
    for step in way:
        place = place[int(step)] if step.isdigit() else place.setdefault(step, {})
    place[int(last) if last.isdigit() else last] = value
    return values


def plan(*asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What Helm says to each question; see tests/peers/helm."""
    questions = [{"name": RELEASE, "namespace": NAMESPACE, "kube": NEWEST} | each for each in asked]
    done = subprocess.run(
        [go_peer("chartplan"), str(CHART)], input=json.dumps(questions), capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


@dataclass(frozen=True)
class Rendered:
    """What one installation would make."""

    texts: Mapping[str, str]
    objects: Sequence[Object]

    def kind(self, *kinds: str) -> list[Object]:
        return [each for each in self.objects if each["kind"] in kinds]

    def named(self, kind: str, name: str) -> Object:
        (found,) = [each for each in self.kind(kind) if each["metadata"]["name"] == name]
        return found


def rendered(values: Mapping[str, Any], **more: Any) -> Rendered:
    """An installation's objects; the test fails when Helm refuses the values."""
    (answer,) = plan({"values": values, **more})
    return _read(answer)


def refusal(values: Mapping[str, Any]) -> str:
    """Why Helm refuses the values; empty when it does not."""
    (answer,) = plan({"values": values})
    return str(answer["error"])


def _read(answer: Mapping[str, Any]) -> Rendered:
    assert answer["error"] == ""
    texts = {k.rpartition("/templates/")[2]: v for k, v in answer["rendered"].items()}
    yamls = (text for name, text in sorted(texts.items()) if name.endswith(".yaml"))
    return Rendered(texts, [each for text in yamls for each in yaml.safe_load_all(text) if each])


@cache
def _all_cases() -> dict[str, Rendered]:
    answers = plan(*({"values": values_of(case)} for case in CASES))
    return {case: _read(answer) for case, answer in zip(CASES, answers, strict=True)}


def case(name: str) -> Rendered:
    """What a ci file's values make."""
    return _all_cases()[name]


@dataclass(frozen=True)
class Pod:
    """A pod template and what it is of."""

    owner: Object
    template: Object

    @property
    def component(self) -> str:
        return str(self.labels["app.kubernetes.io/component"])

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.template["metadata"]["labels"])

    @property
    def spec(self) -> Object:
        return dict(self.template["spec"])

    @property
    def containers(self) -> list[Object]:
        return list(self.spec["containers"])

    @property
    def is_test(self) -> bool:
        return self.component == "test"

    def container(self, name: str) -> Object:
        (found,) = [each for each in self.containers if each["name"] == name]
        return found

    def volumes(self) -> dict[str, Object]:
        """By name; those of claim templates, too."""
        claims = self.owner["spec"].get("volumeClaimTemplates", [])
        found = {each["metadata"]["name"]: {"volumeClaimTemplate": each} for each in claims}
        return {**{each["name"]: each for each in self.spec["volumes"]}, **found}


def pods(found: Rendered) -> Iterator[Pod]:
    """Every pod template, the test's included."""
    for each in found.objects:
        match each["kind"]:
            case "StatefulSet" | "Deployment" | "Job":
                yield Pod(each, each["spec"]["template"])
            case "CronJob":
                yield Pod(each, each["spec"]["jobTemplate"]["spec"]["template"])
            case "Pod":
                yield Pod(each, each)


def pod(found: Rendered, component: str) -> Pod:
    """The pod template of a component."""
    (one,) = [each for each in pods(found) if each.component == component]
    return one


def environment(container: Object) -> dict[str, str]:
    """What the process finds; a field of the pod as its path in braces."""
    return {
        each["name"]: each["value"] if "value" in each else f"{{{_field(each)}}}"
        for each in container.get("env", [])
    }


def _field(each: Object) -> str:
    return str(each["valueFrom"]["fieldRef"]["fieldPath"])


def settings_of(container: Object) -> Settings:
    """The settings as the program reads them from the container's environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AUDIT_")]:
            patch.delenv(name)
        for name, value in environment(container).items():
            patch.setenv(name, value)
        return Settings.load()


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector (matchLabels, or the map of a Service) takes a pod."""
    wanted = selector.get("matchLabels", selector)
    assert set(selector) <= {"matchLabels"} or "matchLabels" not in selector
    return dict(wanted).items() <= dict(labels).items()


def processes(name: str) -> Iterator[tuple[Pod, Object]]:
    """Each container of ours, but the test's."""
    for each in pods(case(name)):
        for container in each.containers if not each.is_test else ():
            yield each, container


def mount_of(container: Object, path: PurePosixPath) -> Object:
    """The innermost mount that has a path."""
    found = [m for m in container["volumeMounts"] if path.is_relative_to(m["mountPath"])]
    assert found, f"nothing is mounted for {path}"
    return max(found, key=lambda mount: len(mount["mountPath"]))
