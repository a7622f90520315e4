"""What a holder and a deliverer ask of Azure is what the templates give their identities."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audit_stream.app.places import archive_store, subject_store
from audit_stream.holds.enforcing import Enforced
from audit_stream.ports import HoldLevel
from audit_stream.privacy.derivation import TAG_BYTES
from audit_stream.stores.open import open_container_holds
from tests.support import golden
from tests.support.assigned import BLOBS, actions_of, bicep_given, may
from tests.support.bicep import templates
from tests.support.blobs.asked import CONTAINERS, Asked, asked
from tests.support.blobs.cloud import SUBJECTS_ACCOUNT, Cloud
from tests.support.blobs.model import Kind
from tests.support.delivering import Delivering, expected
from tests.support.holding import AT, LATER, Holding, wanted
from tests.support.siem import siem

pytestmark = pytest.mark.timeout(120)
TEMPLATES = templates()
#: Container → how the templates call it.
PLACES = {"audit": "archive", "subjects": "subjects", "positions": "store"}
HOLDS_VERSIONS = f"{BLOBS}/immutableStorage/runAsSuperUser/action"


@pytest.fixture
def kind() -> Kind:
    return "clw"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind) -> Iterator[Cloud]:
    with Cloud(tmp_path, kind) as cloud:
        cloud.double.accounts[SUBJECTS_ACCOUNT].add_container("positions", "plain")
        cloud.become(monkeypatch, "operator")
        yield cloud


@dataclass
class AzureHolding(Holding):
    """Holds of an archive in the cloud."""

    objects: Any = None

    @property
    def subjects(self) -> Any:
        return self.objects


@pytest.fixture
async def holding(cloud: Cloud, tmp_path: Path) -> AsyncIterator[AzureHolding]:
    settings = cloud.settings()
    container = open_container_holds(settings.archive, settings.store_access())
    store, objects = archive_store(settings), subject_store(settings)
    yield AzureHolding(tmp_path, store, container, objects)
    await store.close()
    await objects.close()


def standing(cloud: Cloud) -> list[tuple[str, str]]:
    """Container and name of every blob there is."""
    return [
        (name, blob)
        for account in cloud.double.accounts.values()
        for name, container in account.containers.items()
        for blob, found in container.blobs.items()
        if found.versions()
    ]


def given(who: str, each: Asked, less: Sequence[str]) -> bool:
    """Whether a role of the templates, but for those of `less`, lets the identity do it."""
    template = TEMPLATES["positions" if each.container == "positions" else "roles"]
    return any(
        place == PLACES[each.container]
        and role not in less
        and each.action in actions_of(template, role)
        and may(condition, each.action, each.name)
        for role, place, condition, _ in bicep_given(template, who)
    )


def refused(who: str, found: set[Asked], less: Sequence[str] = ()) -> set[Asked]:
    return {each for each in found if not given(who, each, less)}


async def held_and_released(cloud: Cloud, holding: AzureHolding) -> tuple[Enforced, set[Asked]]:
    """What the pass left that held some segments, and what all of it asked for."""
    sealed = await holding.archive()
    before = standing(cloud)
    cloud.double.requests.clear()
    tag = next(each.tags[:TAG_BYTES] for each in sealed if each.tags)
    hold_id = await holding.declare(wanted(tags=(tag,)))
    found = await holding.enforcing.run(AT, recheck=True)
    await holding.holds.release(hold_id, "counsel", AT, "END-1")
    await holding.holds.approve(hold_id, "chief", AT)
    await holding.declaring.carry_out_filed(AT)
    await holding.enforcing.run(LATER)
    assert (await holding.holds.get(hold_id)).state.value == "lifted"
    return found, set(asked(cloud.double.requests, before))


async def test_a_container_is_held_with_what_the_holder_is_given(
    cloud: Cloud, holding: AzureHolding
) -> None:
    found, took = await held_and_released(cloud, holding)
    assert (found.level, found.missing) == (HoldLevel.CONTAINER, [])
    assert refused("holder", took, less=["versionHolder"]) == set()
    assert {each.action for each in took if each.name == ""} >= {
        f"{CONTAINERS}/{each}/action" for each in ("setLegalHold", "clearLegalHold")
    }
    for other in ("worker", "gateway", "keeper"):
        assert refused(other, took)


@pytest.mark.parametrize("kind", ["vlw"])
async def test_versions_are_held_with_what_the_holder_is_given(
    cloud: Cloud, holding: AzureHolding
) -> None:
    found, took = await held_and_released(cloud, holding)
    assert (found.level, found.missing) == (HoldLevel.OBJECT, [])
    assert found.segments
    assert refused("holder", took) == set()
    without = refused("holder", took, less=["versionHolder"])
    assert {each.action for each in without} == {HOLDS_VERSIONS}
    assert f"{BLOBS}/delete" in {each.action for each in took}  # of the hold's own list


async def upload(cloud: Cloud) -> None:
    """The golden archive."""
    store, objects = archive_store(cloud.settings()), subject_store(cloud.settings())
    for name, data in golden.archive_objects().items():
        await store.put_if_absent(name, data, {})
    folder = golden.GOLDEN / "subjects"
    for path in folder.rglob("*.bin"):
        assert await objects.create(f"subjects/{path.relative_to(folder)}", path.read_bytes())
    await store.close()
    await objects.close()


@pytest.mark.parametrize("fields", ["", "customer_external_id"])
def test_a_siem_is_delivered_to_with_what_the_deliverer_is_given(
    cloud: Cloud, tmp_path: Path, fields: str
) -> None:
    asyncio.run(upload(cloud))
    extra = cloud.environment("operator") | {
        "AUDIT_DELIVERY_POSITIONS": f"azure://{SUBJECTS_ACCOUNT}/positions"
    }
    if fields:
        extra["AUDIT_DELIVERY_FIELDS"] = fields
    before = standing(cloud)
    cloud.double.requests.clear()
    with siem(tmp_path / "siem") as server:
        place = Delivering(tmp_path, server, extra)
        for _ in range(2):
            place.once()
        assert server.keys() == expected()
    took = set(asked(cloud.double.requests, before))
    assert refused("deliverer", took) == set()
    assert ("subjects" in {each.container for each in took}) is bool(fields)
    changes = {(each.action, each.container) for each in took if not each.action.endswith("/read")}
    adds = {(f"{BLOBS}/add/action", "subjects")} if fields else set()
    keeps = {(f"{BLOBS}/{each}", "positions") for each in ("add/action", "write")}
    assert changes <= adds | keeps
    assert changes >= adds
