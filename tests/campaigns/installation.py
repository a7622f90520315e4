"""Two real workers, each with an identity of its own, and a server that fails when told."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from audit_stream.kafka.embedded import free_ports
from tests.campaigns.broken import Told, Turn, turns
from tests.campaigns.scenarios import Scenario
from tests.campaigns.stores.base import Account, Store
from tests.support.commands import document
from tests.support.events import Line
from tests.support.fleet import Fleet
from tests.support.receiver import Receiver, receiving

#: Of the workers, as the server and the receiver know them.
NAMES = ["worker-0", "worker-1"]
#: Six lanes a worker: as many failures as open its breaker can happen at the same time.
PARTITIONS = 12
_HOST = "127.0.0.1"


class Installation(Fleet):
    """The workers, the account they write to, and who gets their alarms."""

    account: Account
    receiver: Receiver
    ports: list[int]

    def run(self) -> None:
        """Start the workers; from then on the fleet's own identity is a reader's."""
        self.ports = free_ports(len(NAMES))
        for index, name in enumerate(NAMES):
            self.extra |= {
                **self.account.worker(name), "AUDIT_WEB_PORT": str(self.ports[index]),
                "AUDIT_ALERT_WEBHOOK": f"http://{_HOST}:{self.receiver.port}/{name}",
            }  # fmt: skip
            self.start(index)
        self.extra |= self.account.reader

    async def imported(self, lines: list[Line]) -> None:
        """Put lines into the raw topic with `audit-stream import`."""
        path = self.folder / "events.jsonl"
        path.write_bytes(b"".join(value + b"\n" for _, value in lines))
        done = await document(self, "import", str(path), "--topic", self.topic)
        assert done["total"] == len(lines), done

    def arm(self, scenario: Scenario, share: float, seed: int, container: str = "") -> None:
        """Let the scenario's faults, and no others, hit a share of the requests."""
        self.account.server.clear("faults")
        for number, hit in enumerate(scenario.hits):
            self.account.server.tell("faults", **hit.armed(share, seed + number, container))

    def measured(self, metric: str) -> list[dict[str, float]]:
        """Each worker's values of a metric, by what its labels say; a worker that ended fails."""
        ended = [index for index, each in self.workers.items() if each.poll() is not None]
        assert not ended, f"workers {ended} ended\n{self.log()}"
        return [_scrape(port, metric) for port in self.ports]

    async def stored(self) -> int:
        """Records that the workers have stored since they started."""
        found = await asyncio.to_thread(self.measured, "audit_stream_records_archived_total")
        return int(sum(sum(values.values()) for values in found))

    async def ready(self) -> bool:
        """Whether every worker is."""
        try:
            found = await asyncio.to_thread(self.measured, "audit_stream_ready")
        except OSError:
            return False
        return all(values and all(values.values()) for values in found)

    def turns(self) -> list[Turn]:
        """What the breakers did so far."""
        found = []
        for index, name in enumerate(NAMES):
            with (self.folder / f"worker-{index}.log").open() as log:
                found += turns(name, log)
        return found

    def told(self) -> list[Told]:
        """The breakers' alarms that came by webhook so far."""
        posts = ((post.path.strip("/"), post.body) for post in list(self.receiver.posts.queue))
        return [
            Told(worker, body["key"], body["state"], body["summary"])
            for worker, body in posts
            if body["key"].startswith("breaker:")
        ]

    def open_now(self, target: str) -> bool:
        """Whether the target's breaker is open in every worker, as its metrics say."""
        return all(values.get(target) for values in self.measured("audit_stream_breaker_open"))

    def all_closed(self) -> bool:
        """Whether no breaker of any worker is open."""
        found = self.measured("audit_stream_breaker_open")
        return not any(value for values in found for value in values.values())


def _scrape(port: int, metric: str) -> dict[str, float]:
    with urllib.request.urlopen(f"http://{_HOST}:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        "/".join(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == metric
    }


@asynccontextmanager
async def install(
    broker: str, folder: Path, prefix: str, store: Store
) -> AsyncIterator[Installation]:
    """An installation whose workers are ready."""
    async with _opened(store, folder) as account:
        with receiving() as receiver:
            found = Installation(broker, folder, prefix, PARTITIONS, extra={
                "AUDIT_LOG_FORMAT": "json",
                "AUDIT_BREAKER_PROBE_SECONDS": "2", "AUDIT_SEGMENT_MAX_RECORDS": "30",
                "AUDIT_SEGMENT_MAX_SECONDS": "1", **account.shared, **account.reader,
            })  # fmt: skip
            found.account, found.receiver = account, receiver
            await found.prepare()
            try:
                found.run()
                yield found
            finally:
                await found.close()


@asynccontextmanager
async def _opened(store: Store, folder: Path) -> AsyncIterator[Account]:
    """The store's account; it may wait for servers, which is for a thread to do."""
    with ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, store.account(folder, NAMES))
