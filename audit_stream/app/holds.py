"""Legal holds of an installation: opened for a command, followed by a worker, kept by a keeper."""

from __future__ import annotations

import itertools
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from audit_stream.app.alarms import alarm_board
from audit_stream.app.checks import load_archive_keyring
from audit_stream.app.kept import keep
from audit_stream.app.now import now
from audit_stream.app.places import Stores, archive_to_write, subject_store
from audit_stream.archive.private import PrivateObjects
from audit_stream.archive.register import RegisterReader, RegisterWriter
from audit_stream.errors import AuditError
from audit_stream.evidence.hold import HoldEntry
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.register import Register
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.holds.active import ActiveHolds, HoldsReader
from audit_stream.holds.declaring import CarriedOut, Declaring
from audit_stream.holds.enforcing import Enforced, Enforcing
from audit_stream.holds.filing import Holds, Wanted
from audit_stream.holds.following import Held
from audit_stream.holds.hold import Hold
from audit_stream.holds.looking import Looking
from audit_stream.holds.standing import HoldStanding, Standings
from audit_stream.keys.file import LoadedKeyring
from audit_stream.keys.lock import HOLDING_FILE, keyring_lock
from audit_stream.ports import Alerts, ContainerHolds, HoldLevel, SubjectStore, WormStore
from audit_stream.privacy.keytree import Cover, path_of
from audit_stream.settings import Settings
from audit_stream.stores.open import open_container_holds
from audit_stream.telemetry.metrics import Metrics

log = logging.getLogger(__name__)
#: Alarms and what they are of.
LOOKING = ("holds:look", "reading the legal holds")
_KEEPING = ("holds:keep", "keeping the legal holds")
_RECHECK_PASSES = 60  # with a pass every minute: once an hour every hold is read back


def holds_reader(
    store: WormStore, private: PrivateObjects, keys: TrustedKeys, archive: str
) -> HoldsReader:  # fmt: skip
    """Follows the register of holds, and the private objects."""
    return HoldsReader(RegisterReader(store, keys, archive, Register.HOLDS), Holds(private))


async def follow_holds(
    store: WormStore, private: PrivateObjects, ring: LoadedKeyring, alarms: Alerts
) -> Held:  # fmt: skip
    """What a worker starts with. That holds cannot be read keeps nothing from being archived: what
    was sealed without one gets it from the keeper."""
    held = Held(holds_reader(store, private, ring.trusted, ring.keyring.archive), store)
    try:
        await held.look()
    except AuditError as error:
        alarms.raise_alarm(LOOKING[0], f"{LOOKING[1]} failed: {error}")
    return held


@dataclass(frozen=True, slots=True)
class HoldKeeper:
    """Everything that is done about the holds of one archive."""

    settings: Settings
    ring: LoadedKeyring
    store: WormStore
    subjects: SubjectStore

    @property
    def private(self) -> PrivateObjects:
        """The private objects."""
        return PrivateObjects(self.subjects, self.ring.keyring.index_key)

    @property
    def holds(self) -> Holds:
        """To file with."""
        return Holds(self.private)

    @property
    def reader(self) -> HoldsReader:
        """A fresh one."""
        ring = self.ring
        return holds_reader(self.store, self.private, ring.trusted, ring.keyring.archive)

    async def entry(self, hold_id: str) -> HoldEntry | None:
        """The newest of a hold in the register."""
        reader = self.reader
        await reader.entries()
        return reader.standing.get(hold_id)

    async def file(self, wanted: Wanted) -> Hold:
        """File a declaration, now. `RequestError`, `FormatError`."""
        return await self.holds.file(wanted, now(), self.entry)

    @property
    def may_declare(self) -> bool:
        """Whether this view of the keyring can append what was filed."""
        return self.ring.keyring.segment_key is not None

    async def held_by(self, active: ActiveHolds, name: SegmentName, stop: int) -> Sequence[str]:
        """Ids of the holds on a segment that ends before the offset `stop`; `active` as the
        `reader` has it now, filed ones among them."""
        looking = Looking(self.store, self.subjects, self.ring.keyring.index_key)
        return await looking.held_by(active, name, stop)

    def erased(self, tags: Sequence[bytes]) -> bool:
        """Whether the keyring, as it is now, opens nothing under one of the tags any more."""
        cover = Cover(load_archive_keyring(self.settings).cover)
        return any(cover.leaf(path_of(tag)) is None for tag in tags)

    def declaring(self) -> Declaring:
        """For who holds the keyring's lock, with the keyring as it lies there by now: an entry that
        another signing key made would be junk to an older one, and the next one would fork the
        register. `KeyringError` in a view that cannot sign."""
        ring = load_archive_keyring(self.settings, closed=True)
        register = RegisterWriter(self.store, ring.trusted, ring.keyring.archive, Register.HOLDS)
        return Declaring(register, replace(self, ring=ring).reader, self.holds, ring.signer)

    async def carry_out_filed(self) -> Sequence[CarriedOut]:
        """Append what was filed and approved, under the keyring's lock."""
        _ = self.ring.signer  # a view that has none need not wait to be refused
        with keyring_lock(self.settings.keyring):
            return await self.declaring().carry_out_filed(now())

    @property
    def _container(self) -> ContainerHolds | None:
        return open_container_holds(self.settings.archive, self.settings.store_access())

    async def standings(self, *, read_back: bool) -> tuple[HoldLevel, Sequence[HoldStanding]]:
        """Every hold, declared against enforced."""
        archive = self.ring.keyring.archive
        looking = Standings(self.store, self._container, self.private, self.reader, archive)
        return await looking.look(read_back=read_back)

    async def enforce(self, *, recheck: bool) -> Enforced:
        """Make the store hold what is declared; one process at a time."""
        settings, ring = self.settings, self.ring
        enforcing = Enforcing(
            self.store, self.subjects, self._container, self.private, self.reader, ring.trusted,
            ring.keyring.archive, ring.keyring.index_key,
        )  # fmt: skip
        with keyring_lock(settings.keyring, name=HOLDING_FILE):
            return await enforcing.run(now(), recheck=recheck)


@asynccontextmanager
async def open_holds(
    settings: Settings, alarms: Alerts | None = None, stores: Stores | None = None
) -> AsyncIterator[HoldKeeper]:  # fmt: skip
    """The holds of the settings' archive, for the block; `alarms` and `stores`: a service's own,
    which stay open."""
    ring = load_archive_keyring(settings, closed=True)  # no cover: it opens nobody
    opened = stores or _stores(settings, alarms)
    try:
        yield HoldKeeper(settings, ring, opened.archive, opened.subjects)
    finally:
        if stores is None:
            await opened.close()


def _stores(settings: Settings, alarms: Alerts | None) -> Stores:
    return Stores(archive_to_write(settings, alarms), subject_store(settings))


async def run_holds(settings: Settings, every: float) -> None:
    """Carry out and enforce every so many seconds, until SIGTERM or SIGINT.

    The keyring is loaded for each pass and let go of: it may be replaced by its successor, and lose
    the keys of years.
    """
    load_archive_keyring(settings, closed=True)  # what is wrong at the start ends it
    alarms = alarm_board(settings)
    stores, passes = _stores(settings, alarms), itertools.count()

    async def work(metrics: Metrics, _: Alerts) -> None:
        async with open_holds(settings, alarms, stores) as keeper:
            await _pass(keeper, metrics, recheck=next(passes) % _RECHECK_PASSES == 0)

    try:
        await keep(settings, "holds", _KEEPING, work, every, alarms)
    finally:
        await stores.close()


async def _pass(keeper: HoldKeeper, metrics: Metrics, *, recheck: bool) -> None:
    for done in await keeper.carry_out_filed():
        log.info("hold %s: %s, entry %d", done.hold_id, done.action.value, done.number)
    tell_enforced(metrics, await keeper.enforce(recheck=recheck))


def tell_enforced(metrics: Metrics, found: Enforced) -> None:
    """The gauge of what is declared and not enforced."""
    for level in HoldLevel:
        missing = len(found.missing) if level is found.level else 0
        metrics.holds_unenforced.labels(level.value).set(missing)
