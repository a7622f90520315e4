"""Sealing: a judged event becomes its record line; opening: a line gives its personal fields back.

Everything is derived from the event, its position and the keyring, so a redo writes the same bytes
(promise P3). What may fail for one record is done for each (`rise_of`); the rest for all of a batch
in one call (`seal`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit_stream.errors import FormatError, NoYearKey
from audit_stream.evidence.encoding import time_text
from audit_stream.evidence.record import PERSONAL_FIELDS, Record, digest
from audit_stream.evidence.record import disclosure as make_disclosure
from audit_stream.flatten.event import Event
from audit_stream.privacy.plain import NONCE_BYTES, Rise, salts, unpad
from audit_stream.privacy.primitives import seal
from audit_stream.privacy.subject_object import NO_TAG
from audit_stream.privacy.subjects import KeyDeriver, SubjectKeys, choose_subject


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

    def rise_of(
        self, event: Event, offset: int, timestamp: int, revision: int, before: int | None,
        origin: str | None,
    ) -> tuple[Rise, bytes]:  # fmt: skip
        """What `seal` takes of an event to be archived, and its subject's tag.

        `timestamp` is the Kafka timestamp in ms, `before` the source offset of the revision this
        one supersedes. The tag is zero when the subject was erased. `NoYearKey` when the keyring
        has no key for the timestamp's year, or no calendar has that year.
        """
        ingested = self._ingested(timestamp)
        external, address = event.customer_external_id, event.recipient_address
        uuid, tenant = event.message_uuid, event.tenant_id
        subject = choose_subject(tenant, external, address, uuid, self._placeholders)
        keys = self._keys.keys(subject, self._year)
        tag, enc, mac = (NO_TAG, None, None) if keys is None else keys
        rise = (
            event.audit_id, event.carrier_error_code, event.carrier_message_id,
            event.carrier_receipt_timestamp, event.carrier_status, event.communication_type,
            event.delivery_status, ingested, uuid, origin, event.agent_id, event.workflow_id,
            tenant, external, address, offset, revision, before, enc, mac,
        )  # fmt: skip
        return rise, tag

    def seal(self, rises: Sequence[Rise]) -> tuple[list[bytes], list[bytes]]:
        """The record lines of rises, with their newlines, and their raw integrity hashes."""
        return seal(rises, self._partition, self._source, self._tag)

    def _ingested(self, timestamp: int) -> str:
        second, millis = divmod(timestamp, 1000)
        if second != self._second:  # a batch spans few seconds: format each once
            try:
                self._second_text = time_text(timestamp)[:-4]
            except ValueError as error:
                raise NoYearKey("the record's time is behind the calendar's end") from error
            self._year = int(self._second_text[:4])
            self._second = second  # last: a time beyond the calendar raises, and must not be kept
        return f"{self._second_text}{millis:03d}Z"


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
