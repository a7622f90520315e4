"""The workload: a deterministic stream of raw events, and what is right to make of it.

A message is QUEUED, SENT, then one terminal status or more: 60% of the events are intermediate; of
the terminal ones about 5% are duplicates (half of them the same bytes again, half under a new event
id) and 4% regressions. Messages overlap in time as on a real platform; about three messages go to
each customer. Every event of a message lies in one partition, found as Kafka's Java client does.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from aiokafka.partitioner import murmur2

from bench.rule import RANK

PARTITIONS = 4

#: Terminal statuses of a message, with how many messages of a thousand go that way.
_FATES = {
    ("DELIVERED",): 647,
    ("DELIVERED", "READ"): 200,
    ("DELIVERED", "FAILED"): 8,
    ("DELIVERED", "READ", "FAILED"): 2,
    ("FAILED",): 100,
    ("FAILED", "EXPIRED"): 3,
    ("EXPIRED",): 40,
}
_DUPLICATE_SHARE = 0.067  # of messages
_REGRESSION_SHARE = 0.145  # of messages that hold more than DELIVERED: nothing ranks below that
_MAX_GAP = 1000  # messages that start between two events of one message, at most
_MESSAGES_PER_CUSTOMER = 3
_TENANTS = 12
_WORKFLOWS = ("wf_policy_update_v2", "wf_margin_call", "wf_appointment_reminder", "wf_card_blocked")


class Event(NamedTuple):
    """One raw event as it stands in Kafka, and what is right to do with it."""

    partition: int
    key: bytes
    value: bytes
    rise: str | None  # its event id when it must be archived
    first: bool  # whether it is its message's first rise


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """How many events: first `warmup` (not timed), then `events` (timed), from one seed."""

    events: int
    warmup: int
    seed: int = 1

    @property
    def total(self) -> int:
        """Events in all."""
        return self.warmup + self.events

    def scaled(self, share: float) -> Workload:
        """The same kind of stream, `share` as long."""
        return Workload(
            events=round(self.events * share), warmup=round(self.warmup * share), seed=self.seed
        )


def generate(workload: Workload, partitions: int = PARTITIONS) -> Iterator[Event]:
    """The events of `workload`, in arrival order, for a topic of so many partitions."""
    rng = random.Random(workload.seed)  # noqa: S311 - the same stream for every contender
    customers = max(1, workload.total // 10)  # 10 events are 3 messages: see _FATES
    waiting: list[tuple[int, int, Event]] = []
    written = started = 0
    while written < workload.total:
        due = started
        for event in _message(rng, started, customers, partitions):
            heapq.heappush(waiting, (due, started, event))
            due += rng.randrange(1, _MAX_GAP)
        started += 1
        while waiting and waiting[0][0] < started and written < workload.total:
            yield heapq.heappop(waiting)[2]
            written += 1


def delivered(count: int, partitions: int = PARTITIONS, seed: int = 1) -> Iterator[Event]:
    """So many messages, each with one event, DELIVERED: each is a key of state and a record."""
    rng = random.Random(seed)  # noqa: S311 - the same messages for every run
    for number in range(count):
        key = _uuid(rng)
        rest = _rest(rng, rng.randrange(max(1, count // _MESSAGES_PER_CUSTOMER)))
        event_id = f"evt_{key[:8]}_{1_715_351_521 + number}_0"
        value = _value(event_id, key, "DELIVERED", number, rest)
        yield Event(_partition(key, partitions), key.encode(), value, event_id, first=True)


def _partition(key: str, partitions: int) -> int:
    return int(murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def _message(rng: random.Random, number: int, customers: int, partitions: int) -> Iterator[Event]:
    """The events of one message, in the order in which they arrive."""
    key = _uuid(rng)
    partition = _partition(key, partitions)
    rest = _rest(rng, rng.randrange(customers))
    held, copy_of = 0, None
    for position, status in enumerate(_script(rng)):
        event_id = f"evt_{key[:8]}_{1_715_351_521 + number}_{position}"
        if copy_of is not None and status == copy_of[0] and position % 2:
            event_id = copy_of[1]  # the platform repeats itself
        copy_of = (status, event_id)
        rank = RANK.get(status, 0)
        rise = event_id if rank > held else None
        value = _value(event_id, key, status, number, rest)
        yield Event(partition, key.encode(), value, rise, first=rank > held == 0)
        held = max(held, rank)


def _script(rng: random.Random) -> list[str]:
    (fate,) = rng.choices(list(_FATES), weights=list(_FATES.values()))
    statuses = ["QUEUED", "SENT", *fate]
    if rng.random() < _DUPLICATE_SHARE:
        statuses.append(fate[-1])
    lower = [status for status, rank in RANK.items() if rank < RANK[fate[-1]]]
    if lower and rng.random() < _REGRESSION_SHARE:
        statuses.append(rng.choice(lower))
    return statuses


def _uuid(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _rest(rng: random.Random, customer: int) -> str:
    """The members after the status that all events of a message share, as JSON text."""
    name = f"Größe-{customer}" if customer % 100 == 0 else f"CUST_{customer}"
    agent = f'"agent_{customer % 40}"' if customer % 4 == 0 else "null"
    return (
        f'"workflow_id":"{rng.choice(_WORKFLOWS)}","agent_id":{agent},'
        f'"recipient":{{"external_id":"{name}","address":"+1555{customer:09d}"}},'
        f'"tenant":{{"id":"tenant_prod_{customer % _TENANTS:02d}"}}}}'
    )


def _value(event_id: str, key: str, status: str, number: int, rest: str) -> bytes:
    minute, second = divmod(number // 100, 60)
    hour, minute = divmod(minute, 60)
    code = '"30003"' if status == "FAILED" else "null"
    return (
        f'{{"id":"{event_id}","type":"outbound_message_status_update","message_id":"{key}",'
        f'"status":"{status}","timestamp":"2024-05-10T{hour % 24:02d}:{minute:02d}:{second:02d}Z",'
        f'"error_code":{code},{rest}'
    ).encode()
