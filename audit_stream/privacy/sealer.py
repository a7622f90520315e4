"""Sealing: a judged event becomes its record line; opening: a line gives its personal fields back.

Everything is derived from the event, its position and the keyring, so a redo writes the same bytes
(promise P3). This is the hottest code of the product: one call per archived record.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import sha256

import msgspec
import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.encoding import time_text
from audit_stream.evidence.record import PERSONAL_FIELDS, VERSION, Record, digest
from audit_stream.evidence.record import disclosure as make_disclosure
from audit_stream.flatten.event import Event
from audit_stream.privacy.plain import NONCE_BYTES, salts, unpad
from audit_stream.privacy.primitives import disclose, encrypt
from audit_stream.privacy.subject_object import NO_TAG
from audit_stream.privacy.subjects import KeyDeriver, SubjectKeys, choose_subject


class _Pub(msgspec.Struct, gc=False):
    """A record's immutable fields in the order of RFC 8785. Such a struct is written in half the
    time of a dict, to the same bytes: no text holds what the two would escape differently."""

    _sd: list[str]
    audit_id: str
    carrier_error_code: str | None
    carrier_message_id: str | None
    carrier_receipt_timestamp: str
    carrier_status: str
    communication_type: str
    delivery_status: str
    ingestion_timestamp: str
    legal_hold: bool
    message_uuid: str
    origin: str | None
    originating_agent_id: str | None
    originating_workflow_id: str
    platform_tenant_id: str
    regulatory_tag: str
    revision: int
    source: str
    supersedes: str | None
    v: str


_write = msgspec.json.Encoder().encode


class RecordSealer:
    """Seals the records of one stream and partition under one key epoch."""

    def __init__(
        self,
        keys: KeyDeriver,
        *,
        topic: str,
        generation: int,
        partition: int,
        regulatory_tag: str,
        placeholders: Collection[str] = (),
    ) -> None:
        self._keys = keys
        self._partition = partition
        self._tag = regulatory_tag
        self._placeholders = frozenset(placeholders)
        self._source = f"{topic}/{generation}/{partition}/"
        self._second = -1
        self._second_text = ""
        self._year = 0

    def seal(
        self, event: Event, offset: int, timestamp: int, revision: int, before: int | None,
        origin: str | None,
    ) -> tuple[bytes, bytes, bytes]:  # fmt: skip
        """``(line with newline, raw integrity hash, subject tag)`` of one archived event.

        `timestamp` is the Kafka timestamp in ms, `before` the source offset of the revision this
        one supersedes. The tag is zero when the subject was erased.
        """
        ingested = self._ingested(timestamp)
        subject = choose_subject(
            event.tenant_id, event.customer_external_id, event.recipient_address,
            event.message_uuid, self._placeholders,
        )  # fmt: skip
        keys = self._keys.keys(subject, self._year)
        if keys is None:
            return self._seal_erased(event, offset, ingested, revision, before, origin)
        external, address = map(orjson.dumps, (event.customer_external_id, event.recipient_address))
        one, two = disclose(keys.mac, self._partition, offset, external, address)
        digests = [one, two] if one < two else [two, one]
        pub = _write(self._pub(digests, event, offset, ingested, revision, before, origin))
        integrity = sha256(pub)
        raw = integrity.digest()
        pii = encrypt(keys.enc, raw, b"[%b,%b]" % (external, address))
        hexed = integrity.hexdigest().encode()
        line = b'{"integrity_hash":"sha256:%b","pii":"%b","pub":%b}\n' % (hexed, pii, pub)
        return line, raw, keys.tag

    def _pub(
        self, digests: list[str], event: Event, offset: int, ingested: str, revision: int,
        before: int | None, origin: str | None,
    ) -> _Pub:  # fmt: skip
        return _Pub(
            digests, event.audit_id, event.carrier_error_code, event.carrier_message_id,
            event.carrier_receipt_timestamp, event.carrier_status, event.communication_type,
            event.delivery_status, ingested, True, event.message_uuid, origin, event.agent_id,
            event.workflow_id, event.tenant_id, self._tag, revision, f"{self._source}{offset}",
            None if before is None else f"{self._source}{before}", VERSION,
        )  # fmt: skip

    def _ingested(self, timestamp: int) -> str:
        second, millis = divmod(timestamp, 1000)
        if second != self._second:  # a batch spans few seconds: format each once
            self._second_text = time_text(timestamp)[:-4]
            self._year = int(self._second_text[:4])
            self._second = second  # last: a time beyond the calendar raises, and must not be kept
        return f"{self._second_text}{millis:03d}Z"

    def _seal_erased(
        self, event: Event, offset: int, ingested: str, revision: int, before: int | None,
        origin: str | None,
    ) -> tuple[bytes, bytes, bytes]:  # fmt: skip
        members = msgspec.structs.asdict(
            self._pub([], event, offset, ingested, revision, before, origin)
        )
        del members["_sd"]
        pub = canonical(members | {"erased": True})
        integrity = sha256(pub)
        hexed = integrity.hexdigest().encode()
        line = b'{"integrity_hash":"sha256:%b","pii":null,"pub":%b}\n' % (hexed, pub)
        return line, integrity.digest(), NO_TAG


def open_personal(record: Record, keys: SubjectKeys, partition: int, offset: int) -> dict[str, str]:
    """The personal fields of a record; `FormatError` (tampered) unless it decrypts and fits `_sd`.

    Fields that were null are left out of the answer.
    """
    if record.pii is None:
        return {}
    raw = record.integrity_hash
    try:
        plaintext = AESGCM(keys.enc).decrypt(raw[:NONCE_BYTES], record.pii, raw)
    except InvalidTag as error:
        raise FormatError("the personal fields do not decrypt") from error
    try:
        values = orjson.loads(unpad(plaintext))
    except orjson.JSONDecodeError as error:
        raise FormatError("the personal fields are not JSON") from error
    if not isinstance(values, list) or len(values) != len(PERSONAL_FIELDS):
        raise FormatError("the personal fields are not a list of two")
    fields = {f: v for f, v in zip(PERSONAL_FIELDS, values, strict=True) if v is not None}
    if sorted(map(digest, disclosures(keys, partition, offset, fields))) != record.pub["_sd"]:
        raise FormatError("the personal fields do not fit _sd")
    return fields


def disclosures(
    keys: SubjectKeys, partition: int, offset: int, fields: Mapping[str, str]
) -> tuple[str, str]:
    """The disclosures of the personal fields of the record there (RFC 9901 section 4.2.1)."""
    both = salts(keys.mac, partition, offset).hex()
    one, two = PERSONAL_FIELDS
    return (
        make_disclosure(both[:32], one, fields.get(one)),
        make_disclosure(both[32:], two, fields.get(two)),
    )
