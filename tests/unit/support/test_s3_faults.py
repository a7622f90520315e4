"""The proxy before an S3 server: what a client meets, and what stands afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    FlexibleChecksumError,
    HTTPClientError,
)

from audit_stream.stores.s3_target import S3Keys
from tests.support.eventually import eventually
from tests.support.s3_account import ADD, READ, identity, set_up
from tests.support.s3_faults import FaultProxy
from tests.support.s3_faults.kinds import FaultKind
from tests.support.s3_faults.process import ProxyProcess
from tests.support.versitygw import REGION, ROOT, Versitygw, versitygw

BUCKET = "audit"
ODD = "segments/a b+ü/%41.gz"  # what a careless proxy would quote anew


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versitygw]:
    with versitygw(tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture(scope="module")
def writer(server: Versitygw) -> S3Keys:
    keys, _ = identity(server, "writer"), identity(server, "reader")
    set_up(server, BUCKET, "subjects", ["writer"], "reader")
    return keys


@pytest.fixture
async def proxy(server: Versitygw) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(server.url, ROOT) as found:
        yield found


class Client:
    """A client, off the event loop that the proxy runs in."""

    def __init__(self, url: str, keys: S3Keys) -> None:
        config = Config(
            retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=1
        )
        self._client = botocore.session.Session().create_client(
            "s3", endpoint_url=url, region_name=REGION, config=config,
            aws_access_key_id=keys.key_id, aws_secret_access_key=keys.secret,
        )  # fmt: skip

    async def put(self, key: str, body: bytes = b"ours") -> str:
        asked: Any = await self.ask(
            "put_object", Key=key, Body=body, IfNoneMatch="*", ChecksumAlgorithm="SHA256"
        )
        return str(asked["VersionId"])

    async def get(self, key: str) -> bytes:
        def read() -> bytes:
            return bytes(self._client.get_object(Bucket=BUCKET, Key=key)["Body"].read())

        return await asyncio.to_thread(read)

    async def versions(self, key: str) -> list[bytes]:
        """Oldest first."""
        found = await self.ask("list_object_versions", Prefix=key)
        ids = [
            each["VersionId"] for each in reversed(found.get("Versions", [])) if each["Key"] == key
        ]
        bodies = [await self.ask("get_object", Key=key, VersionId=each) for each in ids]
        return [each["Body"].read() for each in bodies]

    async def ask(self, operation: str, **given: Any) -> Any:
        return await asyncio.to_thread(getattr(self._client, operation), Bucket=BUCKET, **given)


@pytest.fixture
def client(writer: S3Keys, proxy: FaultProxy) -> Client:
    return Client(proxy.url, writer)


@pytest.fixture
def straight(server: Versitygw) -> Client:
    return Client(server.url, ROOT)


async def test_requests_pass_unchanged_and_are_counted_by_their_key(
    client: Client, proxy: FaultProxy
) -> None:
    await client.put(ODD)
    assert await client.get(ODD) == b"ours"
    assert (await client.ask("head_object", Key=ODD))["ContentLength"] == 4
    with pytest.raises(ClientError, match="PreconditionFailed"):
        await client.put(ODD)
    seen = [(each.method, each.status, each.client, each.fault) for each in proxy.requests]
    assert seen == [
        ("PUT", 200, "writer", None), ("GET", 200, "writer", None), ("HEAD", 200, "writer", None),
        ("PUT", 412, "writer", None),
    ]  # fmt: skip
    assert {each.path for each in proxy.requests} == {f"/{BUCKET}/{ODD}"}


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("busy", 503, "SlowDown"), ("timeout", 500, "InternalError"),
        ("throttle", 429, "TooManyRequests"), ("conflict", 409, "ConditionalRequestConflict"),
        ("forbidden", 403, "AccessDenied"), ("missing", 404, "NoSuchBucket"),
        ("proxy_403", 403, ""),
    ],
)  # fmt: skip
async def test_a_refusal_leaves_nothing_behind_and_comes_once(
    client: Client, straight: Client, proxy: FaultProxy, kind: FaultKind, status: int, code: str
) -> None:
    fault = proxy.faults.inject(kind, retry_after=7)
    with pytest.raises(ClientError) as caught:
        await client.put(f"refused/{kind}")
    answer = caught.value.response
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (status, code)
    retry_after = answer["ResponseMetadata"]["HTTPHeaders"].get("retry-after")
    assert retry_after == (None if kind == "proxy_403" else "7")
    assert fault.hit.is_set()
    assert await straight.versions(f"refused/{kind}") == []
    await client.put(f"refused/{kind}")


@pytest.mark.parametrize(("kind", "stored"), [("drop_before", []), ("drop_after", [b"ours"])])
async def test_a_connection_ends_before_or_after_the_put(
    client: Client, straight: Client, proxy: FaultProxy, kind: FaultKind, stored: list[bytes]
) -> None:
    proxy.faults.inject(kind)
    with pytest.raises(ConnectionClosedError):
        await client.put(kind)
    assert await straight.versions(kind) == stored


@pytest.mark.parametrize(("kind", "stands"), [("twin", b"ours"), ("rival", b"rival ours")])
async def test_another_writer_comes_first(
    client: Client, straight: Client, proxy: FaultProxy, kind: FaultKind, stands: bytes
) -> None:
    proxy.faults.inject(kind)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        await client.put(kind)
    assert await straight.versions(kind) == [stands]


async def test_a_delete_marker_lies_in_front_of_what_was_stored(
    client: Client, straight: Client, proxy: FaultProxy
) -> None:
    proxy.faults.inject("marker")
    await client.put("hidden")
    with pytest.raises(ClientError, match="NoSuchKey"):
        await client.get("hidden")
    assert await straight.versions("hidden") == [b"ours"]


async def test_a_shadow_lies_over_what_was_stored(
    client: Client, straight: Client, proxy: FaultProxy
) -> None:
    proxy.faults.inject("shadow", body=b"theirs")
    await client.put("shadowed")
    assert await client.get("shadowed") == b"theirs"
    assert await straight.versions("shadowed") == [b"ours", b"theirs"]


async def test_a_bit_is_flipped_on_the_way(
    client: Client, straight: Client, proxy: FaultProxy
) -> None:
    proxy.faults.inject("bit_flip")
    with pytest.raises(ClientError, match=r"Mismatch|BadDigest"):
        await client.put("flipped")
    assert await straight.versions("flipped") == []
    await client.put("flipped")
    proxy.faults.inject("bit_flip", method="GET")
    with pytest.raises(FlexibleChecksumError):
        await client.get("flipped")


@pytest.mark.parametrize(
    ("kind", "waiting", "afterwards"),
    [("stall", [], []), ("stall_after", [b"ours"], [b"ours"]), ("late", [], [b"ours"])],
)
async def test_a_client_gives_up_before_the_answer(
    client: Client, straight: Client, proxy: FaultProxy, kind: FaultKind, waiting: list[bytes],
    afterwards: list[bytes],
) -> None:  # fmt: skip
    fault = proxy.faults.inject(kind)
    with pytest.raises(HTTPClientError, match="timeout"):
        await client.put(kind)

    async def gone() -> bool:  # the proxy has seen that it gave up
        return bool(proxy.requests)

    await eventually(gone)
    assert await straight.versions(kind) == waiting
    fault.release()

    async def so() -> bool:
        return await straight.versions(kind) == afterwards

    await eventually(so)


@pytest.mark.parametrize("kind", ["slow_body", "cut_body"])
async def test_an_answer_breaks_off(client: Client, proxy: FaultProxy, kind: FaultKind) -> None:
    key = f"broken/{kind}"
    await client.put(key)
    proxy.faults.inject(kind, method="GET")
    with pytest.raises(HTTPClientError, match=r"timeout|broken"):
        await client.get(key)
    proxy.faults.clear()
    assert await client.get(key) == b"ours"


async def test_the_look_that_follows_a_conflict_fails(client: Client, proxy: FaultProxy) -> None:
    proxy.faults.inject("head_busy")
    await client.put("doubt")  # no conflict yet
    with pytest.raises(ClientError, match="PreconditionFailed"):
        await client.put("doubt")
    with pytest.raises(ClientError, match="SlowDown"):
        await client.ask("list_object_versions", Prefix="doubt")
    await client.ask("list_object_versions", Prefix="doubt")


async def test_as_a_process_it_is_told_from_outside(
    server: Versitygw, writer: S3Keys, straight: Client
) -> None:
    with ProxyProcess(server.url, ROOT) as process:
        client = Client(process.url, writer)
        fault = process.tell("faults", kind="rival", share=1.0)
        with pytest.raises(ClientError, match="PreconditionFailed"):
            await client.put("told")
        process.clear("faults")
        assert process.ask(f"faults/{fault['id']}") == {"hit": True, "landed": False}
        await client.put("told-2")
        assert process.ask("counters")["kinds"] == {"PUT 412 rival": 1, "PUT 200 -": 1}
    assert await straight.versions("told") == [b"rival ours"]
    assert await straight.versions("told-2") == [b"ours"]


async def test_an_identity_may_do_what_its_policy_says_and_no_more(
    server: Versitygw, writer: S3Keys
) -> None:
    client = Client(server.url, writer)
    version = await client.put("kept")
    for given in ({}, {"VersionId": version}):
        with pytest.raises(ClientError, match="AccessDenied"):
            await client.ask("delete_object", Key="kept", **given)
    server.allow(BUCKET, {"writer": READ})
    with pytest.raises(ClientError, match="AccessDenied"):
        await client.put("refused")
    server.allow(BUCKET, {"writer": ADD})
    root = Client(server.url, ROOT)
    with pytest.raises(ClientError, match="object lock"):
        await root.ask("delete_object", Key="kept", VersionId=version)
