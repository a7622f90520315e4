"""The run: send, ask, sample every few seconds into JSON lines; then stop and look for losses."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audit_stream.kafka.embedded import EmbeddedKafka
from bench.fingerprint import of_archive
from tests.campaigns.soak.fleet import SoakFleet, installed, machine
from tests.campaigns.soak.load import Asker, Sender
from tests.campaigns.soak.plan import Plan
from tests.support.eventually import eventually
from tests.support.sampling import of_machine

_START_SECONDS = 180.0
_SETTLE_SECONDS = 900.0


async def run(kafka: EmbeddedKafka, folder: Path, plan: Plan, samples: Path, prefix: str) -> None:
    """Fill `samples`; its last line has what was missing. `AssertionError` when something ended."""
    fleet = installed(kafka, folder, plan, prefix)
    await fleet.prepare()
    fleet.run(plan)
    try:
        await _play(fleet, kafka, plan, samples)
    finally:
        await fleet.close()


async def _play(fleet: SoakFleet, kafka: EmbeddedKafka, plan: Plan, samples: Path) -> None:
    await eventually(lambda: _ready(fleet), _START_SECONDS)
    sender = Sender(plan, kafka.bootstrap, fleet.topic)
    asker = Asker(plan, sender, f"http://127.0.0.1:{fleet.gateway_port}", fleet.token())
    await sender.fill()
    await _settled(fleet, sender)
    begun = datetime.now(UTC).isoformat(timespec="seconds")
    _write(samples, {"kind": "start", "at": begun, "machine": machine(), "plan": asdict(plan)})
    sending = asyncio.create_task(sender.run())
    async with _beside(asker.run(), _sampling(fleet, plan, sender, asker, samples)):
        await sending
    await _settled(fleet, sender)
    await fleet.end()
    _write(samples, {"kind": "end"} | await _looked_through(fleet, sender, asker))


@asynccontextmanager
async def _beside(*coroutines: Any) -> AsyncIterator[None]:
    """Run them while the block lasts; one that fails ends it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in coroutines]
        yield
        for task in tasks:
            task.cancel()


async def _ready(fleet: SoakFleet) -> bool:
    with suppress(OSError):
        said = (await asyncio.to_thread(fleet.sampled))["metrics"]
        return all(each.get("audit_stream_ready", 0) > 0 for each in said.values())
    return False


async def _sampling(
    fleet: SoakFleet, plan: Plan, sender: Sender, asker: Asker, samples: Path
) -> None:
    started = time.monotonic()
    number = 0
    while True:
        number += 1
        await asyncio.sleep(max(0.0, started + number * plan.every - time.monotonic()))
        at = time.monotonic() - started
        try:
            found = await asyncio.to_thread(fleet.sampled)
        except OSError as error:  # it did not answer in time: one sample less, and it is said
            _write(samples, {"kind": "missed", "at": round(at, 3), "why": type(error).__name__})
            continue
        times = asker.taken()
        load = {
            "sent": sender.sent, "late_seconds": sender.lateness(), "answers": dict(asker.answers),
            "asked": len(times), "answer_seconds": times[len(times) // 2] if times else None,
            "answer_seconds_most": times[-1] if times else None,
        }  # fmt: skip
        _write(
            samples,
            {"kind": "sample", "at": round(at, 3), "machine": of_machine(), "load": load} | found,
        )


async def _settled(fleet: SoakFleet, sender: Sender) -> None:
    """Until nothing is to come, while the workers run."""
    coverage = await fleet.settled(_SETTLE_SECONDS)
    covered = sum(coverage.totals().values())
    assert covered == sender.sent, f"{sender.sent} sent, {covered} offsets covered"


async def _looked_through(fleet: SoakFleet, sender: Sender, asker: Asker) -> dict[str, Any]:
    """What was sent against what is archived, by whom it was not asked to judge itself."""
    found = await asyncio.to_thread(of_archive, fleet.folder / fleet.archive)
    return {
        "sent": sender.sent, "rises": sender.rises.count, "archived": found.count,
        "the_same": found == sender.rises,
        "answers": dict(asker.answers), "reconcile": await fleet.told("reconcile"),
        "verify": await fleet.told("verify"),
    }  # fmt: skip


def _write(path: Path, document: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(document) + "\n")
