"""Lines for the raw topics, the same from the same seed, each with what it is. Pure.

What a line is, is known from its making and not from reading it: the judge needs no parser.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tests.support.planted import Person

RANK = {"DELIVERED": 1, "READ": 2, "FAILED": 3, "EXPIRED": 4}
TENANTS = ("tenant_a", "tenant_b")
#: A carrier's word that the shipped status map does not have; the map that learns it says FAILED.
UNMAPPED, MEANS = "BOUNCED", "FAILED"
PERSONS = tuple(map(Person, range(1, 61)))
_FAT = 900_000


class Kind(Enum):
    """What a worker has to make of a line."""

    STATUS = "a terminal status"
    INTERMEDIATE = "an intermediate status"
    UNMAPPED = "a word that the status map learns later"
    POISON = "nothing that can be understood"


@dataclass(frozen=True, slots=True)
class Made:
    """What a line is; of a poison only that."""

    kind: Kind
    tenant: str = ""
    message: str = ""
    status: str = ""
    person: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """One record to send; `partition` only where no key says it."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None


@dataclass
class Traffic:
    """Makes lines; `made` says of every (key, value) what it is."""

    seed: int
    topics: tuple[str, ...]
    partitions: int
    made: dict[tuple[bytes | None, bytes | None], Made] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(f"traffic {self.seed}")
        self._known: list[tuple[str, str, str, Person]] = []
        self._count = 0

    def lines(self, count: int) -> list[Line]:
        """Good ones of all statuses, duplicates and regressions among them."""
        draw = self._random
        return [
            self._good(draw.choices(
                ["QUEUED", "SENT", "DELIVERED", "READ", "FAILED", "EXPIRED"], [3, 3, 4, 2, 1, 1]
            )[0])
            for _ in range(count)
        ]  # fmt: skip

    def unmapped(self, count: int) -> list[Line]:
        """Of a status that the map in force does not have."""
        return [self._good(UNMAPPED) for _ in range(count)]

    def of_person(self, person: Person, count: int) -> list[Line]:
        """New messages to one person."""
        return [self._good("DELIVERED", person) for _ in range(count)]

    def poison(self, rounds: int = 1) -> list[Line]:
        """Everything that is no event, and one that is, with a megabyte that nobody asked for."""
        return [line for _ in range(rounds) for line in (*self._poisons(), self._fat())]

    def _message(self, person: Person | None = None) -> tuple[str, str, str, Person]:
        draw = self._random
        if person is None and self._known and draw.random() > 0.4:
            return draw.choice(self._known[-500:])
        found = (
            draw.choice(self.topics), draw.choice(TENANTS), f"msg-{self.seed}-{self._count:06d}",
            person or draw.choice(PERSONS),
        )  # fmt: skip
        self._known.append(found)
        return found

    def _event(self, status: str, person: Person | None = None) -> tuple[str, dict[str, Any], Made]:
        self._count += 1
        topic, tenant, message, who = self._message(person)
        customer = None if nameless(who) else who.customer
        event = {
            "id": f"evt-{self._count}", "type": "status_update", "message_id": message,
            "status": status, "timestamp": "2026-11-26T10:00:00Z", "error_code": None,
            "workflow_id": "wf_chaos", "agent_id": None, "tenant": {"id": tenant},
            "recipient": {"external_id": customer, "address": who.address},
        }  # fmt: skip
        kind = Kind.STATUS if status in RANK else (
            Kind.UNMAPPED if status == UNMAPPED else Kind.INTERMEDIATE
        )  # fmt: skip
        return topic, event, Made(kind, tenant, message, status, who.number)

    def _good(self, status: str, person: Person | None = None) -> Line:
        topic, event, made = self._event(status, person)
        return self._line(topic, made.message.encode(), _encoded(event), made)

    def _fat(self) -> Line:
        topic, event, made = self._event("READ")
        event["note"] = "x" * _FAT
        return self._line(topic, made.message.encode(), _encoded(event), made)

    def _line(self, topic: str, key: bytes | None, value: bytes | None, made: Made) -> Line:
        self.made[key, value] = made
        partition = self._random.randrange(self.partitions) if key is None else None
        return Line(topic, key, value, partition)

    def _poisons(self) -> Iterator[Line]:
        for key, value in self._odd():
            topic = self._random.choice(self.topics)
            yield self._line(topic, key, value, Made(Kind.POISON))

    def _odd(self) -> Iterator[tuple[bytes | None, bytes | None]]:
        def whole(**changed: object) -> tuple[bytes, dict[str, Any]]:
            self._count += 1
            message, who = f"odd-{self.seed}-{self._count}", self._random.choice(PERSONS)
            recipient = {"external_id": who.customer, "address": who.address}
            event = {
                "id": f"evt-{self._count}", "type": "status_update", "message_id": message,
                "status": "DELIVERED", "timestamp": "2026-11-26T10:00:00Z", "workflow_id": "wf",
                "tenant": {"id": "tenant_a"}, "recipient": recipient,
            } | changed  # fmt: skip
            return message.encode(), event

        yield None, None
        key, event = whole()
        yield key, None
        yield None, b"no JSON " + key
        yield key, _encoded(event)[:-9]
        key, event = whole()
        yield b"another key " + key, _encoded(event)
        key, event = whole()
        yield key, _encoded(event).replace(b'"wf"', b'"\\ud800"')
        key, event = whole(status=7)
        yield key, _encoded(event)
        key, event = whole(recipient="nobody")
        yield key, _encoded(event)
        key, event = whole(id="x" * _FAT)
        yield key, _encoded(event)
        key, event = whole()
        event["workflow_id"] = f"550 no such user <{event['recipient']['address']}>"
        yield key, _encoded(event)
        key, event = whole(tenant={"id": "a\u0000b"})
        yield key, _encoded(event)
        key, event = whole()
        yield key, b"\xff\xfe" + _encoded(event)
        self._count += 1
        yield b"deep-%d" % self._count, b"[" * 3000 + b"%d" % self._count


def nameless(person: Person) -> bool:
    """Whether the platform knows no customer's id of the person: the address is the subject."""
    return person.number % 5 == 0


def _encoded(event: dict[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode()
