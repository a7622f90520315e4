"""What every write-once store promises (`ports.WormStore`), as one suite.

A store joins by a subclass of `WormStoreContract` with a `target` fixture. A promise it cannot keep
is overridden there with a strict xfail that says why.
"""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pytest

from audit_stream.errors import StoreError, StoreRefused, StoreTransient
from audit_stream.ports import HoldLevel, PutResult, WormStore

Attack = Literal["overwrite", "delete", "metadata", "shorten"]
META = {"sha256": "00", "legal_hold": "true"}
WRITERS = 32
#: 1,000 by hand.
NAMES = [f"race/{i % 7}/{i:03d}" for i in range(int(os.environ.get("AUDIT_TEST_RACE", "100")))]
ATTACKS: tuple[Attack, ...] = ("overwrite", "delete", "metadata", "shorten")

BAD_NAMES = [
    "",
    "/",
    "/absolute",
    "ends/",
    "a//b",
    ".",
    "..",
    "../up",
    "a/../b",
    "a/./b",
    ".hidden",
    "a/.hidden",
    ".tmp/x",
    "trailing.",
    "trailing./b",
    "nul\0",
    "line\n",
    "space here",
    "back\\slash",
    "\x7f",
    "größe",
    "x" * 256,
    "/".join(["x" * 200] * 6),
]
BAD_PREFIXES = ["/", "/a", "..", "../", "a//", "a/../b", ".tmp/", "nul\0", "größe", "a b"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a service keeps of an object, seen past the store; None where it keeps no such thing."""

    data: bytes
    metadata: Mapping[str, str] | None = None
    retained_until: int | None = None  # Unix seconds


class Target(ABC):
    """One storage under test, and the handles on it."""

    #: Whether `fail_next_put` shows as an error; a store that retries by itself hides it.
    reports_faults = True
    #: Whether a put whose answer was lost is settled by the store itself, by looking.
    settles_lost_answers = False

    @abstractmethod
    def open(self, *, read_only: bool = False) -> WormStore:
        """A new handle on the same storage, as after a restart."""

    @abstractmethod
    def fail_next_put(self, stored: bool) -> None:
        """Make the next put of any handle fail after, or before, the bytes are stored."""

    @abstractmethod
    async def attack(self, attack: Attack, name: str) -> None:
        """Try it past the store, as whoever holds the writer's own credentials could.

        Raises nothing: whether it worked is seen in what stands.
        """

    @abstractmethod
    async def standing(self, name: str) -> Standing:
        """What the service keeps under the name: of its versions, the oldest."""


class WormStoreContract:
    """The suite."""

    raced: Sequence[str] = NAMES

    @pytest.fixture
    def store(self, target: Target) -> WormStore:
        return target.open()

    async def test_what_was_put_is_read_back(self, store: WormStore) -> None:
        body = bytes(range(256)) * 300
        assert await store.put_if_absent("a/b.bin", body, META) is PutResult.STORED
        assert await store.get("a/b.bin") == body

    async def test_a_free_name_reads_as_none(self, store: WormStore) -> None:
        assert await store.get("a/b") is None
        await store.put_if_absent("a/b", b"1", META)
        assert await store.get("a") is None
        assert await store.get("a/b/c") is None
        assert await store.get("a/c") is None

    async def test_the_same_bytes_twice_are_stored(self, store: WormStore) -> None:
        assert await store.put_if_absent("a", b"one", META) is PutResult.STORED
        assert await store.put_if_absent("a", b"one", META) is PutResult.STORED
        assert await store.names("") == ["a"]

    @pytest.mark.parametrize("other", [b"two", b"on", b"one!", b"ONE"])
    async def test_other_bytes_never_overwrite(self, store: WormStore, other: bytes) -> None:
        await store.put_if_absent("a", b"one", META)
        assert await store.put_if_absent("a", other, META) is PutResult.EXISTS
        assert await store.get("a") == b"one"

    async def test_an_object_is_listed_when_its_put_returns(self, store: WormStore) -> None:
        for i in range(5):
            await store.put_if_absent(f"t/{i}", b"x", META)
            assert await store.names("t/") == [f"t/{k}" for k in range(i + 1)]

    async def test_names_ascend_as_whole_names(self, store: WormStore) -> None:
        names = ["a-b", "a/b", "a/b-c/d", "a/b.c", "a0", "a~", "A", "a.d/e", "a-/x", "b"]
        names.remove("a/b")  # it would be a folder and an object
        names.append("a/b0")
        for name in names:
            await store.put_if_absent(name, b"x", META)
        assert await store.names("") == sorted(names)
        assert await store.names("", after="a-b") == [n for n in sorted(names) if n > "a-b"]

    async def test_a_prefix_may_end_inside_a_part(self, store: WormStore) -> None:
        names = ["s/00/100.gz", "s/00/101.gz", "s/00/110.gz", "s/01/100.gz", "s0/x", "sx"]
        for name in names:
            await store.put_if_absent(name, b"x", META)
        assert await store.names("s/00/10") == ["s/00/100.gz", "s/00/101.gz"]
        assert await store.names("s/0") == names[:4]
        assert await store.names("s") == sorted(names)
        assert await store.names("s/00/100.gz") == ["s/00/100.gz"]
        assert await store.names("s/00/100.gz/") == []
        assert await store.names("nothing/here") == []

    async def test_after_and_limit_page_through_everything(self, store: WormStore) -> None:
        names = [*sorted(f"p/{i % 3}/{i:02d}" for i in range(11)), "q"]
        for name in names:
            await store.put_if_absent(name, b"x", META)
        seen: list[str] = []
        while page := await store.names("", after=seen[-1] if seen else "", limit=4):
            assert len(page) <= 4
            seen += page
        assert seen == names
        assert await store.names("", limit=0) == []

    async def test_a_restart_loses_nothing(self, target: Target) -> None:
        first = target.open()
        await first.put_if_absent("a/b", b"one", META)
        await first.close()
        second = target.open()
        assert await second.get("a/b") == b"one"
        assert await second.names("") == ["a/b"]
        assert await second.put_if_absent("a/b", b"two", META) is PutResult.EXISTS

    async def test_of_racing_writers_one_wins_each_name(self, target: Target) -> None:
        handles = [target.open() for _ in range(WRITERS)]

        async def write(writer: int) -> list[PutResult]:
            body = f"writer {writer}".encode()
            return [await handles[writer].put_if_absent(name, body, META) for name in self.raced]

        results = await asyncio.gather(*map(write, range(WRITERS)))
        for i, name in enumerate(self.raced):
            winners = [w for w in range(WRITERS) if results[w][i] is PutResult.STORED]
            assert len(winners) == 1, name
            assert await handles[0].get(name) == f"writer {winners[0]}".encode()
        assert await handles[0].names("race/") == sorted(self.raced)
        await asyncio.gather(*(handle.close() for handle in handles))

    async def test_racing_twins_are_all_told_stored(self, target: Target) -> None:
        handles = [target.open() for _ in range(8)]
        results = await asyncio.gather(*(h.put_if_absent("t/x", b"twin", META) for h in handles))
        assert set(results) == {PutResult.STORED}
        await asyncio.gather(*(handle.close() for handle in handles))

    @pytest.mark.parametrize("stored", [False, True])
    async def test_putting_the_same_again_settles_an_ambiguous_put(
        self, target: Target, stored: bool
    ) -> None:
        store = target.open()
        target.fail_next_put(stored)
        if stored and target.settles_lost_answers:
            assert await store.put_if_absent("a/b", b"one", META) is PutResult.STORED
        elif target.reports_faults:
            with pytest.raises(StoreTransient):
                await store.put_if_absent("a/b", b"one", META)
            assert await store.get("a/b") == (b"one" if stored else None)
        assert await store.put_if_absent("a/b", b"one", META) is PutResult.STORED
        assert await store.put_if_absent("a/b", b"two", META) is PutResult.EXISTS
        assert await store.names("") == ["a/b"]

    async def test_a_rival_may_win_where_a_put_failed(self, target: Target) -> None:
        store = target.open()
        if target.reports_faults:
            target.fail_next_put(False)
            with pytest.raises(StoreTransient):
                await store.put_if_absent("a", b"mine", META)
        assert await target.open().put_if_absent("a", b"rival", META) is PutResult.STORED
        assert await store.put_if_absent("a", b"mine", META) is PutResult.EXISTS

    async def test_read_only_reads_and_stores_nothing(self, target: Target) -> None:
        await target.open().put_if_absent("a/b", b"one", META)
        reader = target.open(read_only=True)
        assert await reader.get("a/b") == b"one"
        assert await reader.names("") == ["a/b"]
        with pytest.raises(StoreRefused):
            await reader.put_if_absent("a/c", b"two", META)
        with pytest.raises(StoreRefused):
            await reader.put_if_absent("a/b", b"one", META)
        assert await reader.names("") == ["a/b"]

    @pytest.mark.parametrize("name", BAD_NAMES)
    async def test_a_bad_name_is_refused(self, store: WormStore, name: str) -> None:
        with pytest.raises(StoreRefused):
            await store.put_if_absent(name, b"x", META)
        with pytest.raises(StoreRefused):
            await store.get(name)
        assert await store.names("") == []

    @pytest.mark.parametrize("prefix", BAD_PREFIXES)
    async def test_a_bad_prefix_is_refused(self, store: WormStore, prefix: str) -> None:
        if prefix == "..":  # could be the start of no name, but is no danger either
            assert await store.names(prefix) == []
            return
        with pytest.raises(StoreRefused):
            await store.names(prefix)

    async def test_an_empty_body_is_refused(self, store: WormStore) -> None:
        with pytest.raises(StoreRefused):
            await store.put_if_absent("a", b"", META)
        assert await store.get("a") is None

    @pytest.mark.parametrize(("first", "second"), [("a/b", "a"), ("a", "a/b"), ("a/b", "a/b/c/d")])
    async def test_no_name_is_the_folder_of_another(
        self, store: WormStore, first: str, second: str
    ) -> None:
        await store.put_if_absent(first, b"one", META)
        with pytest.raises(StoreRefused):
            await store.put_if_absent(second, b"two", META)
        assert await store.names("") == [first]

    @pytest.mark.parametrize("attack", ATTACKS)
    async def test_the_writer_cannot_change_what_it_stored(
        self, target: Target, attack: Attack
    ) -> None:
        store = target.open()
        await store.put_if_absent("a/b", b"one", META)
        before = await target.standing("a/b")
        await target.attack(attack, "a/b")
        assert await target.open().get("a/b") == b"one"
        assert await store.names("") == ["a/b"]
        assert await target.standing("a/b") == before

    async def test_retention_and_holds_of_a_free_name_are_refused(self, store: WormStore) -> None:
        with pytest.raises(StoreRefused):
            await store.extend_retention("a", 1)
        with pytest.raises(StoreRefused):
            await store.set_hold("a", True)
        if await store.hold_level() is HoldLevel.OBJECT:
            with pytest.raises(StoreRefused):
                await store.held("a")

    async def test_a_hold_is_read_back_where_objects_have_them(self, target: Target) -> None:
        store = target.open()
        await store.put_if_absent("a", b"one", META)
        if await store.hold_level() is not HoldLevel.OBJECT:
            assert await store.held("a") is None
            with pytest.raises(StoreRefused):
                await store.set_hold("a", True)
            return
        assert await store.held("a") is False
        await store.set_hold("a", True)
        await store.set_hold("a", True)
        assert await target.open().held("a") is True
        await store.set_hold("a", False)
        assert await store.held("a") is False

    async def test_retention_is_extended_and_holds_are_set(self, store: WormStore) -> None:
        await store.put_if_absent("a", b"one", META)
        await store.extend_retention("a", 4_102_444_800_000)
        await store.extend_retention("a", 1)  # earlier: nothing to do
        await store.set_hold("a", True)
        await store.set_hold("a", False)
        assert await store.get("a") == b"one"

    async def test_it_says_what_it_enforces_and_where_it_is(self, store: WormStore) -> None:
        posture = await store.posture()
        assert posture.findings
        assert posture.assurance.label in {"mutable", "worm_unlocked", "worm_locked"}
        assert ":" in store.url

    async def test_it_is_not_used_after_close_which_may_be_called_twice(
        self, store: WormStore
    ) -> None:
        await store.close()
        await store.close()
        with pytest.raises(StoreError):
            await store.get("a")

    def test_nothing_deletes_or_overwrites(self, store: WormStore) -> None:
        banned = ("delete", "remove", "unlink", "overwrite", "replace", "rename", "clear", "purge")
        for surface in (WormStore, type(store)):
            offered = [n for n in dir(surface) if not n.startswith("_")]
            assert [n for n in offered if any(word in n for word in banned)] == []
