"""Sealing: who a record's subject is, what erasure and the turn of a year do, what opens."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
import pytest

from audit_stream.errors import FormatError, KeyringError
from audit_stream.evidence.record import parse_record
from audit_stream.flatten.event import Event
from audit_stream.privacy.derivation import TagMaker
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.keytree import Cover, path_of
from audit_stream.privacy.sealer import RecordSealer, open_personal
from audit_stream.privacy.subject_object import NO_TAG, open_tags, seal_tags
from audit_stream.privacy.subjects import KeyDeriver, choose_subject
from tests.support import golden

STREAM = bytes(range(16))
RING = golden.KEYRING
TAGS = TagMaker(RING.trees[0].pepper)
EVENT = Event("e", "m", None, "t", "READ", "READ", "now", None, "wf", None, "tenant",
              "CUST_1", "+4915100000")  # fmt: skip
OBJECT = "subjects/t/00001/00003/00000000000000000041-0123456789abcdef.bin"


def sealer(cover: bytes = golden.COVER, ring: Keyring = RING, **options: Any) -> RecordSealer:
    keys = KeyDeriver(ring, cover, STREAM)
    return RecordSealer(keys, topic="t", generation=1, partition=3, regulatory_tag="X", **options)


def ms(year: int, month: int, day: int, hour: int, millis: int) -> int:
    return int(datetime(year, month, day, hour, 59, 59, tzinfo=UTC).timestamp()) * 1000 + millis


@pytest.mark.parametrize(
    ("external", "address", "kind", "found"),
    [("C", "A", "external", "C"), ("C", None, "external", "C"), (None, "A", "address", "A"),
     ("", "A", "address", "A"), (" \t", "A", "address", "A"), ("0000", "A", "address", "A"),
     (None, None, "message", "m"), ("", "", "message", "m"), ("0000", "none", "message", "m"),
     (" C ", "A", "external", " C "), ("c", "A", "external", "c")],
)  # fmt: skip
def test_a_subject_is_the_customer_else_the_address_else_the_message(
    external: str | None, address: str | None, kind: str, found: str
) -> None:
    subject = choose_subject("t", external, address, "m", {"0000", "none"})
    assert subject == ("t", kind, found)


def test_a_placeholder_id_does_not_tie_people_together() -> None:
    event = msgspec.structs.replace(EVENT, customer_external_id="unknown")
    placed = sealer(placeholders=["unknown"])
    _, _, one = golden.seal_one(placed, event, 1, golden.FIRST_MS, 1, None, None)
    moved = msgspec.structs.replace(event, recipient_address="+49")
    _, _, two = golden.seal_one(placed, moved, 2, golden.FIRST_MS, 1, None, None)
    assert one == TAGS.tag(("tenant", "address", "+4915100000"))
    assert two == TAGS.tag(("tenant", "address", "+49"))


def test_a_redo_writes_the_same_line() -> None:
    first = golden.seal_one(sealer(), EVENT, 41, golden.FIRST_MS, 2, 17, "t/9/3")
    assert golden.seal_one(sealer(), EVENT, 41, golden.FIRST_MS, 2, 17, "t/9/3") == first


def test_an_erased_subject_leaves_a_record_without_personal_part() -> None:
    tag = TAGS.tag(("tenant", "external", "CUST_1"))
    erased = sealer(Cover(golden.COVER).puncture([path_of(tag)]))
    line, integrity, found = golden.seal_one(erased, EVENT, 41, golden.FIRST_MS, 2, 17, None)
    record = parse_record(line[:-1], "line")
    assert found == NO_TAG
    assert record.erased
    assert (record.integrity_hash, record.pii) == (integrity, None)
    whole = parse_record(
        golden.seal_one(sealer(), EVENT, 41, golden.FIRST_MS, 2, 17, None)[0][:-1], "line"
    )
    assert record.pub == {k: v for k, v in whole.pub.items() if k != "_sd"} | {"erased": True}
    other = msgspec.structs.replace(EVENT, customer_external_id="CUST_2")
    assert golden.seal_one(erased, other, 41, golden.FIRST_MS, 2, 17, None) == golden.seal_one(
        sealer(), other, 41, golden.FIRST_MS, 2, 17, None
    )


def test_the_year_is_the_utc_year_of_ingestion() -> None:
    ring = replace(RING, years={2026: RING.years[2026], 2027: bytes(range(32))})
    keys = KeyDeriver(ring, golden.COVER, STREAM)
    one = sealer(ring=ring)  # the same sealer over the turn of the year
    for stamp, year in ((ms(2026, 12, 31, 23, 999), 2026), (ms(2026, 12, 31, 23, 1000), 2027)):
        line, _, tag = golden.seal_one(one, EVENT, 41, stamp, 1, None, None)
        record = parse_record(line[:-1], "line")
        assert record.pub["ingestion_timestamp"].startswith(str(year))
        right, wrong = keys.keys_of_tag(tag, year), keys.keys_of_tag(tag, 2026 + 2027 - year)
        assert right is not None
        assert wrong is not None
        assert open_personal(record, right, 3, 41)["customer_external_id"] == "CUST_1"
        with pytest.raises(FormatError):
            open_personal(record, wrong, 3, 41)


def test_a_year_without_key_seals_nothing() -> None:
    with pytest.raises(KeyringError, match="1970"):
        golden.seal_one(sealer(), EVENT, 41, 0, 1, None, None)


def test_a_personal_part_fits_only_its_own_record() -> None:
    one = orjson.loads(golden.seal_one(sealer(), EVENT, 41, golden.FIRST_MS, 1, None, None)[0])
    line, _, tag = golden.seal_one(sealer(), EVENT, 42, golden.FIRST_MS, 1, None, None)
    two = orjson.loads(line) | {"pii": one["pii"]}
    keys = KeyDeriver(RING, golden.COVER, STREAM).keys_of_tag(tag, 2026)
    assert keys is not None
    with pytest.raises(FormatError, match="decrypt"):
        open_personal(parse_record(orjson.dumps(two), "line"), keys, 3, 42)


def test_keys_differ_by_stream_and_stay_out_of_the_repr() -> None:
    subject = ("tenant", "external", "CUST_1")
    one = KeyDeriver(RING, golden.COVER, STREAM).keys(subject, 2026)
    two = KeyDeriver(RING, golden.COVER, bytes(16)).keys(subject, 2026)
    assert one is not None
    assert two is not None
    assert one.tag == two.tag
    assert (one.enc, one.mac) != (two.enc, two.mac)
    assert repr(one.enc) not in repr(one)
    assert repr(one.tag) not in repr(one)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_subject_object_opens_under_its_own_name_only(count: int) -> None:
    tags = [bytes([n]) * 16 for n in range(count)]
    stored = seal_tags(RING.index_key, OBJECT, b"".join(tags), bytes(12))
    assert open_tags(RING.index_key, OBJECT, stored) == tags
    with pytest.raises(FormatError):
        open_tags(RING.index_key, OBJECT.replace("41-", "42-"), stored)
    with pytest.raises(FormatError):
        open_tags(bytes(32), OBJECT, stored)
    broken = [stored[:-1], stored + b"\x00", stored[:13], stored[:5], b"", b"\x02" + stored[1:]]
    for at in range(len(stored)):
        broken.append(stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :])
    for data in broken:
        with pytest.raises(FormatError):
            open_tags(RING.index_key, OBJECT, data)


def test_half_a_tag_is_refused() -> None:
    stored = seal_tags(RING.index_key, OBJECT, bytes(17), bytes(12))
    with pytest.raises(FormatError, match="whole tags"):
        open_tags(RING.index_key, OBJECT, stored)
