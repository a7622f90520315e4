"""Redaction certificates: the bytes of one for ever, its commitment, and what is none."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_stream.errors import FormatError
from audit_stream.evidence.encoding import b64u_decode
from audit_stream.evidence.redaction import Redaction, commitment, opens, redaction_of
from audit_stream.evidence.register import Entry, Register, decode_entry, signer_of_entry
from audit_stream.evidence.signing import LineSigner, TrustedKeys

SECRET, HASHES = bytes(range(32)), [b"\x02" * 32, b"\x01" * 32]
SIGNER = LineSigner(SECRET)
CERTIFICATE = Redaction(
    approved_by="officer-2", barrier={"acknowledged": 3, "excused": []}, basis="GDPR Art.17(1)(b)",
    certificate_id="rc-00112233445566aa", commitment=commitment(SECRET, HASHES), count=2,
    covers=[{"after": "22" * 32, "before": "11" * 32, "first_epoch": 1}],
    effective_at="2026-12-02T10:00:00.000Z", epochs=[1, 2], executed_at="2026-11-25T10:00:00.000Z",
    fields=["customer_external_id", "recipient_address"], keys_destroyed="file-unlinked",
    keys_destroyed_at="2026-11-25T10:00:00.000Z", request_ref="DSR-7",
    requested_at="2026-11-24T09:00:00.000Z", requested_by="officer-1",
    targets=[{"at": "2026-11-25T10:00:01.000Z", "receipt": "r-1", "target": "siem"}],
)  # fmt: skip
ENTRY = Entry(
    register=Register.REDACTIONS, archive="audit.example/acme", kid=SIGNER.kid, number=1,
    prev=b"\x03" * 32, said=CERTIFICATE.said(),
)  # fmt: skip
LINE = (
    b'{"approved_by":"officer-2","archive":"audit.example/acme","barrier":{"acknowledged":3,'
    b'"excused":[]},"basis":"GDPR Art.17(1)(b)","certificate_id":"rc-00112233445566aa",'
    b'"commitment":"8ef07da5981188c503c0d0b8c8b5215c313bb5f23772b96375a63e04dc97611e","count":2,'
    b'"covers":[{"after":"2222222222222222222222222222222222222222222222222222222222222222",'
    b'"before":"1111111111111111111111111111111111111111111111111111111111111111",'
    b'"first_epoch":1}],"effective_at":"2026-12-02T10:00:00.000Z","epochs":[1,2],'
    b'"executed_at":"2026-11-25T10:00:00.000Z","fields":["customer_external_id",'
    b'"recipient_address"],"keys_destroyed":"file-unlinked",'
    b'"keys_destroyed_at":"2026-11-25T10:00:00.000Z","kid":"56475aa75463474c",'
    b'"method":"as-ggm1 puncture","number":1,'
    b'"prev":"0303030303030303030303030303030303030303030303030303030303030303",'
    b'"request_ref":"DSR-7","requested_at":"2026-11-24T09:00:00.000Z","requested_by":"officer-1",'
    b'"targets":[{"at":"2026-11-25T10:00:01.000Z","receipt":"r-1","target":"siem"}],'
    b'"v":"audit-redaction/1"}'
)
SIGNATURE = "SY1xUiBCa6_Gj1FBLjbPdlzNnqKnYG3qZ-Cr9LdDPYx2ZG8DNg1oFKFhgsHvX92DzWQXXWVf0H9l8oO5VvTRCA"
LEAF = "514e2ee8426946f9b65a1a1e21bb764806464854202be53b950f8becf70a81a2"


def test_the_known_certificate() -> None:
    """Its bytes, leaf and signature, each also by the plain means that an auditor has."""
    assert ENTRY.name == "redactions/00000000000000000001.json"
    assert ENTRY.encode(SIGNER) == LINE + b'\n{"sig":"' + SIGNATURE.encode() + b'"}\n'
    assert ENTRY.leaf.hex() == sha256(b"\0" + LINE).hexdigest() == LEAF
    public = Ed25519PrivateKey.from_private_bytes(SECRET).public_key()
    public.verify(b64u_decode(SIGNATURE, "it", 64), LINE)
    assert sha256(public.public_bytes_raw()).hexdigest()[:16] == ENTRY.kid
    opened = sha256(SECRET + b"\x01" * 32 + b"\x02" * 32).hexdigest()
    assert CERTIFICATE.commitment == opened


def test_it_is_read_as_it_was_written() -> None:
    read = decode_entry(ENTRY.encode(SIGNER), ENTRY.name)
    assert redaction_of(read) == CERTIFICATE
    trusted = TrustedKeys(SIGNER.public)
    assert read.is_signed(trusted)
    assert signer_of_entry(ENTRY.encode(SIGNER), ENTRY.name, trusted) == SIGNER.kid


def test_only_the_very_records_open_the_commitment() -> None:
    assert opens(CERTIFICATE, SECRET, HASHES)
    assert opens(CERTIFICATE, SECRET, HASHES[::-1])
    others = [HASHES[:1], [*HASHES, bytes(32)], [HASHES[0], bytes(32)], [HASHES[0], HASHES[0]]]
    assert not any(opens(CERTIFICATE, SECRET, each) for each in others)
    assert not opens(CERTIFICATE, bytes(32), HASHES)


@pytest.mark.parametrize(
    "changes",
    [
        {"more": 1}, {"count": -1}, {"count": True}, {"basis": ""}, {"approved_by": None},
        {"executed_at": "2026-11-25"}, {"effective_at": "2026-11-25T10:00:00Z"},
        {"commitment": "00"}, {"epochs": [1, 3]}, {"epochs": [1]}, {"epochs": ["1", "2"]},
        {"barrier": []}, {"covers": {}}, {"fields": "all"}, {"targets": None},
        {"approved_by": "officer-1"}, {"approved_by": "Officer-1"},
        {"approved_by": "Jane Doe"}, {"requested_by": "a b"},
        {"certificate_id": "rc-1"}, {"request_ref": "Jane Doe"}, {"fields": [1]},
        {"barrier": {"acknowledged": -1, "excused": []}}, {"barrier": {"acknowledged": 1}},
        {"barrier": {"acknowledged": 1, "excused": [{"by": "ops"}]}},
        {"covers": [{"after": "22" * 32, "before": "11" * 32}]},
        {"covers": [{"after": "22", "before": "11" * 32, "first_epoch": 1}]},
        {"covers": [{"after": "22" * 32, "before": "11" * 32, "first_epoch": "1"}]},
        {"targets": [{"at": "2026-11-25T10:00:01.000Z", "receipt": "r-1"}]},
        {"targets": [{"at": "today", "receipt": "r-1", "target": "siem"}]},
    ],
)  # fmt: skip
def test_other_members_are_no_certificate(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="redactions/"):
        redaction_of(replace(ENTRY, said=dict(ENTRY.said) | changes))


def test_a_hold_is_no_certificate() -> None:
    with pytest.raises(FormatError, match="holds/"):
        redaction_of(replace(ENTRY, register=Register.HOLDS))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"number":1', b'"number":2'), (b'"number":1', b'"number":true'), (b"\n{", b"\n\n{"),
        (b'"prev":"03', b'"prev":"3'), (b'"kid":"', b'"kid":1,"more":"'), (b'"sig"', b'"sign"'),
        (b'"v":"audit-redaction/1"', b'"v":"audit-hold/1"'), (b'"archive":', b'"archives":'),
        (b'{"approved', b'{ "approved'),
    ],
)  # fmt: skip
def test_other_bytes_are_no_entry(old: bytes, new: bytes) -> None:
    data = ENTRY.encode(SIGNER)
    assert old in data
    with pytest.raises(FormatError):
        decode_entry(data.replace(old, new, 1), ENTRY.name)


@pytest.mark.parametrize("data", [b"", b"x", b"\n\n", LINE, LINE + b"\n", LINE + b'\n{"sig":""}\n'])
def test_nobody_signed_what_has_not_the_two_lines(data: bytes) -> None:
    assert signer_of_entry(data, ENTRY.name, TrustedKeys(SIGNER.public)) is None
