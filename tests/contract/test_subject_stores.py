"""The contract of subject stores on every store of the package."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from audit_stream.errors import StoreError, StoreTransient
from audit_stream.ports import SubjectStore
from audit_stream.stores.breaker import CircuitBreaker
from audit_stream.stores.memory_subjects import MemorySubjectStore
from audit_stream.stores.retry import ResilientSubjectStore
from audit_stream.stores.subjects import FileSubjectStore
from tests.contract.processes import dies_at, race, start
from tests.contract.subject_store_contract import NAME, SubjectStoreContract, SubjectTarget
from tests.support.alerts import RecordedAlerts
from tests.support.clock import FakeClock


class MemoryTarget(SubjectTarget):
    def __init__(self) -> None:
        self._root = MemorySubjectStore()

    def open(self) -> SubjectStore:
        return self._root.reopen()


class TestMemory(SubjectStoreContract):
    @pytest.fixture
    def target(self) -> SubjectTarget:
        return MemoryTarget()

    @pytest.mark.parametrize("stored", [False, True])
    async def test_each_write_can_fail_before_and_after_it_takes_effect(self, stored: bool) -> None:
        store = MemorySubjectStore()
        store.fail_next(1, stored)
        with pytest.raises(StoreTransient):
            await store.create("a", b"one")
        assert (await store.get("a") is not None) is stored
        assert await store.create("a", b"one") is not stored
        found = await store.get("a")
        assert found is not None
        store.fail_next(1, stored)
        with pytest.raises(StoreTransient):
            await store.replace("a", b"two", found.etag)
        assert await store.replace("a", b"two", found.etag) is not stored
        second = await store.get("a")
        assert second is not None
        store.fail_next(1, stored)
        with pytest.raises(StoreTransient):
            await store.remove("a", second.etag)
        assert (await store.get("a") is None) is stored


class ResilientTarget(MemoryTarget):
    def open(self) -> SubjectStore:
        clock = FakeClock()
        breaker = CircuitBreaker("subjects", clock=clock, alerts=RecordedAlerts())
        return ResilientSubjectStore(super().open(), breaker, clock=clock)


class TestResilient(SubjectStoreContract):
    @pytest.fixture
    def target(self) -> SubjectTarget:
        return ResilientTarget()

    @pytest.mark.xfail(strict=True, raises=TimeoutError, reason="waits for a refusal to be mended")
    async def test_it_is_not_used_after_close_which_may_be_called_twice(
        self, store: SubjectStore
    ) -> None:
        async with asyncio.timeout(0.2):
            await store.close()
            with pytest.raises(StoreError):
                await store.get(NAME)
            await store.create(NAME, b"x")


class FileTarget(SubjectTarget):
    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self) -> SubjectStore:
        return FileSubjectStore(self._root)


class TestFile(SubjectStoreContract):
    @pytest.fixture
    def target(self, tmp_path: Path) -> SubjectTarget:
        return FileTarget(tmp_path / "subjects")

    def test_no_update_is_lost_between_processes(self, tmp_path: Path) -> None:
        FileSubjectStore(tmp_path).create_sync(NAME, b"0")
        race([start("counting_writer", tmp_path, NAME, 50) for _ in range(3)])
        found = FileSubjectStore(tmp_path).get_sync(NAME)
        assert found is not None
        assert int(found.data) == 150

    @pytest.mark.parametrize(("action", "after"), [("replace", b"new" * 100), ("remove", None)])
    def test_killed_at_any_step_it_leaves_the_old_or_the_new(
        self, tmp_path: Path, action: str, after: bytes | None
    ) -> None:
        """kill -9 before each system call that names a file; a dead lock holder blocks nobody."""
        root, old = tmp_path / "subjects", b"old" * 100
        outcomes = []
        for step in range(1, 100):
            name = f"s/{step}.bin"
            FileSubjectStore(root).create_sync(name, old)
            died = dies_at(step, action, root, name)
            store = FileSubjectStore(root, lock_wait=0)
            found = store.get_sync(name)
            outcomes.append(found.data if found else None)
            assert list((root / ".tmp").iterdir()) == []
            if found is not None:
                assert store.replace_sync(name, b"healed", found.etag)
            if not died:
                break
        assert set(outcomes) == {old, after}
        assert outcomes == sorted(outcomes, key=lambda data: data == after)
        assert len(outcomes) > 6
