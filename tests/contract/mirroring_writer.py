"""A process that puts to two folders for ever: ``mode root``; prints each name once its put has
returned. It goes on where the first folder ends."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from audit_stream.archive.order import ArchiveOrder
from audit_stream.stores.backlog import Bound
from audit_stream.stores.breaker import CircuitBreaker
from audit_stream.stores.clock import SystemClock
from audit_stream.stores.file import FileStore
from audit_stream.stores.mirrored import MirroredStore, Mirroring
from audit_stream.stores.retry import ResilientStore
from tests.support.alerts import RecordedAlerts
from tests.support.mirroring import segment


async def main(mode: Mirroring, root: Path) -> None:
    clock, order = SystemClock(), ArchiveOrder()
    stores = [
        ResilientStore(
            FileStore(root / folder),
            CircuitBreaker(folder, clock=clock, alerts=RecordedAlerts()), clock=clock,
        )
        for folder in ("one", "two")
    ]  # fmt: skip
    store = MirroredStore(
        *stores, order, mode, Bound(seconds=60), clock=clock, told=lambda *_: None
    )

    async def write(partition: int) -> None:
        folder = order.folder(segment(0, partition))
        assert folder is not None
        newest = await order.newest(stores[0], folder)
        base = 0
        if newest is not None:
            await store.get(newest)
            base = int(newest.rpartition("/")[2].partition(".")[0]) + 1
        while True:
            name = segment(base, partition)
            await store.put_if_absent(name, name.encode() * 200, {})
            sys.stdout.write(name + "\n")
            sys.stdout.flush()
            base += 1

    await asyncio.gather(*map(write, range(4)))


if __name__ == "__main__":
    asyncio.run(main(Mirroring(sys.argv[1]), Path(sys.argv[2])))
