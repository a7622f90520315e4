"""The evidence bundle (docs/spec/bundle.md): facts in, the bytes of one zip out. Pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from audit_stream.bundle.facts import (
    BundleFacts,
    CertificateFact,
    Certified,
    RecordFact,
    SegmentFact,
)
from audit_stream.bundle.loadfile import loadfile
from audit_stream.bundle.package import pack
from audit_stream.bundle.report import report
from audit_stream.bundle.shipped import shipped
from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical, parse_line
from audit_stream.evidence.checkpoint import encode_hash
from audit_stream.evidence.encoding import b64u
from audit_stream.evidence.signing import key_id
from audit_stream.evidence.tlog_proof import TlogProof

VERSION = "audit-bundle/1"
CUSTODY, CERTIFICATES = "audit-custody/1", "audit-certificates/1"
_SPKI_ED25519 = bytes.fromhex("302a300506032b6570032100")  # RFC 8410


def build_bundle(facts: BundleFacts) -> bytes:
    """The zip; the same facts give the same bytes. `FormatError` when they do not fit together."""
    files = dict(_files(facts))
    hashes = {name: sha256(data).hexdigest() for name, data in files.items()}
    return pack(files | {"manifest.json": canonical({"files": hashes, "v": VERSION})})


def attached(answer: Mapping[str, Any]) -> str:
    """A signed answer as one compact JWS: RFC 7515 appendix F the other way round."""
    header, _, signature = str(answer["signature"]).split(".")
    rest = {name: value for name, value in answer.items() if name != "signature"}
    return f"{header}.{b64u(canonical(rest))}.{signature}"


def _files(facts: BundleFacts) -> Iterator[tuple[str, bytes]]:
    """Every file but the manifest."""
    records = _sorted(facts.records)
    yield from _records(records, facts.checkpoint)
    yield from _segments(records)
    yield "checkpoint.txt", facts.checkpoint
    yield from _objects(facts)
    yield from _entries(facts.disposals, facts.checkpoint)
    if facts.certificates is not None:
        yield from _certificates(facts.certificates, facts.checkpoint)
    yield from _keys(facts)
    yield "custody.json", canonical(asdict(facts.custody) | {"v": CUSTODY})
    if facts.answer is not None:
        yield "response.jws", facts.answer.encode("ascii")
    yield "loadfile.dat", loadfile(records)
    yield "report.html", report(facts, records)
    yield from shipped()


def _sorted(records: Iterable[RecordFact]) -> list[RecordFact]:
    found = sorted(records, key=_place)
    if not found:
        raise FormatError("a bundle needs a record")
    if len({each.key for each in found}) != len(found):
        raise FormatError("a bundle has each record once")
    return found


def _place(record: RecordFact) -> tuple[str, int, int, int]:
    topic, generation, partition, offset = str(record.pub["source"]).rsplit("/", 3)
    return topic, int(generation), int(partition), int(offset)


def _records(records: list[RecordFact], checkpoint: bytes) -> Iterator[tuple[str, bytes]]:
    for each in records:
        yield f"records/{each.key}.json", canonical(dict(each.pub))
        yield f"records/{each.key}.line", each.line + b"\n"
        yield f"proofs/{each.key}.tlog-proof", _proof(each, checkpoint)
    shown = {each.key: list(each.disclosures) for each in records if each.disclosures}
    yield "disclosures.json", canonical(shown)


def _proof(record: RecordFact, checkpoint: bytes) -> bytes:
    extra = {
        "disclosures": list(record.disclosures), "header": record.segment.header_line.decode(),
        "index": record.index, "path": [encode_hash(each) for each in record.path],
        "pub": dict(record.pub),
    }  # fmt: skip
    segment = record.segment
    return TlogProof(
        index=segment.log_index, hashes=segment.log_path, checkpoint=checkpoint,
        extra=canonical(extra),
    ).encode()  # fmt: skip


def _segments(records: list[RecordFact]) -> Iterator[tuple[str, bytes]]:
    segments: dict[str, SegmentFact] = {each.segment.key: each.segment for each in records}
    for key, segment in segments.items():
        yield f"headers/{key}.txt", segment.header_line + b"\n" + segment.signature_line + b"\n"


def _objects(facts: BundleFacts) -> Iterator[tuple[str, bytes]]:
    for data in facts.streams:
        said = parse_line(data.partition(b"\n")[0], "a bundle's stream object")
        yield f"streams/{said['topic']}.{said['generation']}.json", data
    for data in facts.status_maps:
        yield f"maps/{sha256(data).hexdigest()}.json", data
    for name, data in facts.anchors.items():
        yield f"anchors/{name}", data
    for (old, new), path in facts.consistency.items():
        lines = "".join(f"{encode_hash(each)}\n" for each in path)
        yield f"consistency/{old}-{new}.txt", lines.encode("ascii")


def _entries(
    found: Iterable[CertificateFact], checkpoint: bytes
) -> Iterator[tuple[str, bytes]]:  # fmt: skip
    for each in found:
        proof = TlogProof(index=each.log_index, hashes=each.log_path, checkpoint=checkpoint)
        yield f"certificates/{each.key}.json", each.stored
        yield f"certificates/{each.key}.tlog-proof", proof.encode()


def _certificates(found: Certified, checkpoint: bytes) -> Iterator[tuple[str, bytes]]:
    yield from _entries(found.shown, checkpoint)
    yield "certificates/range.json", canonical({
        "above": found.above, "first": found.first, "next": found.next,
        "shown": [each.entry.number for each in found.shown], "up_to": found.up_to,
        "v": CERTIFICATES,
    })  # fmt: skip


def _keys(facts: BundleFacts) -> Iterator[tuple[str, bytes]]:
    yield "keys/vkeys.txt", "".join(f"{key}\n" for key in facts.log_keys).encode()
    for key in facts.log_keys:
        yield f"keys/log-{key.id.hex()}.pem", _pem(key.public)
    for public in facts.segment_keys:
        yield f"keys/segment-{key_id(public)}.pem", _pem(public)
    if facts.answer_keys is not None:
        yield "keys/jwks.json", facts.answer_keys


def _pem(public: bytes) -> bytes:
    body = b64encode(_SPKI_ED25519 + public)
    return b"-----BEGIN PUBLIC KEY-----\n" + body + b"\n-----END PUBLIC KEY-----\n"
