"""What `audit-stream retention` works with: the one place that opens a way to remove objects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from audit_stream.app.checks import check_reader, load_archive_keyring
from audit_stream.app.holds import holds_reader
from audit_stream.app.places import stores_to_write
from audit_stream.archive.fleet import newest_epoch_told, tell_epoch
from audit_stream.archive.private import PrivateObjects
from audit_stream.erasure.batch import JOURNAL
from audit_stream.errors import KeyringError
from audit_stream.evidence.disposal import Disposal
from audit_stream.evidence.layout import SegmentName
from audit_stream.holds.looking import Looking
from audit_stream.keys.epochs import bring_up, read_master
from audit_stream.keys.file import LoadedKeyring
from audit_stream.keys.lock import DISPOSING_FILE, keyring_lock
from audit_stream.notary.log import ArchiveLog
from audit_stream.ports import Disposer, SubjectStore, WormStore
from audit_stream.retention.owed import Owed, owed_by
from audit_stream.retention.plan import Holding, Plan, ReadHolds
from audit_stream.retention.purges import Purges
from audit_stream.retention.purging import Carried, Purging
from audit_stream.retention.survey import Archived, Survey, judged_now
from audit_stream.retention.years import destroy_years
from audit_stream.settings import Settings
from audit_stream.stores.disposal.open import open_disposer
from audit_stream.stores.disposal.paired import PairedDisposer

#: For the keyring's lock, once an archive was looked over for hours.
_WAIT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Parts:
    """An archive to be looked over, and what was filed about it."""

    settings: Settings
    archived: Archived  # its inventory is that of one class's container
    subjects: SubjectStore
    private: PrivateObjects

    @property
    def purges(self) -> Purges:
        """What was filed."""
        return Purges(self.private)

    async def survey(self, tag: str, clock_ms: int) -> Plan:
        """The dry run of a class."""
        head, now_ms = await judged_now(self.archived.log, clock_ms)
        days = self.settings.class_days(tag)
        return await Survey(self.archived, tag, days, now_ms).run(head)

    async def owed(self) -> list[Owed]:
        """What certificates say is gone and is not."""
        return await owed_by(self.archived, self.subjects)

    async def owing(self) -> list[Disposal]:
        """The certificates of which anything is owed."""
        owed = await owed_by(self.archived, self.subjects, briefly=True)
        return [each.disposal for each in owed]


def disposer_of(settings: Settings, tag: str | None) -> Disposer:
    """Of the container of a class; None: the main one."""
    url = settings.archives.get(tag or "", settings.archive)
    own = tag if tag in settings.archives else None
    return open_disposer(url, settings.store_access(tag=own))


def disposer_of_both(settings: Settings, tag: str | None) -> Disposer:
    """The same, with the second store, where there is one."""
    own = disposer_of(settings, tag)
    if settings.archive_secondary is None:
        return own
    access = settings.store_access("secondary")
    return PairedDisposer(own, open_disposer(settings.archive_secondary, access))


def holds_of(store: WormStore, subjects: SubjectStore, ring: LoadedKeyring) -> ReadHolds:
    """Reads which holds touch a segment, filed ones included, as they are at each call."""
    keyring = ring.keyring
    private = PrivateObjects(subjects, keyring.index_key)
    reader = holds_reader(store, private, ring.trusted, keyring.archive)
    looking = Looking(store, subjects, keyring.index_key)

    async def read() -> Holding:
        active = await reader.now()

        async def held(name: SegmentName, stop: int) -> Sequence[str]:
            return await looking.held_by(active, name, stop) if active else ()

        known = frozenset(replace(each, declared=True) for each in active.holds)
        return Holding(held=held, known=known)  # one that is declared holds what it held as filed

    return read


def _longest_days(settings: Settings) -> int:
    """Of the classes that topics have."""
    tags = {settings.regulatory_tag(topic) for topic in settings.topics}
    return max(map(settings.class_days, tags), default=0)


@asynccontextmanager
async def open_parts(
    settings: Settings, tag: str | None, *, strict: bool = False
) -> AsyncIterator[Parts]:
    """The parts, for the block; `strict`: what is put, or gone on from, stands on both stores."""
    ring = load_archive_keyring(settings, closed=True)
    stores = stores_to_write(settings, strict=strict)
    store, subjects = stores.archive, stores.subjects
    disposer = disposer_of_both(settings, tag)
    try:
        archived = Archived(
            store=store, log=ArchiveLog(store, ring.log_key), keys=ring.trusted,
            inventory=disposer, class_of=settings.class_of, holds=holds_of(store, subjects, ring),
            years=tuple(ring.keyring.years),
            longest_days=_longest_days(settings),
        )  # fmt: skip
        private = PrivateObjects(subjects, ring.keyring.index_key)
        yield Parts(settings, archived, subjects, private)
    finally:
        await disposer.close()
        await stores.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a run did. `epoch`: the keyring's, where the archive was told of a new one: views and
    backups from before are refused from then on."""

    carried: Sequence[Carried]
    epoch: int | None


async def carry_out(settings: Settings, clock_ms: int) -> Ran:
    """Every purge that is approved or owed, one run at a time. The keyring's lock is taken for what
    changes something alone: an archive is looked over for hours, and holds are declared and persons
    erased meanwhile. Nothing is removed from a second store before the header that is kept and the
    certificate stand there, too."""
    read_master(settings.keyring)  # refuses a view before anything is done
    async with AsyncExitStack() as opened:
        opened.enter_context(keyring_lock(settings.keyring, name=DISPOSING_FILE))
        with keyring_lock(settings.keyring):
            ring = load_archive_keyring(settings, closed=True)
            parts = await opened.enter_async_context(open_parts(settings, None, strict=True))
            await check_reader(parts.archived.store, parts.private, ring)  # no older one is led on
            told = await newest_epoch_told(parts.private)
            await _tell_everybody(parts)  # where a run ended before it came to that
            raised = await newest_epoch_told(parts.private) > told
        head, now_ms = await judged_now(parts.archived.log, clock_ms)
        carried = []
        for purge in await parts.purges.due(await parts.owing()):
            disposer = disposer_of_both(settings, purge.regulatory_tag)
            try:
                purging = _purging(parts, disposer, ring)
                days = settings.class_days(purge.regulatory_tag)
                carried.append(await purging.run(purge.kept_for(days), head, now_ms))
            finally:
                await disposer.close()
        raised = raised or any(each.years for each in carried)  # an erasure raises it, too
        return Ran(
            carried=carried, epoch=await newest_epoch_told(parts.private) if raised else None
        )  # fmt: skip


async def _is_erasing(parts: Parts) -> bool:
    """Whether an erasure is at work: it counts on the keyring's epoch, and goes on by itself."""
    return await parts.private.get(JOURNAL) is not None


async def _tell_everybody(parts: Parts) -> None:
    """So that no keyring with the key of a year that is gone is held or taken any more."""
    path = parts.settings.keyring
    epoch = read_master(path).epoch
    if epoch == 1 or await _is_erasing(parts):
        return
    for view in parts.settings.keyring_views:
        bring_up(path, Path(view))
    await tell_epoch(parts.private, epoch)


def _purging(parts: Parts, disposer: Disposer, ring: LoadedKeyring) -> Purging:
    path = parts.settings.keyring

    @contextmanager
    def lock() -> Iterator[None]:
        with keyring_lock(path, _WAIT_SECONDS):
            if load_archive_keyring(parts.settings, closed=True).signer.kid != ring.signer.kid:
                raise KeyringError(
                    "the keyring was replaced while the archive was looked over",
                    hint="run it again: what was done is not done twice",
                )
            yield

    years = tuple(read_master(path).years)
    archived = replace(parts.archived, inventory=disposer, years=years)

    async def destroy(gone: Sequence[int]) -> Sequence[int]:
        with lock():
            if await _is_erasing(parts):
                return ()
            destroy_years(path, gone)
            await _tell_everybody(parts)
            return gone

    return Purging(
        archived, disposer, parts.subjects, parts.purges, ring.signer, destroy,
        lock,
    )  # fmt: skip
