"""Evidence bundles of a small archive that is sealed, stored and logged by the real parts."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from audit_stream.bundle.anchors import held_anchors
from audit_stream.bundle.certificates import CertificateFinder, Epochs, proven
from audit_stream.bundle.collect import Wanted, collect
from audit_stream.bundle.facts import BundleFacts, Certified, Custody, RecordFact
from audit_stream.bundle.shipped import verify
from audit_stream.evidence import layout
from audit_stream.evidence.checkpoint import Checkpoint
from audit_stream.evidence.encoding import b64u_decode
from audit_stream.evidence.log_names import anchor_name
from audit_stream.evidence.note import (
    COSIGNATURE,
    Note,
    NoteKey,
    NoteSignature,
    NoteSigner,
    cosigned,
    parse_note,
)
from audit_stream.evidence.record import PERSONAL_FIELDS, Record, disclosure, parse_record
from audit_stream.evidence.register import Register
from audit_stream.evidence.segment import Segment, decode
from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.notary.gather import Gatherer
from audit_stream.notary.log import ArchiveLog, Head
from audit_stream.notary.notary import Notary
from audit_stream.ports import WormStore
from audit_stream.privacy.plain import salts
from audit_stream.privacy.sealer import open_personal
from audit_stream.privacy.subjects import KeyDeriver, choose_subject
from audit_stream.seal.builder import Link, Origin, SegmentBuilder
from audit_stream.stores.file import FileStore
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support import golden
from tests.support.golden import KEYRING, STATUS_MAP
from tests.support.registers import put_certificates

NAME = KEYRING.archive
SEGMENT_SIGNER = LineSigner(KEYRING.segment_key or b"")
LOG_SIGNER = NoteSigner(NAME, b"\x33" * 32)
WITNESS = NoteSigner("witness.example", b"\x44" * 32)
WITNESS_KEY = NoteKey(name="witness.example", kind=COSIGNATURE, public=WITNESS.key.public)
POLICY = f"log {LOG_SIGNER.key}\nwitness auditor {WITNESS_KEY}\nquorum auditor\n"
CUSTODY = Custody(
    exported_by="Ada Officer", exported_at="2026-11-26T09:00:00Z", request="matter 17",
    software="audit_stream 0.1.0",
)  # fmt: skip
CERTIFICATES = 3
_RAW_KEY = b"\x01" * 32
TOPICS = ("outbound_message_status_update", "outbound_email_status_update")


@dataclass
class Archive:
    """The archive, its log at every batch, and what was sealed."""

    store: WormStore
    heads: list[Head]
    log: ArchiveLog

    async def segments(self, topic: str) -> list[tuple[str, Segment]]:
        names = await self.store.names(layout.segment_folder(topic, 1, 0))
        return [(name, decode(await self.store.get(name) or b"", name)) for name in names]


def stream_of(topic: str) -> StreamObject:
    return StreamObject(
        archive=NAME, ended=None, generation=1, genesis=[0], partitions=1, reason="first seen",
        stream=golden.stream_id(topic).hex(), topic=topic, topic_id=None,
    )  # fmt: skip


async def _seal(store: WormStore, topic: str) -> None:
    stream = stream_of(topic)
    name = layout.stream_name(topic, 1)
    await store.put_if_absent(name, stream.encode(SEGMENT_SIGNER), {})
    origin = Origin(
        archive=NAME, assurance="mutable", writer="audit_stream test", key_epoch=KEYRING.epoch,
        status_map=STATUS_MAP.hash, raw_key=_RAW_KEY,
    )  # fmt: skip
    link = Link(next=0, seq=0, leaf=None)
    for chunk in golden.judged(topic, span=40):
        builder = SegmentBuilder(link.next, _RAW_KEY)
        builder.add(chunk, golden.FIRST_MS)
        sealed = builder.seal(link, stream, 0, origin, SEGMENT_SIGNER, golden.FIRST_MS)
        await store.put_if_absent(str(sealed.name), sealed.data, {})
        link = sealed.link


async def _no_ends() -> None:
    return None


async def make(folder: Path) -> Archive:
    """Sealed, stored as files, logged topic by topic: a batch after each, and one more, with
    redaction certificates."""
    store = FileStore(folder)
    await store.put_if_absent(layout.map_name(STATUS_MAP.hash), STATUS_MAP.canonical_bytes, {})
    gatherer = Gatherer(store, NAME, TrustedKeys(SEGMENT_SIGNER.public), AlarmBoard("notary"))
    notary = Notary(store, LOG_SIGNER, gatherer, _no_ends, lambda: "2026-11-26T00:00:00.000Z")
    heads = []
    for topic in (*TOPICS, None):
        if topic:
            await _seal(store, topic)
        else:
            await put_certificates(store, CERTIFICATES, archive=NAME, signer=SEGMENT_SIGNER)
        heads.append((await notary.write()).head)
    note = heads[-1].note
    cosigned_note = note.with_signatures([cosignature(note.text)]).encode()
    await store.put_if_absent(anchor_name(heads[-1].size, "auditor.note"), cosigned_note, {})
    return Archive(store, heads, notary.log)


def disclosures(record: Record) -> list[str]:
    """Of both personal fields, opened with the keyring and the subject found by trying them all."""
    topic, _, _, offset = str(record.pub["source"]).split("/")
    raw = next(each for each in golden.raw_records(topic) if each.offset == int(offset))
    event = json.loads(raw.value or b"")
    who = event["recipient"]
    subject = choose_subject(
        record.pub["platform_tenant_id"], who.get("external_id"), who.get("address"),
        record.pub["message_uuid"], frozenset(),
    )  # fmt: skip
    deriver = KeyDeriver(KEYRING, golden.COVER, golden.stream_id(topic))
    keys = deriver.keys(subject, int(record.pub["ingestion_timestamp"][:4]))
    assert keys is not None
    opened = open_personal(record, keys, 0, int(offset))
    both = salts(keys.mac, 0, int(offset)).hex()
    salted = zip((both[:32], both[32:]), PERSONAL_FIELDS, strict=True)
    return [disclosure(salt, field, opened.get(field)) for salt, field in salted]


def cosignature(text: str, seconds: int = 1_795_600_000) -> NoteSignature:
    blob = WITNESS.sign(cosigned(text, seconds).decode()).signatures[0].blob
    return NoteSignature(WITNESS_KEY.name, WITNESS_KEY.id, seconds.to_bytes(8, "big") + blob)


async def wanted(archive: Archive, messages: int) -> list[Wanted]:
    """All records of the messages with the most revisions of each topic."""
    leaves = [leaf.name async for batch in archive.log.batches(0) for leaf in batch.leaves]
    found: list[Wanted] = []
    for topic in TOPICS:
        places: dict[str, list[tuple[str, int]]] = {}
        for name, segment in await archive.segments(topic):
            for index, line in enumerate(segment.record_lines()):
                message = parse_record(line, "it").pub["message_uuid"]
                places.setdefault(message, []).append((name, index))
        most = sorted(places.values(), key=len, reverse=True)[:messages]
        chosen = [place for each in most for place in each]
        for name in dict.fromkeys(name for name, _ in chosen):
            indexes = sorted(index for where, index in chosen if where == name)
            found.append(Wanted(segment=name, log_index=leaves.index(name), records=indexes))
    return found


async def facts(archive: Archive, messages: int = 1) -> BundleFacts:
    """Of these messages at the newest head, with all personal fields; and, as if one of the records
    had been erased, with the certificates that led to a later epoch than 1."""
    head = archive.heads[-1]
    found = await collect(
        archive.store, archive.log, head, await wanted(archive, messages),
        disclose=disclosures, custody=CUSTODY, segment_keys=[SEGMENT_SIGNER.public],
        anchors=await held_anchors(archive.store, head, [WITNESS_KEY]),
    )  # fmt: skip
    return replace(found, certificates=await certificates(archive, Epochs(above=1, up_to=None)))


async def certificates(archive: Archive, epochs: Epochs) -> Certified:
    """Those that fit."""
    head = archive.heads[-1]
    finder = CertificateFinder(archive.store, TrustedKeys(SEGMENT_SIGNER.public), NAME)
    found = await finder.find(head.digest.registers.get(Register.REDACTIONS), epochs)
    leaves = [leaf.hash async for batch in archive.log.batches(0) for leaf in batch.leaves]
    places = {leaf: at for at, leaf in enumerate(leaves)}
    return await proven(found, epochs, places, archive.log, head)


def personal(record: RecordFact) -> list[str]:
    """The personal values that its disclosures show."""
    values = [json.loads(b64u_decode(each, "it"))[2] for each in record.disclosures]
    return [value for value in values if value is not None]


def check(bundle: bytes | Path, folder: Path, *arguments: str, policy: str = "") -> dict[str, Any]:
    """What the shipped verifier says as a program of its own, with its exit code as `code`."""
    done = _run(bundle, folder, "--json", *arguments, policy=policy)
    return {**json.loads(done.stdout), "code": done.returncode}


def told(bundle: bytes | Path, folder: Path, *arguments: str, policy: str = "") -> str:
    """What it tells a person."""
    return _run(bundle, folder, *arguments, policy=policy).stdout


def _run(
    bundle: bytes | Path, folder: Path, *arguments: str, policy: str
) -> subprocess.CompletedProcess[str]:
    if isinstance(bundle, bytes):
        (folder / "evidence.zip").write_bytes(bundle)
        bundle = folder / "evidence.zip"
    if policy:
        (folder / "policy.txt").write_text(policy, "utf-8")
        arguments = (*arguments, "--policy", str(folder / "policy.txt"))
    command = [sys.executable, "-I", "-S", verify.__file__, str(bundle), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr == "", done.stderr
    return done


def steps(done: dict[str, Any], state: str) -> set[int]:
    return {step for step, found, _ in done["steps"] if found == state}


def note_of(facts: BundleFacts) -> Note:
    return parse_note(facts.checkpoint, "the checkpoint")


def forged(size: int, signer: NoteSigner = LOG_SIGNER) -> bytes:
    root = sha256(b"another history").digest()
    return signer.sign(Checkpoint(origin=NAME, size=size, root=root).text()).encode()
