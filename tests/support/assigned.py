"""Who is given which role in the templates of Azure, and the conditions that bound a role."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.bicep import Template
from tests.support.terraform import Configuration

BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
Given = tuple[str, str, str | None, str | None]  # role, container, condition, its version


def rewrites_only(*folders: str) -> str:
    """The condition of who may add, rewrite and remove under these folders."""
    changing = ("add/action", "write", "delete")
    other = " AND ".join(f"!(ActionMatches{{'{BLOBS}/{each}'}})" for each in changing)
    return f"(({other}) OR {_under(folders)})"


def adds_only(*folders: str) -> str:
    """The condition of who may add under these folders."""
    return f"(!(ActionMatches{{'{BLOBS}/add/action'}}) OR {_under(folders)})"


def _under(folders: tuple[str, ...]) -> str:
    return " OR ".join(f"@Resource[{BLOBS}:path] StringStartsWith '{each}'" for each in folders)


def bicep_given(roles: Template, who: str) -> Iterator[Given]:
    """What the identity `who` is given, as Bicep has it; the role by its symbol."""
    variables = {name: each["value"] for name, each in roles.parsed["variables"].items()}
    for found in roles.resources.values():
        given = found["body"].get("properties", {})
        if given.get("principalId") == f"{who}Id":
            role = given["roleDefinitionId"]["operator"]["operands"]["operand_1"]
            condition = variables.get(given.get("condition"))
            if condition is not None:
                condition = condition.replace("${notRewriting}", variables["notRewriting"])
                condition = condition.replace("\\'", "'")
                condition = condition.replace("${containers}", variables["containers"])
            place = found["body"]["scope"].removesuffix("Store")
            yield role, place, condition, given.get("conditionVersion")


def terraform_given(found: Configuration, whose: str) -> Iterator[Given]:
    """The same as Terraform has it, but for what it gives in a loop; the role by Bicep's symbol."""
    for given in found.resources.values():
        if "for_each" not in given and f"identity.{whose}.principal_id" in str(
            given.get("principal_id")
        ):
            role, place = role_and_place(given)
            said = given.get("condition")
            while said is not None and "${local." in said:
                said = re.sub(r"\$\{local\.(\w+)\}", lambda each: found.locals[each[1]], said)
            yield role, place, said, given.get("condition_version")


def role_and_place(given: Mapping[str, Any]) -> tuple[str, str]:
    """Of an assignment in Terraform: the role by Bicep's symbol, and the key of the container."""
    role, place = (
        (re.findall(r'\["(.*?)"\]', given[key]) or re.findall(r"\.(\w+)\[0\]", given[key]))[0]
        for key in ("role_definition_id", "scope")
    )
    first, *more = re.split("[ _]", role)
    return first + "".join(map(str.capitalize, more)), place


def actions_of(template: Template, role: str) -> set[str]:
    """Actions and data actions of a role, by its symbol in Bicep."""
    (given,) = template.resources[role]["body"]["properties"]["permissions"]
    containers = BLOBS.removesuffix("/blobs")
    return {
        each.replace("${containers}", containers)
        for each in (*given["actions"], *given["dataActions"])
    }


def may(condition: str | None, action: str, name: str) -> bool:
    """Whether a condition of the forms above lets an action happen to the blob `name`."""
    if condition is None or action not in re.findall(r"ActionMatches\{'(.*?)'\}", condition):
        return True
    return any(map(name.startswith, re.findall(r"StringStartsWith '(.*?)'", condition)))
