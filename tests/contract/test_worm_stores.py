"""The write-once contract on every store of the package, and what only some of them promise."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from audit_stream.errors import StoreRefused
from audit_stream.ports import PutResult, WormStore
from audit_stream.posture import Assurance
from audit_stream.stores.breaker import CircuitBreaker
from audit_stream.stores.file import FileStore
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.retry import ResilientStore
from audit_stream.stores.routed import RoutedStore
from tests.contract.processes import dies_at, race, start
from tests.contract.worm_store_contract import (
    ATTACKS,
    META,
    Attack,
    Standing,
    Target,
    WormStoreContract,
)
from tests.support.alerts import RecordedAlerts
from tests.support.clock import FakeClock


class MemoryTarget(Target):
    def __init__(self) -> None:
        self._root = MemoryWormStore()
        self._handles: list[MemoryWormStore] = []

    def open(self, *, read_only: bool = False) -> WormStore:
        self._handles.append(self._root.reopen(read_only=read_only))
        return self._handles[-1]

    def fail_next_put(self, stored: bool) -> None:
        self._handles[-1].fail_next(1, stored)

    async def attack(self, attack: Attack, name: str) -> None:
        """It offers nothing else than its protocol."""
        if attack == "overwrite":
            await self._root.put_if_absent(name, b"other", META)
        elif attack == "metadata":
            await self._root.put_if_absent(name, b"one", {"legal_hold": "false"})
        elif attack == "shorten":
            await self._root.extend_retention(name, 1)

    async def standing(self, name: str) -> Standing:
        found = self._root.objects[name]
        return Standing(
            data=found.data, metadata=found.metadata, retained_until=found.retain_until_ms // 1000
        )


class TestMemory(WormStoreContract):
    @pytest.fixture
    def target(self) -> Target:
        return MemoryTarget()


class FastClock(FakeClock):
    """Sleeping takes no time."""

    async def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0)
        await super().sleep(0)


class ResilientTarget(MemoryTarget):
    reports_faults = False

    def open(self, *, read_only: bool = False) -> WormStore:
        inner = super().open(read_only=read_only)
        if read_only:  # a refusal waits for someone to mend it, for ever in a test
            return inner
        clock = FastClock()
        breaker = CircuitBreaker("archive", clock=clock, alerts=RecordedAlerts())
        return ResilientStore(inner, breaker, clock=clock)


class TestResilient(WormStoreContract):
    @pytest.fixture
    def target(self) -> Target:
        return ResilientTarget()

    @pytest.mark.xfail(strict=True, raises=TimeoutError, reason="waits for a refusal to be mended")
    @pytest.mark.parametrize(("first", "second"), [("a/b", "a"), ("a", "a/b")])
    async def test_no_name_is_the_folder_of_another(
        self, store: WormStore, first: str, second: str
    ) -> None:
        async with asyncio.timeout(0.2):
            await super().test_no_name_is_the_folder_of_another(store, first, second)


class _Below:
    """A store of which all that is stored lies below a folder, for whoever asks this one."""

    folder = "segments/voice/"

    def __init__(self, inner: RoutedStore) -> None:
        self._inner, self.url = inner, inner.url
        self.posture, self.close = inner.posture, inner.close
        self.hold_level = inner.hold_level

    async def put_if_absent(self, name: str, data: bytes, metadata: Mapping[str, str]) -> PutResult:
        return await self._inner.put_if_absent(self.folder + name, data, metadata)

    async def get(self, name: str) -> bytes | None:
        return await self._inner.get(self.folder + name)

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        after = self.folder + after if after else ""
        found = await self._inner.names(self.folder + prefix, after=after, limit=limit)
        return [name.removeprefix(self.folder) for name in found]

    async def extend_retention(self, name: str, until_ms: int) -> None:
        await self._inner.extend_retention(self.folder + name, until_ms)

    async def set_hold(self, name: str, held: bool) -> None:
        await self._inner.set_hold(self.folder + name, held)

    async def held(self, name: str) -> bool | None:
        return await self._inner.held(self.folder + name)


class RoutedTarget(MemoryTarget):
    """The class's own store, of which the main one knows nothing."""

    def open(self, *, read_only: bool = False) -> WormStore:
        own = super().open(read_only=read_only)
        return _Below(RoutedStore(MemoryWormStore(), {"CALLS": own}, lambda _: "CALLS"))

    async def attack(self, attack: Attack, name: str) -> None:
        await super().attack(attack, _Below.folder + name)

    async def standing(self, name: str) -> Standing:
        return await super().standing(_Below.folder + name)


class TestRouted(WormStoreContract):
    @pytest.fixture
    def target(self) -> Target:
        return RoutedTarget()


OWNER_CAN = pytest.mark.xfail(strict=True, reason="the owner of a folder can: it is `mutable`")


class FileTarget(Target):
    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root = root
        self._monkeypatch = monkeypatch

    def open(self, *, read_only: bool = False) -> WormStore:
        return FileStore(self._root, read_only)

    def fail_next_put(self, stored: bool) -> None:
        """The disk fails the sync of the file, or the one of its folder after the link."""
        real_fsync, real_link = os.fsync, os.link
        armed, linked = [True], [False]

        def link(source: Path, target: Path) -> None:
            real_link(source, target)
            linked[0] = True

        def fsync(descriptor: int) -> None:
            if armed[0] and linked[0] == stored:
                armed[0] = False
                raise OSError(5, "Input/output error")
            real_fsync(descriptor)

        self._monkeypatch.setattr(os, "link", link)
        self._monkeypatch.setattr(os, "fsync", fsync)

    async def attack(self, attack: Attack, name: str) -> None:
        """The folder's owner; there is no metadata and no retention to change."""
        path = self._root / name
        if attack == "overwrite":
            path.chmod(0o600)
            path.write_bytes(b"other")
        elif attack == "delete":
            path.unlink()

    async def standing(self, name: str) -> Standing:
        return Standing(data=(self._root / name).read_bytes())


class TestFile(WormStoreContract):
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "archive"

    @pytest.fixture
    def target(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
        return FileTarget(root, monkeypatch)

    @pytest.mark.xfail(
        strict=True, raises=StoreRefused, reason="a folder has neither retention nor holds"
    )
    async def test_retention_is_extended_and_holds_are_set(self, store: WormStore) -> None:
        await super().test_retention_is_extended_and_holds_are_set(store)

    @pytest.mark.parametrize(
        "attack",
        [
            pytest.param(attack, marks=[OWNER_CAN] if attack in {"overwrite", "delete"} else [])
            for attack in ATTACKS
        ],
    )
    async def test_the_writer_cannot_change_what_it_stored(
        self, target: Target, attack: Attack
    ) -> None:
        await super().test_the_writer_cannot_change_what_it_stored(target, attack)

    async def test_it_never_claims_more_than_mutable(self, store: WormStore) -> None:
        assert (await store.posture()).assurance is Assurance.MUTABLE

    def test_of_racing_processes_one_wins_each_name(self, root: Path) -> None:
        """Four processes of eight threads each write the same hundred names."""
        outputs = race([start("racing_writers", root, 8, number) for number in range(4)])
        won: dict[str, list[str]] = {}
        for output in outputs:
            for name, winners in json.loads(output).items():
                won.setdefault(name, []).extend(winners)
        store = FileStore(root, read_only=True)
        assert store.names_sync("") == sorted(won)
        assert len(won) == 100
        for name, winners in won.items():
            assert [w.encode() for w in winners] == [store.get_sync(name)]

    def test_killed_at_any_step_it_leaves_all_or_nothing(self, root: Path) -> None:
        """kill -9 before each system call of a put that names a file, one after another."""
        body = b"x" * 100_000
        killed = stored = 0
        root.mkdir()
        for step in range(1, 100):
            name = f"t/{step:02d}/object"
            died = dies_at(step, "put", root, name)
            seen = FileStore(root, read_only=True)
            assert seen.get_sync(name) in {None, body}
            stored += seen.get_sync(name) == body
            assert set(seen.names_sync("t/")) <= {f"t/{s:02d}/object" for s in range(100)}
            again = FileStore(root)
            assert list((root / ".tmp").iterdir()) == []
            assert again.put_sync(name, body) is PutResult.STORED
            if not died:
                break
            killed += 1
        assert killed > 8  # it did die at many places
        assert 1 < stored < killed  # both before and after the link

    def test_killed_under_load_it_leaves_only_whole_objects(self, root: Path) -> None:
        """kill -9 at an arbitrary moment of many concurrent puts; nothing acknowledged is lost."""
        for round_ in range(4):
            with start("busy_writer", root, round_) as writer:
                assert writer.stdout is not None
                acknowledged = [writer.stdout.readline().strip() for _ in range(5 + 9 * round_)]
                writer.kill()
                acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
            store = FileStore(root)
            names = store.names_sync(f"busy/{round_}/")
            assert set(filter(None, acknowledged)) <= set(names)
            for name in names:
                assert store.get_sync(name) == (name.encode() + b"\n") * 5000
            assert list((root / ".tmp").iterdir()) == []


class TestMemoryOnly:
    """What the fake enforces beyond the common contract."""

    async def test_metadata_retention_and_holds_are_recorded(self) -> None:
        store = MemoryWormStore(retention_ms=1000, now_ms=5)
        await store.put_if_absent("a", b"one", META)
        await store.put_if_absent("a", b"one", {"other": "metadata"})
        found = store.objects["a"]
        assert dict(found.metadata) == META
        assert (found.stored_ms, found.retain_until_ms, found.held) == (5, 1005, False)
        await store.extend_retention("a", 2000)
        await store.extend_retention("a", 1500)
        await store.set_hold("a", True)
        assert (found.retain_until_ms, found.held) == (2000, True)

    async def test_the_clock_moves_forward_only(self) -> None:
        store = MemoryWormStore(now_ms=10)
        store.move_clock(20)
        with pytest.raises(StoreRefused):
            store.move_clock(19)
        await store.put_if_absent("a", b"x", META)
        assert store.objects["a"].stored_ms == 20

    @pytest.mark.parametrize("level", list(Assurance))
    async def test_it_claims_the_assurance_it_was_given(self, level: Assurance) -> None:
        assert (await MemoryWormStore(assurance=level).posture()).assurance is level
