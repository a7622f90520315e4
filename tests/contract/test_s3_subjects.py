"""Subject objects in S3, on versitygw and moto."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from audit_stream.errors import StoreTransient
from audit_stream.posture import Standing
from audit_stream.stores.s3_subjects import S3SubjectStore
from audit_stream.stores.s3_target import S3Keys, S3Target
from tests.contract.subject_store_contract import NAME, SubjectStoreContract, SubjectTarget
from tests.support.cutting_proxy import CuttingProxy
from tests.support.moto_server import moto_server
from tests.support.versitygw import S3Server, Versitygw, versitygw

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
WORKER = S3Keys(key_id="worker", secret="worker-secret")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versitygw]:
    with versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    with moto_server() as server:
        yield server


class BucketTarget(SubjectTarget):
    """A bucket of its own, without versions unless told otherwise."""

    def __init__(self, server: S3Server, *, locked: bool = False) -> None:
        self.server, self.bucket = server, f"t{uuid.uuid4().hex}"
        server.create_bucket(self.bucket, locked=locked)
        self.proxy = CuttingProxy(int(server.url.rpartition(":")[2]))
        self.handles: list[S3SubjectStore] = []

    def open(self, **more: object) -> S3SubjectStore:
        access = self.server.access(**more)  # type: ignore[arg-type]
        self.handles.append(S3SubjectStore(S3Target(bucket=self.bucket, access=access)))
        return self.handles[-1]

    async def proxied(self) -> S3SubjectStore:
        return self.open(endpoint=f"http://127.0.0.1:{await self.proxy.start()}")

    async def close(self) -> None:
        for handle in self.handles:
            await handle.close()
        await self.proxy.stop()


class TestVersitygw(SubjectStoreContract):
    @pytest.fixture
    async def target(self, gateway: Versitygw) -> AsyncIterator[BucketTarget]:
        found = BucketTarget(gateway)
        yield found
        await found.close()


class TestMoto(SubjectStoreContract):
    #: It looks at the entity tag, then writes: of two rewriters at once both may be told yes.
    test_no_update_is_lost = None

    @pytest.fixture
    async def target(self, moto: S3Server) -> AsyncIterator[BucketTarget]:
        found = BucketTarget(moto)
        yield found
        await found.close()


@pytest.fixture
async def target(gateway: Versitygw) -> AsyncIterator[BucketTarget]:
    found = BucketTarget(gateway)
    yield found
    await found.close()


async def test_a_write_whose_answer_was_lost_is_settled_by_reading(target: BucketTarget) -> None:
    store = await target.proxied()
    assert await store.get(NAME) is None  # connected: the request's own connection is cut
    target.proxy.cut = "after"
    assert await store.create(NAME, b"one")
    first = await store.get(NAME)
    assert first is not None
    target.proxy.cut = "after"
    assert await store.replace(NAME, b"two", first.etag)
    assert target.proxy.puts == 2
    target.proxy.cut = "before"
    with pytest.raises(StoreTransient):
        await store.create(f"{NAME}.other", b"one")
    assert await store.get(f"{NAME}.other") is None


async def test_a_bucket_without_versions_leaves_nothing_behind(target: BucketTarget) -> None:
    found = {each.fact: each for each in await target.open().findings()}
    tried = found["subjects: a wrong entity tag"]
    assert tried.standing is Standing.OK
    assert "rewrite (PreconditionFailed), remove (PreconditionFailed)" in tried.value
    assert found["subjects: versioning"].standing is Standing.OK
    assert found["subjects: Object Lock"].standing is Standing.OK
    assert target.server.versions(target.bucket) == []  # what was tried on is gone


async def test_a_bucket_that_keeps_versions_says_so(gateway: Versitygw) -> None:
    target = BucketTarget(gateway, locked=True)
    bad = {each.fact for each in await target.open().findings() if each.standing is Standing.BAD}
    assert bad == {"subjects: Object Lock", "subjects: versioning"}
    await target.close()


async def test_a_worker_need_not_have_the_right_to_remove(
    gateway: Versitygw, target: BucketTarget
) -> None:
    gateway.add_identity(WORKER)
    gateway.allow(target.bucket, {WORKER.key_id: (
        "GetObject", "PutObject", "ListBucket", "GetBucketVersioning",
        "GetBucketObjectLockConfiguration",
    )})  # fmt: skip
    store = target.open(keys=WORKER)
    assert await store.create(NAME, b"one")
    found = {each.fact: each for each in await store.findings()}
    tried = found["subjects: a wrong entity tag"]
    assert tried.standing is Standing.OK
    assert "remove (AccessDenied)" in tried.value
