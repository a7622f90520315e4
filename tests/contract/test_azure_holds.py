"""Legal holds on Azure, whole: over TLS, by identities that may and that may not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from audit_stream.app.places import archive_store
from audit_stream.errors import StoreRefused
from audit_stream.holds.enforcing import container_tag
from audit_stream.ports import ContainerHolds, HoldLevel, PutResult, WormStore
from audit_stream.stores.open import open_container_holds
from tests.support.blobs.cloud import Cloud
from tests.support.blobs.model import Kind

pytestmark = pytest.mark.timeout(120)
TAG = container_tag("audit.example/holds")


@pytest.fixture
def kind() -> Kind:
    return "clw"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind) -> Iterator[Cloud]:
    with Cloud(tmp_path, kind) as cloud:
        cloud.become(monkeypatch, "operator")
        yield cloud


@pytest.fixture
async def store(cloud: Cloud) -> AsyncIterator[WormStore]:
    store = archive_store(cloud.settings())
    yield store
    await store.close()


def holds_of(cloud: Cloud) -> ContainerHolds:
    settings = cloud.settings()
    found = open_container_holds(settings.archive, settings.store_access())
    assert found is not None
    return found


async def test_a_containers_tag_is_set_and_cleared_beside_others(
    cloud: Cloud, store: WormStore
) -> None:
    assert await store.hold_level() is HoldLevel.CONTAINER
    cloud.archive.hold("theirs")
    holds = holds_of(cloud)
    for _ in range(2):
        await holds.set_tag(TAG, True)
    assert await holds.tags() == {"theirs", TAG}
    assert await store.put_if_absent("a", b"one", {}) is PutResult.STORED  # new names go on
    assert await store.put_if_absent("a", b"two", {}) is PutResult.EXISTS
    for _ in range(2):
        await holds.set_tag(TAG, False)
    assert await holds.tags() == {"theirs"}


async def test_a_writer_may_not_hold_a_container(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.become(monkeypatch, "writer")
    holds = holds_of(cloud)
    with pytest.raises(StoreRefused, match="AuthorizationFailed"):
        await holds.set_tag(TAG, True)
    assert await holds.tags() == frozenset()


@pytest.mark.parametrize("kind", ["vlw"])
async def test_each_version_is_held_by_who_may(
    cloud: Cloud, store: WormStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await store.hold_level() is HoldLevel.OBJECT
    await store.put_if_absent("a", b"one", {})
    await store.set_hold("a", True)
    assert cloud.archive.blobs["a"].versions()[0].hold
    cloud.become(monkeypatch, "writer")
    writer = archive_store(cloud.settings())
    assert await writer.held("a") is True
    with pytest.raises(StoreRefused):
        await writer.set_hold("a", False)
    await writer.close()
    with pytest.raises(StoreRefused):
        await holds_of(cloud).set_tag(TAG, True)
    assert await store.held("a") is True


def test_a_folder_and_an_account_without_management_have_no_container_holds(
    cloud: Cloud, tmp_path: Path
) -> None:
    assert open_container_holds(tmp_path.as_uri()) is None
    assert open_container_holds("azure://devaccount/audit") is None


def test_the_tag_is_one_that_azure_takes() -> None:
    assert TAG.isalnum()
    assert 3 <= len(TAG) <= 23
    assert TAG.lower() == TAG
