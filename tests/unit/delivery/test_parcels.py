"""What is posted of a record, under which key, and what is kept of an answer."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.archive.chain import Found
from audit_stream.delivery.body import KeyForm, body_of, key_of
from audit_stream.delivery.parcel import parcels
from audit_stream.delivery.undeliverable import Undeliverable, parse_undeliverable
from audit_stream.errors import ForkAlarm, FormatError
from audit_stream.evidence.layout import parse_segment_name
from audit_stream.evidence.record import integrity_hash
from audit_stream.evidence.segment import decode
from tests.support.resealed import MESSAGES, OBJECTS, name, resigned

DATA = OBJECTS[name(MESSAGES, 0)]
IDS = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=256)


def found(data=DATA, disposed=False):
    place = parse_segment_name(name(MESSAGES, 0))
    return Found(place, decode(data, "x"), (), disposed)


def test_a_body_is_flat_and_gives_the_hash_again():
    for parcel in parcels(found(), None, KeyForm.STATUS):
        body = orjson.loads(body_of(parcel.record, {"recipient_address": "+49"}))
        assert body.pop("recipient_address") == "+49"
        said = body.pop("integrity_hash")
        assert body == parcel.record.pub
        assert said == "sha256:" + integrity_hash(body).hex()


def test_parcels_are_the_records_in_their_order():
    all_of_it = list(parcels(found(), None, KeyForm.SOURCE))
    offsets = [each.offset for each in all_of_it]
    assert offsets == sorted(set(offsets))
    assert [each.key for each in all_of_it] == [each.record.pub["source"] for each in all_of_it]
    assert list(parcels(found(disposed=True), None, KeyForm.SOURCE)) == []


@pytest.mark.parametrize("shuffle", [lambda lines: lines[::-1], lambda lines: lines[:1] * 2])
def test_records_out_of_order_are_the_fork_alarm(shuffle):
    lines = decode(DATA, "x").record_lines()
    with pytest.raises((ForkAlarm, FormatError)):
        list(parcels(found(resigned(DATA, shuffle(lines))), None, KeyForm.STATUS))


def test_records_of_another_place_are_the_fork_alarm():
    with pytest.raises(ForkAlarm, match="another place"):
        list(parcels(found(resigned(DATA, partition=1)), None, KeyForm.STATUS))


@given(IDS, st.sampled_from(["READ", "DELIVERED", "FAILED", "EXPIRED"]))
def test_a_key_is_one_header_value(message, status):
    key = key_of({"message_uuid": message, "delivery_status": status}, KeyForm.STATUS)
    assert key.isascii()
    assert key.isprintable()
    assert " " not in key
    assert key.endswith(f":{status}")


@given(IDS, IDS, st.sampled_from(["READ", "DELIVERED"]), st.sampled_from(["READ", "DELIVERED"]))
def test_no_two_records_of_a_stream_share_a_key(one, two, first, second):
    if (one, first) != (two, second):
        keys = [
            key_of({"message_uuid": m, "delivery_status": s}, KeyForm.STATUS)
            for m, s in ((one, first), (two, second))
        ]
        assert keys[0] != keys[1]


def test_an_id_that_looks_escaped_is_not_another_ids():
    one, two = ({"message_uuid": each} for each in ("é", "%C3%A9"))
    assert key_of(one, KeyForm.MESSAGE) != key_of(two, KeyForm.MESSAGE)


def test_the_usual_key_is_the_id_and_the_status_as_they_are():
    pub = {"message_uuid": "8f3a9c21-4b5e", "delivery_status": "READ", "source": "t/1/0/4"}
    assert key_of(pub, KeyForm.STATUS) == "8f3a9c21-4b5e:READ"
    assert key_of(pub, KeyForm.MESSAGE) == "8f3a9c21-4b5e"
    assert key_of(pub, KeyForm.SOURCE) == "t/1/0/4"


ENTRY = Undeliverable(
    target="siem", topic="t", generation=1, partition=0, offset=4, segment=name(MESSAGES, 0),
    key="a:READ", status=422, answer="no", at="2026-11-26T00:00:00.000Z",
)  # fmt: skip


def test_an_entry_survives_its_writing():
    assert parse_undeliverable(ENTRY.encode(), "x") == ENTRY
    assert "no" not in repr(ENTRY).split("answer")[-1] or "answer" not in repr(ENTRY)


@pytest.mark.parametrize("member", ["key", "offset", "target", "v", "status"])
def test_what_is_no_entry_is_refused(member):
    value = orjson.loads(ENTRY.encode())
    for changed in (value | {member: [1]}, {k: v for k, v in value.items() if k != member}):
        with pytest.raises(FormatError):
            parse_undeliverable(orjson.dumps(changed, option=orjson.OPT_SORT_KEYS), "x")
