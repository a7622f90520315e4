"""The write-once contract on two stores as one, and writers that are killed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from audit_stream.archive.order import ArchiveOrder
from audit_stream.ports import WormStore
from audit_stream.stores.backlog import Bound
from audit_stream.stores.file import FileStore
from audit_stream.stores.mirrored import MirroredStore, Mirroring
from tests.contract.processes import start
from tests.contract.test_worm_stores import FastClock, MemoryTarget
from tests.contract.worm_store_contract import Target, WormStoreContract
from tests.support.mirroring import resilient, segment


class MirroredTarget(MemoryTarget):
    reports_faults = False

    def __init__(self, mode: Mirroring) -> None:
        super().__init__()
        self.mode, self.second = mode, MemoryTarget()

    def open(self, *, read_only: bool = False) -> WormStore:
        primary = super().open(read_only=read_only)
        if read_only:  # reads are the primary's
            return primary
        clock = FastClock()
        return MirroredStore(
            resilient(primary, clock), resilient(self.second.open(), clock, "secondary"),
            ArchiveOrder(), self.mode, Bound(seconds=60), clock=clock, told=lambda *_: None,
        )  # fmt: skip


class _TestMirrored(WormStoreContract):
    mode: Mirroring

    @pytest.fixture
    def target(self) -> Target:
        return MirroredTarget(self.mode)

    @pytest.mark.xfail(strict=True, raises=TimeoutError, reason="waits for a refusal to be mended")
    @pytest.mark.parametrize(("first", "second"), [("a/b", "a"), ("a", "a/b")])
    async def test_no_name_is_the_folder_of_another(
        self, store: WormStore, first: str, second: str
    ) -> None:
        async with asyncio.timeout(0.2):
            await super().test_no_name_is_the_folder_of_another(store, first, second)


class TestBefore(_TestMirrored):
    mode = Mirroring.BEFORE


class TestBehind(_TestMirrored):
    mode = Mirroring.BEHIND


def _killed(mode: Mirroring, root: Path, least: int) -> list[str]:
    """The names that a writer had been told stand, when it was killed."""
    with start("mirroring_writer", mode.value, root) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline().strip() for _ in range(least)]
        writer.kill()
        told += [line.strip() for line in writer.stdout if line.endswith("\n")]
    assert len(told) >= least
    return told


def _bases(store: FileStore, partition: int) -> list[str]:
    return store.names_sync(segment(0, partition).rpartition("/")[0] + "/")


@pytest.mark.parametrize("mode", list(Mirroring))
@pytest.mark.parametrize("least", [3, 17, 40])
def test_killed_at_any_time_a_put_that_returned_is_where_it_must_be(
    mode: Mirroring, least: int, tmp_path: Path
) -> None:
    """kill -9. Before: on both. Behind: on the first; the second holds each chain's beginning."""
    told = _killed(mode, tmp_path, least)
    primary, secondary = FileStore(tmp_path / "one"), FileStore(tmp_path / "two")
    assert set(told) <= set(primary.names_sync(""))
    if mode is Mirroring.BEFORE:
        assert set(told) <= set(secondary.names_sync(""))
    for partition in range(4):
        copied = _bases(secondary, partition)
        assert copied == _bases(primary, partition)[: len(copied)]
    for name in secondary.names_sync(""):
        assert secondary.get_sync(name) == primary.get_sync(name)


@pytest.mark.parametrize("mode", list(Mirroring))
def test_the_next_writer_copies_what_a_killed_one_left(mode: Mirroring, tmp_path: Path) -> None:
    primary, secondary = FileStore(tmp_path / "one"), FileStore(tmp_path / "two")
    for least in (5, 30, 60, 120, 240):
        _killed(mode, tmp_path, least)
        for partition in range(4):
            copied = _bases(secondary, partition)
            assert copied == _bases(primary, partition)[: len(copied)]
    # A busy machine may kill the first ones before they copied anything of a partition.
    assert all(_bases(secondary, partition) for partition in range(4))
