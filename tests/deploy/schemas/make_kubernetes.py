"""Make `kubernetes/` anew: `python make_kubernetes.py VALIDATE KEDA OPERATOR`.

VALIDATE is an unpacked wheel of kubernetes-validate, KEDA and OPERATOR are unpacked modules
github.com/kedacore/keda/v2 and github.com/prometheus-operator/prometheus-operator. Only the kinds
that the chart renders, for the oldest and the newest Kubernetes it is for, without descriptions. In
what comes of a CRD, as in the strict schemas of Kubernetes, a property that is not named is wrong.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

VERSIONS = ("1.29.0", "1.37.0")
KINDS = (
    "configmap-v1", "cronjob-batch-v1", "deployment-apps-v1", "ingress-networking-v1",
    "job-batch-v1", "networkpolicy-networking-v1", "pod-v1", "poddisruptionbudget-policy-v1",
    "service-v1", "serviceaccount-v1", "statefulset-apps-v1",
)  # fmt: skip
CRDS = {
    "scaledobject-keda-v1alpha1": "config/crd/bases/keda.sh_scaledobjects.yaml",
    "triggerauthentication-keda-v1alpha1": "config/crd/bases/keda.sh_triggerauthentications.yaml",
    "prometheusrule-monitoring-v1": "example/prometheus-operator-crd/"
    "monitoring.coreos.com_prometheusrules.yaml",
    "servicemonitor-monitoring-v1": "example/prometheus-operator-crd/"
    "monitoring.coreos.com_servicemonitors.yaml",
}
TARGET = Path(__file__).parent / "kubernetes"
_FAR, _HERE = "/api/_definitions.json#/$defs/", "definitions.json#/$defs/"
_DROPPED = {"$id", "description", "format", "x-kubernetes-group-version-kind"}


def bare(node: Any, *, names: bool = False) -> Any:
    """Without what does not judge; `names`: the keys are properties and none of them goes."""
    if isinstance(node, list):
        return [bare(each) for each in node]
    if not isinstance(node, dict):
        return node.replace(_FAR, _HERE) if isinstance(node, str) else node
    return {
        key: bare(value, names=key in {"properties", "$defs"} and not names)
        for key, value in node.items()
        if names or key not in _DROPPED
    }


def referred(node: Any) -> Iterator[str]:
    """The definitions that a schema refers to."""
    if isinstance(node, list):
        for each in node:
            yield from referred(each)
    elif isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].removeprefix(_HERE).removeprefix("#/$defs/")
        for each in node.values():
            yield from referred(each)


def write_version(source: Path, version: str) -> None:
    """Its kinds, and the definitions they need."""
    folder = source / "kubernetes-json-schema" / f"v{version}-local-strict"
    known = json.loads((folder / "_definitions.json").read_text("utf-8"))["$defs"]
    needed: dict[str, Any] = {}
    kinds = {kind: bare(json.loads((folder / f"{kind}.json").read_text("utf-8"))) for kind in KINDS}
    todo = [name for kind in kinds.values() for name in referred(kind)]
    while todo:
        if (name := todo.pop()) not in needed:
            needed[name] = bare(known[name])
            todo.extend(referred(needed[name]))
    for kind, schema in kinds.items():
        write(version, kind, schema)
    write(version, "definitions", {"$defs": dict(sorted(needed.items()))})


def strict(node: Any) -> Any:
    """A CRD's schema in which what is not named is wrong."""
    if isinstance(node, list):
        return [strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {key: strict(value) for key, value in node.items()}
    if isinstance(found.get("properties"), dict) and node.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


def crd(path: Path) -> dict[str, Any]:
    """The schema of a CRD's one version; metadata is judged elsewhere."""
    (version,) = yaml.safe_load(path.read_text("utf-8"))["spec"]["versions"]
    schema = strict(bare(version["schema"]["openAPIV3Schema"]))
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def write(version: str, name: str, schema: Any) -> None:
    """As one line."""
    folder = TARGET / version
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(schema, sort_keys=True, separators=(",", ":"))
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    validate, *modules = map(Path, sys.argv[1:])
    shutil.rmtree(TARGET, ignore_errors=True)
    for each in VERSIONS:
        write_version(validate, each)
    for name, file in CRDS.items():
        (found,) = (module / file for module in modules if (module / file).exists())
        write("crds", name, crd(found))
