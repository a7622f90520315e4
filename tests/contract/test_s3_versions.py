"""What only S3 makes possible: markers and versions in front of an object. The oldest counts."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256

import pytest
from botocore.exceptions import ClientError

from audit_stream.errors import StoreRefused, StoreTransient
from audit_stream.ports import HoldLevel, PutResult
from tests.contract.s3_attacker import DAYS, BucketTarget
from tests.contract.worm_store_contract import META
from tests.support.moto_server import moto_server
from tests.support.versitygw import S3Server, Versitygw, versitygw

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
Past = Callable[[BucketTarget], None]


@pytest.fixture(scope="module", params=["versitygw", "moto"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[S3Server]:
    if request.param == "moto":
        with moto_server() as server:
            yield server
    else:
        with versitygw(tmp_path_factory.mktemp("versitygw")) as server:
            yield server


@pytest.fixture
async def target(server: S3Server) -> AsyncIterator[BucketTarget]:
    found = BucketTarget(server)
    yield found
    await found.close()


def mark(target: BucketTarget) -> None:
    """A delete marker in front."""
    target.client.delete_object(Bucket=target.bucket, Key="a/b")


def shadow(target: BucketTarget) -> None:
    """Another version in front."""
    target.client.put_object(Bucket=target.bucket, Key="a/b", Body=b"evil")


def both(target: BucketTarget) -> None:
    """A version, a marker, and a version again."""
    for change in (shadow, mark, shadow):
        change(target)


@pytest.mark.parametrize("change", [mark, shadow, both])
async def test_what_is_put_in_front_hides_and_replaces_nothing(
    target: BucketTarget, change: Past
) -> None:
    store = target.open()
    await store.put_if_absent("a/b", b"one", META)
    await store.put_if_absent("a/c", b"two", META)
    change(target)
    again = target.open()
    assert await again.get("a/b") == b"one"
    assert await again.names("") == ["a/b", "a/c"]
    assert await again.names("a/", after="a/b") == ["a/c"]
    assert await again.names("a/b") == ["a/b"]


@pytest.mark.parametrize("change", [mark, shadow, both])
async def test_behind_it_the_name_is_taken_all_the_same(target: BucketTarget, change: Past) -> None:
    """Behind a marker Amazon, and moto, take the name for free: the put succeeds, and is not what
    is stored under the name."""
    store = target.open()
    await store.put_if_absent("a/b", b"one", META)
    change(target)
    assert await store.put_if_absent("a/b", b"two", META) is PutResult.EXISTS
    assert await store.put_if_absent("a/b", b"one", META) is PutResult.STORED
    assert await store.get("a/b") == b"one"


async def test_writers_race_behind_a_marker_and_none_wins(target: BucketTarget) -> None:
    await target.open().put_if_absent("a/b", b"one", META)
    mark(target)
    handles = [target.open() for _ in range(4)]
    bodies = [b"one", b"two", b"three", b"four"]
    results = await asyncio.gather(
        *(each.put_if_absent("a/b", body, META) for each, body in zip(handles, bodies, strict=True))
    )
    assert results == [PutResult.STORED, *[PutResult.EXISTS] * 3]


async def test_a_name_of_which_only_markers_are_left_is_free(target: BucketTarget) -> None:
    mark(target)
    store = target.open()
    assert await store.get("a/b") is None
    assert await store.names("") == []


async def test_a_name_is_not_taken_for_one_that_begins_like_it(target: BucketTarget) -> None:
    store = target.open()
    for name in ("a/bb", "a/b-c", "a/b.c", "a/b0"):
        await store.put_if_absent(name, b"other", META)
    assert await store.get("a/b") is None
    assert await store.put_if_absent("a/b", b"one", META) is PutResult.STORED
    assert await store.get("a/b") == b"one"


async def test_a_bucket_without_object_lock_stores_and_protects_nothing(server: S3Server) -> None:
    target = BucketTarget(server, locked=False)
    store = target.open()
    assert await store.put_if_absent("a/b", b"one", META) is PutResult.STORED
    assert await store.put_if_absent("a/b", b"two", META) is PutResult.EXISTS
    assert await store.get("a/b") == b"one"
    assert await store.hold_level() is HoldLevel.NONE
    for call in (store.set_hold("a/b", True), store.extend_retention("a/b", 1)):
        with pytest.raises(StoreRefused, match="Object Lock is off"):
            await call
    await target.close()


async def test_bytes_that_are_not_those_of_their_checksum_are_not_read(server: S3Server) -> None:
    """moto takes any checksum for the bytes' own, as a disk that rots would keep it."""
    target = BucketTarget(server)
    wrong = b64encode(sha256(b"other").digest()).decode()
    put = partial(
        target.client.put_object, Bucket=target.bucket, Key="a/b", Body=b"one",
        ChecksumAlgorithm="SHA256", ChecksumSHA256=wrong,
    )  # fmt: skip
    if isinstance(server, Versitygw):
        with pytest.raises(ClientError, match="BadDigest"):
            put()
    else:
        put()
        with pytest.raises(StoreTransient, match="ChecksumError"):
            await target.open().get("a/b")
    await target.close()


# What follows needs a server that tells a retention: versitygw.


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versitygw]:
    with versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture
async def locked(gateway: Versitygw) -> AsyncIterator[BucketTarget]:
    found = BucketTarget(gateway)
    yield found
    await found.close()


def kept(target: BucketTarget, name: str) -> dict[str, object]:
    at = {"Bucket": target.bucket, "Key": name, "VersionId": target.oldest(name)["VersionId"]}
    return dict(target.client.get_object_retention(**at)["Retention"])


async def test_each_object_is_kept_in_compliance_mode_for_its_days(locked: BucketTarget) -> None:
    await locked.open().put_if_absent("a/b", b"one", META)
    found = kept(locked, "a/b")
    assert found["Mode"] == "COMPLIANCE"
    length = found["RetainUntilDate"] - locked.oldest("a/b")["LastModified"]  # type: ignore[operator]
    # Never shorter, also where our clock is behind by as much as the service allows.
    assert timedelta(days=DAYS) <= length <= timedelta(days=DAYS, hours=1)


async def test_retention_and_hold_are_of_the_version_that_counts(locked: BucketTarget) -> None:
    store = locked.open()
    await store.put_if_absent("a/b", b"one", META)
    shadow(locked)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=DAYS + 100)
    await store.extend_retention("a/b", round(until.timestamp() * 1000))
    assert kept(locked, "a/b")["RetainUntilDate"] == until
    await store.extend_retention("a/b", 1)
    assert kept(locked, "a/b")["RetainUntilDate"] == until
    await store.set_hold("a/b", True)
    at = {"Bucket": locked.bucket, "Key": "a/b"}
    oldest = locked.oldest("a/b")["VersionId"]
    held = locked.client.get_object_legal_hold(**at, VersionId=oldest)
    assert held["LegalHold"]["Status"] == "ON"
    assert await store.held("a/b") is True


async def test_a_listing_goes_on_over_its_pages(locked: BucketTarget) -> None:
    """1,001 names, and in the middle one with so many versions that they fill a page."""
    store = locked.open()
    await store.put_if_absent("p/0500", b"first", META)
    put = locked.client.put_object
    names = [f"p/{i:04d}" for i in range(1001)]

    def fill() -> None:
        for name in names:
            put(Bucket=locked.bucket, Key=name, Body=b"x")
        for _ in range(20):
            put(Bucket=locked.bucket, Key="p/0500", Body=b"evil")

    await asyncio.to_thread(fill)
    assert await store.names("p/") == names
    assert await store.names("p/", after="p/0499", limit=2) == ["p/0500", "p/0501"]
    assert await store.names("p/", after="p/0997") == names[998:]
    assert await store.get("p/0500") == b"first"
