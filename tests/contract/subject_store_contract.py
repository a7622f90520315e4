"""What every store of subject objects promises (`ports.SubjectStore`), as one suite."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

import pytest

from audit_stream.errors import StoreError, StoreRefused
from audit_stream.ports import SubjectStore
from tests.contract.worm_store_contract import BAD_NAMES, BAD_PREFIXES

NAME = "subjects/t/00001/00003/41-ab.bin"


class SubjectTarget(ABC):
    """One storage under test, and the handles on it."""

    @abstractmethod
    def open(self) -> SubjectStore:
        """A new handle on the same storage, as after a restart."""


class SubjectStoreContract:
    """The suite."""

    @pytest.fixture
    def store(self, target: SubjectTarget) -> SubjectStore:
        return target.open()

    async def test_what_was_created_is_read_back(self, store: SubjectStore) -> None:
        assert await store.create(NAME, b"\x00\xff" * 1000)
        found = await store.get(NAME)
        assert found is not None
        assert found.data == b"\x00\xff" * 1000
        assert found.etag

    async def test_a_free_name_reads_as_none(self, store: SubjectStore) -> None:
        assert await store.get(NAME) is None

    @pytest.mark.parametrize("data", [b"one", b"two"])
    async def test_creating_never_overwrites(self, store: SubjectStore, data: bytes) -> None:
        assert await store.create(NAME, b"one")
        assert not await store.create(NAME, data)
        found = await store.get(NAME)
        assert found is not None
        assert found.data == b"one"

    async def test_a_rewrite_needs_the_current_tag(self, store: SubjectStore) -> None:
        await store.create(NAME, b"one")
        first = await store.get(NAME)
        assert first is not None
        assert await store.replace(NAME, b"two", first.etag)
        assert not await store.replace(NAME, b"three", first.etag)
        second = await store.get(NAME)
        assert second is not None
        assert second.data == b"two"
        assert second.etag != first.etag

    async def test_removing_needs_the_current_tag(self, store: SubjectStore) -> None:
        await store.create(NAME, b"one")
        first = await store.get(NAME)
        assert first is not None
        await store.replace(NAME, b"two", first.etag)
        assert not await store.remove(NAME, first.etag)
        second = await store.get(NAME)
        assert second is not None
        assert await store.remove(NAME, second.etag)
        assert await store.get(NAME) is None
        assert await store.names("") == []
        assert not await store.remove(NAME, second.etag)
        assert not await store.replace(NAME, b"two", second.etag)

    async def test_a_removed_name_is_free_again(self, store: SubjectStore) -> None:
        await store.create(NAME, b"one")
        found = await store.get(NAME)
        assert found is not None
        await store.remove(NAME, found.etag)
        assert await store.create(NAME, b"two")

    async def test_of_racing_creators_one_wins(self, target: SubjectTarget) -> None:
        handles = [target.open() for _ in range(16)]
        won = await asyncio.gather(
            *(handle.create(NAME, b"%d" % i) for i, handle in enumerate(handles))
        )
        assert sum(won) == 1
        found = await handles[0].get(NAME)
        assert found is not None
        assert found.data == b"%d" % won.index(True)

    async def test_no_update_is_lost(self, target: SubjectTarget) -> None:
        """Eight writers count up one object; each increment that was told True is in it."""
        await target.open().create(NAME, b"0")

        async def count(increments: int) -> None:
            store = target.open()
            for _ in range(increments):
                while True:
                    found = await store.get(NAME)
                    assert found is not None
                    if await store.replace(NAME, b"%d" % (int(found.data) + 1), found.etag):
                        break

        await asyncio.gather(*(count(10) for _ in range(8)))
        found = await target.open().get(NAME)
        assert found is not None
        assert int(found.data) == 80

    async def test_a_restart_loses_nothing(self, target: SubjectTarget) -> None:
        first = target.open()
        await first.create(NAME, b"one")
        before = await first.get(NAME)
        await first.close()
        assert await target.open().get(NAME) == before

    async def test_names_ascend_as_whole_names(self, store: SubjectStore) -> None:
        names = ["a-b", "a/b", "a/c-d/e", "a0", "b"]
        for name in names:
            await store.create(name, b"x")
        assert await store.names("") == sorted(names)
        assert await store.names("a/", after="a/b", limit=1) == ["a/c-d/e"]
        assert await store.names("a") == sorted(names)[:-1]

    @pytest.mark.parametrize("name", BAD_NAMES)
    async def test_a_bad_name_is_refused(self, store: SubjectStore, name: str) -> None:
        for call in (
            store.create(name, b"x"),
            store.get(name),
            store.replace(name, b"x", "tag"),
            store.remove(name, "tag"),
        ):
            with pytest.raises(StoreRefused):
                await call

    @pytest.mark.parametrize("prefix", [p for p in BAD_PREFIXES if p != ".."])
    async def test_a_bad_prefix_is_refused(self, store: SubjectStore, prefix: str) -> None:
        with pytest.raises(StoreRefused):
            await store.names(prefix)

    async def test_an_empty_body_is_refused(self, store: SubjectStore) -> None:
        with pytest.raises(StoreRefused):
            await store.create(NAME, b"")
        await store.create(NAME, b"one")
        found = await store.get(NAME)
        assert found is not None
        with pytest.raises(StoreRefused):
            await store.replace(NAME, b"", found.etag)

    async def test_it_is_not_used_after_close_which_may_be_called_twice(
        self, store: SubjectStore
    ) -> None:
        await store.close()
        await store.close()
        with pytest.raises(StoreError):
            await store.get(NAME)
        with pytest.raises(StoreError):
            await store.names("")
