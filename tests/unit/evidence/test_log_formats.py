"""Checkpoint, batch, digest and proof file: written, read, and refused when anything is off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence.batch import Batch, Leaf, decode_batch
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.checkpoint import (
    Checkpoint,
    checkpoint_of,
    encode_hash,
    open_checkpoint,
)
from audit_stream.evidence.digest import Covered, Digest, decode_digest
from audit_stream.evidence.log_tree import Frontier
from audit_stream.evidence.note import NoteSigner, parse_note
from audit_stream.evidence.register import Register, RegisterHead
from audit_stream.evidence.tlog_proof import TlogProof, parse_tlog_proof

NAME = "audit.example/acme"
SIGNER = NoteSigner(NAME, b"\x01" * 32)
LEAVES = (Leaf(b'{"v":"a"}', "segments/x"), Leaf(b'{"v":"b"}'))


def checkpoint(size: int, root: bytes = b"\x02" * 32) -> Checkpoint:
    return Checkpoint(origin=NAME, size=size, root=root)


def batch(old: int = 4, size: int | None = None) -> Batch:
    root = Frontier().add(leaf.hash for leaf in LEAVES).root
    of = checkpoint(old + len(LEAVES) if size is None else size, root)
    note = SIGNER.sign(of.text()).encode().decode()
    return Batch(old_size=old, leaves=LEAVES, checkpoint=note)


def test_a_checkpoint_is_read_as_it_was_written() -> None:
    note = SIGNER.sign(checkpoint(7).text())
    found, read = open_checkpoint(note.encode(), SIGNER.key, "the checkpoint")
    assert (found, read) == (checkpoint(7), note)
    assert note.text == f"{NAME}\n7\n{encode_hash(bytes([2]) * 32)}\n"


def test_extension_lines_are_allowed() -> None:
    note = SIGNER.sign(checkpoint(7).text() + "more\n")
    assert checkpoint_of(note, "it") == checkpoint(7)


@pytest.mark.parametrize(
    "text",
    ["x\n", f"{NAME}\n07\n{encode_hash(bytes(32))}\n", f"{NAME}\n-1\n{encode_hash(bytes(32))}\n",
     f"{NAME}\n7\n{encode_hash(bytes(31))}\n", f"\n7\n{encode_hash(bytes(32))}\n",
     f"{NAME}\n7\n{'A' * 42}B=\n", f"{NAME}\n7\n{encode_hash(bytes(32))}\n\nx\n"],
)  # fmt: skip
def test_other_texts_are_no_checkpoint(text: str) -> None:
    with pytest.raises(FormatError):
        checkpoint_of(SIGNER.sign(text), "it")


def test_a_checkpoint_of_another_log_or_key_is_refused() -> None:
    other = NoteSigner("audit.example/other", b"\x01" * 32)
    forger = NoteSigner(NAME, b"\x03" * 32)
    with pytest.raises(FormatError, match="of the log"):
        open_checkpoint(SIGNER.sign(checkpoint(1).text()).encode(), other.key, "it")
    with pytest.raises(FormatError, match="not signed"):
        open_checkpoint(forger.sign(checkpoint(1).text()).encode(), SIGNER.key, "it")


def test_a_batch_is_read_as_it_was_written() -> None:
    written = batch()
    read = decode_batch(written.encode(), "the batch")
    assert read == written
    assert read.open(SIGNER.key, "the batch")[0].size == read.new_size == 6


def test_a_batch_with_the_checkpoint_of_another_size_is_refused() -> None:
    with pytest.raises(FormatError, match="of size 5"):
        batch(size=5).open(SIGNER.key, "the batch")


def changed(**changes: Any) -> bytes:
    value = orjson.loads(batch().encode())
    value.update(changes)
    return canonical(value) + b"\n"


LEAF = {"hash": Leaf(b"x").hash.hex(), "line": "x", "name": None}


@pytest.mark.parametrize(
    "data",
    [
        b"", batch().encode()[:-1], batch().encode() + b"\n", changed(more=1), changed(v="x"),
        changed(new_size=7), changed(old_size=-1), changed(old_size="4"), changed(leaves=[]),
        changed(leaves=[LEAF] * 258, new_size=262), changed(checkpoint=None),
        changed(leaves=[{**LEAF, "hash": "00" * 32}], new_size=5),
        changed(leaves=[{**LEAF, "line": "y"}], new_size=5),
        changed(leaves=[{**LEAF, "name": 1}], new_size=5),
        changed(leaves=[{**LEAF, "line": 1}], new_size=5),
        changed(leaves=["x"], new_size=5),
    ],
)  # fmt: skip
def test_a_malformed_batch_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="the batch"):
        decode_batch(data, "the batch")


def test_a_later_version_is_not_judged() -> None:
    with pytest.raises(UnknownVersion):
        decode_batch(changed(v="audit-batch/2"), "the batch")


COVERED = Covered(topic="t", generation=1, partition=0, archived_next=5, log_start=0, end=9)
DIGEST = Digest(
    archive=NAME,
    coverage=(COVERED, Covered(topic="t", generation=1, partition=1, archived_next=0)),
    prev_root=b"\x05" * 32, time="2026-11-25T00:00:00.000Z",
)  # fmt: skip


def test_a_digest_is_read_as_it_was_written() -> None:
    assert decode_digest(DIGEST.line(), "the digest") == DIGEST


def digest(**changes: Any) -> bytes:
    return canonical(orjson.loads(DIGEST.line()) | changes)


V2 = "audit-digest/2"


def test_a_digest_says_how_far_registers_are_logged() -> None:
    reached = {Register.HOLDS: RegisterHead(3, b"\x07" * 32)}
    said = replace(DIGEST, registers=reached)
    assert b'"registers":{"holds":{"leaf":"0707' in said.line()
    assert b'"v":"audit-digest/2"' in said.line()
    assert b'"v":"audit-digest/1"' in DIGEST.line()
    assert decode_digest(said.line(), "the digest") == said
    assert DIGEST.line() == digest()  # without one, as it always was


HELD = {"leaf": "07" * 32, "next": 3}
ROW = {"archived_next": 5, "end": 9, "generation": 1, "log_start": 0, "partition": 0, "topic": "t"}


@pytest.mark.parametrize(
    "line",
    [
        digest(v="audit-digest/9"), digest(more=1), digest(prev_root="00"), digest(time=1),
        digest(archive=None), digest(coverage={}), digest(coverage=[1]),
        digest(coverage=[ROW, ROW]), digest(coverage=[{**ROW, "partition": 1}, ROW]),
        digest(coverage=[{**ROW, "archived_next": None}]), digest(coverage=[{**ROW, "end": -1}]),
        digest(coverage=[{**ROW, "more": 1}]), digest(coverage=[{**ROW, "partition": True}]),
        digest(registers={"holds": HELD}), digest(v=V2), digest(registers={}, v=V2),
        digest(registers=[], v=V2), digest(registers={"others": HELD}, v=V2),
        digest(registers={"holds": {**HELD, "next": 0}}, v=V2),
        digest(registers={"holds": 3}, v=V2),
        digest(registers={"holds": {**HELD, "more": 1}}, v=V2),
        digest(registers={"holds": {**HELD, "leaf": "07"}}, v=V2),
    ],
)  # fmt: skip
def test_a_malformed_digest_is_refused(line: bytes) -> None:
    with pytest.raises(FormatError, match="the digest"):
        decode_digest(line, "the digest")


PROOF = TlogProof(
    index=5, hashes=(b"\x06" * 32, b"\x07" * 32), extra=b'{"index":1}',
    checkpoint=SIGNER.sign(checkpoint(9).text()).encode(),
)  # fmt: skip


def test_a_proof_is_read_as_it_was_written() -> None:
    data = PROOF.encode()
    assert parse_tlog_proof(data, "the proof") == PROOF
    assert data.startswith(b"c2sp.org/tlog-proof@v1\nextra eyJpbmRleCI6MX0=\nindex 5\n")
    assert parse_note(parse_tlog_proof(data, "it").checkpoint, "it").is_signed(SIGNER.key)
    bare = TlogProof(index=0, hashes=(), checkpoint=PROOF.checkpoint)
    assert parse_tlog_proof(bare.encode(), "the proof") == bare


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"@v1", b"@v2"), (b"index 5", b"index 05"), (b"index 5", b"index"), (b"extra e", b"extra f "),
     (b"BgYG", b"BgY"), (b"\n\n", b"\n"), (b"extra ", b"\xff ")],
)  # fmt: skip
def test_a_malformed_proof_is_refused(old: bytes, new: bytes) -> None:
    with pytest.raises(FormatError, match="the proof"):
        parse_tlog_proof(PROOF.encode().replace(old, new, 1), "the proof")


@given(st.binary(max_size=120))
def test_any_bytes_are_a_proof_or_refused(data: bytes) -> None:
    for parse in (parse_tlog_proof, decode_batch, decode_digest):
        with pytest.raises(FormatError):
            parse(data, "it")
