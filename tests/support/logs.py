"""Archive logs written by a real notary into memory, the same each time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from audit_stream.evidence.note import NoteSigner
from audit_stream.notary.gather import Ends, Gatherer
from audit_stream.notary.log import ArchiveLog, Head
from audit_stream.notary.notary import Notary
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support.chains import NAME, TRUSTED

SIGNER = NoteSigner(NAME, b"\x22" * 32)
_BEGIN = datetime(2026, 11, 25, tzinfo=UTC)


class WrittenLog:
    """A log of digests, a batch a minute. Two of one `begin` are the same, batch by batch."""

    def __init__(
        self, begin: datetime = _BEGIN, signer: NoteSigner = SIGNER,
        store: MemoryWormStore | None = None,
    ) -> None:  # fmt: skip
        self.store = store or MemoryWormStore()
        self.log = ArchiveLog(self.store, signer.key)
        self._now = begin
        self._alarms = AlarmBoard("notary")
        gatherer = Gatherer(self.store, signer.key.name, TRUSTED, self._alarms)
        self._notary = Notary(self.store, signer, gatherer, _no_broker, self._time)

    @property
    def alarmed(self) -> list[str]:
        """Keys of what is open."""
        return [alarm["key"] for alarm in self._alarms.open()]

    @property
    def left_out(self) -> int:
        """Partitions and registers."""
        return self._notary.left_out

    async def resume(self) -> None:
        """As a notary does that starts on a store where a log stands."""
        await self._notary.resume()

    async def grow(self, batches: int) -> Head:
        """So many more batches; the log's head."""
        for _ in range(batches):
            head = (await self._notary.write()).head
            self._now += timedelta(minutes=1)
        return head

    def _time(self) -> str:
        return self._now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _no_broker() -> Ends | None:
    return None
