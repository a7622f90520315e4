"""A seeded stream of raw events with an oracle that knows nothing of the product's code."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field

RANK = {"DELIVERED": 1, "READ": 2, "FAILED": 3, "EXPIRED": 4}
Line = tuple[bytes | None, bytes]  # key, value


@dataclass
class Oracle:
    """What must be archived of the lines made so far: (message, status), once each."""

    held: dict[str, int] = field(default_factory=dict)
    archived: list[tuple[str, str]] = field(default_factory=list)
    quarantined: int = 0

    def see(self, message: str, status: str) -> None:
        rank = RANK.get(status)
        if rank is not None and rank > self.held.get(message, 0):
            self.held[message] = rank
            self.archived.append((message, status))


class Events:
    """Makes lines; the same seed makes the same lines."""

    def __init__(self, seed: int, topic: str) -> None:
        self._random = random.Random(seed)
        self._topic = topic
        self._count = 0
        self._known: list[str] = []
        self.oracle = Oracle()

    def lines(self, count: int) -> list[Line]:
        return [self._line() for _ in range(count)]

    def _line(self) -> Line:
        self._count += 1
        if self._random.random() < 0.01:
            self.oracle.quarantined += 1
            return None, b"not json %d" % self._count
        new = not self._known or self._random.random() < 0.4
        message = f"msg-{self._count:08d}" if new else self._random.choice(self._known[-500:])
        if new:
            self._known.append(message)
        status = self._random.choices(
            ["QUEUED", "SENT", "DELIVERED", "READ", "FAILED", "EXPIRED"], [3, 3, 4, 2, 1, 1]
        )[0]
        customer = self._random.randrange(300)
        event = {
            "id": f"evt-{self._count}", "type": self._topic, "message_id": message,
            "status": status, "timestamp": "2026-11-25T10:00:00Z", "error_code": None,
            "workflow_id": "wf_test", "agent_id": None, "tenant": {"id": "tenant_a"},
            "recipient": {"external_id": f"Größe-{customer}", "address": f"+4915{customer:09d}"},
        }  # fmt: skip
        self.oracle.see(message, status)
        return message.encode(), json.dumps(event, ensure_ascii=False).encode()
