"""What the posture says of buckets of versitygw, seen with identities of several rights."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from audit_stream.errors import StoreRefused
from audit_stream.posture import Assurance, Finding, Standing
from audit_stream.stores.s3 import S3Store
from audit_stream.stores.s3_canary import NAME
from audit_stream.stores.s3_target import S3Keys
from tests.contract.s3_attacker import DAYS, BucketTarget
from tests.contract.worm_store_contract import META
from tests.support.certificates import identity
from tests.support.moto_server import moto_server
from tests.support.versitygw import ROOT, Versitygw, versitygw

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
WRITER = S3Keys(key_id="writer", secret="writer-secret")
READS = (
    "GetObject", "GetObjectVersion", "GetObjectRetention", "GetObjectLegalHold", "ListBucket",
    "ListBucketVersions", "GetBucketVersioning", "GetBucketObjectLockConfiguration",
)  # fmt: skip
ADDS = (*READS, "PutObject", "PutObjectRetention")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versitygw]:
    """Over TLS, as in production."""
    folder = tmp_path_factory.mktemp("versitygw")
    with versitygw(folder, tls=identity(folder, "s3")) as server:
        server.add_identity(WRITER)
        yield server


@pytest.fixture
async def target(gateway: Versitygw) -> AsyncIterator[BucketTarget]:
    found = BucketTarget(gateway)
    yield found
    await found.close()


def writer(gateway: Versitygw, target: BucketTarget, rights: tuple[str, ...] = ADDS) -> S3Store:
    gateway.allow(target.bucket, {WRITER.key_id: rights})
    target.at = target.target(gateway.access(WRITER))
    return target.open()


async def findings(store: S3Store) -> tuple[Assurance, dict[str, Finding]]:
    posture = await store.posture()
    return posture.assurance, {each.fact: each for each in posture.findings}


async def test_a_writer_without_the_right_to_delete_is_worm_locked(
    gateway: Versitygw, target: BucketTarget
) -> None:
    level, found = await findings(writer(gateway, target))
    assert level is Assurance.WORM_LOCKED
    assert found["endpoint"].value == "https"
    assert found["TLS as negotiated"].value == "TLSv1.3"
    assert found["our clock against the service's"].standing is Standing.OK
    assert found["retention of a stored object"].value == f"COMPLIANCE, {DAYS} days"
    assert found["canary"].value == (
        "refused: delete (AccessDenied), shorten (AccessDenied), delete version (AccessDenied)"
    )
    assert found["what could be put in front of an object"].value == "overwrite"
    assert found["service"].standing is Standing.WEAK  # whoever has the disks has the archive


async def test_even_the_administrators_key_only_gets_in_front(
    gateway: Versitygw, target: BucketTarget
) -> None:
    """S3's compliance mode binds root, too."""
    level, found = await findings(target.open())
    assert level is Assurance.WORM_LOCKED
    assert found["what could be put in front of an object"].value == "overwrite, delete"
    assert "delete version (AccessDenied)" in found["canary"].value


async def test_what_the_canary_leaves_in_front_is_left_once(
    gateway: Versitygw, target: BucketTarget
) -> None:
    for _ in range(3):
        await target.open().posture()
    found = gateway.versions(target.bucket, NAME)
    assert len([each for each in found if "Size" in each]) == 2
    assert len([each for each in found if "Size" not in each]) == 1


async def test_an_old_canary_is_kept_as_long_as_is_asked_for(
    gateway: Versitygw, target: BucketTarget
) -> None:
    await target.open().posture()
    target.at = target.target(gateway.access(), days=2 * DAYS)
    level, found = await findings(target.open())
    assert level is Assurance.WORM_LOCKED
    assert found["retention of a stored object"].value == f"COMPLIANCE, {2 * DAYS} days"


async def test_a_reader_can_show_less(gateway: Versitygw, target: BucketTarget) -> None:
    gateway.allow(target.bucket, {WRITER.key_id: READS})
    target.at = target.target(gateway.access(WRITER))
    level, found = await findings(target.open(read_only=True))
    assert level is Assurance.WORM_UNLOCKED
    assert found["canary"].standing is Standing.UNKNOWN
    assert gateway.versions(target.bucket) == []


async def test_a_bucket_without_object_lock_is_mutable(gateway: Versitygw) -> None:
    target = BucketTarget(gateway, locked=False)
    level, found = await findings(target.open())
    assert level is Assurance.MUTABLE
    assert (found["Object Lock"].value, found["versioning"].value) == ("off", "off")
    await target.close()


async def test_a_bucket_whose_lock_cannot_be_read_is_judged_by_its_objects(
    gateway: Versitygw, target: BucketTarget
) -> None:
    rights = tuple(each for each in ADDS if not each.startswith("GetBucket"))
    level, found = await findings(writer(gateway, target, rights))
    assert level is Assurance.WORM_LOCKED
    assert found["Object Lock"].standing is found["versioning"].standing is Standing.UNKNOWN


async def test_moto_shortens_a_retention_and_is_found_out() -> None:
    """It cannot even be asked how an object is kept."""
    with moto_server() as server:
        target = BucketTarget(server)
        with pytest.raises(Exception, match="trying the canary: HTTP 500"):
            await target.open().posture()
        await target.close()


async def test_a_wrong_key_is_refused_and_never_shown(
    gateway: Versitygw, target: BucketTarget, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = S3Keys(key_id=ROOT.key_id, secret="s3cret-of-nobody", token="t0ken")
    target.at = target.target(gateway.access(wrong))
    store = target.open()
    with pytest.raises(StoreRefused, match=r"SignatureDoesNotMatch|InvalidToken") as no:
        await store.put_if_absent("a/b", b"one", META)
    assert no.value.hint
    shown = f"{no.value} {target.at!r} {wrong!r} {caplog.text}"
    assert "s3cret" not in shown
    assert "t0ken" not in shown


async def test_a_key_that_was_replaced_is_read_again(
    gateway: Versitygw, target: BucketTarget
) -> None:
    keys = [S3Keys(key_id=ROOT.key_id, secret="the old one")]
    target.at = target.target(replace(gateway.access(), keys=lambda: keys[-1]))
    store = target.open()
    with pytest.raises(StoreRefused):
        await store.get("a/b")
    keys.append(ROOT)
    assert await store.get("a/b") is None


async def test_a_certificate_nobody_vouches_for_is_told(
    gateway: Versitygw, target: BucketTarget
) -> None:
    target.at = target.target(gateway.access(ca_file=None))
    with pytest.raises(Exception, match="AUDIT_S3_CA_FILE"):
        await target.open().get("a/b")
