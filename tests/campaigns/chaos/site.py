"""An installation that chaos happens to: its topics, store, machines and processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.campaigns.chaos.crew import NOTARY, Crew, state_folder
from tests.campaigns.chaos.machine import Machine
from tests.campaigns.chaos.schedule import Schedule
from tests.campaigns.stores.azure import WRITER, double
from tests.campaigns.stores.base import Account
from tests.support.fleet import Fleet

PARTITIONS = 3
#: Workers of the schedule, one more by `scale`, and those that come and go in a storm.
STORM = 10
#: A name in the environment of every command and of whoever reads.
_COMMAND = "command"


class TwoTopics(Fleet):
    """A fleet with two raw topics."""

    @property
    def topics(self) -> tuple[str, str]:
        """Both."""
        return self.topic, f"{self.prefix}_email"


@dataclass
class Site:
    """All of it."""

    schedule: Schedule
    fleet: TwoTopics
    crew: Crew
    machines: dict[int, Machine]
    account: Account | None
    own: Path  # what is the campaign's and no part of the installation

    @property
    def status_map(self) -> Path:
        """The map that knows a word more."""
        return self.own / "status-map.json"

    def heal(self) -> None:
        """Every machine and the store are as they should be."""
        for machine in self.machines.values():
            machine.heal()
        if self.account is not None:
            self.account.server.clear("faults")


@contextmanager
def azure(names: list[str]) -> Iterator[Account]:
    """The write-once double: each process has an identity of its own for the archive, and all one
    for what can be rewritten beside it."""
    rights = {**dict.fromkeys(names, WRITER), "subjects": "rlacwd"}
    with double(rights, _COMMAND) as account:
        own = {"AUDIT_AZURE_SUBJECTS_SAS": "sig=subjects"}
        yield replace(account, shared={**account.shared, **own})


def _settings() -> dict[str, str]:
    return {
        "AUDIT_LOG_FORMAT": "json", "AUDIT_SEGMENT_MAX_RECORDS": "100",
        "AUDIT_SEGMENT_MAX_SECONDS": "0.7", "AUDIT_LOG_BATCH_SECONDS": "1.5",
        "AUDIT_LOG_POLL_SECONDS": "0.5", "AUDIT_BREAKER_PROBE_SECONDS": "1",
        "AUDIT_BARRIER_SECONDS": "20", "AUDIT_ERASURE_GRACE_SECONDS": "2",
        "AUDIT_STALL_SECONDS": "30",
    }  # fmt: skip


def _disks(fleet: Fleet, number: int) -> list[Path]:
    """What a worker writes to files; where the archive is one of them, that, too."""
    state = fleet.folder / state_folder(f"worker-{number}")
    local = fleet.settings.archive.startswith("file")
    return [state, fleet.settings.archive_path] if local else [state]


@asynccontextmanager
async def site(
    broker: str, replication: int, folder: Path, schedule: Schedule
) -> AsyncIterator[Site]:  # fmt: skip
    """Prepared; nothing runs yet, and nothing does behind the block."""
    installation, own = folder / "installation", folder / "own"
    for each in (installation, own):
        each.mkdir(parents=True)
    fleet = TwoTopics(broker, installation, f"chaos{schedule.seed}", PARTITIONS, extra=_settings())
    fleet.extra |= {"AUDIT_TOPICS": ",".join(fleet.topics), "AUDIT_REPLICATION": str(replication)}
    numbers = [*range(schedule.workers + 1), STORM, STORM + 1]
    names = [f"worker-{number}" for number in numbers]
    with ExitStack() as stack:
        account = None
        if schedule.store == "azure":
            account = await asyncio.to_thread(
                stack.enter_context, azure([*names, NOTARY, _COMMAND])
            )  # fmt: skip
            fleet.extra |= {**account.shared, **account.reader}
        machines = {
            number: Machine(own / f"machine-{number}", _disks(fleet, number))
            for number in range(schedule.workers)
        }
        crew = Crew(
            fleet, own, {number: each.environment for number, each in machines.items()},
            {} if account is None else {n: account.worker(n) for n in (*names, NOTARY)},
        )  # fmt: skip
        await fleet.prepare()
        try:
            yield Site(schedule, fleet, crew, machines, account, own)
        finally:
            for machine in machines.values():
                machine.heal()
            await crew.close()
