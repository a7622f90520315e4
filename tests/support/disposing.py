"""The golden archive in stores whose clock moves, its log written whenever a test says so, and
purges of it that can be cut off at any step."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from audit_stream.archive.private import PrivateObjects
from audit_stream.evidence.encoding import time_text
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.signing import LineSigner
from audit_stream.keys.file import load_keyring, log_signer
from audit_stream.keys.lock import keyring_lock
from audit_stream.notary.gather import Ends, Gatherer
from audit_stream.notary.log import ArchiveLog
from audit_stream.notary.notary import Notary
from audit_stream.ports import Disposer, SubjectStore, WormStore
from audit_stream.retention.owed import Owed, owed_by
from audit_stream.retention.plan import Holding, Plan
from audit_stream.retention.purge import Purge
from audit_stream.retention.purges import Purges, new_purge
from audit_stream.retention.purging import Carried, Purging
from audit_stream.retention.survey import Archived, Survey, judged_now
from audit_stream.retention.years import destroy_years
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.verify.archive import ArchiveVerifier
from audit_stream.verify.log import LogVerifier
from audit_stream.verify.report import Report
from tests.support import golden

DAY_MS = 86_400_000
DAYS = 2557
TAG = "COMPLIANCE_ARCHIVE_V1"
LOG = log_signer(golden.KEYRING)
#: Everything golden has expired, and the key of its year may go.
LATER_MS = golden.FIRST_MS + (DAYS + 90) * DAY_MS


class CutOff(Exception):
    """The process ended there."""


@dataclass
class Cuts:
    """Ends the work at its n-th change to the outside, before it or right behind it."""

    at: int = 0  # 0: never
    behind: bool = False
    seen: int = 0

    def around(self, call: Callable[..., object]) -> Callable[..., object]:
        async def cut(*given: object, **named: object) -> object:
            number = self.before()
            result = await call(*given, **named)  # type: ignore[misc]
            self.after(number)
            return result

        return cut

    def before(self) -> int:
        """A change begins; its number, for others may begin before it is made."""
        self.seen += 1
        if self.seen == self.at and not self.behind:
            raise CutOff
        return self.seen

    def after(self, number: int) -> None:
        if number == self.at and self.behind:
            raise CutOff


class Cutting:
    """Whatever it stands for, whose named calls are changes."""

    def __init__(self, inner: object, cuts: Cuts, *changes: str) -> None:
        self._inner, self._cuts, self._changes = inner, cuts, changes

    def __getattr__(self, name: str) -> object:
        found = getattr(self._inner, name)
        return self._cuts.around(found) if name in self._changes else found


async def _nobody() -> Ends | None:
    return None


@dataclass
class Scene:
    """An archive that can be disposed of."""

    store: WormStore
    subjects: SubjectStore
    disposer: Disposer
    keyring: Path
    move: Callable[[int], None]  # the service's clock, to Unix ms
    clock_ms: int = golden.FIRST_MS
    held: Callable[[str], Sequence[str]] = lambda _: ()  # by the object's name
    looked: Callable[[], Awaitable[None]] | None = None  # when the holds are read anew
    days: int = DAYS  # how long the class is kept, by now
    longest_days: int = DAYS  # the longest of all classes
    tag: str = TAG  # the class of every topic
    cuts: Cuts = field(default_factory=Cuts)

    async def fill(self, objects: Mapping[str, bytes] | None = None) -> None:
        """Golden's objects (or others of it), its log, its subject objects."""
        for name, data in (objects or golden.archive_objects()).items():
            await self.store.put_if_absent(name, data, {})
        for path in (golden.GOLDEN / "subjects").rglob("*.bin"):
            name = path.relative_to(golden.GOLDEN).as_posix()
            await self.subjects.create(name, path.read_bytes())
        await self.notarise()

    async def at(self, now_ms: int) -> None:
        """It is that time, and a notary has said so."""
        self.clock_ms = now_ms
        self.move(now_ms)
        await self.notarise()

    async def notarise(self) -> None:
        gatherer = Gatherer(self.store, LOG.key.name, golden.trusted(), AlarmBoard("n"))
        notary = Notary(self.store, LOG, gatherer, _nobody, lambda: time_text(self.clock_ms))
        await notary.resume()
        await notary.write()
        assert notary.left_out == 0

    @property
    def archived(self) -> Archived:
        store: WormStore = Cutting(self.store, self.cuts, "put_if_absent")  # type: ignore[assignment]
        return Archived(
            store=store, log=ArchiveLog(store, LOG.key), keys=golden.trusted(),
            inventory=self.disposer, class_of=lambda _: self.tag, holds=self._holds,
            years=tuple(load_keyring(self.keyring).keyring.years), longest_days=self.longest_days,
        )  # fmt: skip

    async def _holds(self) -> Holding:
        if self.looked is not None:
            await self.looked()
        names = await self.store.names("segments/")
        known = frozenset((name, each) for name in names for each in self.held(name))
        return Holding(held=self._held, known=known)

    async def _held(self, name: SegmentName, stop: int) -> Sequence[str]:
        assert stop > name.base
        return self.held(str(name))

    @property
    def purges(self) -> Purges:
        return Purges(PrivateObjects(self._subjects, golden.KEYRING.index_key))

    @property
    def _subjects(self) -> SubjectStore:
        changes = ("create", "replace", "remove")
        return Cutting(self.subjects, self.cuts, *changes)  # type: ignore[return-value]

    async def survey(self) -> Plan:
        head, now = await judged_now(self.archived.log, self.clock_ms)
        return await Survey(self.archived, self.tag, DAYS, now).run(head)

    async def approved(self) -> Purge:
        """All there is to purge now, filed and approved."""
        purge = new_purge(
            await self.survey(), self.tag, DAYS, "clerk", "over", time_text(self.clock_ms)
        )
        await self.purges.file(purge)
        return await self.purges.approve(purge.id, "officer", time_text(self.clock_ms))

    async def run(self, cuts: Cuts | None = None) -> list[Carried]:
        """Carry out what is approved or owed, as the command does."""
        self.cuts = cuts or Cuts()
        try:
            head, now = await judged_now(self.archived.log, self.clock_ms)
            return [
                await self._purging().run(purge.kept_for(self.days), head, now)
                for purge in await self.purges.due(each.disposal for each in await self.owed())
            ]
        finally:
            self.cuts = Cuts()

    def _purging(self) -> Purging:
        disposer = Cutting(self.disposer, self.cuts, "remove_expired")
        return Purging(
            self.archived, disposer, self._subjects, self.purges,  # type: ignore[arg-type]
            LineSigner(golden.KEYRING.segment_key or b""), self._destroy,
            partial(keyring_lock, self.keyring, 0.0),
        )  # fmt: skip

    async def _destroy(self, years: Sequence[int]) -> Sequence[int]:
        with keyring_lock(self.keyring, 0.0):
            number = self.cuts.before()
            destroy_years(self.keyring, years)
            self.cuts.after(number)
            return years

    async def owed(self) -> list[Owed]:
        return await owed_by(self.archived, self.subjects)

    async def objects(self) -> dict[str, bytes]:
        return {name: await self.store.get(name) or b"" for name in await self.store.names("")}

    async def verified(self) -> Report:
        return verified(await self.objects())


def verified(objects: dict[str, bytes]) -> Report:
    archive = ArchiveVerifier(objects, objects.get, golden.trusted())
    for _ in archive.run():
        pass
    log = LogVerifier(archive.log_names, objects.get, LOG.key, archive.leaves)
    return archive.report.with_log(log.run())


def keyring_in(folder: Path) -> Path:
    """Golden's keyring, for its owner only."""
    for name in ("keyring.json", "cover-1.bin"):
        shutil.copy(golden.GOLDEN / name, folder / name)
        (folder / name).chmod(0o600)
    return folder / "keyring.json"


def memory_store() -> MemoryWormStore:
    return MemoryWormStore(now_ms=golden.FIRST_MS)
