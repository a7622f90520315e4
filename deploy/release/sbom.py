"""The software bill of materials, CycloneDX 1.6: what an installation with every extra for
production has, in the versions of constraints.txt.

Which packages these are say the distributions installed here; no clock and no random number is in
it, so that a rebuild gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.release.packages import pinned
from deploy.release.source import Commit

NAME = "audit-stream"
EXTRAS = ("anchors", "azure", "gateway", "s3", "vault")


def sbom(version: str, commit: Commit) -> str:
    """The document. Raises LookupError for a package that constraints.txt does not pin, and
    PackageNotFoundError for one that is not installed."""
    graph = dependencies()
    root = f"pkg:pypi/{NAME}@{version}"
    refs = {name: f"pkg:pypi/{name}@{_version(name)}" for name in graph if name != NAME}
    known = refs | {NAME: root}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, f'{root}#{commit.id}')}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(commit.seconds, UTC).isoformat(),
            "component": _component("application", NAME, version, root),
        },
        "components": [_component("library", name, _version(name), ref)
                       for name, ref in sorted(refs.items())],
        "dependencies": [{"ref": known[name], "dependsOn": sorted(known[one] for one in needs)}
                         for name, needs in sorted(graph.items())],
    }  # fmt: skip
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def dependencies() -> dict[str, set[str]]:
    """Each package to those that it needs, from ours on, by their normal names."""
    graph: dict[str, set[str]] = {}
    extras = {NAME: set(EXTRAS)}
    waiting = [NAME]
    while waiting:
        name = waiting.pop()
        needs = list(_needs(name, extras.get(name, set())))
        graph[name] = graph.get(name, set()) | {to for to, _ in needs} - {name}
        for to, asked in needs:
            if to not in graph or not asked <= extras.get(to, set()):
                extras[to] = extras.get(to, set()) | asked
                waiting.append(to)
    return graph


def _needs(name: str, extras: set[str]) -> Iterator[tuple[str, set[str]]]:
    for line in metadata.requires(name) or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": one}) for one in (*sorted(extras), "")):
            yield canonicalize_name(requirement.name), set(requirement.extras)


def _version(name: str) -> str:
    return pinned(metadata.metadata(name)["Name"]).partition("==")[2]


def _component(kind: str, name: str, version: str, ref: str) -> dict[str, Any]:
    found = {"type": kind, "name": name, "version": version, "bom-ref": ref, "purl": ref}
    said = metadata.metadata(name)
    licence = said.get("License-Expression")
    return found | ({"licenses": [{"expression": licence}]} if licence else {})
