"""The Terraform configuration, parsed and held to the provider's arguments and attributes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hcl2
import orjson
from hcl2.utils import SerializationOptions

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "azure" / "terraform"
FILES = sorted(FOLDER.glob("*.tf"))
SCHEMA = orjson.loads((ROOT / "tests" / "deploy" / "schemas" / "azurerm.json").read_bytes())
#: The version that the table was made of.
PROVIDER = "4.55.0"
_META = {"for_each", "count", "depends_on", "lifecycle", "provider", "dynamic"}
_LITERALS = {"string": str, "number": int, "bool": bool, "strings": list, "map": dict}
_OPTIONS = SerializationOptions(
    with_comments=False, explicit_blocks=False, strip_string_quotes=True
)
Found = Mapping[str, Any]


@cache  # a second each
def parse(text: str) -> dict[str, Any]:
    """One file; blocks of a kind are a list."""
    return hcl2.loads(text, serialization_options=_OPTIONS)


@dataclass(frozen=True)
class Configuration:
    """All files together."""

    texts: Mapping[str, str]

    @property
    def blocks(self) -> dict[str, list[Any]]:
        """Block type → its blocks."""
        found: dict[str, list[Any]] = {}
        for text in self.texts.values():
            for kind, each in parse(text).items():
                found.setdefault(kind, []).extend(each)
        return found

    @property
    def resources(self) -> dict[str, Found]:
        """``type.name``, data sources as ``data.type.name``, to the body."""
        return {
            f"{prefix}{kind}.{name}": body
            for key, prefix in (("resource", ""), ("data", "data."))
            for block in self.blocks.get(key, [])
            for kind, named in block.items()
            for name, body in named.items()
        }

    @property
    def variables(self) -> dict[str, Found]:
        return {name: body for block in self.blocks["variable"] for name, body in block.items()}

    @property
    def locals(self) -> dict[str, Any]:
        return {name: value for block in self.blocks["locals"] for name, value in block.items()}

    def faults(self) -> list[str]:
        """What the provider would refuse, and references to what is not there."""
        found = list(self._references())
        for address, body in self.resources.items():
            table = SCHEMA[_table(address)]["set"]
            found += _check(table, body, address)
        for block in self.blocks["provider"]:
            found += _check(SCHEMA["provider"]["set"], block["azurerm"], "provider")
        return found

    def _references(self) -> Iterator[str]:
        text = "\n".join(re.sub(r"#.*", "", text) for text in self.texts.values())
        for name in set(re.findall(r"\bvar\.(\w+)", text)) ^ set(self.variables):
            yield f"var.{name} is only declared or only used"
        for name in set(re.findall(r"\blocal\.(\w+)", text)) - set(self.locals):
            yield f"local.{name} is not declared"
        pattern = r"(?<![\w.])((?:data\.)?azurerm_\w+)\.(\w+)(?:\[[^\]]*\])?(?:\.(\w+))?"
        for kind, name, attribute in re.findall(pattern, text):
            if f"{kind}.{name}" not in self.resources:
                yield f"{kind}.{name} is not declared"
            elif attribute and attribute not in SCHEMA[_table(kind + ".")]["get"]:
                yield f"{kind}.{name} has no {attribute}"


def _table(address: str) -> str:
    data = address.startswith("data.")
    kind = address.removeprefix("data.").partition(".")[0].removeprefix("azurerm_")
    return f"data_azurerm_{kind}" if data else kind


def _check(table: Found, body: Found, where: str) -> Iterator[str]:
    """Unknown and missing arguments, and literals of the wrong kind."""
    given = {name: value for name, value in body.items() if name not in _META}
    for dynamic in body.get("dynamic", ()):
        given |= {name: each["content"] for name, each in dynamic.items()}
    for name, value in given.items():
        if name not in table:
            yield f"{where}: there is no {name!r}"
            continue
        kind = table[name][1]
        if isinstance(kind, dict):
            for each in value if isinstance(value, list) else [value]:
                yield from _check(kind, each, f"{where}.{name}")
        elif not _computed(value) and not isinstance(value, _LITERALS[kind]):
            yield f"{where}.{name}: {value!r} is no {kind}"
    yield from (f"{where}: {n!r} is missing" for n, (must, _) in table.items()
                if must and n not in given)  # fmt: skip


def _computed(value: Any) -> bool:
    return isinstance(value, str) and "${" in value


def configuration() -> Configuration:
    """Ours."""
    return Configuration({path.name: path.read_text("utf-8") for path in FILES})
