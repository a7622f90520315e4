"""The stores in memory fail when, and only when, they are told to."""

from __future__ import annotations

import asyncio

import pytest

from audit_stream.errors import StoreRefused, StoreTransient
from audit_stream.ports import PutResult
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.memory_subjects import MemorySubjectStore
from tests.support.clock import settle


async def test_a_gate_holds_a_put_before_it_takes_effect() -> None:
    store = MemoryWormStore()
    store.gate = asyncio.Event()
    put = asyncio.create_task(store.put_if_absent("a", b"one", {}))
    await settle()
    assert store.attempts == ["a"]
    assert await store.get("a") is None
    store.gate.set()
    assert await put is PutResult.STORED


async def test_a_rival_can_win_while_a_put_is_held() -> None:
    store = MemoryWormStore()
    store.gate = asyncio.Event()
    put = asyncio.create_task(store.put_if_absent("a", b"one", {}))
    await settle()
    assert await store.reopen().put_if_absent("a", b"rival", {}) is PutResult.STORED
    store.gate.set()
    assert await put is PutResult.EXISTS


async def test_a_cancelled_put_was_not_stored() -> None:
    store = MemoryWormStore()
    store.gate = asyncio.Event()
    put = asyncio.create_task(store.put_if_absent("a", b"one", {}))
    await settle()
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    store.gate.set()
    assert await store.get("a") is None


async def test_faults_come_in_the_order_they_were_ordered_and_end() -> None:
    store = MemoryWormStore()
    store.fail_next(1, False)
    store.fail_next(2, True, StoreRefused("no credentials"))
    with pytest.raises(StoreTransient):
        await store.put_if_absent("a", b"x", {})
    for name in ("b", "c"):
        with pytest.raises(StoreRefused, match="no credentials"):
            await store.put_if_absent(name, b"x", {})
    assert await store.put_if_absent("d", b"x", {}) is PutResult.STORED
    assert await store.names("") == ["b", "c", "d"]
    assert store.attempts == ["a", "b", "c", "d"]


async def test_in_an_outage_every_call_fails_and_nothing_changes() -> None:
    store = MemoryWormStore()
    store.outage = True
    for call in (
        store.put_if_absent("a", b"x", {}),
        store.get("a"),
        store.names(""),
        store.posture(),
        store.set_hold("a", True),
        store.extend_retention("a", 1),
    ):
        with pytest.raises(StoreTransient, match="outage"):
            await call
    store.outage = False
    assert await store.names("") == []


async def test_another_handle_shares_the_objects_but_not_the_faults() -> None:
    store = MemoryWormStore()
    store.outage = True
    other = store.reopen()
    assert await other.put_if_absent("a", b"x", {}) is PutResult.STORED
    store.outage = False
    assert await store.get("a") == b"x"


async def test_subject_stores_have_outages_too() -> None:
    store = MemorySubjectStore()
    store.outage = True
    for call in (
        store.create("a", b"x"),
        store.get("a"),
        store.replace("a", b"x", "tag"),
        store.remove("a", "tag"),
        store.names(""),
    ):
        with pytest.raises(StoreTransient, match="outage"):
            await call
    assert await store.reopen().create("a", b"x")
