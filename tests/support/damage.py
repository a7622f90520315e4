"""A whole archive in two stores in memory, and damage done to either past the store."""

from __future__ import annotations

from audit_stream.redundancy.judge import Judge
from audit_stream.redundancy.sides import Side, Sides
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.verify.archive import ArchiveVerifier
from audit_stream.verify.log import LogVerifier
from audit_stream.verify.report import Report
from tests.campaigns.tampering.scene import LOG, Objects, stored
from tests.support import golden


def flipped(data: bytes) -> bytes:
    """With one bit of its middle changed."""
    at = len(data) // 2
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def verified(objects: Objects) -> Report:
    """What `audit-stream verify` says of an archive."""
    archive = ArchiveVerifier(objects, objects.get, golden.trusted())
    for _ in archive.run():
        pass
    log = LogVerifier(archive.log_names, objects.get, LOG.key, archive.leaves)
    return archive.report.with_log(log.run())


class Twins:
    """The same objects in two stores."""

    def __init__(self, primary: MemoryWormStore, secondary: MemoryWormStore) -> None:
        self.stores: dict[Side, MemoryWormStore] = {"primary": primary, "secondary": secondary}
        self.sides = Sides(primary, secondary)

    @classmethod
    async def of(cls, objects: Objects) -> Twins:
        return cls(await stored(objects), await stored(objects))

    def judge(self) -> Judge:
        return Judge(self.sides, golden.trusted(), LOG.key)

    def objects(self, side: Side) -> Objects:
        return {name: each.data for name, each in self.stores[side].objects.items()}

    def remove(self, side: Side, name: str) -> None:
        container = self.stores[side].container
        container.names.remove(name)
        del container.objects[name]

    def replace(self, side: Side, name: str, data: bytes) -> None:
        self.stores[side].objects[name].data = data
