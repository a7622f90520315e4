"""Timestamps by authorities (RFC 3161): whether a reply shows that bytes existed at a time.

T1 the reply grants a token
T2 the token is over the SHA-256 of exactly these bytes
T3 it answers the request with the nonce, where one is known
T4 one certificate, issued for timestamping under a trusted root and valid at the token's time,
   signed it
T5 the signed attributes name that certificate (RFC 3161 section 2.4.2, RFC 5816)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import new as new_hash
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from audit_stream.errors import FormatError

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

#: What timestamps are read with, of the extra for anchors.
PACKAGES = ("rfc3161_client", "asn1crypto")
SHA256_OID = "2.16.840.1.101.3.4.2.1"
_GRANTED = ("granted", "granted_with_mods")
_SEQUENCE = 16
_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512,
}  # fmt: skip
_GRANTED_STATUS = bytes.fromhex("3003020100")
_ESS = ("signing_certificate", "signing_certificate_v2")  # the attributes of T5


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamp:
    """What a reply that holds says."""

    time: datetime  # UTC
    authority: str  # subject of the certificate that signed, RFC 4514
    certificate_ends: datetime  # after it, only what was renewed before counts


@dataclass(frozen=True, slots=True)
class TrustedAuthorities:
    """The roots under which timestamps count; with none, none does."""

    roots: Sequence[x509.Certificate] = ()


def parse_authorities(pem: bytes, what: str) -> TrustedAuthorities:
    """Root certificates, PEM; `FormatError` when there is none."""
    try:
        return TrustedAuthorities(tuple(x509.load_pem_x509_certificates(pem)))
    except ValueError as error:
        raise FormatError(f"{what} does not hold certificates in PEM") from error


def check_timestamp(
    reply: bytes, message: bytes, trusted: TrustedAuthorities, what: str, nonce: int | None = None
) -> Timestamp:
    """T1 to T5 of the raw reply of an authority; `FormatError` says why it shows nothing."""
    with _parsing(what):
        token, signer = _granted(reply, what)
    from rfc3161_client import VerificationError, decode_timestamp_response
    from rfc3161_client.verify import VerifierBuilder

    if not trusted.roots:
        raise FormatError(f"{what} is of an authority, and none is trusted here")
    with _parsing(what):
        parsed = decode_timestamp_response(token)
        _check_imprint(parsed, message, what)
        time = parsed.tst_info.gen_time.astimezone(UTC)
        verifier = VerifierBuilder(roots=list(trusted.roots), nonce=nonce).build()
        try:
            verifier.verify(parsed, sha256(message).digest())
        except VerificationError as error:
            raise FormatError(f"{what} does not hold: {_words(error)}") from error
        certificate = x509.load_der_x509_certificate(signer)
        return Timestamp(
            time=time, authority=certificate.subject.rfc4514_string(),
            certificate_ends=certificate.not_valid_after_utc,
        )  # fmt: skip


def check_token(reply: bytes, message: bytes, what: str) -> None:
    """T1, T2 and T5, and that the certificate it comes with signed it: what shows without trust in
    its authority. `FormatError` says why it shows nothing to anyone."""
    with _parsing(what):
        from asn1crypto import parser, tsp
        from rfc3161_client import decode_timestamp_response

        token, signer = _granted(reply, what)
        _check_imprint(decode_timestamp_response(token), message, what)
        whole = tsp.TimeStampResp.load(reply, strict=True)
        status = whole["status"].dump(force=True)
        rest = whole.contents[len(status) :]
        if parser.emit(0, 1, _SEQUENCE, status + rest) != reply:
            raise FormatError(f"{what} is not in its one form")
        signed = whole["time_stamp_token"]["content"]
        for each in signed["certificates"]:
            found = x509.load_der_x509_certificate(each.dump())
            # The library parses what it is asked for.
            _ = found.issuer, found.subject, found.public_key(), list(found.extensions)
        _check_signature(signed, signer, what)


def _check_signature(signed: Any, signer: bytes, what: str) -> None:
    """Of the signed attributes, which have the hash of what is said (RFC 5652, section 5.4)."""
    info, said = signed["signer_infos"][0], bytes(signed["encap_content_info"]["content"])
    name = info["digest_algorithm"]["algorithm"].native
    if name not in [each["algorithm"].native for each in signed["digest_algorithms"]]:
        raise FormatError(f"{what} is signed over a hash that it does not announce")
    digests = [each["values"][0].native for each in info["signed_attrs"]
               if each["type"].native == "message_digest"]  # fmt: skip
    if digests != [new_hash(name, said).digest()]:
        raise FormatError(f"{what} has signed attributes of other bytes")
    key = x509.load_der_x509_certificate(signer).public_key()
    digest = _HASHES[_signed_hash(info) or name]()
    attributes, signature = info["signed_attrs"].untag().dump(), info["signature"].native
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, attributes, ec.ECDSA(digest))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, attributes, _padding(info, digest), digest)
        else:
            raise FormatError(f"{what} is signed by a key of no kind known here")
    except InvalidSignature as error:
        raise FormatError(f"{what} is not signed by the certificate it comes with") from error


def _signed_hash(info: Any) -> str | None:
    """The hash that the signature's algorithm names; None: it names none."""
    try:
        return str(info["signature_algorithm"].hash_algo)
    except ValueError:  # plain RSA
        return None


def _padding(info: Any, digest: hashes.HashAlgorithm) -> padding.AsymmetricPadding:
    if info["signature_algorithm"].signature_algo != "rsassa_pss":
        return padding.PKCS1v15()
    return padding.PSS(mgf=padding.MGF1(digest), salt_length=padding.PSS.AUTO)


def _granted(reply: bytes, what: str) -> tuple[bytes, bytes]:
    """The reply as its strict parser takes it, and the signer's certificate, DER.

    Authorities send the certificates, a SET, in any order, and a status of "granted with
    modifications"; neither is signed. Nothing else is encoded anew.
    """
    from asn1crypto import cms, parser, tsp

    *_, contents, _ = parser.parse(reply, strict=True)
    status = tsp.PKIStatusInfo.load(contents)
    if status["status"].native not in _GRANTED:
        raise FormatError(f"{what} grants no timestamp: {_refusal(status)}")
    token = contents[len(status.dump()) :]
    info = cms.ContentInfo.load(token, strict=True)
    if info["content_type"].native != "signed_data":
        raise FormatError(f"{what} holds no signed token")
    signed = info["content"]
    certificates = sorted(each.dump() for each in signed["certificates"])
    signer = _signer(signed, certificates, what)
    token = token.replace(signed["certificates"].contents, b"".join(certificates))
    return parser.emit(0, 1, _SEQUENCE, _GRANTED_STATUS + token), signer


def _refusal(status: Any) -> str:
    """Why the authority says it refused, in its words."""
    said = [str(status[name].native) for name in ("fail_info", "status_string")]
    words = "; ".join(text for text in said if text != "None")
    return ascii(words or str(status["status"].native))[1:-1][:200]


def _signer(signed: Any, certificates: Sequence[bytes], what: str) -> bytes:
    """The certificate that the signed attributes name (T5), if it is the signer's."""
    if len(signed["signer_infos"]) != 1:
        raise FormatError(f"{what} has not one signer")
    info = signed["signer_infos"][0]
    for attribute in info["signed_attrs"]:
        if attribute["type"].native not in _ESS:
            continue
        named = attribute["values"][0]["certs"][0]
        for each in certificates:
            if _is_named(each, named):
                _check_signer(info["sid"].chosen, x509.load_der_x509_certificate(each), what)
                return each
    raise FormatError(f"{what} does not come with the certificate that its attributes name")


def _is_named(certificate: bytes, named: Any) -> bool:
    """Whether an ESSCertID (SHA-1) or ESSCertIDv2 is that certificate's."""
    has_algorithm = "hash_algorithm" in named.native
    name = named["hash_algorithm"]["algorithm"].native if has_algorithm else "sha1"
    digest = new_hash(name, certificate, usedforsecurity=False).digest()
    return bool(digest == named["cert_hash"].native)


def _check_signer(sid: Any, certificate: x509.Certificate, what: str) -> None:
    said = sid["issuer"].dump(), sid["serial_number"].native
    if said != (certificate.issuer.public_bytes(), certificate.serial_number):
        raise FormatError(f"{what} attributes name another certificate than the signer's")


def _check_imprint(parsed: TimeStampResponse, message: bytes, what: str) -> None:
    imprint = parsed.tst_info.message_imprint
    if imprint.hash_algorithm.dotted_string != SHA256_OID:
        raise FormatError(f"{what} is not over a SHA-256 hash")
    if imprint.message != sha256(message).digest():
        raise FormatError(f"{what} is over other bytes")


@contextmanager
def _parsing(what: str) -> Iterator[None]:
    """Bytes of others reach two parsers, which name no set of errors."""
    try:
        yield
    except FormatError:
        raise
    except Exception as error:
        raise FormatError(f"{what} is not a timestamp reply: {type(error).__name__}") from error


def _words(error: Exception) -> str:
    return ascii(str(error))[1:-1][:200]
