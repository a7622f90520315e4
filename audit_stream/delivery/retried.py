"""How far a target's entries of ``audit-undeliverable`` were tried again, partition by partition.

It stands beside the other positions and not in a consumer group, which Kafka forgets after a week.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from audit_stream.delivery.position import written
from audit_stream.errors import DeliveryConflict, FormatError
from audit_stream.evidence.canonical import canonical, check_members, parse_line
from audit_stream.ports import SubjectStore

VERSION = "audit-delivery-retried/1"
FOLDER = "retried/"
_MEMBERS = frozenset({"at", "next", "topic_id", "v", "writer"})


@dataclass(frozen=True, slots=True)
class Retried:
    """The first entry of a partition that is not done, and what guards the next rewrite."""

    name: str
    next: int
    etag: str | None


class Retries:
    """Of one target in the topic with this id. `now` says RFC 3339. Errors are `StoreError`,
    `FormatError`."""

    def __init__(
        self, store: SubjectStore, target: str, topic_id: str, now: Callable[[], str]
    ) -> None:
        self._store, self._target, self._topic_id, self._now = store, target, topic_id, now
        self._writer = secrets.token_hex(8)

    async def at(self, partition: int) -> Retried:
        """Where to go on; the beginning where nothing is kept, or of another topic."""
        name = f"{FOLDER}{self._target}/{partition:05d}.json"
        found = await self._store.get(name)
        if found is None:
            return Retried(name, 0, None)
        value = parse_line(found.data, name)
        check_members(value, VERSION, _MEMBERS, name)
        if type(value["next"]) is not int or value["next"] < 0:
            raise FormatError(f"{name} next is no offset")
        same = value["topic_id"] == self._topic_id  # else the topic was made anew
        return Retried(name, value["next"] if same else 0, found.etag)

    async def move(self, before: Retried, after: int) -> Retried:
        """Everything below is done; durable on return. `DeliveryConflict`."""
        data = canonical({
            "at": self._now(), "next": after, "topic_id": self._topic_id, "v": VERSION,
            "writer": self._writer,
        })  # fmt: skip
        etag = await written(self._store, before.name, data, before.etag)
        if etag is None:
            raise DeliveryConflict(
                f"another process tries the undeliverable of {self._target} again",
                hint="run one `deliver retry` at a time",
            )
        return Retried(before.name, after, etag)
