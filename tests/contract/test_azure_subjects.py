"""The contract of subject stores on Azurite, and lost answers."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from audit_stream.errors import StoreRefused, StoreTransient
from audit_stream.stores.azure_subjects import AzureSubjectStore
from audit_stream.stores.azure_target import AzureAccess, AzureTarget
from tests.contract.subject_store_contract import NAME, SubjectStoreContract, SubjectTarget
from tests.support.azurite import ACCOUNT, KEY, Azurite
from tests.support.blobs import BlobDouble
from tests.support.blobs.faults import FaultKind

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


class AzureSubjects(SubjectTarget):
    def __init__(self, endpoint: str, container: str) -> None:
        access = AzureAccess(endpoint=endpoint, key=KEY)
        self._at = AzureTarget(account=ACCOUNT, container=container, access=access)
        self.handles: list[AzureSubjectStore] = []

    def open(self) -> AzureSubjectStore:
        self.handles.append(AzureSubjectStore(self._at))
        return self.handles[-1]

    async def close(self) -> None:
        for handle in self.handles:
            await handle.close()


class TestAzurite(SubjectStoreContract):
    @pytest.fixture
    async def target(self, azurite: Azurite) -> AsyncIterator[AzureSubjects]:
        container = f"t{uuid.uuid4().hex}"
        await azurite.create_container(container)
        target = AzureSubjects(azurite.endpoint, container)
        yield target
        await target.close()


@pytest.fixture
async def double() -> AsyncIterator[BlobDouble]:
    async with BlobDouble() as double:
        double.service.add_container("subjects", "plain")
        yield double


@pytest.fixture
async def on_double(double: BlobDouble) -> AsyncIterator[AzureSubjects]:
    target = AzureSubjects(double.url, "subjects")
    yield target
    await target.close()


class TestDouble(SubjectStoreContract):
    @pytest.fixture
    def target(self, on_double: AzureSubjects) -> AzureSubjects:
        return on_double


async def test_a_lost_answer_to_a_creation_is_settled_by_looking(
    double: BlobDouble, on_double: AzureSubjects
) -> None:
    store = on_double.open()
    double.faults.inject("drop_after")
    assert await store.create(NAME, b"mine")
    double.faults.inject("drop_after")
    assert not await store.create(NAME, b"other")


async def test_a_lost_creation_may_be_asked_for_again(
    double: BlobDouble, on_double: AzureSubjects
) -> None:
    store = on_double.open()
    double.faults.inject("drop_before")
    with pytest.raises(StoreTransient):
        await store.create(NAME, b"mine")
    assert await store.create(NAME, b"mine")


@pytest.mark.parametrize(("fault", "won"), [("drop_after", True), ("drop_before", None)])
async def test_a_lost_answer_to_a_rewrite_is_settled_by_looking(
    double: BlobDouble, on_double: AzureSubjects, fault: str, won: bool | None
) -> None:
    store = on_double.open()
    await store.create(NAME, b"one")
    first = await store.get(NAME)
    assert first is not None
    double.faults.inject(fault)  # type: ignore[arg-type]
    if won:
        assert await store.replace(NAME, b"two", first.etag)
    else:
        with pytest.raises(StoreTransient):
            await store.replace(NAME, b"two", first.etag)
        assert await store.replace(NAME, b"two", first.etag)
    found = await store.get(NAME)
    assert found is not None
    assert found.data == b"two"


@pytest.mark.parametrize("fault", ["bit_flip", "busy", "throttle"])
async def test_what_may_pass_is_said_so(
    double: BlobDouble, on_double: AzureSubjects, fault: FaultKind
) -> None:
    """Bytes damaged on their way are no refusal; the service's own delay is passed on."""
    store = on_double.open()
    double.faults.inject(fault, retry_after=7 if fault == "throttle" else None)
    with pytest.raises(StoreTransient, match=NAME) as caught:
        await store.create(NAME, b"mine")
    assert caught.value.retry_after == (7 if fault == "throttle" else None)
    assert await store.create(NAME, b"mine")


async def test_a_rewrite_that_somebody_else_overtook_is_said_so(
    double: BlobDouble, on_double: AzureSubjects
) -> None:
    store = on_double.open()
    await store.create(NAME, b"one")
    first = await store.get(NAME)
    assert first is not None
    assert await on_double.open().replace(NAME, b"other", first.etag)
    double.faults.inject("drop_before")
    assert not await store.replace(NAME, b"two", first.etag)


@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
async def test_a_lost_answer_to_a_removal_is_settled_by_looking(
    double: BlobDouble, on_double: AzureSubjects, fault: str
) -> None:
    store = on_double.open()
    await store.create(NAME, b"one")
    first = await store.get(NAME)
    assert first is not None
    double.faults.inject(fault, method="DELETE")  # type: ignore[arg-type]
    if fault == "drop_after":
        assert await store.remove(NAME, first.etag)
    else:
        with pytest.raises(StoreTransient):
            await store.remove(NAME, first.etag)
        assert await store.remove(NAME, first.etag)
    assert await store.get(NAME) is None


@pytest.mark.parametrize("fault", ["proxy_404", "proxy_404_json"])
async def test_a_strangers_404_is_no_word_that_nothing_is_there(
    double: BlobDouble, on_double: AzureSubjects, fault: FaultKind
) -> None:
    store = on_double.open()
    await store.create(NAME, b"one")
    first = await store.get(NAME)
    assert first is not None
    for method in ("GET", "PUT", "DELETE"):
        double.faults.inject(fault, method=method)
    with pytest.raises(StoreRefused):
        await store.get(NAME)
    with pytest.raises(StoreRefused):
        await store.replace(NAME, b"two", first.etag)
    with pytest.raises(StoreRefused):
        await store.remove(NAME, first.etag)
    assert await store.get(NAME) == first


async def test_a_container_that_is_not_there_is_refused_not_empty(double: BlobDouble) -> None:
    target = AzureSubjects(double.url, "nowhere")
    store = target.open()
    for call in (store.get(NAME), store.names(""), store.create(NAME, b"x")):
        with pytest.raises(StoreRefused, match="ContainerNotFound"):
            await call
    await target.close()


async def test_a_sas_that_was_replaced_is_taken_up_after_the_refusal(double: BlobDouble) -> None:
    given = ["sig=old"]
    access = AzureAccess(endpoint=double.url, sas=lambda: given[0])
    store = AzureSubjectStore(AzureTarget(account=ACCOUNT, container="subjects", access=access))
    double.service.access.register_sas("new", "rcwdl")
    with pytest.raises(StoreRefused, match="AuthenticationFailed"):
        await store.create(NAME, b"x")
    given[0] = "?sig=new"
    with pytest.raises(StoreRefused):
        await store.get(NAME)
    assert await store.create(NAME, b"x")
    await store.close()


async def test_who_may_only_create_is_told_that_an_object_stands_and_may_not_rewrite_it(
    double: BlobDouble,
) -> None:
    """Without the right to write Azure answers 403 UnauthorizedBlobOverwrite, not a conflict."""
    double.service.access.register_sas("creator", "rlac")
    access = AzureAccess(endpoint=double.url, sas=lambda: "sig=creator")
    store = AzureSubjectStore(AzureTarget(account=ACCOUNT, container="subjects", access=access))
    assert await store.create(NAME, b"one")
    assert not await store.create(NAME, b"one")
    found = await store.get(NAME)
    assert found is not None
    with pytest.raises(StoreRefused, match="UnauthorizedBlobOverwrite"):
        await store.replace(NAME, b"two", found.etag)
    await store.close()


async def test_each_request_waits_for_its_turn(double: BlobDouble) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        turns += 1

    access = AzureAccess(endpoint=double.url, key=KEY)
    at = AzureTarget(account=ACCOUNT, container="subjects", access=access, turn=turn)
    store = AzureSubjectStore(at)
    double.faults.inject("drop_after")
    assert await store.create(NAME, b"one")  # and looks what stands
    assert await store.names("") == [NAME]
    assert turns == len(double.requests) == 3
    await store.close()


@pytest.mark.parametrize("fault", ["cut_body", "slow_body"])
async def test_a_body_that_breaks_off_is_asked_for_once(double: BlobDouble, fault: str) -> None:
    """The SDK would ask three times by itself, whatever its retries are set to."""
    access = AzureAccess(endpoint=double.url, key=KEY, read_seconds=0.5)
    store = AzureSubjectStore(AzureTarget(account=ACCOUNT, container="subjects", access=access))
    await store.create(NAME, b"one" * 1000)
    double.faults.inject(fault, method="GET")  # type: ignore[arg-type]
    with pytest.raises(StoreTransient):
        await store.get(NAME)
    assert [each.method for each in double.requests] == ["PUT", "GET"]
    found = await store.get(NAME)
    assert found is not None
    assert found.data == b"one" * 1000
    await store.close()
