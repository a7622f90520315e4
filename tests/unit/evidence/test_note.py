"""Signed notes: the format's own example, what others wrote, and everything malformed."""

from __future__ import annotations

from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.errors import FormatError
from audit_stream.evidence.note import (
    COSIGNATURE,
    ED25519,
    Note,
    NoteKey,
    NoteSignature,
    NoteSigner,
    cosigned,
    note_key_id,
    parse_note,
    parse_vkey,
)

# From the documentation of golang.org/x/mod/sumdb/note.
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SEED = b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngot"
    "pRZb6KE6RyyBwJnAM=\n"
).encode()
SIGNER = NoteSigner("log.example/1", b"\x07" * 32)
TEXT = "log.example/1\n3\nAAAA\n"


def test_a_note_others_wrote_is_read_and_written_byte_for_byte() -> None:
    key = parse_vkey(VKEY)
    note = parse_note(NOTE, "the note")
    assert note.is_signed(key)
    assert note.encode() == NOTE
    assert NoteSigner("PeterNeumann", SEED).sign(note.text).encode() == NOTE
    assert str(NoteSigner("PeterNeumann", SEED).key) == VKEY


def test_a_changed_text_is_not_signed() -> None:
    note = parse_note(NOTE.replace(b"your problem is", b"your Problem is"), "the note")
    assert not note.is_signed(parse_vkey(VKEY))


def test_a_key_of_another_name_does_not_vouch() -> None:
    note = SIGNER.sign(TEXT)
    other = NoteKey(name="log.example/2", kind=ED25519, public=SIGNER.key.public)
    assert note.is_signed(SIGNER.key)
    assert not note.is_signed(other)


def test_unknown_signatures_are_passed_over_and_kept() -> None:
    unknown = NoteSignature("someone", b"abcd", b"x" * 10)
    note = Note(TEXT, (unknown, *SIGNER.sign(TEXT).signatures))
    again = parse_note(note.encode(), "the note")
    assert again == note
    assert again.is_signed(SIGNER.key)


def test_a_witness_vouches_with_a_time() -> None:
    secret = Ed25519PrivateKey.from_private_bytes(b"\x09" * 32)
    public = secret.public_key().public_bytes_raw()
    witness = NoteKey(name="witness.example", kind=COSIGNATURE, public=public)
    seconds = 1_764_000_000
    blob = seconds.to_bytes(8, "big") + secret.sign(cosigned(TEXT, seconds))
    line = NoteSignature(witness.name, witness.id, blob)
    note = SIGNER.sign(TEXT).with_signatures([line, line])
    assert len(note.signatures) == 2
    assert note.cosigned_at(witness) == seconds
    assert note.cosigned_at(SIGNER.key) is None
    later = (seconds + 1).to_bytes(8, "big") + blob[8:]
    forged = SIGNER.sign(TEXT).with_signatures([NoteSignature(witness.name, witness.id, later)])
    assert forged.cosigned_at(witness) is None
    short = SIGNER.sign(TEXT).with_signatures([NoteSignature(witness.name, witness.id, b"1")])
    assert short.cosigned_at(witness) is None


def test_vkeys_are_read_as_they_are_written() -> None:
    for kind in (ED25519, COSIGNATURE):
        key = NoteKey(name="a.example/b", kind=kind, public=bytes(range(32)))
        assert parse_vkey(str(key)) == key
    assert note_key_id("n", 1, b"k") != note_key_id("n", 4, b"k")


@pytest.mark.parametrize(
    "text",
    ["", "name", "name+00000000", VKEY.replace("c74f20a3", "c74f20a4"), VKEY + "A", VKEY[:-4],
     "a b+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
     VKEY.replace("+AR", "+BR")],
)  # fmt: skip
def test_other_vkeys_are_refused(text: str) -> None:
    with pytest.raises(FormatError):
        parse_vkey(text)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"\n\n",
        NOTE[:-1],
        NOTE.replace("— ".encode(), b"- "),
        NOTE.replace(b"is.\n\n", b"is.\n"),
        NOTE.replace(b"If", b"I\x00"),
        NOTE.replace(b"If", b"I\r\n"),
        NOTE.replace(b"If", b"\xff"),
        NOTE.replace(b"AM=\n", b"AN=\n"),  # not the one spelling
        NOTE.replace(b"PeterNeumann ", b"Peter+Neumann "),
        NOTE.replace(b"PeterNeumann ", b"Peter  "),
        NOTE + b"x\n",
        b"text\n\n" + "— a AAAAAA==\n".encode(),
        b"text\n\n" + "— a AAAAAAA=\n".encode() * 101,
        b"a" * (1 << 20) + NOTE,
    ],
)
def test_malformed_notes_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="the note"):
        parse_note(data, "the note")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_note_or_refused(data: bytes) -> None:
    try:
        note = parse_note(data, "the note")
    except FormatError:
        return
    assert note.encode() == data


def test_a_name_with_a_space_cannot_sign() -> None:
    with pytest.raises(FormatError):
        NoteSigner("two words", b"\x01" * 32)


def test_the_repr_shows_no_secret() -> None:
    assert repr(SIGNER) == f"NoteSigner('{SIGNER.key}')"
