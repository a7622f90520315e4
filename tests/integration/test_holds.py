"""Legal holds on real workers: new segments of a held customer are held, by whoever may."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit_stream.evidence.layout import parse_segment_name
from audit_stream.holds.filing import held_tags
from audit_stream.kafka.embedded import EmbeddedKafka
from audit_stream.keys.file import load_keyring
from audit_stream.privacy.subject_object import open_tags
from tests.support.blobs.cloud import SUBJECTS_ACCOUNT, Cloud
from tests.support.commands import document
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
CUSTOMER = "Größe-7"
WHO = ("--matter", "LIT-1", "--custodian", "desk", "--reason", "ORD-1", "--by", "counsel",
       "--approver", "chief")  # fmt: skip


class Held:
    """A fleet on version-level immutability, and what is held there."""

    def __init__(self, fleet: Fleet, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fleet, self.cloud, self._monkeypatch = fleet, cloud, monkeypatch
        self.events = Events(51, fleet.topic)

    def workers_are(self, who: str) -> None:
        self.cloud.become(self._monkeypatch, who)

    async def hold(self, *words: str, code: int = 0) -> dict[str, Any]:
        """As the operator, who may set holds."""
        return await document(
            self.fleet, "hold", *words, code=code, **self.cloud.identity("operator")
        )

    async def add(self, customer: str = CUSTOMER) -> str:
        person = ("--customer", customer, "--tenant", "tenant_a")
        return str((await self.hold("add", *person, *WHO))["hold_id"])

    async def send(self, count: int = 800) -> None:
        await self.fleet.send(self.events.lines(count))

    def wanted(self, *customers: str) -> set[str]:
        """The segments with a record of one of the customers, by their subject objects."""
        ring = load_keyring(self.fleet.settings.keyring).keyring
        tags = {tag for each in customers
                for tag in held_tags(ring, ("tenant_a", "external", each), ())}  # fmt: skip
        blobs = self.cloud.double.accounts[SUBJECTS_ACCOUNT].containers["subjects"].blobs
        bases = {
            name.partition("/")[2].partition("-")[0]
            for name, blob in blobs.items()
            if name.startswith("subjects/") and blob.current is not None
            and tags & set(open_tags(ring.index_key, name, blob.current.body))
        }  # fmt: skip
        return {name for name in self.segments if _slot(name) in bases}

    @property
    def segments(self) -> set[str]:
        return {name for name in self.cloud.archive.blobs if parse_segment_name(name) is not None}

    @property
    def held(self) -> set[str]:
        """As the service has it."""
        blobs = self.cloud.archive.blobs
        return {name for name in blobs if blobs[name].versions()[0].hold}


def _slot(name: str) -> str:
    return name.partition("/")[2].partition(".ndjson")[0]


@pytest.fixture
async def held(
    kafka: EmbeddedKafka, cloud: Cloud, tmp_path: Path, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Held]:
    extra = {f"AUDIT_{name.upper()}": value for name, value in cloud.fields().items()}
    fleet = Fleet(kafka.url, tmp_path, fresh, extra=extra)
    await fleet.prepare()
    yield Held(fleet, cloud, monkeypatch)
    await fleet.close()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with Cloud(tmp_path, "vlw") as cloud:
        yield cloud


async def test_a_held_customers_new_segments_are_held_as_they_are_sealed(held: Held) -> None:
    held.workers_are("operator")
    await held.add()
    held.fleet.start(0, "impatient")
    await held.send()
    await held.fleet.settled(90)
    assert held.held == held.wanted(CUSTOMER)
    assert set() < held.held < held.segments
    await held.add("Größe-9")  # what is stored already is the keeper's
    assert (await held.hold("status", code=1))["missing"] == 2
    assert (await held.hold("run"))["missing"] == []
    assert held.held == held.wanted(CUSTOMER, "Größe-9")
    assert (await held.hold("status"))["missing"] == 0
    before = held.segments

    async def knows() -> bool:
        """The worker, of what was declared while it ran."""
        await held.send(100)
        await held.fleet.settled(90)
        return bool((held.held - before) - held.wanted(CUSTOMER))

    await eventually(knows, 60)
    before = held.segments
    await held.send(300)
    await held.fleet.check(held.events.oracle, 90)
    assert held.held - before == held.wanted(CUSTOMER, "Größe-9") - before


async def test_a_worker_that_may_not_hold_or_is_killed_before_it_leaves_it_to_the_keeper(
    held: Held,
) -> None:
    await held.hold("add", "--workflow", "wf_test", *WHO)  # every record's
    held.workers_are("operator")
    held.fleet.start(0, "kill", "read-back", "after", "1")
    await held.send(3000)  # several segments each partition
    assert await held.fleet.ended(0) == -9
    assert held.segments
    assert held.held == set()
    held.workers_are("rewriter")  # who may set no hold
    held.fleet.start(1)
    await held.fleet.check(held.events.oracle, 90)
    assert held.held == set()
    log = (held.fleet.folder / "worker-1.log").read_text()
    assert "later: " in log
    assert "AuthorizationPermissionMismatch" in log
    assert (await held.hold("run"))["missing"] == []
    assert held.held == held.segments
