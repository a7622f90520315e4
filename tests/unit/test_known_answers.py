"""The known answers of the format specification, section 8."""

from __future__ import annotations

from hashlib import sha256

from audit_stream.evidence.rawmac import new_raw_mac, raw_frame, raw_key
from audit_stream.evidence.record import digest, disclosure
from audit_stream.evidence.tree import leaf_hash
from audit_stream.flatten.event import Event
from audit_stream.precedence.matrix import READ
from audit_stream.privacy.derivation import TagMaker, derive
from audit_stream.privacy.keyring import Keyring, Tree
from audit_stream.privacy.keytree import Cover, genesis_cover, path_of
from audit_stream.privacy.plain import salts
from audit_stream.privacy.sealer import RecordSealer
from audit_stream.privacy.subject_object import seal_tags
from audit_stream.privacy.subjects import KeyDeriver

ROOT, PEPPER, INDEX, YEAR = (bytes(range(n, n + 32)) for n in (0, 32, 64, 96))
STREAM = bytes(range(16))
SUBJECT = ("tenant_prod_01", "external", "CUST_99281")
TAG = bytes.fromhex("74c1135a3f9caea522bca881736aaa88")
LINE = (
    b'{"integrity_hash":"sha256:b8ae599f04e70b5150663136c8a8d5684f58fee71dfd632f5260764fc793304d",'
    b'"pii":"UFBKIxTV-Wk1PvDAJLNoO7PHdO-NWvuFavAN1hMxd0UMidZ76tucZNHY5fb7SaPRVqomLo2oTtN45MRzakVF'
    b'uNnPHGZFDT9SfL20TCqj8tQ","pub":{"_sd":["_CFtG-IC0PJLiAlYqfkVxJkcuaya03c4MTwhe_eT-bs",'
    b'"jZeMRcqfXWkdWChVu1XUsNvIRfNJ4E6qujxU1KR3wNM"],"audit_id":"evt_8f3a9c21_1715429201",'
    b'"carrier_error_code":null,"carrier_message_id":null,'
    b'"carrier_receipt_timestamp":"2024-05-10T14:32:01Z","carrier_status":"READ",'
    b'"communication_type":"outbound_message_status_update","delivery_status":"READ",'
    b'"ingestion_timestamp":"2024-05-10T14:32:03.123Z","legal_hold":true,'
    b'"message_uuid":"8f3a9c21-4b5e-4d7f-9a1c-2e8f7b6d5c4a","origin":null,'
    b'"originating_agent_id":null,"originating_workflow_id":"wf_policy_update_v2",'
    b'"platform_tenant_id":"tenant_prod_01","regulatory_tag":"COMPLIANCE_ARCHIVE_V1","revision":2,'
    b'"source":"outbound_message_status_update/1/3/41",'
    b'"supersedes":"outbound_message_status_update/1/3/17","v":"audit-record/1"}}\n'
)


def keyring() -> Keyring:
    tree = Tree(cover="c", cover_sha256="0" * 64, first_epoch=1, pepper=PEPPER)
    return Keyring(
        archive="x", epoch=1, index_key=INDEX, log_key=None, segment_key=None, trees=(tree,),
        years={2024: YEAR},
    )  # fmt: skip


def test_tag_leaf_and_keys() -> None:
    assert TagMaker(PEPPER).tag(SUBJECT) == TAG
    leaf = Cover(genesis_cover(ROOT)).leaf(path_of(TAG))
    assert leaf is not None
    assert leaf.hex() == "42959d08734fc60022c6e40279ef782535fe19f5b2fdc9725a0c56a188b5a771"
    enc, mac = derive(leaf, STREAM, TAG, YEAR)
    assert enc.hex() == "ddfc1baa420ab49a0148008b2812b368bd040b9554551c0e293cdb3a0599bfc7"
    assert mac.hex() == "f70cefb23c7ca341d653f5d7caf18e911ebed76c211e1f559886d1fb7833b28b"
    assert salts(mac, 3, 41).hex() == (
        "e40e92a682996264c590fa401779a33e1d26a30e55861a925d6f40bc3dd35770"
    )


def test_disclosures() -> None:
    external = disclosure("e40e92a682996264c590fa401779a33e", "customer_external_id", "CUST_99281")
    assert external == (
        "WyJlNDBlOTJhNjgyOTk2MjY0YzU5MGZhNDAxNzc5YTMzZSIsImN1c3RvbWVyX2V4dGVybmFsX2lkIiwiQ1VTVF85"
        "OTI4MSJd"
    )
    assert digest(external) == "jZeMRcqfXWkdWChVu1XUsNvIRfNJ4E6qujxU1KR3wNM"
    address = disclosure("1d26a30e55861a925d6f40bc3dd35770", "recipient_address", "+4915112345678")
    assert address == (
        "WyIxZDI2YTMwZTU1ODYxYTkyNWQ2ZjQwYmMzZGQzNTc3MCIsInJlY2lwaWVudF9hZGRyZXNzIiwiKzQ5MTUxMTIz"
        "NDU2NzgiXQ"
    )
    assert digest(address) == "_CFtG-IC0PJLiAlYqfkVxJkcuaya03c4MTwhe_eT-bs"


def test_the_whole_line() -> None:
    sealer = RecordSealer(
        KeyDeriver(keyring(), genesis_cover(ROOT), STREAM),
        topic="outbound_message_status_update", generation=1, partition=3,
        regulatory_tag="COMPLIANCE_ARCHIVE_V1",
    )  # fmt: skip
    event = Event(
        "evt_8f3a9c21_1715429201", "8f3a9c21-4b5e-4d7f-9a1c-2e8f7b6d5c4a", None,
        "outbound_message_status_update", READ, "READ", "2024-05-10T14:32:01Z", None,
        "wf_policy_update_v2", None, "tenant_prod_01", "CUST_99281", "+4915112345678",
    )  # fmt: skip
    rise, tag = sealer.rise_of(event, 41, 1715351523123, 2, 17, None)
    (line,), (integrity,) = sealer.seal([rise])
    assert line == LINE
    assert tag == TAG
    leaf = "527e7a3bce4de1a2f3530a8142205e0dc8ab7e7cf34ebde41dffa32d0be46f4d"
    assert leaf_hash(integrity).hex() == leaf


def test_the_punctured_cover() -> None:
    cover = Cover(genesis_cover(ROOT)).puncture([path_of(TAG)])
    assert len(cover) == 3360
    expected = "37b59174bae95c1d947aa1af74b55940ebc17962b8baddc9dd23bc1d076a63d6"
    assert sha256(cover).hexdigest() == expected
    assert Cover(cover).leaf(path_of(TAG)) is None


def test_the_raw_mac() -> None:
    mac = new_raw_mac(raw_key(INDEX))
    mac.update(raw_frame(41, b"{}") + raw_frame(42, None))
    expected = "86aebb21ddb134d892602a5de7ad4eec810604272bb1f298b51983cf43421035"
    assert mac.hexdigest() == expected


def test_the_subject_object() -> None:
    name = "subjects/t/00001/00003/00000000000000000041-0123456789abcdef.bin"
    sealed = seal_tags(INDEX, name, TAG, bytes(12))
    assert sealed.hex() == (
        "0100000000000000000000000045ba9cd0945501cf183445d94977e180ab6d746da029cc6184972d2615ba1ddd"
    )
