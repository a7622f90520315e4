"""Records that nobody archived, in bundles whose checkpoint is a real one: signed by a stranger's
key that is put beside them, and of one version or another. Only the log tells."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256

from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.encoding import b64u
from audit_stream.evidence.signing import LineSigner
from audit_stream.evidence.tree import leaf_hash
from tests.support.tampering import PROOF, Files, Tampered, extra_of, remade, unpack, with_extra

STRANGER = LineSigner(b"\x79" * 32)
FORGED = "a forger's"
#: What says a version of its own, and which kind it is.
VERSIONED = {"pub": "record", "header": "segment", "stream": "stream"}


def strangers(good: bytes) -> Iterator[Tampered]:
    """A forged record, of the versions known and of newer ones."""
    files = unpack(good)
    yield Tampered("a stranger's record", forged(files, {}))
    for part, kind in VERSIONED.items():
        newer = {part: f"audit-{kind}/2"}
        yield Tampered(f"a stranger's record, {part} of a newer version", forged(files, newer))


def forged(files: Files, versions: Mapping[str, str]) -> bytes:
    """One record in the place of the first, and alone, in a segment of its own."""
    proof = min(name for name in files if name.startswith("proofs/"))
    key, extra = proof[7:-11], extra_of(files[proof])
    shown = b64u(canonical(["salt", "recipient_address", FORGED]))
    pub = extra["pub"] | {"_sd": [b64u(sha256(shown.encode()).digest())], "carrier_status": FORGED}
    pub |= {"v": versions.get("pub", pub["v"])}
    header = json.loads(extra["header"])
    header |= {
        "base": int(key.rpartition(".")[2]), "count": 1, "kid": STRANGER.kid, "ledger": "a",
        "root": leaf_hash(sha256(canonical(pub)).digest()).hex(),
        "v": versions.get("header", header["v"]),
    }  # fmt: skip
    place = "{topic}.{generation}".format(**header)
    stream = json.loads(files[f"streams/{place}.json"].partition(b"\n")[0])
    stream |= {"v": versions.get("stream", stream["v"])}
    line = canonical(header)
    rest = {name: data for name, data in files.items() if not name.startswith(_OTHERS)}
    return remade(rest | _record(key, pub, files[f"records/{key}.line"]) | {
        proof: with_extra(files[proof], disclosures=[shown], header=line.decode(), index=0,
                          path=[], pub=pub),
        "disclosures.json": canonical({key: [shown]}),
        f"headers/{place}.{header['partition']}.{header['base']}.txt": _signed(line),
        f"streams/{place}.json": _signed(canonical(stream)),
        f"maps/{header['status_map']}.json": files[f"maps/{header['status_map']}.json"],
        f"keys/segment-{STRANGER.kid}.pem": pem(STRANGER.public),
    })  # fmt: skip


#: What is of other records, and what says who signed.
_OTHERS = (*PROOF, "certificates/", "response.jws", "keys/segment-")


def _record(key: str, pub: Mapping[str, object], line: bytes) -> Files:
    fields = canonical(dict(pub))
    hashed = f"sha256:{sha256(fields).hexdigest()}"
    whole = json.loads(line) | {"integrity_hash": hashed, "pub": pub}
    return {f"records/{key}.json": fields, f"records/{key}.line": canonical(whole) + b"\n"}


def _signed(line: bytes) -> bytes:
    return line + b"\n" + STRANGER.signature_line(line) + b"\n"


def pem(public: bytes) -> bytes:
    """An Ed25519 public key (RFC 8410)."""
    body = b64encode(bytes.fromhex("302a300506032b6570032100") + public)
    return b"-----BEGIN PUBLIC KEY-----\n" + body + b"\n-----END PUBLIC KEY-----\n"
