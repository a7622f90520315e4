"""Keys in the log: who may announce and revoke which, and from where on they count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence.canonical import canonical, parse_line
from audit_stream.evidence.key_line import KeyHistory, KeyLine, Use, decode_key_line
from audit_stream.evidence.signing import LineSigner

NAME = "audit.example/acme"
LOG, NEXT_LOG = LineSigner(b"\x01" * 32), LineSigner(b"\x02" * 32)
SEGMENT, NEXT_SEGMENT = LineSigner(b"\x03" * 32), LineSigner(b"\x04" * 32)
POINT = (
    ec.derive_private_key(7, ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
)


def announced(public: bytes, use: Use, signer: LineSigner, start: int = 0) -> KeyLine:
    line = KeyLine(archive=NAME, not_before_size=start, public=public, reason="first", use=use)
    return line.signed(signer)


def revoked(key: KeyLine, at: int, signer: LineSigner) -> KeyLine:
    return replace(key, revoked_at_size=at, reason="its machine was stolen").signed(signer)


FIRST_LOG = announced(LOG.public, "log", LOG)
FIRST_SEGMENT = announced(SEGMENT.public, "segment", LOG)


def history() -> KeyHistory:
    """Leaves 0 and 1: the first log key and the first segment key."""
    keys = KeyHistory(NAME, LOG.public)
    keys.add(0, FIRST_LOG)
    keys.add(1, FIRST_SEGMENT)
    return keys


@pytest.mark.parametrize(
    "key",
    [FIRST_LOG, revoked(FIRST_SEGMENT, 7, LOG), announced(POINT, "answer", LOG, 9)],
    ids=lambda key: key.use,
)
def test_a_line_is_read_as_it_was_written(key: KeyLine) -> None:
    assert decode_key_line(key.line(), "the leaf") == key


def test_the_members_are_those_of_the_specification() -> None:
    value = parse_line(FIRST_SEGMENT.line(), "the leaf")
    assert set(value) == {
        "archive", "kid", "not_before_size", "public", "reason", "revoked_at_size", "sig",
        "signer", "use", "v",
    }  # fmt: skip
    assert (value["kid"], value["signer"]) == (SEGMENT.kid, LOG.kid)


def test_an_answer_key_has_the_id_that_jose_gives_it() -> None:
    from base64 import urlsafe_b64encode
    from hashlib import sha256

    x, y = (urlsafe_b64encode(p).decode().rstrip("=") for p in (POINT[1:33], POINT[33:]))
    jwk = f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'  # RFC 7638 section 3.2
    kid = urlsafe_b64encode(sha256(jwk.encode()).digest()).decode().rstrip("=")
    assert announced(POINT, "answer", LOG).kid == kid


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kid": "00" * 8}, "not its kid"),
        ({"more": 1}, "does not have the members"),
        ({"use": "mail"}, "use is not"),
        ({"use": None}, "use is not"),
        ({"not_before_size": -1}, "not_before_size"),
        ({"not_before_size": True}, "not_before_size"),
        ({"revoked_at_size": "1"}, "revoked_at_size"),
        ({"public": "AAAA"}, "public has 3 bytes"),
        ({"use": "answer"}, "public has 32 bytes"),
        ({"sig": "AAAA"}, "sig has 3 bytes"),
        ({"archive": None}, "archive is not a string"),
        ({"reason": 1}, "reason is not a string"),
        ({"signer": None}, "signer is not a string"),
        ({"v": "audit-digest/1"}, "v is not audit-key/1"),
    ],
)
def test_another_form_is_refused(change: dict[str, Any], words: str) -> None:
    value = parse_line(FIRST_SEGMENT.line(), "the leaf") | change
    with pytest.raises(FormatError, match=words) as caught:
        decode_key_line(canonical(value), "the leaf")
    assert type(caught.value) is FormatError


def test_a_newer_version_cannot_be_judged() -> None:
    value = parse_line(FIRST_SEGMENT.line(), "the leaf") | {"v": "audit-key/2"}
    with pytest.raises(UnknownVersion):
        decode_key_line(canonical(value), "the leaf")


def test_a_point_has_its_first_byte() -> None:
    line = announced(b"\x02" + POINT[1:], "answer", LOG).line()
    with pytest.raises(FormatError, match="uncompressed"):
        decode_key_line(line, "the leaf")


def test_a_key_counts_from_where_it_was_announced_to_where_it_was_revoked() -> None:
    keys = history()
    second = announced(NEXT_SEGMENT.public, "segment", SEGMENT, 10)
    keys.add(5, second)
    keys.add(20, revoked(FIRST_SEGMENT, 15, LOG))
    counts = [
        (keys.key("segment", SEGMENT.kid, at) is not None,
         keys.key("segment", NEXT_SEGMENT.kid, at) == NEXT_SEGMENT.public)
        for at in (0, 9, 10, 14, 15, 99)
    ]  # fmt: skip
    assert counts == [
        (True, False), (True, False), (True, True), (True, True), (False, True), (False, True),
    ]  # fmt: skip
    assert [key.kid for key in keys.in_force("segment", 12)] == [SEGMENT.kid, NEXT_SEGMENT.kid]
    assert keys.key("log", SEGMENT.kid, 12) is None


def test_the_log_key_is_followed_by_another() -> None:
    keys = history()
    keys.add(5, announced(NEXT_LOG.public, "log", LOG, 6))
    keys.add(6, revoked(FIRST_LOG, 7, NEXT_LOG))
    assert keys.key("log", LOG.kid, 7) is None
    assert keys.key("log", NEXT_LOG.kid, 7) == NEXT_LOG.public
    with pytest.raises(FormatError, match="not signed by a key that may"):
        keys.add(8, announced(NEXT_SEGMENT.public, "segment", LOG, 9))


def test_what_a_stolen_key_announced_counts_nowhere() -> None:
    """Its revocation reaches back behind its last lines: else the thief would go on by them."""
    keys = history()
    thiefs, after = (LineSigner(bytes([n]) * 32) for n in (5, 6))
    keys.add(5, announced(NEXT_SEGMENT.public, "segment", SEGMENT, 6))
    keys.add(9, announced(thiefs.public, "segment", SEGMENT, 10))
    keys.add(10, announced(after.public, "segment", thiefs, 11))
    assert [key.kid for key in keys.in_force("segment", 20)] == [
        SEGMENT.kid, NEXT_SEGMENT.kid, thiefs.kid, after.kid,
    ]  # fmt: skip
    keys.add(12, revoked(FIRST_SEGMENT, 9, LOG))
    assert [key.kid for key in keys.in_force("segment", 20)] == [NEXT_SEGMENT.kid]
    assert [what.split(" by ")[0] for what in keys.unfounded] == [
        f"leaf 9 announces the segment key {thiefs.kid}",
        f"leaf 10 announces the segment key {after.kid}",
    ]
    with pytest.raises(FormatError, match="not signed by a key"):
        keys.add(13, revoked(announced(NEXT_SEGMENT.public, "segment", SEGMENT, 6), 14, thiefs))


def test_a_key_may_revoke_itself() -> None:
    keys = history()
    keys.add(2, revoked(FIRST_SEGMENT, 2, SEGMENT))
    assert keys.key("segment", SEGMENT.kid, 2) is None


ANSWER = announced(POINT, "answer", LOG, 3)


@pytest.mark.parametrize(
    ("index", "key", "words"),
    [
        (5, announced(NEXT_SEGMENT.public, "segment", NEXT_SEGMENT, 6), "not signed by a key"),
        (5, announced(NEXT_LOG.public, "log", SEGMENT, 6), "not signed by a key"),
        (5, announced(NEXT_LOG.public, "log", NEXT_LOG, 6), "not signed by a key"),
        (5, announced(POINT, "answer", SEGMENT, 6), "not signed by a key"),
        (5, announced(NEXT_SEGMENT.public, "segment", SEGMENT, 5), "what stands before it"),
        (5, announced(NEXT_SEGMENT.public, "segment", SEGMENT, 0), "what stands before it"),
        (5, revoked(announced(NEXT_SEGMENT.public, "segment", LOG), 6, LOG), "never announced"),
        (5, FIRST_SEGMENT, "a second time"),
        (5, revoked(replace(FIRST_SEGMENT, not_before_size=2), 6, LOG), "not the key that was"),
        (5, revoked(FIRST_SEGMENT, 5, NEXT_SEGMENT), "not signed by a key"),
        (5, revoked(FIRST_LOG, 5, SEGMENT), "not signed by a key"),
        (5, replace(announced(NEXT_SEGMENT.public, "segment", LOG, 6), archive="else"), "archive"),
        (5, replace(revoked(FIRST_SEGMENT, 5, LOG), revoked_at_size=3), "not signed by a key"),
    ],
)
def test_what_nobody_entitled_says_is_refused(index: int, key: KeyLine, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        history().add(index, key)


def test_the_first_line_is_about_the_trusted_log_key() -> None:
    with pytest.raises(FormatError, match="not about the log key that is trusted"):
        KeyHistory(NAME, NEXT_LOG.public).add(0, FIRST_LOG)
    with pytest.raises(FormatError, match="not signed by a key"):
        KeyHistory(NAME, LOG.public).add(0, FIRST_SEGMENT)


def test_a_revoked_key_is_revoked_once_and_announces_nothing() -> None:
    keys = history()
    keys.add(2, revoked(FIRST_SEGMENT, 2, LOG))
    with pytest.raises(FormatError, match="revoked already"):
        keys.add(3, revoked(FIRST_SEGMENT, 1, LOG))
    with pytest.raises(FormatError, match="not signed by a key"):
        keys.add(3, announced(NEXT_SEGMENT.public, "segment", SEGMENT, 4))


def test_an_answer_key_signs_no_line_about_itself() -> None:
    keys = history()
    keys.add(2, ANSWER)
    assert keys.key("answer", ANSWER.kid, 3) == POINT
    with pytest.raises(FormatError, match="not signed by a key"):
        keys.add(4, replace(revoked(ANSWER, 4, LOG), signer=ANSWER.kid))
    keys.add(4, revoked(ANSWER, 4, LOG))
    assert keys.key("answer", ANSWER.kid, 4) is None
