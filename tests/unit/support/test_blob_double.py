"""The write-once double keeps every rule that a real store keeps, seen through the real SDK.

Rules 10 to 20, those of single versions, are in `test_blob_double_versions`.
"""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from azure.storage.blob import BlobBlock, BlobType, ContentSettings, StandardBlobTier
from azure.storage.blob.aio import BlobClient

from tests.support.blobs import DAY, BlobDouble
from tests.support.blobs.sdk import HELD, RETAINED, Clients, create_only, policy, refusal

YEARS = 2557 * DAY


@pytest.mark.parametrize("container", ["plain", "clw", "vlw", "held"])
async def test_rule_1_a_new_name_is_written(
    double: BlobDouble, clients: Clients, container: str
) -> None:
    double.service.add_container("held").hold("case1")
    client = await clients.blob(container)
    await create_only(client, b"one", metadata={"k": "v"})
    found = await client.get_blob_properties()
    assert (found.size, found.metadata) == (3, {"k": "v"})
    assert await (await client.download_blob()).readall() == b"one"


@pytest.mark.parametrize("container", ["plain", "clw", "vlw"])
@pytest.mark.parametrize(
    ("conflict", "status"),
    [
        ("BlobAlreadyExists", 409),
        ("BlobImmutableDueToPolicy", 409),
        ("BlobImmutableDueToLegalHold", 409),
        ("ConditionNotMet", 412),
    ],
)
async def test_rule_2_an_existing_name_is_a_conflict(
    double: BlobDouble, clients: Clients, container: str, conflict: Any, status: int
) -> None:
    double.service.conflict = conflict
    client = await clients.blob(container)
    await create_only(client, b"one")
    assert await refusal(create_only(client, b"two")) == (status, conflict)


async def test_rule_3_who_may_only_add_may_not_replace(clients: Clients) -> None:
    for service in (await clients.role("writer"), await clients.sas("c")):
        for container in ("plain", "clw", "vlw"):
            client = service.get_blob_client(container, f"{id(service)}")
            await create_only(client, b"one")
            forbidden = (403, "UnauthorizedBlobOverwrite")
            assert await refusal(create_only(client, b"two")) == forbidden
            assert await refusal(client.upload_blob(b"two", overwrite=True)) == forbidden


@pytest.mark.parametrize("later", [0, YEARS + 1])
async def test_rule_4_nothing_replaces_a_blob_even_when_its_retention_is_over(
    double: BlobDouble, clients: Clients, later: int
) -> None:
    client = await clients.blob("clw")
    await client.upload_blob(b"one")
    double.service.clock.advance(later)
    assert await refusal(client.upload_blob(b"two", overwrite=True)) == RETAINED
    await client.stage_block("01", b"two")
    assert await refusal(client.commit_block_list([BlobBlock("01")])) == RETAINED
    source = await clients.blob("plain", "source")
    await source.upload_blob(b"two")
    assert await refusal(client.start_copy_from_url(source.url)) == RETAINED


async def changes(client: BlobClient) -> list[tuple[int, str]]:
    return [
        await refusal(client.set_blob_metadata({"k": "v"})),
        await refusal(client.set_http_headers(ContentSettings(content_type="text/plain"))),
        await refusal(client.create_snapshot()),
    ]


async def test_rule_5_a_retained_blob_is_not_changed(clients: Clients) -> None:
    client = await clients.blob("clw")
    await client.upload_blob(b"one")
    assert [await refusal(client.delete_blob()), *await changes(client)] == [RETAINED] * 4


async def test_rule_5_a_held_blob_is_not_changed(double: BlobDouble, clients: Clients) -> None:
    client = await clients.blob("plain")
    await client.upload_blob(b"one")
    double.service.containers["plain"].hold("case1")
    refused = [
        await refusal(client.delete_blob()),
        await refusal(client.upload_blob(b"two", overwrite=True)),
        *await changes(client),
    ]
    assert refused == [HELD] * 5
    double.service.containers["plain"].release("case1")
    await client.delete_blob()


async def test_rule_5_put_page_is_refused(double: BlobDouble, clients: Clients) -> None:
    await (await clients.blob("clw")).upload_blob(b"one")
    double.service.access.register_sas("s", "w")
    async with (
        aiohttp.ClientSession() as session,
        session.put(f"{double.url}/clw/a/1?comp=page&sig=s") as answer,
    ):
        assert (answer.status, answer.headers["x-ms-error-code"]) == RETAINED
        assert "<Code>BlobImmutableDueToPolicy</Code>" in await answer.text()


async def test_rule_6_an_expired_blob_can_be_deleted_and_nothing_else(
    double: BlobDouble, clients: Clients
) -> None:
    client = await clients.blob("clw")
    await client.upload_blob(b"one")
    double.service.clock.advance(YEARS - 1)
    assert await refusal(client.delete_blob()) == RETAINED
    double.service.clock.advance(1)
    assert await changes(client) == [RETAINED] * 3
    await client.delete_blob()
    assert not await client.exists()


async def test_rule_7_appends_need_the_switch(clients: Clients) -> None:
    client = await clients.blob("clw")
    await client.create_append_blob()
    assert await refusal(client.append_block(b"one")) == RETAINED


async def test_rule_7_an_append_restarts_the_retention(
    double: BlobDouble, clients: Clients
) -> None:
    double.service.add_container("log", "clw", days=2, append=True)
    client = await clients.blob("log")
    await client.create_append_blob()
    double.service.clock.advance(DAY)
    await client.append_block(b"one", appendpos_condition=0)
    again = client.append_block(b"one", appendpos_condition=0)
    assert await refusal(again) == (412, "AppendPositionConditionNotMet")
    double.service.clock.advance(2 * DAY - 1)
    assert await refusal(client.delete_blob()) == RETAINED
    assert (await client.get_blob_properties()).blob_type == BlobType.APPENDBLOB
    double.service.clock.advance(1)
    await client.delete_blob()


async def test_rule_8_and_16_a_container_is_not_deleted(
    double: BlobDouble, clients: Clients
) -> None:
    service = await clients.shared_key()
    double.service.containers["plain"].hold("case1")
    expected = {
        "clw": "ContainerImmutabilityPolicyLocked",
        "plain": "ContainerHasLegalHold",
        "vlw": "ContainerImmutableStorageWithVersioningEnabled",
    }
    for container, code in expected.items():
        assert await refusal(service.delete_container(container)) == (409, code)
    double.service.containers["plain"].release("case1")
    await service.delete_container("plain")
    assert not await service.get_container_client("plain").exists()


async def test_rule_9_a_policy_of_its_own_is_an_error_without_versions(
    double: BlobDouble, clients: Clients
) -> None:
    until = policy(double.service.clock.now + DAY)
    unsupported = (400, "UnsupportedHeader")
    client = await clients.blob("clw")
    assert await refusal(client.upload_blob(b"one", immutability_policy=until)) == unsupported
    assert await refusal(client.upload_blob(b"one", legal_hold=True)) == unsupported
    await client.upload_blob(b"one")
    assert await refusal(client.set_immutability_policy(until)) == unsupported
    assert await refusal(client.set_legal_hold(True)) == unsupported


@pytest.mark.parametrize("container", ["plain", "clw", "vlw"])
async def test_rule_21_an_archived_blob_is_not_read(clients: Clients, container: str) -> None:
    client = await clients.blob(container)
    await client.upload_blob(b"one")
    await client.set_standard_blob_tier(StandardBlobTier.ARCHIVE)
    assert await refusal(client.download_blob()) == (409, "BlobArchived")
    assert (await client.get_blob_properties()).blob_tier == "Archive"
    await client.set_standard_blob_tier(StandardBlobTier.HOT)
    assert await (await client.download_blob()).readall() == b"one"


async def test_a_mutable_double_keeps_no_rule(double: BlobDouble, clients: Clients) -> None:
    double.service.mutable = True
    for container in ("clw", "vlw"):
        writer = (await clients.role("writer")).get_blob_client(container, "a")
        await create_only(writer, b"one")
        await create_only(writer, b"two")
        await writer.upload_blob(b"three", overwrite=True)
        await writer.set_blob_metadata({"k": "v"})
        assert await (await writer.download_blob()).readall() == b"three"
        await writer.delete_blob()
        assert not await writer.exists()
        await (await clients.shared_key()).delete_container(container)
