"""The S3 store behind the proxy of faults: what one put or one read makes of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from audit_stream.errors import StoreError, StoreRefused, StoreTransient
from audit_stream.ports import PutResult
from audit_stream.stores.s3 import S3Store
from audit_stream.stores.s3_subjects import S3SubjectStore
from audit_stream.stores.s3_target import S3Keys, S3Target
from tests.support.s3_account import identity, set_up
from tests.support.s3_faults import FaultProxy
from tests.support.s3_faults.kinds import FaultKind
from tests.support.versitygw import ROOT, S3Server, Versitygw, versitygw

BUCKET, OURS = "audit", b"ours"


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


@pytest.fixture
async def store(proxy: FaultProxy, writer: S3Keys) -> AsyncIterator[S3Store]:
    access = S3Server(proxy.url).access(writer, read_seconds=1.0)
    found = S3Store(S3Target(bucket=BUCKET, access=access))
    yield found
    await found.close()


@pytest.mark.parametrize(
    ("kind", "result", "stands"),
    [
        ("drop_after", PutResult.STORED, OURS), ("stall_after", PutResult.STORED, OURS),
        ("twin", PutResult.STORED, OURS), ("rival", PutResult.EXISTS, b"theirs"),
        ("marker", PutResult.STORED, OURS), ("shadow", PutResult.STORED, OURS),
    ],
)  # fmt: skip
async def test_p1_a_put_in_doubt_is_settled_by_what_was_first(
    store: S3Store, proxy: FaultProxy, server: Versitygw, kind: FaultKind, result: PutResult,
    stands: bytes,
) -> None:  # fmt: skip
    fault = proxy.faults.inject(kind, body=b"theirs")
    assert await store.put_if_absent(kind, OURS, {}) is result
    assert fault.hit.is_set()
    assert await store.put_if_absent(kind, OURS, {}) is result
    assert await store.get(kind) == stands
    assert await store.names(kind) == [kind]
    put_by_others = 1 if kind in ("marker", "shadow") else 0
    assert len(server.versions(BUCKET, kind)) == 1 + put_by_others


@pytest.mark.parametrize(
    "kind",
    ["drop_before", "busy", "timeout", "throttle", "conflict", "bit_flip", "stall"],
)  # fmt: skip
async def test_what_may_pass_is_said_to_and_the_next_put_stores(
    store: S3Store, proxy: FaultProxy, kind: FaultKind
) -> None:
    proxy.faults.inject(kind)
    with pytest.raises(StoreTransient) as caught:
        await store.put_if_absent(kind, OURS, {})
    assert caught.value.retry_after == (1.0 if kind == "throttle" else None)
    assert await store.get(kind) is None
    assert await store.put_if_absent(kind, OURS, {}) is PutResult.STORED


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("forbidden", "check the identity's rights"), ("missing", "check AUDIT_ARCHIVE"),
        ("proxy_403", "the answer is not S3's: a proxy or a firewall refused"),
    ],
)  # fmt: skip
async def test_a_refusal_says_where_to_look(
    store: S3Store, proxy: FaultProxy, kind: FaultKind, hint: str
) -> None:
    proxy.faults.inject(kind)
    with pytest.raises(StoreRefused) as caught:
        await store.put_if_absent(kind, OURS, {})
    assert hint in caught.value.hint


async def test_the_look_that_would_settle_a_doubt_fails_too(
    store: S3Store, proxy: FaultProxy
) -> None:
    await store.put_if_absent("doubt", b"theirs", {})
    proxy.faults.inject("head_busy")
    with pytest.raises(StoreTransient, match=r"is taken.*then looking at doubt: SlowDown"):
        await store.put_if_absent("doubt", OURS, {})
    assert await store.put_if_absent("doubt", OURS, {}) is PutResult.EXISTS


async def test_what_lands_late_is_found_by_the_next_put(store: S3Store, proxy: FaultProxy) -> None:
    fault = proxy.faults.inject("late")
    with pytest.raises(StoreTransient):
        await store.put_if_absent("late", OURS, {})
    fault.release()
    await fault.landed.wait()
    assert await store.put_if_absent("late", b"other", {}) is PutResult.EXISTS
    assert await store.get("late") == OURS


@pytest.mark.parametrize("kind", ["bit_flip", "slow_body", "cut_body"])
async def test_p5_an_answer_that_breaks_or_was_changed_is_no_answer(
    store: S3Store, proxy: FaultProxy, kind: FaultKind
) -> None:
    name = f"read/{kind}"
    await store.put_if_absent(name, OURS, {})
    proxy.faults.inject(kind, method="GET", path=name)  # of the object, not the look before it
    with pytest.raises(StoreTransient):
        await store.get(name)
    proxy.faults.clear()
    assert await store.get(name) == OURS


@pytest.mark.parametrize("kind", ["cut_body", "slow_body", "busy", "proxy_403"])
async def test_a_listing_that_breaks_is_no_listing(
    store: S3Store, proxy: FaultProxy, kind: FaultKind
) -> None:
    await store.put_if_absent(f"list/{kind}", OURS, {})
    proxy.faults.inject(kind, method="GET")
    with pytest.raises(StoreError):
        await store.names(f"list/{kind}")
    assert await store.names(f"list/{kind}") == [f"list/{kind}"]


@pytest.mark.parametrize("kind", ["cut_body", "slow_body"])
async def test_a_refusal_that_breaks_off_is_in_doubt(
    proxy: FaultProxy, writer: S3Keys, kind: FaultKind
) -> None:
    access = S3Server(proxy.url).access(writer, read_seconds=1.0)
    subjects = S3SubjectStore(S3Target(bucket="subjects", access=access))
    proxy.faults.inject(kind, method="GET")
    with pytest.raises(StoreTransient):
        await subjects.get("free")
    proxy.faults.clear()
    assert await subjects.get("free") is None
    await subjects.close()
