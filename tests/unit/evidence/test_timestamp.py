"""Timestamps: what openssl's authority says is read, everything else is refused, and openssl's
own verification agrees each time."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import core, tsp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from audit_stream.errors import FormatError
from audit_stream.evidence.timestamp import (
    Timestamp,
    TrustedAuthorities,
    check_timestamp,
    check_token,
    parse_authorities,
)
from tests.support.tsa import Issued, LocalAuthority

CHECKPOINT = b"audit.example/acme\n1\nAAAA\n"
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> LocalAuthority:
    return LocalAuthority(tmp_path_factory.mktemp("tsa") / "authority")


@pytest.fixture(scope="module")
def trusted(authority: LocalAuthority) -> TrustedAuthorities:
    return parse_authorities(authority.roots.read_bytes(), "the roots")


def judged(
    authority: LocalAuthority, trusted: TrustedAuthorities, reply: bytes,
    data: bytes = CHECKPOINT, at: datetime = NOW,
) -> Timestamp | str:  # fmt: skip
    """Our verdict, held against openssl's."""
    verdict: Timestamp | str
    try:
        verdict = check_timestamp(reply, data, trusted, "it")
    except FormatError as error:
        verdict = error.message
    agrees = authority.openssl_verifies(reply, data, at)
    assert agrees is isinstance(verdict, Timestamp), verdict
    return verdict


def test_a_reply_says_when_and_who(authority: LocalAuthority, trusted: TrustedAuthorities) -> None:
    reply = authority.reply(authority.query(CHECKPOINT))
    said = judged(authority, trusted, reply)
    assert isinstance(said, Timestamp)
    assert abs(said.time - datetime.now(UTC)) < timedelta(minutes=10)
    assert said.time.utcoffset() == timedelta(0)
    assert said.authority == "CN=tsa"
    assert timedelta(days=364) < said.certificate_ends - said.time < timedelta(days=366)


def test_certificates_may_come_in_any_order(
    authority: LocalAuthority, trusted: TrustedAuthorities
) -> None:
    reply = authority.reply(authority.query(CHECKPOINT))
    orders = set()
    for turned in (False, True):
        response = tsp.TimeStampResp.load(reply)
        signed = response["time_stamp_token"]["content"]
        chain = sorted((each.dump() for each in signed["certificates"]), reverse=turned)
        assert len(chain) == 3
        joined = b"".join(each.dump() for each in signed["certificates"])
        other = reply.replace(joined, b"".join(chain))
        orders.add(other)
        assert isinstance(judged(authority, trusted, other), Timestamp)
    assert len(orders) == 2


def test_the_certificate_may_be_named_by_its_sha1(
    authority: LocalAuthority, trusted: TrustedAuthorities
) -> None:
    reply = authority.reply(authority.query(CHECKPOINT), ess="sha1")
    assert isinstance(judged(authority, trusted, reply), Timestamp)


def test_granted_with_modifications_is_granted(
    authority: LocalAuthority, trusted: TrustedAuthorities
) -> None:
    response = tsp.TimeStampResp.load(authority.reply(authority.query(CHECKPOINT)))
    response["status"] = tsp.PKIStatusInfo({"status": "granted_with_mods"})
    assert isinstance(judged(authority, trusted, response.dump()), Timestamp)


def test_it_is_over_other_bytes(authority: LocalAuthority, trusted: TrustedAuthorities) -> None:
    reply = authority.reply(authority.query(CHECKPOINT))
    said = judged(authority, trusted, reply, data=CHECKPOINT + b"x")
    assert said == "it is over other bytes"


def test_another_hash_is_refused(authority: LocalAuthority, trusted: TrustedAuthorities) -> None:
    query = authority.query(CHECKPOINT, "-sha512")
    reply = authority.reply(query, digests="sha512")
    with pytest.raises(FormatError, match="not over a SHA-256 hash"):
        check_timestamp(reply, CHECKPOINT, trusted, "it")


def test_it_answers_the_request(authority: LocalAuthority, trusted: TrustedAuthorities) -> None:
    query = authority.query(CHECKPOINT)
    nonce = tsp.TimeStampReq.load(query)["nonce"].native
    reply = authority.reply(query)
    assert check_timestamp(reply, CHECKPOINT, trusted, "it", nonce)
    with pytest.raises(FormatError, match="Nonce mismatch"):
        check_timestamp(reply, CHECKPOINT, trusted, "it", nonce + 1)
    without = authority.reply(authority.query(CHECKPOINT, "-no_nonce"))
    with pytest.raises(FormatError, match="Nonce mismatch"):
        check_timestamp(without, CHECKPOINT, trusted, "it", nonce)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("expired", {"end": timedelta(hours=-1)}),
        ("early", {"begin": timedelta(hours=1)}),
    ],
)
def test_the_certificate_was_valid_at_the_time(
    authority: LocalAuthority, trusted: TrustedAuthorities, name: str, how: dict[str, timedelta]
) -> None:
    authority.issue(name, **how)
    said = judged(authority, trusted, authority.reply(authority.query(CHECKPOINT), signer=name))
    assert isinstance(said, str)
    assert "does not hold" in said


def test_a_certificate_that_has_ended_since_was_valid_then(
    authority: LocalAuthority, trusted: TrustedAuthorities
) -> None:
    authority.issue("short", end=timedelta(hours=1))
    reply = authority.reply(authority.query(CHECKPOINT), signer="short")
    said = judged(authority, trusted, reply, at=NOW)
    assert isinstance(said, Timestamp)
    assert said.certificate_ends < NOW + timedelta(hours=2)
    assert not authority.openssl_verifies(reply, CHECKPOINT, NOW + timedelta(days=1))


def test_the_root_must_be_trusted(
    authority: LocalAuthority, trusted: TrustedAuthorities, tmp_path: Path
) -> None:
    other = LocalAuthority(tmp_path / "other")
    reply = other.reply(other.query(CHECKPOINT))
    said = judged(authority, trusted, reply)
    assert isinstance(said, str)
    assert "does not hold" in said
    with pytest.raises(FormatError, match="none is trusted here"):
        check_timestamp(reply, CHECKPOINT, TrustedAuthorities(), "it")


def test_a_chain_must_lead_to_the_root(
    authority: LocalAuthority, trusted: TrustedAuthorities
) -> None:
    reply = authority.reply(authority.query(CHECKPOINT), chain="root")  # none in between
    assert isinstance(judged(authority, trusted, reply), str)


def stamped(authority: LocalAuthority) -> bytes:
    """What a token signs, made by openssl."""
    token = tsp.TimeStampResp.load(authority.reply(authority.query(CHECKPOINT)))["time_stamp_token"]
    content: bytes = token["content"]["encap_content_info"]["content"].contents
    return content


def test_another_tool_signs_tokens_too(
    authority: LocalAuthority, trusted: TrustedAuthorities
) -> None:
    reply = authority.token(stamped(authority), "tsa", "-cades")
    assert isinstance(judged(authority, trusted, reply), Timestamp)


@pytest.mark.parametrize("usage", [None, ExtendedKeyUsageOID.CODE_SIGNING])
def test_the_certificate_is_for_timestamping(
    authority: LocalAuthority, trusted: TrustedAuthorities, usage: x509.ObjectIdentifier | None
) -> None:
    authority.issue("other", usage)
    reply = authority.token(stamped(authority), "other", "-cades")
    said = judged(authority, trusted, reply)
    assert isinstance(said, str)
    assert "does not hold" in said


def test_the_signed_attributes_name_the_certificate(
    authority: LocalAuthority, trusted: TrustedAuthorities
) -> None:
    reply = authority.token(stamped(authority), "tsa")
    said = judged(authority, trusted, reply)
    assert said == "it does not come with the certificate that its attributes name"


def test_the_signer_is_the_certificate_that_is_named(
    authority: LocalAuthority, trusted: TrustedAuthorities
) -> None:
    """Who the signer is said to be is not signed: it may be another certificate of his key."""
    first = authority.issue("first")
    second = authority.issue("twin", twin=first)
    reply = authority.token(stamped(authority), "first", "-cades", "-certfile", "twin.pem")
    assert isinstance(judged(authority, trusted, reply), Timestamp)
    serials = [der_integer(each.certificate.serial_number) for each in (first, second)]
    token = tsp.TimeStampResp.load(reply)["time_stamp_token"]["content"]
    named: bytes = token["signer_infos"][0]["sid"].dump()
    other = reply.replace(named, named.replace(*serials))
    assert len(other) == len(reply)
    assert other != reply
    said = judged(authority, trusted, other)
    assert said == "it attributes name another certificate than the signer's"


def der_integer(value: int) -> bytes:
    encoded: bytes = core.Integer(value).dump()
    return encoded


def test_two_signers_are_one_too_many(
    authority: LocalAuthority, trusted: TrustedAuthorities
) -> None:
    authority.issue("second")
    both = ("-cades", "-signer", "second.pem", "-inkey", "second.key")
    said = judged(authority, trusted, authority.token(stamped(authority), "tsa", *both))
    assert said == "it has not one signer"


def test_what_is_signed_is_a_timestamp(
    authority: LocalAuthority, trusted: TrustedAuthorities
) -> None:
    said = judged(authority, trusted, authority.token(b"hello", "tsa", "-cades"))
    assert isinstance(said, str)


def test_a_refusal_says_why(authority: LocalAuthority, trusted: TrustedAuthorities) -> None:
    query = authority.query(CHECKPOINT, "-sha512")
    said = judged(authority, trusted, authority.reply(query))
    assert isinstance(said, str)
    assert said.startswith("it grants no timestamp: ")
    assert "bad_alg" in said
    assert "Message digest algorithm is not supported." in said


@pytest.mark.parametrize("reply", [b"", b"\x00", b"<html></html>", b"\x30\x03\x02\x01\x00"])
def test_garbage_is_refused(
    authority: LocalAuthority, trusted: TrustedAuthorities, reply: bytes
) -> None:
    assert isinstance(judged(authority, trusted, reply), str)


def test_no_changed_byte_gives_another_time_or_breaks_more_than_the_reply(
    authority: LocalAuthority, trusted: TrustedAuthorities
) -> None:
    """Each byte flipped, each beginning cut: refused, or the same word (what is not signed)."""
    reply = authority.reply(authority.query(CHECKPOINT))
    good = check_timestamp(reply, CHECKPOINT, trusted, "it")
    broken = [reply[:end] for end in range(0, len(reply), 7)]
    for index in range(len(reply)):
        flipped = bytes([reply[index] ^ (0x01, 0x80)[index % 2]])
        broken.append(reply[:index] + flipped + reply[index + 1 :])
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about certificates that were spoilt
        for each in broken:
            try:
                assert check_timestamp(each, CHECKPOINT, trusted, "it") == good
            except FormatError:
                refused += 1
    assert refused > len(broken) / 3


def test_a_token_of_any_authority_shows_that_it_is_whole(authority: LocalAuthority) -> None:
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    authority.issue("rsa", twin=Issued(authority.root.certificate, rsa_key))
    pss = ("-cades", "-keyopt", "rsa_padding_mode:pss")
    for reply in (
        authority.reply(authority.query(CHECKPOINT)),
        authority.reply(authority.query(CHECKPOINT), ess="sha1"),
        authority.reply(authority.query(CHECKPOINT), signer="rsa"),
        authority.token(stamped(authority), "rsa", "-cades"),
        authority.token(stamped(authority), "rsa", *pss),
    ):
        check_token(reply, CHECKPOINT, "it")
        with pytest.raises(FormatError, match="over other bytes"):
            check_token(reply, CHECKPOINT + b"x", "it")
        with pytest.raises(FormatError, match="not signed by the certificate it comes with"):
            check_token(reply[:-1] + bytes([reply[-1] ^ 1]), CHECKPOINT, "it")


def test_what_is_whole_is_at_most_distrusted(authority: LocalAuthority) -> None:
    """Bytes flipped: of what shows as whole openssl says nothing worse than that."""
    reply = authority.reply(authority.query(CHECKPOINT))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about certificates that were spoilt
        for index in range(0, len(reply), 3):
            spoilt = reply[:index] + bytes([reply[index] ^ 0x01]) + reply[index + 1 :]
            try:
                check_token(spoilt, CHECKPOINT, "it")
            except FormatError:
                continue
            said = authority.openssl_says(spoilt, CHECKPOINT, NOW)
            assert not said.returncode or b"certificate verify error" in said.stderr, index


@pytest.mark.parametrize("pem", [b"", b"no certificates", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_file_without_certificates_is_refused(pem: bytes) -> None:
    with pytest.raises(FormatError, match="does not hold certificates"):
        parse_authorities(pem, "the roots")
