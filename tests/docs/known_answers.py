"""What the pages of docs/spec show as known answers, made by the code from fixed inputs.

Each block of a page is here once, so that a page and the code cannot part.
"""

from __future__ import annotations

import gzip
import textwrap
from hashlib import sha256
from pathlib import Path

from audit_stream.archive.receivers import Receiver
from audit_stream.bundle.package import pack
from audit_stream.delivery.body import KeyForm
from audit_stream.delivery.probing import Probe
from audit_stream.erasure.notice import Listed, Notice, notice_body, notice_key
from audit_stream.evidence.access import JournalPart
from audit_stream.evidence.batch import Batch, Leaf
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.checkpoint import Checkpoint
from audit_stream.evidence.digest import Covered, Digest
from audit_stream.evidence.key_line import KeyLine
from audit_stream.evidence.ledger import encode, runs_of
from audit_stream.evidence.log_tree import Frontier
from audit_stream.evidence.note import NoteSigner
from audit_stream.evidence.signing import LineSigner
from audit_stream.evidence.tree import leaf_hash
from audit_stream.keys.wrapping import new_header, seal_cover
from tests.unit.evidence import test_redaction as redaction
from tests.unit.test_known_answers import LINE

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "vectors" / "golden" / "archive"
ORIGIN, SEED = "golden.example/one", bytes(range(32))
LOG = NoteSigner(ORIGIN, SEED)


def record() -> list[str]:
    """The line of the input on the page."""
    return [LINE.decode().rstrip("\n")]


def segment() -> list[str]:
    """A ledger, and the golden archive's first header of its smallest chain."""
    name = "segments/outbound_message_status_update/00001/00000/00000000000000000000.ndjson.gz"
    header, signature, *_ = gzip.decompress((GOLDEN / name).read_bytes()).split(b"\n")
    leaf = sha256(b"\0" + header).hexdigest()
    return [encode(runs_of("iiaiiid")), header.decode(), signature.decode(), leaf]


def stream() -> list[str]:
    """The golden archive's first stream object."""
    data = (GOLDEN / "streams" / "outbound_message_status_update" / "00001.json").read_bytes()
    return data.decode().splitlines()


def registers() -> list[str]:
    """A certificate, its signature and its leaf hash."""
    signed = f'{{"sig":"{redaction.SIGNATURE}"}}'
    return [redaction.LINE.decode(), signed, redaction.LEAF]


def log() -> list[str]:
    """A log's first batch: the golden stream object and the digest; its checkpoint of size 2."""
    topic = "outbound_message_status_update"
    covered = Covered(topic=topic, generation=1, partition=0, archived_next=0, log_start=0, end=300)
    digest = Digest(
        archive=ORIGIN, coverage=(covered,), prev_root=Frontier().root,
        time="2026-11-25T10:00:00.000Z",
    )  # fmt: skip
    leaves = (Leaf(stream()[0].encode(), f"streams/{topic}/00001.json"), Leaf(digest.line()))
    root = Frontier().add(leaf.hash for leaf in leaves).root
    note = LOG.sign(Checkpoint(origin=ORIGIN, size=2, root=root).text()).encode().decode()
    batch = Batch(old_size=0, leaves=leaves, checkpoint=note)
    return [digest.line().decode(), leaves[0].hash.hex(), leaves[1].hash.hex(), root.hex(),
            str(LOG.key), note, sha256(batch.encode()).hexdigest()]  # fmt: skip


def key_line() -> list[str]:
    """The first line of a log, about the key of its checkpoints."""
    signer = LineSigner(SEED)
    line = KeyLine(
        archive=ORIGIN, not_before_size=0, public=signer.public, reason="the first", use="log"
    )
    return [line.signed(signer).line().decode()]


def access() -> list[str]:
    """A part of one entry, and the log's line about it."""
    entry = canonical({
        "caller": "svc-audit", "found": 1, "kind": "read", "messages": ["m-1"],
        "query": "message", "status": 200, "tenants": ["tenant_prod_01"],
        "time": "2026-11-25T10:00:00.000Z", "v": "audit-access-entry/1",
    })  # fmt: skip
    part = JournalPart(
        archive=ORIGIN, journal="00112233445566aa", number=0, prev=None, entries=(entry,)
    )
    return [part.name, *part.encode().decode().splitlines(), leaf_hash(part.header()).hex()]


def keyring() -> list[str]:
    """A wrapped cover's first line, and the whole file's hash."""
    key = "https://v.vault.azure.net/keys/as-tree-acme-3/0123"
    header = new_header("acme", 3, key, bytes(12), b"wrapped data key")
    data = seal_cover(header, bytes(range(100, 132)), bytes([28]) + bytes(range(1, 80)))
    return [data.split(b"\n", 1)[0].decode(), sha256(data).hexdigest()]


def delivery() -> list[str]:
    """A notice of one part with one record, and a probe."""
    receiver = Receiver(
        name="siem", fields=("recipient_address",), keys=(next(iter(KeyForm)).value,),
        since="2026-11-01T00:00:00.000Z",
    )  # fmt: skip
    notice = Notice(notice_id="en-00112233445566aa", parts=1, receivers=(receiver,))
    listed = Listed("00" * 32, "m-1", "READ", "outbound_message_status_update/1/3/41")
    probe = Probe(archive=ORIGIN, probe_id="0011223344556677", at="2026-11-25T10:00:00Z")
    body = notice_body(ORIGIN, notice, 1, receiver, [listed])
    return [notice_key(notice, 1), body.decode(), probe.key, probe.body.decode()]


def bundle() -> list[str]:
    """The manifest of a package of two files, and that package."""
    file = b"record\n"
    manifest = canonical({
        "files": {"records/a.json": sha256(file).hexdigest()}, "v": "audit-bundle/1",
    })  # fmt: skip
    zipped = pack({"manifest.json": manifest, "records/a.json": file})
    return [manifest.decode(), *textwrap.wrap(zipped.hex(), 96), sha256(zipped).hexdigest()]


PAGES = {
    "bundle": bundle,
    "record": record,
    "segment": segment,
    "stream": stream,
    "registers": registers,
    "log": log,
    "key-line": key_line,
    "access": access,
    "keyring": keyring,
    "delivery": delivery,
}
