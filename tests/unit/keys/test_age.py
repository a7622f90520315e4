"""The age format: another implementation reads ours and we read its; nothing changed is opened."""

from __future__ import annotations

import re

import pyrage
import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from audit_stream.errors import AuditError, FormatError, KeyringError, UnknownVersion
from audit_stream.keys import age
from audit_stream.keys.age import CHUNK_BYTES, MOST_WORK, WORK_FACTOR, decrypt, encrypt
from tests.unit.keys.conftest import CHEAP, PHRASE

SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 150_000]


def plain(size: int) -> bytes:
    return bytes(at % 251 for at in range(size))


@pytest.mark.parametrize("size", SIZES)
def test_we_and_another_implementation_read_what_we_write(size: int) -> None:
    sealed = encrypt(plain(size), PHRASE, CHEAP)
    assert decrypt(sealed, PHRASE) == plain(size)
    assert pyrage.passphrase.decrypt(sealed, PHRASE.decode()) == plain(size)


def test_we_read_what_another_implementation_writes() -> None:
    data = plain(2 * CHUNK_BYTES + 7)
    assert decrypt(pyrage.passphrase.encrypt(data, PHRASE.decode()), PHRASE) == data


def test_the_work_is_ages_own_by_default() -> None:
    sealed = encrypt(b"x", PHRASE)
    assert sealed.splitlines()[1].endswith(b" %d" % WORK_FACTOR)
    assert WORK_FACTOR >= 18
    assert decrypt(sealed, PHRASE) == b"x"


def test_no_two_files_are_alike() -> None:
    one, other = encrypt(b"x" * 99, PHRASE, CHEAP), encrypt(b"x" * 99, PHRASE, CHEAP)
    for first, second in zip(one.splitlines()[1:4], other.splitlines()[1:4], strict=True):
        assert first != second
    assert one[-99:] != other[-99:]


@pytest.mark.parametrize("phrase", [b"", PHRASE[:-1], PHRASE + b"\n", PHRASE.upper()])
def test_another_passphrase_opens_nothing(phrase: bytes) -> None:
    with pytest.raises(KeyringError, match="passphrase does not open"):
        decrypt(encrypt(b"dear", PHRASE, CHEAP), phrase)


def test_no_changed_byte_passes() -> None:
    sealed = encrypt(b"dear" * 5, PHRASE, CHEAP)
    work = sealed.index(b" %d\n" % CHEAP) + 1  # another digit may only ask for other work
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] = changed[at] ^ 1 if at != work else ord("3")
        with pytest.raises((FormatError, KeyringError)):
            decrypt(bytes(changed), PHRASE)


def test_no_cut_passes_and_nothing_may_follow() -> None:
    sealed = encrypt(plain(2 * CHUNK_BYTES), PHRASE, CHEAP)
    head = sealed.index(b"\n--- ") + 64
    cuts = [*range(head), len(sealed) - 1, len(sealed) - 16, len(sealed) - CHUNK_BYTES - 16]
    for size in cuts:
        with pytest.raises((FormatError, KeyringError)):
            decrypt(sealed[:size], PHRASE)
    for more in (b"\0", bytes(16), sealed[-CHUNK_BYTES - 16 :]):
        with pytest.raises(FormatError, match="changed or cut"):
            decrypt(sealed + more, PHRASE)


def test_chunks_do_not_change_places() -> None:
    sealed = encrypt(plain(2 * CHUNK_BYTES + 1), PHRASE, CHEAP)
    start = len(sealed) - 17 - 2 * (CHUNK_BYTES + 16)
    first = sealed[start : start + CHUNK_BYTES + 16]
    second = sealed[start + CHUNK_BYTES + 16 : -17]
    with pytest.raises(FormatError, match="changed or cut"):
        decrypt(sealed[:start] + second + first + sealed[-17:], PHRASE)


def test_a_file_does_not_end_in_an_empty_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_bytes", bytes)
    sealed = encrypt(plain(CHUNK_BYTES), PHRASE, CHEAP)
    head = sealed[: -CHUNK_BYTES - 16]
    cipher = ChaCha20Poly1305(age._hkdf(bytes(16), bytes(16), b"payload"))
    first = cipher.encrypt(bytes(12), plain(CHUNK_BYTES), None)
    with pytest.raises(FormatError, match="empty chunk"):
        decrypt(head + first + cipher.encrypt(bytes(10) + b"\1\1", b"", None), PHRASE)
    more = cipher.encrypt(bytes(10) + b"\1\1", b"x", None)
    assert decrypt(head + first + more, PHRASE) == plain(CHUNK_BYTES) + b"x"


@pytest.mark.parametrize("work", [MOST_WORK + 1, 64, 99])
def test_no_file_has_us_work_for_ever(work: int) -> None:
    sealed = re.sub(rb" 2\n", b" %d\n" % work, encrypt(b"x", PHRASE, CHEAP), count=1)
    with pytest.raises(FormatError, match="work factor"):
        decrypt(sealed, PHRASE)


def test_what_is_no_file_under_a_passphrase_is_said() -> None:
    recipient = pyrage.x25519.Identity.generate().to_public()
    for other in (b"", b"x", pyrage.encrypt(b"x", [recipient])):
        with pytest.raises(FormatError, match="no age file under a passphrase"):
            decrypt(other, PHRASE)
    with pytest.raises(UnknownVersion):
        decrypt(encrypt(b"x", PHRASE, CHEAP).replace(b"/v1", b"/v2", 1), PHRASE)


def test_no_error_tells_the_passphrase_or_the_content() -> None:
    sealed = encrypt(b"dear", PHRASE, CHEAP)
    for bad in (sealed[:-1], sealed.replace(b"scrypt", b"scripp"), sealed + b"x"):
        with pytest.raises(AuditError) as caught:
            decrypt(bad, PHRASE)
        assert PHRASE.decode() not in repr(caught.value) + str(caught.value)
        assert "dear" not in repr(caught.value) + str(caught.value)
