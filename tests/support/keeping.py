"""The golden archive with a keyring of its own, a fleet on paper, a keeper that can be killed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

from audit_stream.archive.fleet import Registration
from audit_stream.archive.opening import Closed, Opener, Personal
from audit_stream.archive.private import PrivateObjects
from audit_stream.archive.register import RegisterReader
from audit_stream.cli.verify import archive_verifier
from audit_stream.erasure.barrier import Barrier
from audit_stream.erasure.counting import Counting
from audit_stream.erasure.held import standing_against
from audit_stream.erasure.installation import Installation, StepHook, no_hook
from audit_stream.erasure.keeper import Keeper, Ran
from audit_stream.erasure.request import Found, Request
from audit_stream.erasure.requests import Requests
from audit_stream.erasure.segments import Segments
from audit_stream.evidence.layout import parse_segment_name
from audit_stream.evidence.record import parse_record
from audit_stream.evidence.redaction import Redaction, redaction_of
from audit_stream.evidence.register import Entry, Register
from audit_stream.evidence.segment import decode
from audit_stream.holds.active import ActiveHolds
from audit_stream.keys.epochs import destroy_keys
from audit_stream.keys.file import LoadedKeyring, load_cover, load_keyring, log_signer
from audit_stream.keys.wrapping import LOCAL, CoverWrapper, Destruction
from audit_stream.notary.gather import Gatherer
from audit_stream.notary.notary import Notary
from audit_stream.ports import Delivery
from audit_stream.stores.blocking import open_reader
from audit_stream.stores.file import FileStore
from audit_stream.stores.subjects import FileSubjectStore
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.verify.part import Part
from tests.support import golden
from tests.support.erasing import RECORDS

AT = "2026-11-26T08:00:00.000Z"
NAME = golden.KEYRING.archive


class Killed(BaseException):
    """What ends a run at a step."""


@dataclass
class Kill:
    """Ends the run at a step, the first time it comes there."""

    step: str
    when: str
    done: bool = False

    def __call__(self, step: str, when: str) -> None:
        if not self.done and (step, when) == (self.step, self.when):
            self.done = True
            raise Killed


@dataclass
class Kept:
    """One installation."""

    folder: Path
    held: dict[str, Sequence[str]] = field(default_factory=dict)
    active: ActiveHolds | None = None  # in place of `held`
    group: list[tuple[str, str | None]] = field(default_factory=list)
    published: list[Entry] = field(default_factory=list)
    destroyed: list[int] = field(default_factory=list)
    views: list[Path] = field(default_factory=list)
    now: str = AT
    covers: CoverWrapper = LOCAL
    receivers: dict[str, Delivery] = field(default_factory=dict)
    records_a_part: int = 1_000
    place: Installation | None = None  # in place of `installation`

    def __post_init__(self) -> None:
        shutil.copytree(golden.ARCHIVE, self.folder / "archive")
        shutil.copytree(golden.GOLDEN / "subjects", self.folder / "subjects/subjects")
        self.path = self.folder / "keys/keyring.json"
        self.path.parent.mkdir()
        for name in ("keyring.json", "cover-1.bin"):
            shutil.copy(golden.GOLDEN / name, self.path.parent)
            (self.path.parent / name).chmod(0o600)
        self.store = FileStore(self.folder / "archive")
        self.subjects = FileSubjectStore(self.folder / "subjects")
        self.private = PrivateObjects(self.subjects, golden.KEYRING.index_key)
        self.requests = Requests(self.private)
        self.alarms = AlarmBoard("keeper")

    @property
    def ring(self) -> LoadedKeyring:
        return load_keyring(self.path, self.covers)

    def installation(self) -> Installation:
        segments = Segments(self.store, golden.trusted(), NAME)
        counting = Counting(
            segments, self.subjects, self.private, golden.KEYRING.index_key, self.alarms
        )
        return Installation(
            keyring=self.path, views=self.views, store=self.store, private=self.private,
            counting=counting, barrier=self.barrier, holds_against=self._holds,
            holding=self._holding,
            covers=self.covers, destroy=self._destroy, longest_copy=self._longest,
            publish=self._publish, alarms=self.alarms, now=lambda: self.now, barrier_seconds=0.0,
            grace_seconds=0.0, receivers=self.receivers, records_a_part=self.records_a_part,
        )  # fmt: skip

    def barrier(self, epoch: int) -> Barrier:
        return Barrier(self.private, self.store, golden.trusted(), self._group, epoch)

    async def _group(self) -> Sequence[tuple[str, str | None]]:
        return self.group

    async def _holds(self, requests: Sequence[Request]) -> Mapping[str, Sequence[str]]:
        if self.active is not None:
            wanted = {each.ref: each.tags for each in requests}
            return await standing_against(self.active, self.installation().counting, wanted)
        return {each.ref: self.held[each.ref] for each in requests if each.ref in self.held}

    async def _holding(self) -> frozenset[str]:
        return frozenset(self.held)

    def _destroy(self, epoch: int) -> Destruction:
        self.destroyed.append(epoch)
        done = destroy_keys(self.path, epoch, self.covers)
        at = done.effective_at if done.kind == "key-vault-scheduled" else AT
        return Destruction(done.kind, at)

    async def _longest(self) -> timedelta | None:
        return timedelta(days=8)

    async def _publish(self, entries: Sequence[Entry]) -> None:
        self.published += entries

    async def logged(self, at: str) -> None:
        """A notary's batch at a time."""
        gatherer = Gatherer(self.store, NAME, golden.trusted(), self.alarms)
        notary = Notary(self.store, log_signer(self.ring.keyring), gatherer, _no_ends, lambda: at)
        await notary.resume()
        await notary.write()

    async def run(self, kill: StepHook | None = None) -> Ran:
        place = self.place or self.installation()
        return await Keeper(replace(place, hook=kill or no_hook)).run()

    async def file(self, ref: str, *tags: bytes, approved: bool = True) -> Request:
        records = sum(len(RECORDS.get(tag, ())) for tag in tags)
        found = Found(records=records, tenants=(), first=None, last=None)
        request = await self.requests.file(Request(
            ref=ref, kind="customer", basis="GDPR Art.17(1)(b)", tags=tags, found=found,
            requested_by="privacy", requested_at=AT, due="2026-12-26",
        ))  # fmt: skip
        return await self.requests.approve(ref, "counsel", AT) if approved else request

    async def certificates(self) -> list[Redaction]:
        reader = RegisterReader(self.store, golden.trusted(), NAME, Register.REDACTIONS)
        return [redaction_of(each) for each in await reader.new_entries()]

    async def member(
        self, role: str = "worker", epoch: int = 1, name: str | None = None, since: str = AT
    ) -> Registration:  # fmt: skip
        registration = Registration(self.private, role, lambda: since, name)
        await registration.loaded(epoch)
        return registration

    def opened(self) -> dict[str, Personal]:
        """Every record by its position, opened with who it was known to be of, as far as it can."""
        opened = cache(partial(load_cover, self.path, covers=self.covers))
        opener, found = Opener(self.ring.keyring, opened), {}
        whose = {pub["source"]: tag for tag, pubs in RECORDS.items() for pub in pubs}
        for file in sorted((self.folder / "archive/segments").rglob("*.gz")):
            name = str(file.relative_to(self.folder / "archive"))
            assert parse_segment_name(name) is not None
            segment = decode(file.read_bytes(), name)
            for line in segment.record_lines():
                record = parse_record(line, name)
                source = record.pub["source"]
                found[source] = opener.open(segment.header, record, whose[source], None)
        return found

    def erased(self) -> set[str]:
        """The positions of records that nobody can open."""
        opened = self.opened().items()
        assert all(each.closed in (None, Closed.ERASED) for _, each in opened)
        return {source for source, each in opened if each.closed}

    def problems(self) -> list[str]:
        """What verify has against the archive."""
        with open_reader(FileStore(self.folder / "archive")) as reader:
            verifier = archive_verifier(reader, golden.trusted(), Part())
            for _ in verifier.run():
                pass
        return [str(each) for each in verifier.report.problems]

    def private_names(self) -> list[str]:
        return self.subjects.names_sync("private/")


async def _no_ends() -> None:
    """The broker is away."""


def sources(*tags: bytes) -> set[str]:
    return {pub["source"] for tag in tags for pub in RECORDS[tag]}


def maps(process: subprocess.Popen[Any], cover: str) -> bool:
    """Whether a process has a cover's file mapped: whoever has can derive everybody's keys."""
    return f"/{cover}" in Path(f"/proc/{process.pid}/maps").read_text()
