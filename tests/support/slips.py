"""Slips in the templates of Azure, made on purpose: whoever reads facts of them has to see each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.bicep import Template, parse
from tests.support.terraform import Configuration


def in_bicep(
    templates: Mapping[str, Template], file: str, text: str, instead: str
) -> dict[str, Template]:
    """The templates with something else for a text that stands in one."""
    path = templates[file].path
    before = path.read_text("utf-8")
    assert text in before
    return {**templates, file: parse(path, before.replace(text, instead))}


def in_terraform(found: Configuration, file: str, text: str, instead: str) -> Configuration:
    """The same of a configuration; `file` without its ending."""
    name = f"{file}.tf"
    assert text in found.texts[name]
    return Configuration({**found.texts, name: found.texts[name].replace(text, instead)})


def differing(facts: Mapping[str, Any], wanted: Mapping[str, Any]) -> set[str]:
    """Names of the facts that are not as they are wanted."""
    return {name for name, value in facts.items() if value != wanted[name]}
