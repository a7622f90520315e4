"""Persons erased from a fleet at work, the keeper killed at each step in turn:
``python -m tests.campaigns.erasure``.

Two workers archive a stream of events of many customers; some of them are erased in batches, each
of which is killed (SIGKILL) at another step of the protocol and finished by the next run, while
events, of erased customers too, go on. Afterwards it is judged from outside: nothing is missing or
twice, everything verifies, no record of theirs opens and every other does, each has one
certificate, and no process that was started since has a key of theirs in its memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from audit_stream.app.erasing import erasing
from audit_stream.app.now import now
from audit_stream.app.places import archive_reader
from audit_stream.archive.opening import Closed, Opener
from audit_stream.erasure.filing import new_request
from audit_stream.erasure.request import Found
from audit_stream.evidence.record import parse_record
from audit_stream.evidence.segment import decode
from audit_stream.kafka.embedded import EmbeddedKafka
from audit_stream.keys.file import load_cover, load_keyring
from audit_stream.privacy.derivation import derive
from audit_stream.privacy.keytree import Cover, path_of
from audit_stream.privacy.subjects import tags_of
from tests.support.commands import ROOT, environment, run
from tests.support.events import Line, Oracle
from tests.support.fleet import Fleet
from tests.support.memory import secrets_in

TENANT = "tenant_a"
KILLS = (
    ("taken", "before"), ("taken", "after"), ("punctured", "before"), ("punctured", "between"),
    ("punctured", "after"), ("passed", "before"), ("passed", "after"), ("counted", "before"),
    ("counted", "after"), ("zeroed", "before"), ("zeroed", "after"), ("destroyed", "before"),
    ("destroyed", "after"), ("notified", "before"), ("notified", "after"), ("certified", "before"),
    ("certified", "between"), ("certified", "after"),
)  # fmt: skip
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much; the defaults are the long form's."""

    subjects: int = 100_000
    erased: int = 1_000
    kills: tuple[tuple[str, str], ...] = KILLS
    segment_records: int = 5_000
    seed: int = 1


@dataclass
class Crowd:
    """Customers and their events; whose message each was."""

    plan: Plan
    topic: str
    oracle: Oracle = field(default_factory=Oracle)
    whose: dict[str, str] = field(default_factory=dict)  # message -> customer
    count: int = 0

    def events_of(self, customers: Iterable[int]) -> list[Line]:
        """A delivered message for each."""
        return [self._line(number) for number in customers]

    def _line(self, number: int) -> Line:
        self.count += 1
        message, customer = f"msg-{self.count:08d}", customer_id(number)
        event = {
            "id": f"evt-{self.count}", "type": self.topic, "message_id": message,
            "status": "DELIVERED", "timestamp": "2026-11-26T10:00:00Z", "error_code": None,
            "workflow_id": "wf_test", "agent_id": None, "tenant": {"id": TENANT},
            "recipient": {"external_id": customer, "address": f"+4915{number:09d}"},
        }  # fmt: skip
        self.oracle.see(message, "DELIVERED")
        self.whose[message] = customer
        return message.encode(), json.dumps(event).encode()


def customer_id(number: int) -> str:
    return f"CUST-{number:07d}"


@dataclass
class Outcome:
    """What it came to; `problems` is empty when everything held."""

    records: int = 0
    erased_records: int = 0
    late_records: int = 0
    seconds: float = 0.0
    runs: int = 0
    lingering: int = 0  # keys of erased in the memory of processes that ran all the time
    problems: list[str] = field(default_factory=list)


async def play(fleet: Fleet, plan: Plan) -> Outcome:
    """The whole campaign on one installation."""
    outcome, crowd = Outcome(), Crowd(plan, fleet.topic)
    fleet.extra |= {
        "AUDIT_SEGMENT_MAX_RECORDS": str(plan.segment_records), "AUDIT_SEGMENT_MAX_SECONDS": "1",
        "AUDIT_BARRIER_SECONDS": "60", "AUDIT_ERASURE_GRACE_SECONDS": "2",
    }  # fmt: skip
    started = time.monotonic()
    for index in (0, 1):
        fleet.start(index)
    for at in range(0, plan.subjects, 10_000):
        await fleet.send(crowd.events_of(range(at, min(at + 10_000, plan.subjects))))
    await fleet.settled(600)
    gone = sorted(random.Random(plan.seed).sample(range(plan.subjects), plan.erased))
    keys = _keys_of(fleet, gone)
    for number, kill in enumerate(plan.kills):
        part = gone[number :: len(plan.kills)]
        await _file(fleet, part, number)
        await _killed_and_finished(fleet, *kill, outcome)
        await fleet.send(crowd.events_of([*part[:20], *_others(plan, gone, number)]))
    await fleet.settled(600)
    outcome.lingering = sum(
        len(secrets_in(worker.pid, keys, _KEY_BYTES)) for worker in fleet.workers.values()
    )
    for index in (0, 1):
        await fleet.kill(index)
        fleet.start(index)
    await fleet.send(crowd.events_of([*gone[:200], *range(200)]))
    await fleet.check(crowd.oracle, 600)
    for worker in fleet.workers.values():
        if found := secrets_in(worker.pid, keys, _KEY_BYTES):
            outcome.problems.append(f"{len(found)} keys of erased in a restarted worker's memory")
    _judge_records(fleet, crowd, {customer_id(each) for each in gone}, outcome)
    _judge_certificates(fleet, gone, outcome)
    outcome.seconds = time.monotonic() - started
    return outcome


def _others(plan: Plan, gone: list[int], seed: int) -> list[int]:
    taken = set(gone)
    drawn = random.Random(seed).sample(range(plan.subjects), min(100, plan.subjects))
    return [each for each in drawn if each not in taken]


def _keys_of(fleet: Fleet, gone: list[int]) -> set[bytes]:
    """Leaf keys that open what is theirs, and keys made of them, before they are erased."""
    loaded = load_keyring(fleet.settings.keyring)
    cover, found = Cover(loaded.cover), set[bytes]()
    with archive_reader(fleet.settings) as reader:
        [name] = reader.names("streams/")
        stream = json.loads((reader.get(name) or b"").split(b"\n")[0])["stream"]
    year_key = loaded.keyring.year_key(int(now()[:4]))
    for each in gone:
        [tag] = tags_of(loaded.keyring, (TENANT, "external", customer_id(each)))
        leaf = cover.leaf(path_of(tag))
        assert leaf is not None
        found |= {leaf, *derive(leaf, bytes.fromhex(stream), tag, year_key)}
    return found


async def _file(fleet: Fleet, part: list[int], number: int) -> None:
    async with erasing(fleet.settings) as place:
        ring = place.ring.keyring
        for each in part:
            ref = f"R-{number}-{each}"
            tags = tags_of(ring, (TENANT, "external", customer_id(each)))
            found = Found(records=0, tenants=(TENANT,), first=None, last=None)
            await place.requests.file(new_request(
                ref=ref, kind="customer", basis="GDPR Art.17(1)(b)", tags=tags, found=found,
                by="privacy", at=now(),
            ))  # fmt: skip
            await place.requests.approve(ref, "counsel", now())


async def _killed_and_finished(fleet: Fleet, step: str, when: str, outcome: Outcome) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.dying_keeper", step, when,
        env=environment(fleet), cwd=ROOT, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    if process.returncode != -9:
        outcome.problems.append(f"{step} {when}: not killed, {process.returncode} {said[-500:]!r}")
    for _ in range(3):
        outcome.runs += 1
        done = await run(fleet, "redact", "run")
        if done.returncode == 0:
            return
    outcome.problems.append(f"{step} {when}: not finished: {done.stderr[-500:]}")


def _judge_records(fleet: Fleet, crowd: Crowd, gone: set[str], outcome: Outcome) -> None:
    """Each record is opened with what is known of whose it is, without any subject object."""
    ring, path = load_keyring(fleet.settings.keyring).keyring, fleet.settings.keyring
    opener = Opener(ring, lambda tree: load_cover(path, tree))
    with archive_reader(fleet.settings) as reader:
        names = reader.names("segments/")
        reader.expect(names)
        for name in names:
            segment = decode(reader.get(name) or b"", name)
            for line in segment.record_lines():
                record = parse_record(line, name)
                customer = crowd.whose[record.pub["message_uuid"]]
                personal = opener.open(segment.header, record, None, customer)
                outcome.records += 1
                if customer in gone:
                    outcome.erased_records += 1
                    outcome.late_records += record.erased
                    if personal.closed is not Closed.ERASED:
                        outcome.problems.append(f"{record.pub['source']} of an erased one opens")
                elif personal.fields.get("customer_external_id") != customer:
                    outcome.problems.append(f"{record.pub['source']} of another does not open")


def _judge_certificates(fleet: Fleet, gone: list[int], outcome: Outcome) -> None:
    entries = (fleet.folder / fleet.archive / "redactions").iterdir()
    said = [json.loads(path.read_bytes().split(b"\n")[0]) for path in entries]
    refs = Counter(each["request_ref"] for each in said)
    if len(refs) != len(gone) or set(refs.values()) != {1}:
        outcome.problems.append(f"{len(said)} certificates for {len(gone)} requests")
    counted = sum(each["count"] for each in said)
    before = outcome.erased_records - outcome.late_records
    if counted != before:
        outcome.problems.append(f"certificates are about {counted} records, not {before}")


async def campaign(plan: Plan, folder: Path, console: Console) -> Outcome:
    """On a broker of its own."""
    async with EmbeddedKafka(folder / "kafka") as broker:
        fleet = Fleet(broker.url, folder, "erasure", partitions=4)
        await fleet.prepare()
        try:
            outcome = await play(fleet, plan)
        finally:
            await fleet.close()
    console.print(
        f"{outcome.records} records of {plan.subjects} subjects, {outcome.erased_records} of "
        f"{plan.erased} erased ({outcome.late_records} came late), {outcome.runs} runs behind "
        f"{len(plan.kills)} kills, {outcome.lingering} of their keys left in the memory of workers "
        f"that were not restarted, {outcome.seconds:.0f} s"
    )
    console.print(*outcome.problems or ["fine"])
    return outcome


def main() -> int:
    """Entry point."""
    usual, parser = Plan(), argparse.ArgumentParser(prog="python -m tests.campaigns.erasure")
    parser.add_argument("--subjects", type=int, default=usual.subjects)
    parser.add_argument("--erased", type=int, default=usual.erased)
    parser.add_argument("--seed", type=int, default=usual.seed)
    given = parser.parse_args()
    plan = Plan(subjects=given.subjects, erased=given.erased, seed=given.seed)
    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(campaign(plan, Path(folder), Console()))
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
