"""A sample archive of some weeks that holds no real person: for pages, screenshots and counts.

Three topics of two partitions. `flawed`: offsets that were lost, a late segment, events in
quarantine of which one was retried, and a message whose statuses contradict each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from audit_stream.evidence import layout
from audit_stream.evidence.log_names import anchor_name
from audit_stream.evidence.rawmac import raw_key
from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.keys.file import log_signer
from audit_stream.notary.gather import Gatherer
from audit_stream.notary.notary import Notary
from audit_stream.privacy.keyring import Keyring, parse_keyring
from audit_stream.privacy.named_object import NONCE_BYTES
from audit_stream.privacy.sealer import RecordSealer
from audit_stream.privacy.subject_object import seal_tags
from audit_stream.privacy.subjects import KeyDeriver
from audit_stream.seal.builder import Link, Origin, SegmentBuilder
from audit_stream.seal.judge import ORIGIN_HEADER, Judge
from audit_stream.settings import Settings
from audit_stream.stores.file import FileStore
from audit_stream.stores.subjects import FileSubjectStore
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support import bundles, golden
from tests.support.asking import gateway_settings

NAME = "archive.example/sample"
TENANTS = ("tenant_north", "tenant_south")
WORKFLOWS = ("wf_appointment", "wf_margin_call", "wf_policy_update")
VOICE, EMAIL, MESSAGES = (
    "outbound_voice_status_update", "outbound_email_status_update",
    "outbound_message_status_update",
)  # fmt: skip
PARTITIONS = 2
_DAY = timedelta(days=1)
_LATE, _LOST, _QUARANTINED, _CONTRADICTED = 5, 9, 3, 4  # days before the last


def sample_keyring() -> bytes:
    """The golden keyring under another archive's name, with keys for many years."""
    value = json.loads((golden.GOLDEN / "keyring.json").read_bytes())
    key = next(iter(value["years"].values()))
    value |= {"archive": NAME, "years": {str(year): key for year in range(2024, 2060)}}
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


@dataclass(kw_only=True)
class Sample:
    """The archive, and what is worth looking up in it."""

    settings: Settings
    end: datetime
    read: str = ""  # a message that was delivered and read
    customer: str = ""  # whose it is
    tenant: str = ""
    contradicted: str = ""
    retried: list[str] = field(default_factory=list)  # positions

    @property
    def store(self) -> FileStore:
        return FileStore(self.settings.archive_path)


@dataclass(frozen=True)
class _Raw:
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]] = field(default_factory=list)


@dataclass
class _Lane:
    """One partition: events in, a segment a day out."""

    sample: Sample
    keyring: Keyring
    stream: StreamObject
    partition: int
    assurance: str
    states: dict[bytes, Any] = field(default_factory=dict)
    link: Link = field(default_factory=lambda: Link(next=0, seq=0, leaf=None))

    def raw(self, offset: int, at: datetime, event: dict[str, Any], origin: str = "") -> _Raw:
        headers = [(ORIGIN_HEADER, origin.encode())] if origin else []
        milliseconds = int(at.timestamp() * 1000)
        return _Raw(offset, milliseconds, event["message_id"].encode(), json.dumps(event).encode(),
                    headers)  # fmt: skip

    def judge(self, records: list[_Raw], lost_before: int) -> Any:
        keys = KeyDeriver(self.keyring, golden.COVER, bytes.fromhex(self.stream.stream))
        sealer = RecordSealer(
            keys, topic=self.stream.topic, generation=1, partition=self.partition,
            regulatory_tag="COMPLIANCE_ARCHIVE_V1",
        )  # fmt: skip
        judge = Judge(self.stream.stream, golden.STATUS_MAP, sealer, self.states.get)
        end = records[-1].offset + 1
        chunk, _ = judge.judge(records, self.link.next, end, 10**6, lost_before)
        self.states.update(chunk.states)
        return chunk

    async def seal(self, records: list[_Raw], delay: timedelta, lost_before: int = 0) -> None:
        chunk = self.judge(records, lost_before)
        builder = SegmentBuilder(self.link.next, raw_key(self.keyring.index_key))
        builder.add(chunk, 0)
        origin = Origin(
            archive=NAME, assurance=self.assurance, writer="audit_stream sample",
            status_map=golden.STATUS_MAP.hash, key_epoch=self.keyring.epoch, raw_key=b"",
        )  # fmt: skip
        signer = LineSigner(self.keyring.segment_key or b"")
        sealed_at = records[0].timestamp + int(delay.total_seconds() * 1000)
        sealed = builder.seal(self.link, self.stream, self.partition, origin, signer, sealed_at)
        tags = seal_tags(self.keyring.index_key, sealed.subject_name, sealed.tags,
                         bytes(NONCE_BYTES))  # fmt: skip
        subjects = FileSubjectStore(self.sample.settings.archive_path.parent / "archive-subjects")
        await subjects.create(sealed.subject_name, tags)
        await self.sample.store.put_if_absent(str(sealed.name), sealed.data, {})
        self.link = sealed.link


def _event(random: Random, topic: str, message: str, status: str, at: datetime,
           person: int) -> dict[str, Any]:  # fmt: skip
    tenant = TENANTS[person % 2]
    moment = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    error = random.choice(("30003", "30005", "spam_block")) if status == "FAILED" else None
    return {
        "id": f"evt_{message[:8]}_{int(at.timestamp())}_{status}", "type": topic,
        "message_id": message, "status": status, "timestamp": moment, "error_code": error,
        "workflow_id": WORKFLOWS[person % 3], "agent_id": None, "tenant": {"id": tenant},
        "recipient": {"external_id": f"CUST-{person:05d}", "address": f"+1555010{person:04d}"},
    }  # fmt: skip


def _day(
    sample: Sample, random: Random, lane: _Lane, at: datetime, back: int, flawed: bool
) -> Iterator[tuple[datetime, dict[str, Any]]]:
    """What came on one day: time and event."""
    topic = lane.stream.topic
    for _ in range(random.randrange(8, 16)):
        message = str(UUID(int=random.getrandbits(128), version=4))
        person = random.randrange(60)
        at += timedelta(minutes=random.randrange(3, 25), seconds=random.randrange(60))
        yield at, _event(random, topic, message, "SENT", at, person)
        fails = random.random() < 0.1
        delivered = at + timedelta(seconds=random.randrange(4, 50))
        status = "FAILED" if fails else "DELIVERED"
        yield delivered, _event(random, topic, message, status, delivered, person)
        if not fails and topic != VOICE and random.random() < 0.6:
            read = delivered + timedelta(minutes=random.randrange(2, 200))
            yield read, _event(random, topic, message, "READ", read, person)
            if topic == MESSAGES and back == 1:
                sample.read, sample.customer = message, f"CUST-{person:05d}"
                sample.tenant = TENANTS[person % 2]
    if flawed and topic == EMAIL and lane.partition == 1 and back == _CONTRADICTED:
        message = str(UUID(int=random.getrandbits(128), version=4))
        sample.contradicted = message
        for step, status in enumerate(("DELIVERED", "FAILED")):
            then = at + timedelta(minutes=7 * step)
            yield then, _event(random, topic, message, status, then, 7)


async def _partition(sample: Sample, lane: _Lane, days: int, flawed: bool) -> None:
    random, topic, strange = Random(f"{lane.stream.topic}/{lane.partition}"), lane.stream.topic, []
    for back in range(days - 1, 0, -1):
        begin = (sample.end - back * _DAY).replace(hour=7, minute=0, second=0, microsecond=0)
        if topic == VOICE and begin.weekday() >= 5 and back > _QUARANTINED:
            continue  # nobody is called at the weekend; the flaws of the last days are always there
        events = sorted(_day(sample, random, lane, begin, back, flawed), key=lambda each: each[0])
        offset, lost = lane.link.next, 0
        if flawed and topic == MESSAGES and lane.partition == 1 and back == _LOST:
            offset, lost = offset + 14, offset + 14
        records = [lane.raw(offset + n, *each) for n, each in enumerate(events)]
        if flawed and topic == VOICE and lane.partition == 1 and back <= _QUARANTINED:
            records, strange = _strange(sample, lane, records, strange, back)
        late = flawed and topic == EMAIL and lane.partition == 0 and back == _LATE
        delay = timedelta(hours=3) if late else timedelta(seconds=30)
        await lane.seal(records, delay, lost)


def _strange(sample: Sample, lane: _Lane, records: list[_Raw], strange: list[_Raw],
             back: int) -> tuple[list[_Raw], list[_Raw]]:  # fmt: skip
    """Three events of a status nobody knows, and the day after one of them again, understood."""
    if strange:
        if sample.retried:
            return records, strange
        first = strange[0]
        position = f"{lane.stream.topic}/{lane.partition}/{first.offset}"
        value = first.value.replace(b"ANSWERED_BY_PARROT", b"DELIVERED")
        again = replace(first, value=value, offset=records[-1].offset + 1,
                        timestamp=records[-1].timestamp,
                        headers=[(ORIGIN_HEADER, position.encode())])  # fmt: skip
        sample.retried.append(position)
        return [*records, again], strange
    swapped = [
        replace(each, value=each.value.replace(b'"DELIVERED"', b'"ANSWERED_BY_PARROT"'))
        for each in records if b'"DELIVERED"' in each.value
    ][:3]  # fmt: skip
    places = {each.offset: each for each in swapped}
    return [places.get(each.offset, each) for each in records], swapped


async def make_sample(
    folder: Path, *, end: datetime | None = None, days: int = 28, flawed: bool = True,
    assurance: str = "worm_locked", anchored: bool = False, waiting: int = 0,
) -> Sample:  # fmt: skip
    """The archive with its log, in files below `folder`, up to the day before `end`; `waiting`:
    so many events are not archived yet."""
    end = end or datetime.now(UTC)
    settings = gateway_settings(folder, NAME, sample_keyring())
    sample = Sample(settings=settings, end=end)
    keyring, store = parse_keyring(sample_keyring()), FileStore(settings.archive_path)
    signer = LineSigner(keyring.segment_key or b"")
    ends = {}
    name = layout.map_name(golden.STATUS_MAP.hash)
    await store.put_if_absent(name, golden.STATUS_MAP.canonical_bytes, {})
    for topic in (MESSAGES, EMAIL, VOICE):
        stream = StreamObject(
            archive=NAME, ended=None, generation=1, genesis=[0] * PARTITIONS,
            partitions=PARTITIONS, reason="first seen", topic=topic, topic_id=None,
            stream=sha256(topic.encode()).hexdigest()[:32],
        )  # fmt: skip
        await store.put_if_absent(layout.stream_name(topic, 1), stream.encode(signer), {})
        for partition in range(PARTITIONS):
            lane = _Lane(sample, keyring, stream, partition, assurance)
            await _partition(sample, lane, days, flawed)
            ends[topic, partition] = (0, lane.link.next + waiting)
            waiting = 0  # in the first partition alone
    await _log(sample, keyring, store, ends, anchored)
    return sample


async def _log(sample: Sample, keyring: Keyring, store: FileStore, ends: Any,
               anchored: bool) -> None:  # fmt: skip
    async def ask() -> Any:
        return ends

    trusted = TrustedKeys(LineSigner(keyring.segment_key or b"").public)
    gatherer = Gatherer(store, NAME, trusted, AlarmBoard("notary"))
    now = sample.end.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    notary = Notary(store, log_signer(keyring), gatherer, ask, lambda: now)
    await notary.resume()
    head = (await notary.write()).head
    if anchored:
        seconds = int(sample.end.timestamp())
        cosigned = head.note.with_signatures([bundles.cosignature(head.note.text, seconds)])
        await store.put_if_absent(anchor_name(head.size, "auditor.note"), cosigned.encode(), {})
        key, url = bundles.WITNESS_KEY, "https://witness.example"
        changed = {"anchor_witnesses": (f"{key}@{url}",)}
        sample.settings = sample.settings.model_copy(update=changed)
