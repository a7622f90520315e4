"""Bicep files, parsed (pycep) and held to the properties that Azure's own types know.

This is no compiler: expressions are not evaluated, functions not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pycep import BicepParser

ROOT = Path(__file__).parents[2]
AZURE = ROOT / "deploy" / "azure"
TYPES = orjson.loads((ROOT / "tests" / "deploy" / "schemas" / "arm.json").read_bytes())
_BICEP_ONLY = {"parent", "scope", "dependsOn"}
_LITERALS = {"int": int, "bool": bool, "string": str}
Found = Mapping[str, Any]


def _config(found: Found) -> Found:
    """The body of a resource or module, out of its condition and its loop."""
    config = found["config"]
    while "config" in config and ("condition" in config or "loop_type" in config):
        config = config["config"]
    return config


@dataclass(frozen=True)
class Template:
    """One file."""

    path: Path
    parsed: Found

    @property
    def symbols(self) -> set[str]:
        """All that can be referred to by name."""
        kinds = ("parameters", "variables", "resources", "modules")
        return {name for kind in kinds for name in self.parsed.get(kind, {})} | {"item", "index"}

    @property
    def resources(self) -> dict[str, Found]:
        """Those that are created: symbol → type with version, and body."""
        return {
            name: {"type": f"{found['type']}@{found['api_version']}", "body": _config(found)}
            for name, found in self.parsed.get("resources", {}).items()
            if not found["existing"]
        }

    @property
    def existing(self) -> dict[str, Found]:
        """Those that are only referred to."""
        return {k: v for k, v in self.parsed.get("resources", {}).items() if v["existing"]}

    @property
    def modules(self) -> dict[str, tuple[Path, Found]]:
        """Symbol → file and the parameters given."""
        return {
            name: (self.path.parent / found["detail"]["path"], _config(found).get("params", {}))
            for name, found in self.parsed.get("modules", {}).items()
        }

    @property
    def required(self) -> set[str]:
        """Parameters without a default."""
        found = self.parsed.get("parameters", {})
        return {name for name, each in found.items() if each.get("default") is None}

    def faults(self) -> list[str]:
        """What Azure would refuse of the resources, as far as can be seen."""
        return [
            f"{self.path.name} {name}: {fault}"
            for name, found in self.resources.items()
            for fault in (
                self._check(TYPES[found["type"]], _without(found["body"]), found["type"])
                if found["type"] in TYPES
                else [f"no table of {found['type']}"]
            )
        ]

    def _check(self, kind: Any, value: Any, where: str) -> Iterator[str]:
        if value is None:
            return
        if isinstance(value, Mapping) and ("operator" in value or "function" in value):
            yield from self._branches(kind, value, where)
        elif isinstance(value, str) and (value in self.symbols or "${" in value):
            return
        elif isinstance(kind, list):
            if value not in kind:
                yield f"{where}: {value!r} is none of {kind}"
        elif isinstance(kind, str):
            if kind != "any" and not isinstance(value, _LITERALS[kind]):
                yield f"{where}: {value!r} is no {kind}"
        elif "array" in kind:
            if not isinstance(value, list):
                yield f"{where}: {value!r} is no array"
                return
            for item in value:
                yield from self._check(kind["array"], item, f"{where}[]")
        elif isinstance(value, Mapping):
            yield from self._object(kind, value, where)
        else:
            yield f"{where}: {value!r} is no object"

    def _branches(self, kind: Any, value: Found, where: str) -> Iterator[str]:
        operator = value.get("operator", {})
        if operator.get("type") == "conditional":
            for branch in ("true_value", "false_value"):
                yield from self._check(kind, operator["operands"][branch], where)

    def _object(self, kind: Found, value: Found, where: str) -> Iterator[str]:
        for name, inner in value.items():
            if name in kind["object"]:
                yield from self._check(kind["object"][name][1], inner, f"{where}.{name}")
            elif kind["more"] is None:
                yield f"{where}: there is no {name!r}"
            else:
                yield from self._check(kind["more"], inner, f"{where}.{name}")
        for name, (needed, _) in kind["object"].items():
            if needed and name not in value:
                yield f"{where}: {name!r} is missing"


def _without(body: Found) -> Found:
    return {name: value for name, value in body.items() if name not in _BICEP_ONLY}


def parse(path: Path, text: str | None = None) -> Template:
    """A file, or `text` in its place."""
    return Template(path, BicepParser().parse(text=text or path.read_text("utf-8")))


def templates() -> dict[str, Template]:
    """Every file of ours by its name without suffix."""
    return {path.stem: parse(path) for path in sorted(AZURE.rglob("*.bicep"))}
