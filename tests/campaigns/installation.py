"""Two real workers that archive to the write-once double, each with an identity of its own."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from audit_stream.kafka.embedded import free_ports
from tests.campaigns.broken import Told, Turn, turns
from tests.campaigns.scenarios import ARCHIVE, SUBJECTS, Scenario
from tests.support.blobs.process import BlobProcess
from tests.support.commands import document
from tests.support.events import Line
from tests.support.fleet import Fleet
from tests.support.receiver import Receiver, receiving

WORKERS = 2
#: Six lanes a worker: as many failures as open its breaker can happen at the same time.
PARTITIONS = 12
_HOST = "127.0.0.1"


class Installation(Fleet):
    """The workers, the account they write to, and who gets their alarms."""

    double: BlobProcess
    receiver: Receiver
    ports: list[int]

    def run(self) -> None:
        """Start the workers; from then on the fleet's own identity is a reader's."""
        self.ports = free_ports(WORKERS)
        for index, name in enumerate(self.names):
            self.extra |= {
                "AUDIT_AZURE_SAS": f"sig={name}", "AUDIT_WEB_PORT": str(self.ports[index]),
                "AUDIT_ALERT_WEBHOOK": f"http://{_HOST}:{self.receiver.port}/{name}",
            }  # fmt: skip
            self.start(index)
        self.extra["AUDIT_AZURE_SAS"] = "sig=reader"

    @property
    def names(self) -> list[str]:
        """Of the workers, as the double and the receiver know them."""
        return [f"worker-{index}" for index in range(WORKERS)]

    async def imported(self, lines: list[Line]) -> None:
        """Put lines into the raw topic with `audit-stream import`."""
        path = self.folder / "events.jsonl"
        path.write_bytes(b"".join(value + b"\n" for _, value in lines))
        done = await document(self, "import", str(path), "--topic", self.topic)
        assert done["total"] == len(lines), done

    def arm(self, scenario: Scenario, share: float, seed: int, container: str = "") -> None:
        """Let the scenario's faults, and no others, hit a share of the requests."""
        self.double.clear("faults")
        for number, hit in enumerate(scenario.hits):
            self.double.tell("faults", **hit.armed(share, seed + number, container))

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
        for index, name in enumerate(self.names):
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


@contextmanager
def account() -> Iterable[BlobProcess]:
    """A double with the two containers, and an identity for each worker and for who reads."""
    with BlobProcess() as double:
        double.tell("containers", name=ARCHIVE, kind="clw", days=2557)
        double.tell("containers", name=SUBJECTS)
        for index in range(WORKERS):
            double.tell("identities", sas=f"worker-{index}", rights="rlac")
        double.tell("identities", sas="reader", rights="rl")
        yield double


@asynccontextmanager
async def install(broker: str, folder: Path, prefix: str) -> AsyncIterator[Installation]:
    """An installation whose workers are ready."""
    with account() as double, receiving() as receiver:
        found = Installation(broker, folder, prefix, PARTITIONS, extra={
            "AUDIT_ARCHIVE": f"azure://devaccount/{ARCHIVE}",
            "AUDIT_SUBJECTS": f"azure://devaccount/{SUBJECTS}",
            "AUDIT_AZURE_ENDPOINT": double.endpoint, "AUDIT_AZURE_SAS": "sig=reader",
            "AUDIT_LOG_FORMAT": "json",
            "AUDIT_BREAKER_PROBE_SECONDS": "2", "AUDIT_SEGMENT_MAX_RECORDS": "30",
            "AUDIT_SEGMENT_MAX_SECONDS": "1",
        })  # fmt: skip
        found.double, found.receiver = double, receiver
        await found.prepare()
        try:
            found.run()
            yield found
        finally:
            await found.close()
