"""A deliverer over an archive in memory, with a receiver of the port."""

from __future__ import annotations

from dataclasses import dataclass, field

from audit_stream.delivery.body import KeyForm
from audit_stream.delivery.brake import Brake
from audit_stream.delivery.courier import Courier
from audit_stream.delivery.deliverer import Deliverer
from audit_stream.delivery.fields import NoFields
from audit_stream.delivery.gate import Gate
from audit_stream.delivery.lane import Work
from audit_stream.delivery.position import Positions
from audit_stream.errors import BrokerError
from audit_stream.ports import Receipt, Rejected
from audit_stream.stores.attempts import Attempts
from audit_stream.stores.breaker import CircuitBreaker
from audit_stream.stores.clock import SystemClock
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.memory_subjects import MemorySubjectStore
from tests.support import golden
from tests.support.alerts import RecordedAlerts
from tests.support.delivering import pubs

NOW = "2026-11-26T00:00:00.000Z"


@dataclass
class Receiver:
    """A receiver of the port: keeps what it is sent, and says no to some keys."""

    refused: frozenset[str] = frozenset()
    keys: list[str] = field(default_factory=list)
    target: str = "siem"

    async def deliver(self, body: bytes, key: str) -> Receipt | Rejected:
        self.keys.append(key)
        if key in self.refused:
            return Rejected(status=422, answer="no")
        return Receipt(at=NOW, said="HTTP 201")


class Installation:
    archive, trusted = golden.KEYRING.archive, golden.trusted()
    longest_turn = 300.0

    def __init__(self, store, receiver=None, brake=1000):
        self.store, self.receiver = store, receiver or Receiver()
        self.positions, self.alerts = MemorySubjectStore(), RecordedAlerts()
        self.kept, self.told, self.broker = [], {}, True
        self.brake = Brake(brake)

    async def keep(self, entries):
        if not self.broker:
            raise BrokerError("away")
        self.kept += entries

    def count(self, outcome, count):
        self.told[outcome] = self.told.get(outcome, 0) + count

    def deliverer(self) -> Deliverer:
        clock = SystemClock()
        breaker = CircuitBreaker("siem:siem", clock=clock, alerts=self.alerts)
        attempts = Attempts(breaker, self._nobody, clock=clock)
        courier = Courier(self.receiver, attempts, Gate(clock), NoFields(), 4, lambda: NOW)
        work = Work(
            courier=courier, positions=Positions(self.positions, lambda: NOW), keep=self.keep,
            brake=self.brake, told=self.count, clock=clock, archive=self.archive,
            key_form=KeyForm.SOURCE, longest_turn=self.longest_turn,
        )  # fmt: skip
        return Deliverer(self.store, self.trusted, work, self.alerts)

    async def _nobody(self):
        raise AssertionError

    async def run(self) -> Deliverer:
        made = self.deliverer()
        while await made.catch_up():
            pass
        return made


async def stored(objects):
    store = MemoryWormStore()
    for each, data in objects.items():
        await store.put_if_absent(each, data, {})
    return store


ALL = sorted(pub["source"] for pub in pubs())
