"""The Terraform configuration of AWS, worked out by HashiCorp's own evaluator (tests/peers/hcl)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from tests.support.go_peers import go_peer

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "aws"
FILES = sorted(FOLDER.glob("*.tf"))
SCHEMAS = ROOT / "tests" / "deploy" / "schemas"
TABLE = orjson.loads((SCHEMAS / "aws.json").read_bytes())
#: The version that the table was made of.
PROVIDER = "6.25.0"
ADMINISTRATOR = "arn:aws:iam::123456789012:role/storage-administrator"
ACCOUNT = re.findall(r"\d{12}", ADMINISTRATOR)[0]
_DATA = {
    "aws_partition.current": {"partition": "aws"},
    "aws_caller_identity.current": {"arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/x/session"},
    "aws_iam_session_context.current": {"issuer_arn": ADMINISTRATOR},
}
_META = {"depends_on", "lifecycle"}
_KINDS = {"string": str, "number": int, "bool": bool, "strings": list, "map": dict}


class Refused(Exception):
    """The configuration does not hold: what Terraform would say of it."""


def texts() -> dict[str, str]:
    """The configuration, file by file."""
    return {path.name: path.read_text("utf-8") for path in FILES}


@dataclass(frozen=True)
class Plan:
    """What the configuration comes to."""

    locals: Mapping[str, Any]
    outputs: Mapping[str, Any]
    resources: Mapping[str, Mapping[str, Any]]  # address → key ("" of an only one) → arguments
    unused: list[str]

    def faults(self) -> Iterator[str]:
        """What the provider would refuse."""
        for address, instances in self.resources.items():
            for key, given in instances.items():
                yield from _check(TABLE[_table(address)]["set"], given, f"{address}[{key}]")


def plan(
    files: Mapping[str, str] | None = None, values: str | None = None, **variables: Any
) -> Plan:
    """What these files (None: ours) come to, under these values (None: the example's) and
    variables. `Refused` with the reason."""
    asked = {
        "files": texts() if files is None else files,
        "values": _example() if values is None else values,
        "variables": variables,
        "data": _DATA,
        "attributes": _attributes(),
    }
    done = subprocess.run(
        [go_peer("hclplan")], input=orjson.dumps(asked), capture_output=True, check=False
    )
    if done.returncode:
        raise Refused((done.stdout + done.stderr).decode())
    return Plan(**orjson.loads(done.stdout))


@cache
def _example() -> str:
    return (FOLDER / "terraform.tfvars.example").read_text("utf-8")


@cache
def _attributes() -> dict[str, list[str]]:
    found = {}
    for name, each in TABLE.items():
        kind = f"data.{name[5:]}" if name.startswith("data_") else f"aws_{name}"
        found[kind] = each["get"]
    return found


def _table(address: str) -> str:
    kind = address.rpartition(".")[0]
    return kind.replace("data.", "data_") if kind.startswith("data.") else kind[4:]


def _check(table: Mapping[str, Any], given: Mapping[str, Any], where: str) -> Iterator[str]:
    """Unknown and missing arguments, and values of the wrong kind."""
    for name, value in given.items():
        if name in _META or (value is None and name in table):
            continue
        if name not in table:
            yield f"{where}: there is no {name!r}"
        elif isinstance(kind := table[name][1], dict):
            for each in value:
                yield from _check(kind, each, f"{where}.{name}")
        elif not isinstance(value, _KINDS[kind]) or (kind == "number" and value is True):
            yield f"{where}.{name}: {value!r} is no {kind}"
    yield from (f"{where}: {name!r} is missing" for name, (must, _) in table.items()
                if must and given.get(name) is None)  # fmt: skip
