"""Make `azurerm.json` anew: `python make_azurerm.py PACKAGE`, an unpacked @cdktf/provider-azurerm.

Those bindings were generated from the provider's own schema; 14.23.1 is of hashicorp/azurerm
4.55.0, the last one there is. For each resource of RESOURCES: `set` has the arguments (name →
[required, kind], a nested block as such a map of its own), `get` the attributes that can be
referred to.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

RESOURCES = (
    "key_vault", "key_vault_key", "log_analytics_workspace", "management_lock",
    "monitor_diagnostic_setting", "private_dns_zone", "private_dns_zone_virtual_network_link",
    "private_endpoint", "role_assignment", "role_definition", "storage_account",
    "storage_container", "storage_container_immutability_policy", "user_assigned_identity",
    "data_azurerm_client_config", "data_azurerm_resource_group", "provider",
)  # fmt: skip
INTERFACE = re.compile(r"^export interface (\w+)(?: extends [\w.]+)? \{\n(.*?)^\}", re.M | re.S)
MEMBER = re.compile(r"docs(?:/[\w-]+/\w+)?#(\w+) .*?readonly \w+(\??): (.+?);\n", re.S)
GETTER = re.compile(r"^    get (\w+)\(\)", re.M)
PLAIN = {"string": "string", "number": "number", "boolean": "bool", "string[]": "strings",
         "number[]": "numbers"}  # fmt: skip


def snake(name: str) -> str:
    """Camel case as Terraform writes it."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def read(text: str) -> dict[str, Any]:
    """The arguments and the attributes of one resource's bindings."""
    blocks = dict(INTERFACE.findall(text))
    top = next(name for name in blocks if name.endswith("Config"))
    ends = text.find(f"config: {top}") if f"config: {top}" in text else len(text)
    resource = text[text.rfind("export declare class", 0, ends) :]
    attributes = {"id", *map(snake, GETTER.findall(resource))}
    return {
        "set": arguments(top, blocks),
        "get": sorted(name for name in attributes if not name.endswith(("_input", "timeouts"))),
    }


def arguments(name: str, blocks: dict[str, str]) -> dict[str, Any]:
    """Name → [required, kind or nested arguments]."""
    found: dict[str, Any] = {}
    for argument, optional, typed in MEMBER.findall(blocks[name]):
        if argument == "timeouts":
            continue
        kind = re.sub(r" \| cdktf\.IResolvable", "", typed).strip()
        nested = kind.removesuffix("[]")
        value = arguments(nested, blocks) if nested in blocks else PLAIN.get(kind, "map")
        found[argument] = [not optional, value]
    return found


def write(package: str, resources: Iterable[str], file: str) -> None:
    """Write the table of these resources."""
    table = {}
    for name in resources:
        folder = Path(package) / "lib" / name.replace("_", "-")
        table[name] = read((folder / "index.d.ts").read_text("utf-8"))
    lines = ",\n".join(f'"{k}": {json.dumps(v, sort_keys=True)}' for k, v in table.items())
    Path(__file__).with_name(file).write_text("{\n" + lines + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    write(sys.argv[1], RESOURCES, "azurerm.json")
