"""The write-once double speaks the API: reads, conditions, lists, identities, in their order."""

from __future__ import annotations

import hashlib
from typing import Any

import aiohttp
import pytest
from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, ContentSettings

from tests.support.blobs import DAY, BlobDouble
from tests.support.blobs.sdk import Clients, refusal


async def test_a_blob_keeps_its_properties(clients: Clients) -> None:
    client = (await clients.shared_key()).get_blob_client("clw", "a b/ü?#.gz")
    checksum = bytearray(hashlib.md5(b"body").digest())
    settings = ContentSettings(
        content_type="application/x-ndjson", content_encoding="gzip", content_md5=checksum
    )
    await client.upload_blob(b"body", content_settings=settings, validate_content="md5")
    found = await client.get_blob_properties()
    assert found.name == "a b/ü?#.gz"
    assert found.content_settings.content_type == "application/x-ndjson"
    assert found.content_settings.content_encoding == "gzip"
    assert found.content_settings.content_md5 == checksum


async def test_ranges(clients: Clients) -> None:
    service = await clients.shared_key(max_single_get_size=4, max_chunk_get_size=4)
    client = service.get_blob_client("clw", "a")
    await client.upload_blob(b"0123456789")
    assert await (await client.download_blob()).readall() == b"0123456789"
    assert await (await client.download_blob(offset=3, length=4)).readall() == b"3456"
    empty = service.get_blob_client("clw", "empty")
    await empty.upload_blob(b"")
    assert await (await empty.download_blob()).readall() == b""
    assert await refusal(client.download_blob(offset=10, length=1)) == (416, "InvalidRange")


async def test_conditions_on_the_etag(clients: Clients) -> None:
    client = (await clients.shared_key()).get_blob_client("plain", "a")
    made = await client.upload_blob(b"one")
    matching: dict[str, Any] = {"match_condition": MatchConditions.IfNotModified}
    await client.upload_blob(b"two", overwrite=True, etag=made["etag"], **matching)
    with pytest.raises(ResourceModifiedError):
        await client.upload_blob(b"three", overwrite=True, etag=made["etag"], **matching)
    with pytest.raises(ResourceModifiedError):
        await client.delete_blob(etag=made["etag"], **matching)


async def test_blocks_make_one_blob(clients: Clients) -> None:
    service = await clients.shared_key(max_single_put_size=4, max_block_size=4)
    client = service.get_blob_client("clw", "a")
    await client.upload_blob(b"0123456789", metadata={"k": "v"})
    assert await (await client.download_blob()).readall() == b"0123456789"
    assert (await client.get_blob_properties()).metadata == {"k": "v"}


async def test_what_is_malformed_is_refused(clients: Clients) -> None:
    client = await clients.blob("plain")
    made = await client.upload_blob(b"one")
    assert await refusal(client.append_block(b"two")) == (409, "InvalidBlobType")
    unstaged = client.commit_block_list([BlobBlock("01")])
    assert await refusal(unstaged) == (400, "InvalidBlockList")
    modified = {"etag": made["etag"], "match_condition": MatchConditions.IfModified}
    unmodified = client.upload_blob(b"two", overwrite=True, **modified)
    assert await refusal(unmodified) == (412, "ConditionNotMet")


async def test_lists_come_in_pages(double: BlobDouble, clients: Clients) -> None:
    container = (await clients.role("reader")).get_container_client("clw")
    owner = (await clients.shared_key()).get_container_client("clw")
    for number in range(5):
        await owner.upload_blob(f"a/{number}", b"x", metadata={"n": str(number)})
    await owner.upload_blob("b", b"x")
    double.service.page_limit = 2
    found = [
        each async for each in container.list_blobs(name_starts_with="a/", include=["metadata"])
    ]
    assert [each.name for each in found] == [f"a/{number}" for number in range(5)]
    assert [each.metadata["n"] for each in found] == list("01234")
    assert len([seen for seen in double.requests if "list" in seen.query.values()]) == 3


async def test_lists_tell_versions_and_their_protection(
    double: BlobDouble, clients: Clients
) -> None:
    container = (await clients.shared_key()).get_container_client("vlw")
    first = await container.get_blob_client("a").upload_blob(b"one", legal_hold=True)
    double.service.clock.advance(DAY)
    await container.upload_blob("a", b"two", overwrite=True)
    include = ["versions", "immutabilitypolicy", "legalhold"]
    old, new = [each async for each in container.list_blobs(include=include)]
    assert (old.version_id, old.is_current_version, old.has_legal_hold) == (
        first["version_id"], None, True,
    )  # fmt: skip
    assert (new.is_current_version, new.immutability_policy.policy_mode) == (True, "locked")


async def test_a_container_tells_its_protection(double: BlobDouble, clients: Clients) -> None:
    service = await clients.role("reader")
    double.service.containers["plain"].hold("case1")
    found = {}
    for name in ("plain", "clw", "vlw"):
        told = await service.get_container_client(name).get_container_properties()
        found[name] = (
            told.has_immutability_policy, told.has_legal_hold,
            told.immutable_storage_with_versioning_enabled,
        )  # fmt: skip
    assert found["plain"] == (False, True, False)
    assert found["clw"] == (True, False, False)
    assert found["vlw"][1:] == (False, True)


async def test_a_snapshot_keeps_what_was(clients: Clients) -> None:
    service = await clients.shared_key()
    client = service.get_blob_client("plain", "a")
    await client.upload_blob(b"one")
    shot = await client.create_snapshot()
    await client.upload_blob(b"two", overwrite=True)
    old = service.get_blob_client("plain", "a", snapshot=str(shot["snapshot"]))
    assert await (await old.download_blob()).readall() == b"one"


async def test_an_identity_may_what_it_may(clients: Clients) -> None:
    mismatch = (403, "AuthorizationPermissionMismatch")
    reader = (await clients.role("reader")).get_blob_client("plain", "a")
    assert await refusal(reader.upload_blob(b"one")) == mismatch
    writer = (await clients.role("writer")).get_blob_client("plain", "a")
    await writer.upload_blob(b"one")
    assert await (await reader.download_blob()).readall() == b"one"
    assert await refusal(writer.delete_blob()) == mismatch
    assert await refusal(writer.set_blob_metadata({"k": "v"})) == mismatch
    await (await clients.role("contributor")).get_blob_client("plain", "a").delete_blob()


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("none/a", {}, (404, "ContainerNotFound")),  # before the identity is looked at
        ("clw/a", {}, (401, "NoAuthenticationInformation")),
        ("clw/a?sig=unknown", {}, (403, "AuthenticationFailed")),
        ("clw/a", {"Authorization": "Bearer unknown"}, (401, "InvalidAuthenticationInfo")),
        ("clw/a", {"Authorization": "SharedKey x:y"}, (404, "BlobNotFound")),
        ("clw/a?comp=tags", {"Authorization": "SharedKey x:y"}, (501, "NotImplemented")),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_errors_carry_their_code(
    double: BlobDouble, method: str, path: str, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{double.url}/{path}", headers=headers) as answer,
    ):
        assert (answer.status, answer.headers["x-ms-error-code"]) == expected
        assert (f"<Code>{expected[1]}</Code>" in await answer.text()) is (method == "GET")
    assert [(seen.method, seen.status) for seen in double.requests] == [(method, expected[0])]


async def test_containers_come_and_go(clients: Clients) -> None:
    service = await clients.shared_key()
    await service.create_container("new")
    assert await refusal(service.create_container("new")) == (409, "ContainerAlreadyExists")
    await service.delete_container("new")
    writing = (await clients.role("writer")).create_container("other")
    assert await refusal(writing) == (403, "AuthorizationPermissionMismatch")
    with pytest.raises(ResourceNotFoundError):
        await service.get_container_client("new").get_container_properties()


def test_the_clock_does_not_go_back() -> None:
    clock = BlobDouble().service.clock
    with pytest.raises(ValueError, match="does not go back"):
        clock.set(clock.now - 1)
