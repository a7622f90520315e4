"""Events at a steady rate, and questions about those that were archived before."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter, deque
from collections.abc import Iterator
from itertools import islice

import httpx
from aiokafka import AIOKafkaProducer

from bench.fingerprint import Fingerprint
from bench.generate import Event, Workload, generate
from tests.campaigns.soak.plan import Plan

_TICK_SECONDS = 0.1
_AT_ONCE = 2_000
_PATH = "/api/v1/audit/notifications"
_REMEMBERED = 50_000  # messages that may be asked about,
_OF_RISES = 20  # one of so many rises
_LIMIT_SECONDS = 60.0


class Sender:
    """Sends the workload by the clock, late events as soon as it can."""

    def __init__(self, plan: Plan, bootstrap: str, topic: str) -> None:
        self._plan, self._topic = plan, topic
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", linger_ms=20, compression_type="lz4"
        )
        self._events: Iterator[Event] = generate(
            Workload(events=plan.events, warmup=0, seed=plan.seed)
        )
        self.sent = 0
        self.rises = Fingerprint()
        self.late = 0.0  # seconds, the most since it was last asked
        self.known: deque[tuple[float, bytes]] = deque(maxlen=_REMEMBERED)

    async def fill(self) -> None:
        """Send what fills the caches, at once."""
        await self._producer.start()
        while self.sent < self._plan.fill:
            await self._send(list(islice(self._events, min(_AT_ONCE, self._plan.fill - self.sent))))
        await self._producer.flush()

    async def run(self) -> None:
        """Behind `fill`: until all are sent and the broker has them."""
        async with self._producer:
            started = time.monotonic()
            while self.sent < self._plan.events:
                passed = time.monotonic() - started
                due = min(self._plan.events, self._plan.fill + round(self._plan.rate * passed))
                # A little at a time: what else runs in this loop should not wait for it.
                some = min(due - self.sent, self._plan.rate // 5)
                self.late = max(self.late, (due - self.sent) / self._plan.rate)
                await self._send(list(islice(self._events, some)))
                await asyncio.sleep(_TICK_SECONDS if self.sent == due else 0)

    async def _send(self, events: list[Event]) -> None:
        for event in events:
            await self._producer.send(
                self._topic, event.value, event.key, partition=event.partition
            )
            if event.rise is not None:
                self.rises.add(event.rise)
                if event.first and self.rises.count % _OF_RISES == 0:
                    self.known.append((time.monotonic(), event.value))
        self.sent += len(events)

    def lateness(self) -> float:
        """The most it was behind since it was last asked, in seconds."""
        late, self.late = self.late, 0.0
        return late


class Asker:
    """Asks the gateway about messages and customers, one question after another."""

    def __init__(self, plan: Plan, sender: Sender, url: str, token: str) -> None:
        self._plan, self._sender = plan, sender
        self._client = httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=_LIMIT_SECONDS
        )
        self._random = random.Random(plan.seed)
        self.answers: Counter[str] = Counter()
        self.times: list[float] = []

    async def run(self) -> None:
        """Until cancelled."""
        async with self._client:
            while True:
                await asyncio.sleep(1 / self._plan.asks)
                old = time.monotonic() - self._plan.asked_after
                known = self._sender.known
                if known and known[0][0] < old:
                    await self._ask(self._chosen(old))

    def _chosen(self, old: float) -> bytes:
        known, found = self._sender.known, b""
        while not found:
            at, value = known[self._random.randrange(len(known))]
            found = value if at < old else b""
        return found

    async def _ask(self, value: bytes) -> None:
        event = json.loads(value)
        what = {"message_uuid": event["message_id"]}
        if self._random.random() < 0.2:
            what = {"customer_external_id": event["recipient"]["external_id"]}
        started = time.monotonic()
        try:
            answer = await self._client.get(
                _PATH, params=what | {"platform_tenant_id": event["tenant"]["id"]}
            )
            said = str(answer.status_code)
        except httpx.HTTPError as error:
            said = type(error).__name__
        self.times.append(time.monotonic() - started)
        self.answers[said] += 1

    def taken(self) -> list[float]:
        """How long each answer took since this was last asked, in seconds, shortest first."""
        times, self.times = sorted(self.times), []
        return times
