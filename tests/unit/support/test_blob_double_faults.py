"""The write-once double fails as told, and what it commits meanwhile is what it says."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from azure.core.exceptions import (
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob.aio import BlobClient

from tests.support.blobs import BlobDouble
from tests.support.blobs.faults import FaultKind
from tests.support.blobs.sdk import Clients, create_only, refusal

EXISTS = (409, "BlobAlreadyExists")
LOST = (ServiceRequestError, ServiceResponseError)
SOON = 0.2  # seconds of a time limit that a test wants to see exceeded


async def stored(client: BlobClient) -> bytes:
    found: bytes = await (await client.download_blob()).readall()
    return found


def puts(double: BlobDouble) -> list[int]:
    return [seen.status for seen in double.requests if seen.method == "PUT"]


async def unrepeated(session: aiohttp.ClientSession) -> AioHttpTransport:
    """A transport that does not send a PUT again on its own."""
    session._retry_connection = False
    return AioHttpTransport(session=session, session_owner=False)


@pytest.mark.parametrize(("kind", "committed"), [("drop_before", False), ("drop_after", True)])
async def test_a_dropped_connection(
    double: BlobDouble, clients: Clients, kind: FaultKind, committed: bool
) -> None:
    double.faults.inject(kind)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        client = await clients.blob("clw", transport=await unrepeated(session))
        with pytest.raises(LOST):
            await create_only(client)
        assert await client.exists() is committed
    assert puts(double) == [0]


async def test_a_lost_answer_meets_its_own_write(double: BlobDouble, clients: Clients) -> None:
    double.faults.inject("drop_after")
    client = await clients.blob("clw")
    assert await refusal(create_only(client)) == EXISTS
    assert puts(double) == [0, 409]  # the second is the HTTP client's own


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("busy", (503, "ServerBusy")),
        ("timeout", (500, "OperationTimedOut")),
        ("throttle", (429, "TooManyRequests")),
        ("proxy_403", (403, "")),
        ("proxy_404", (404, "")),
        ("proxy_404_json", (404, "")),
    ],
)
async def test_a_refusal_commits_nothing_and_happens_as_often_as_told(
    double: BlobDouble, clients: Clients, kind: FaultKind, expected: tuple[int, str]
) -> None:
    double.faults.inject(kind, times=2)
    client = await clients.blob("clw")
    assert [await refusal(create_only(client)), await refusal(create_only(client))] == [
        expected
    ] * 2
    assert not await client.exists()
    await create_only(client)


async def test_a_throttle_says_when_to_come_back(double: BlobDouble, clients: Clients) -> None:
    double.faults.inject("throttle", retry_after=7)
    with pytest.raises(HttpResponseError) as caught:
        await create_only(await clients.blob("clw"))
    response: Any = caught.value.response
    assert response.headers["Retry-After"] == "7"


async def test_a_stall_that_is_released_commits(double: BlobDouble, clients: Clients) -> None:
    fault = double.faults.inject("stall")
    client = await clients.blob("clw")
    writing = asyncio.create_task(create_only(client))
    await fault.hit.wait()
    assert not await client.exists()
    fault.release()
    await writing
    assert await stored(client) == b"one"


@pytest.mark.parametrize(("kind", "committed"), [("stall", False), ("stall_after", True)])
async def test_a_stall_outlasts_the_client(
    double: BlobDouble, clients: Clients, kind: FaultKind, committed: bool
) -> None:
    double.faults.inject(kind)
    client = await clients.blob("clw")
    with pytest.raises(ServiceResponseTimeoutError):
        await create_only(client, read_timeout=SOON)
    assert await client.exists() is committed


async def test_a_commit_lands_late(double: BlobDouble, clients: Clients) -> None:
    fault = double.faults.inject("late")
    client = await clients.blob("clw")
    with pytest.raises(ServiceResponseTimeoutError):
        await create_only(client, read_timeout=SOON)
    assert not await client.exists()
    fault.release()
    await fault.landed.wait()
    assert await stored(client) == b"one"


async def test_a_late_commit_keeps_the_rules(double: BlobDouble, clients: Clients) -> None:
    fault = double.faults.inject("late")
    client = await clients.blob("clw")
    late = asyncio.create_task(refusal(create_only(client, b"late")))
    await fault.hit.wait()
    await create_only(client, b"first")
    fault.release()
    assert await late == EXISTS
    assert await stored(client) == b"first"


async def test_a_twin_and_a_rival_come_first(double: BlobDouble, clients: Clients) -> None:
    service = await clients.role("writer")
    twin, rival = (service.get_blob_client("clw", name) for name in ("twin", "rival"))
    double.faults.inject("twin", path="/twin")
    double.faults.inject("rival", path="/rival", metadata={"writer": "other"})
    for client in (rival, twin):
        refused = await refusal(create_only(client, metadata={"writer": "me"}))
        assert refused == (403, "UnauthorizedBlobOverwrite")
    assert (await stored(twin), await stored(rival)) == (b"one", b"rival one")
    assert (await twin.get_blob_properties()).metadata == {"writer": "me"}
    assert (await rival.get_blob_properties()).metadata == {"writer": "other"}


async def test_a_flipped_bit_is_noticed_by_the_checksum(
    double: BlobDouble, clients: Clients
) -> None:
    double.faults.inject("bit_flip")
    client = await clients.blob("clw")
    assert await refusal(create_only(client, validate_content="md5")) == (400, "Md5Mismatch")
    assert not await client.exists()
    await create_only(client, validate_content="md5")
    double.faults.inject("bit_flip", method="GET")
    assert await stored(client) != b"one"


async def test_a_head_after_a_conflict_is_refused(double: BlobDouble, clients: Clients) -> None:
    double.faults.inject("head_busy")
    client = await clients.blob("clw")
    await create_only(client)
    await client.get_blob_properties()  # there was no conflict yet
    assert await refusal(create_only(client)) == EXISTS
    assert await refusal(client.get_blob_properties()) == (503, "ServerBusy")
    await client.get_blob_properties()


async def test_a_policy_vanishes_while_the_client_runs(
    double: BlobDouble, clients: Clients
) -> None:
    client = await clients.blob("clw")
    await create_only(client)
    double.faults.inject("unlock")
    overwriting = client.upload_blob(b"two", overwrite=True)
    assert await refusal(overwriting) == (409, "BlobImmutableDueToPolicy")
    assert not double.service.containers["clw"].locked
    double.faults.inject("remove_policy")
    await client.upload_blob(b"two", overwrite=True)
    assert await stored(client) == b"two"


async def test_an_unlocked_default_shows_in_the_next_version(
    double: BlobDouble, clients: Clients
) -> None:
    client = await clients.blob("vlw")
    double.faults.inject("unlock")
    await create_only(client)
    assert (await client.get_blob_properties()).immutability_policy.policy_mode == "unlocked"


async def test_a_slow_body_waits_for_its_release(double: BlobDouble, clients: Clients) -> None:
    client = await clients.blob("clw")
    await create_only(client)
    fault = double.faults.inject("slow_body", method="GET")
    reading = asyncio.create_task(stored(client))
    await fault.hit.wait()
    fault.release()
    assert await reading == b"one"


async def test_a_slow_body_outlasts_the_client(double: BlobDouble, clients: Clients) -> None:
    await create_only(await clients.blob("clw"))
    double.service.access.register_sas("s", "r")
    double.faults.inject("slow_body", method="GET")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{double.url}/clw/a/1?sig=s") as answer,
    ):
        assert answer.content_length == 3
        assert await answer.content.readexactly(1) == b"o"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON):
                await answer.read()


async def test_a_cut_body_is_too_short(double: BlobDouble, clients: Clients) -> None:
    await create_only(await clients.blob("clw"))
    double.service.access.register_sas("s", "r")
    double.faults.inject("cut_body", method="GET")
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            async with session.get(f"{double.url}/clw/a/1?sig=s") as answer:
                await answer.read()
