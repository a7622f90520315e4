"""Signed answers about the records of a bundle, as the retrieval API gives them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from audit_stream.bundle.build import attached, build_bundle
from audit_stream.bundle.facts import BundleFacts, RecordFact
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.checkpoint import checkpoint_of
from audit_stream.evidence.encoding import b64u
from tests.support import bundles

ANSWERS = generate_private_key(SECP256R1())


def signed(answer: dict[str, Any], **header: object) -> dict[str, Any]:
    """With its detached signature (RFC 7515, appendix F)."""
    members = {"alg": "ES256", "kid": "k1", "typ": "audit-response+jws"} | header
    head, payload = (b64u(canonical(each)) for each in (members, answer))
    r, s = decode_dss_signature(ANSWERS.sign(f"{head}.{payload}".encode(), ECDSA(SHA256())))
    return answer | {"signature": f"{head}..{b64u(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"}


def audit_record(record: RecordFact) -> dict[str, Any]:
    hashed = json.loads(record.line)["integrity_hash"]
    names = ("audit_id", "message_uuid", "delivery_status", "carrier_error_code", "regulatory_tag")
    first = bundles.personal(record)[0]
    return {name: record.pub[name] for name in names} | {
        "customer_external_id": first, "integrity_hash": hashed,
    }  # fmt: skip


def answered(facts: BundleFacts) -> dict[str, Any]:
    message = facts.records[0].pub["message_uuid"]
    history = [audit_record(each) for each in facts.records if each.pub["message_uuid"] == message]
    log = checkpoint_of(bundles.note_of(facts), "it")
    return {"as_of": {"root": log.root.hex(), "size": log.size}, "audit_record": history[-1],
            "history": history, "status": "verified"}  # fmt: skip


def jwks() -> bytes:
    numbers = ANSWERS.public_key().public_numbers()
    x, y = (b64u(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
    return canonical({"keys": [{"crv": "P-256", "kid": "k1", "kty": "EC", "x": x, "y": y}]})


def with_answer(facts: BundleFacts, answer: dict[str, Any], **header: object) -> bytes:
    text = attached(signed(answer, **header))
    return build_bundle(replace(facts, answer=text, answer_keys=jwks()))
