"""The archive that is tampered with: objects of every kind, its log, and what an auditor kept."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from audit_stream.evidence.access import JournalPart
from audit_stream.evidence.batch import Batch, Leaf
from audit_stream.evidence.checkpoint import Checkpoint, checkpoint_of
from audit_stream.evidence.digest import Digest
from audit_stream.evidence.key_line import KeyLine
from audit_stream.evidence.layout import (
    SegmentName,
    map_name,
    parse_segment_name,
    stream_name,
    subject_name,
)
from audit_stream.evidence.log_names import anchor_name, batch_name
from audit_stream.evidence.log_tree import Frontier
from audit_stream.evidence.note import Note, NoteSigner
from audit_stream.evidence.segment import decode
from audit_stream.evidence.signing import LineSigner
from audit_stream.notary.gather import Ends, Gatherer
from audit_stream.notary.notary import Notary
from audit_stream.privacy.named_object import NONCE_BYTES
from audit_stream.privacy.subject_object import NO_TAG, decrypt_tags, seal_tags
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support import access, golden
from tests.support.bundles import WITNESS_KEY, cosignature
from tests.support.registers import put_certificates
from tests.support.resealed import (
    EMAIL,
    OBJECTS,
    SIGNER,
    end_of,
    ending_of,
    relinked,
    resigned,
    stream_of,
)
from tests.support.timestamps import Authority

Objects = dict[str, bytes]
ARCHIVE = golden.KEYRING.archive
LOG = NoteSigner(ARCHIVE, golden.KEYRING.log_key or b"")
#: What an auditor trusts; and the journal of the one gateway there was.
POLICY = f"log {LOG.key}\nwitness auditor {WITNESS_KEY}\nquorum auditor\n"
_ANSWER_KEYS = 253  # announced in the first batch: so many leaves that there is a full tile
_CERTIFICATES = 4  # in the first batch of the notary; one more in each later one
_TIME = "2026-11-25T00:00:00.000Z"


@dataclass(frozen=True)
class Scene:
    """A whole archive, the subject objects beside it, and the checkpoints kept outside, oldest
    first: the one that others vouch for, and the newest."""

    objects: Objects
    subjects: Objects
    kept: tuple[Note, ...]

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """Those that were kept."""
        return [checkpoint_of(note, "it") for note in self.kept]


async def build(
    base: Objects = OBJECTS, *, everything: bool = True, batches: int = 2, stamped: bool = True
) -> Scene:
    """The golden archive with a log. `everything`: with a status map, an ended generation, key
    lines, a tile, a witness's note, a timestamp if `stamped`, a journal and a register too."""
    objects = _ended(_mapped(base)) if everything else dict(base)
    store = await stored(objects)
    if everything:
        first = _batch(Frontier(), [*_key_leaves(), Leaf(_first_digest())])
        await store.put_if_absent(batch_name(0), first.encode(), {})
        await put_certificates(store, _CERTIFICATES, archive=ARCHIVE, signer=SIGNER)
    notary = _notary(store)
    await notary.resume()
    kept = [(await notary.write()).head.note]
    if everything:
        await _vouch(store, kept[0], stamped=stamped)
    part: JournalPart | None = None
    for number in range(batches):
        if everything:
            part = _journal_part(number, None if part is None else part.leaf)
            await store.put_if_absent(part.name, part.encode(), {})
            await put_certificates(
                store, 1, start=_CERTIFICATES + number, archive=ARCHIVE, signer=SIGNER
            )
        kept.append((await notary.write()).head.note)
    return Scene(contents(store), subjects_of(objects), tuple(kept))


async def stored(objects: Objects) -> MemoryWormStore:
    """A store that holds them."""
    store = MemoryWormStore()
    for name, data in objects.items():
        await store.put_if_absent(name, data, {})
    return store


def contents(store: MemoryWormStore) -> Objects:
    """All it holds."""
    return {name: each.data for name, each in store.objects.items()}


def subjects_of(objects: Objects) -> Objects:
    """The golden subject objects under the names that the segments' leaves give them now."""
    found = {}
    for name in filter(None, map(parse_segment_name, objects)):
        before = subject_name(name, decode(OBJECTS[str(name)], "it").leaf) if (
            str(name) in OBJECTS) else ""  # fmt: skip
        path = golden.GOLDEN / before
        if before and path.exists():
            now = subject_name(name, decode(objects[str(name)], "it").leaf)
            tags = decrypt_tags(golden.KEYRING.index_key, before, path.read_bytes())
            sealed = seal_tags(golden.KEYRING.index_key, now, tags, bytes(NONCE_BYTES))
            found[now] = sealed
    return found


def erased(subjects: Objects) -> Objects:
    """The subject objects once everybody was erased."""
    found, key = {}, golden.KEYRING.index_key
    for name, data in subjects.items():
        none = NO_TAG * (len(decrypt_tags(key, name, data)) // len(NO_TAG))
        found[name] = seal_tags(key, name, none, bytes(NONCE_BYTES))
    return found


def _notary(store: MemoryWormStore) -> Notary:
    async def nobody() -> Ends | None:
        return None

    gatherer = Gatherer(store, ARCHIVE, golden.trusted(), AlarmBoard("notary"))
    return Notary(store, LOG, gatherer, nobody, lambda: _TIME)


def _mapped(objects: Objects) -> Objects:
    """With the status map that the segments name."""
    told = {
        name: resigned(data, status_map=golden.STATUS_MAP.hash)
        if parse_segment_name(name)
        else data
        for name, data in objects.items()
    }
    return relinked(told) | {map_name(golden.STATUS_MAP.hash): golden.STATUS_MAP.canonical_bytes}


def _ended(objects: Objects) -> Objects:
    """With one topic's generation ended, and the next one begun."""
    ending = ending_of(objects, EMAIL)
    following = replace(
        stream_of(EMAIL), generation=2, stream="2" * 32, ended=[end_of(objects, EMAIL)],
        genesis=[7], reason="it was recreated",
    )  # fmt: skip
    name = str(SegmentName(EMAIL, 1, 0, ending.base))
    return objects | {
        name: ending.encode(SIGNER), stream_name(EMAIL, 2): following.encode(SIGNER)
    }  # fmt: skip


def _key_leaves() -> list[Leaf]:
    """The log's key, the segments', and many of answers, as their operator announced them."""
    log, segments = LineSigner(golden.KEYRING.log_key or b""), SIGNER
    lines = [_announced("log", log.public, 0), _announced("segment", segments.public, 0)]
    for number in range(_ANSWER_KEYS):
        point = b"\x04" + number.to_bytes(64, "big")
        lines.append(_announced("answer", point, 300 + number))
    return [Leaf(line.signed(log).line()) for line in lines]


def _announced(use: str, public: bytes, place: int) -> KeyLine:
    return KeyLine(
        archive=ARCHIVE, not_before_size=place, public=public, reason="made", use=use,  # type: ignore[arg-type]
    )  # fmt: skip


def _first_digest() -> bytes:
    return Digest(archive=ARCHIVE, coverage=(), prev_root=Frontier().root, time=_TIME).line()


def _batch(before: Frontier, leaves: list[Leaf], signer: NoteSigner = LOG) -> Batch:
    after = before.add(leaf.hash for leaf in leaves)
    text = Checkpoint(origin=signer.key.name, size=after.size, root=after.root).text()
    note = signer.sign(text).encode().decode()
    return Batch(old_size=before.size, leaves=tuple(leaves), checkpoint=note)


async def _vouch(store: MemoryWormStore, note: Note, *, stamped: bool) -> None:
    """A witness and a timestamp authority vouch for the checkpoint."""
    size = checkpoint_of(note, "it").size
    cosigned = note.with_signatures([cosignature(note.text)]).encode()
    await store.put_if_absent(anchor_name(size, "auditor.note"), cosigned, {})
    if not stamped:
        return
    with tempfile.TemporaryDirectory() as folder:
        stamp = Authority(Path(folder), "authority").stamp(note.encode())
    await store.put_if_absent(anchor_name(size, "authority.tsr"), stamp, {})


def _journal_part(number: int, prev: bytes | None) -> JournalPart:
    entries = (access.entry(f"m{number}"), access.entry(f"n{number}"))
    return JournalPart(
        archive=ARCHIVE, journal=access.JOURNAL, number=number, prev=prev, entries=entries
    )
