"""Who holds and who delivers on Azure, said by Bicep and by Terraform alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from audit_stream.archive.fleet import FLEET
from audit_stream.archive.receivers import RECEIVERS
from audit_stream.holds.hold import HOLDS, KEYS
from audit_stream.holds.journal import HELD
from audit_stream.stores.azure_roles import powers
from tests.support.assigned import (
    BLOBS,
    adds_only,
    bicep_given,
    rewrites_only,
    role_and_place,
    terraform_given,
)
from tests.support.bicep import Template, templates
from tests.support.slips import differing, in_bicep, in_terraform
from tests.support.terraform import Configuration, configuration

BICEP = templates()
TERRAFORM = configuration()
CONTAINERS = BLOBS.removesuffix("/blobs")
Facts = dict[str, Any]

WANTED: Facts = {
    "identities": {"worker", "gateway", "disposer", "keeper", "holder", "deliverer"},
    # It declares in the archive, sets and lifts there, and rewrites nothing but what holds are.
    "holder": {
        ("writer", "archive", None, None), ("holder", "archive", None, None),
        ("reader", "subjects", None, None),
        ("privateKeeper", "subjects", rewrites_only(HOLDS, KEYS, HELD), "2.0"),
    },
    "holder's role": ({f"{CONTAINERS}/{each}" for each in
                       ("read", "setLegalHold/action", "clearLegalHold/action")}, set()),
    # It reads the archive; where it has keys it says so, as whom it sends to, and no word twice.
    "deliverer": {
        ("reader", "archive", None, None),
        ("writer", "subjects", adds_only(FLEET, RECEIVERS), "2.0"),
    },
    "only with personal fields": {("writer", "subjects")},
    "reads covers with personal fields": True,
    # How far it got, in a container of its own that is there only when asked for.
    "positions": ({f"{BLOBS}/read", f"{BLOBS}/add/action", f"{BLOBS}/write"}, "deliverer", True),
}  # fmt: skip
_FIELDS = "delivererSendsPersonalFields"


def bicep(found: Mapping[str, Template]) -> Facts:
    """The facts as Bicep's files have them."""
    main, roles, positions = found["main"], found["roles"], found["positions"]
    outputs = set(main.parsed["outputs"])
    (held,) = roles.resources["holder"]["body"]["properties"]["permissions"]
    (kept,) = positions.resources["keeper"]["body"]["properties"]["permissions"]
    made = {
        each["body"]["name"].removeprefix("audit-stream-")
        for each in main.resources.values()
        if each["type"].startswith("Microsoft.ManagedIdentity/")
    }
    covers = main.modules["covers"][1]["delivererId"]["operator"]["operands"]
    (given,) = {who for who, *_ in _positions(positions)}
    return {
        "identities": {each for each in made
                       if {f"{each}ClientId", f"{each}IdentityId"} <= outputs | {"workerClientId"}},
        "holder": {each for each in bicep_given(roles, "holder") if each[0] != "versionHolder"},
        "holder's role": ({_spelled(each) for each in held["actions"]},
                          {_spelled(each) for each in held["dataActions"]}),
        "deliverer": set(bicep_given(roles, "deliverer")),
        "only with personal fields": set(_asked_for(roles, _FIELDS)),
        "reads covers with personal fields": covers["condition"] == _FIELDS
        and covers["false_value"] == "",
        "positions": ({_spelled(each) for each in kept["dataActions"]}, given,
                      "positionsContainer" in str(main.parsed["modules"]["positions"]["config"]
                                                  ["condition"])),
    }  # fmt: skip


def _spelled(name: str) -> str:
    for variable in ("${containers}", "${local.containers}"):
        name = name.replace(variable, CONTAINERS)
    return name


def _positions(positions: Template) -> list[tuple[str, str]]:
    return [
        (given["principalId"].removesuffix("Id"), each["body"]["scope"])
        for each in positions.resources.values()
        if "principalId" in (given := each["body"]["properties"])
    ]


def _asked_for(template: Template, condition: str) -> list[tuple[str, str]]:
    """Role and place of what is given only if `condition`."""
    asked = {
        name for name, each in template.parsed["resources"].items()
        if each["config"].get("condition") == condition
    }  # fmt: skip
    bodies = [template.resources[name]["body"] for name in asked]
    return [
        (each["properties"]["roleDefinitionId"]["operator"]["operands"]["operand_1"],
         each["scope"].removesuffix("Store"))
        for each in bodies if "principalId" in each["properties"]
    ]  # fmt: skip


def terraform(found: Configuration) -> Facts:
    """The facts as Terraform's files have them."""
    resources, roles = found.resources, found.locals["roles"]
    outputs = {name for block in found.blocks["output"] for name in block}
    made = {
        name.partition(".")[2]
        for name in resources
        if name.startswith("azurerm_user_assigned_identity.")
    }
    kept = resources["azurerm_role_definition.position_keeper"]
    keeps = resources["azurerm_role_assignment.deliverer_keeps_positions"]
    given = set(terraform_given(found, "deliverer")) - {("positionKeeper", "positions", None, None)}
    places = {resources[f"azurerm_{each}"]["count"] for each in (
        "storage_container.positions", "role_definition.position_keeper",
        "role_assignment.deliverer_keeps_positions",
    )}  # fmt: skip
    loop = str(resources["azurerm_role_assignment.covers"]["for_each"])
    return {
        "identities": {each for each in made
                       if {f"{each}_client_id", f"{each}_identity_id"}
                       <= outputs | {"worker_client_id"}},
        "holder": set(terraform_given(found, "holder")),
        "holder's role": tuple({_spelled(each) for each in roles["holder"][key]}
                               for key in ("actions", "data_actions")),
        "deliverer": given,
        "only with personal fields": {
            role_and_place(each) for each in resources.values()
            if each.get("count") == "${var.deliverer_sends_personal_fields ? 1 : 0}"
        },
        "reads covers with personal fields": "deliverer" in found.locals["cover_users"]
        and 'who != "deliverer" || var.deliverer_sends_personal_fields' in loop.replace("\\", ""),
        "positions": (
            {_spelled(each) for each in kept["permissions"][0]["data_actions"]},
            re.findall(r"identity\.(\w+)\.", keeps["principal_id"])[0],
            places == {"${local.with_positions}"},
        ),
    }  # fmt: skip


@pytest.mark.parametrize("said", WANTED)
def test_both_say_it(said: str) -> None:
    assert bicep(BICEP)[said] == WANTED[said]
    assert terraform(TERRAFORM)[said] == WANTED[said]


@pytest.mark.parametrize(
    ("said", "file", "text", "instead"),
    [
        ("identities", "main", "output holderIdentityId ", "output holderId "),
        ("identities", "main", "output delivererClientId ", "output delivererId "),
        ("holder", "roles", "\\'private/held/", "\\'private/"),
        ("holder", "roles", "    condition: onlyHolding\n", ""),
        ("holder's role", "roles", "          '${containers}/setLegalHold/action'\n", ""),
        ("deliverer", "roles", "    condition: onlySaying\n", ""),
        ("deliverer", "roles", "delivererId, reader.id)\n  scope: archiveStore",
         "delivererId, reader.id)\n  scope: subjectsStore"),
        ("only with personal fields", "roles", "if (delivererSendsPersonalFields) ", ""),
        ("reads covers with personal fields", "main", "principalId : ''", "principalId : 'x'"),
        ("positions", "positions", "/blobs/write'", "/blobs/delete'"),
        ("positions", "main", "if (!empty(positionsContainer)) ", "if (true) "),
    ],
)  # fmt: skip
def test_a_slip_in_bicep_is_seen(said: str, file: str, text: str, instead: str) -> None:
    assert differing(bicep(in_bicep(BICEP, file, text, instead)), WANTED) == {said}


@pytest.mark.parametrize(
    ("said", "file", "text", "instead"),
    [
        ("identities", "outputs", '"deliverer_client_id"', '"deliverer_id"'),
        ("holder", "roles", "'private/held/", "'private/"),
        ("holder", "roles", "  condition          = local.only_holding\n", ""),
        ("holder's role", "roles", '        "${local.containers}/setLegalHold/action",\n', ""),
        ("deliverer", "roles", "'private/receivers/", "'private/"),
        ("only with personal fields", "roles",
         "  count = var.deliverer_sends_personal_fields", "  count = true"),
        ("reads covers with personal fields", "covers", 'who != "deliverer" || ', ""),
        ("positions", "positions", "/blobs/write", "/blobs/delete"),
    ],
)  # fmt: skip
def test_a_slip_in_terraform_is_seen(said: str, file: str, text: str, instead: str) -> None:
    slipped = in_terraform(TERRAFORM, file, text, instead)
    assert differing(terraform(slipped), WANTED) == {said}


def test_versions_are_held_by_a_right_that_is_given_only_where_there_are_some() -> None:
    roles = BICEP["roles"]
    assert _asked_for(roles, "versionLevelWorm") == [("versionHolder", "archive")]
    assert roles.parsed["resources"]["versionHolder"]["config"]["condition"] == "versionLevelWorm"
    (given,) = roles.resources["versionHolder"]["body"]["properties"]["permissions"]
    assert given["actions"] == []
    assert [_spelled(each) for each in given["dataActions"]] == [
        f"{BLOBS}/immutableStorage/runAsSuperUser/action"
    ]


def test_a_posture_names_a_holder_and_no_deliverer() -> None:
    found = TERRAFORM.locals["roles"]
    told = {
        name: powers([{key: [_spelled(each) for each in role[kind]] for key, kind in
                       (("actions", "actions"), ("dataActions", "data_actions"))}])
        for name, role in found.items()
    }  # fmt: skip
    assert told["holder"] == ("clear legal holds",)
    assert told["reader"] == told["writer"] == ()
