"""Ed25519 (RFC 8032) over a line, as the second line of segments and stream objects carries it."""

from __future__ import annotations

from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical, parse_line
from audit_stream.evidence.encoding import b64u, b64u_decode


def key_id(public: bytes) -> str:
    """`kid`: the first 16 hex digits of SHA-256 over the raw 32-byte public key."""
    return sha256(public).hexdigest()[:16]


class LineSigner:
    """Signs lines with one Ed25519 key; its repr shows the key id only."""

    __slots__ = ("_key", "kid", "public")

    def __init__(self, secret: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(secret)
        self.public = self._key.public_key().public_bytes_raw()
        self.kid = key_id(self.public)

    def __repr__(self) -> str:
        return f"LineSigner(kid={self.kid!r})"

    def sign(self, line: bytes) -> bytes:
        """The 64 signature bytes over `line`, which has no newline."""
        return self._key.sign(line)

    def signature_line(self, line: bytes) -> bytes:
        """``{"sig":"…"}`` over `line`, which has no newline; nor has the result."""
        return encode_signature(self.sign(line))


class TrustedKeys:
    """The public keys a reader trusts, by key id. The algorithm is the trusted key's."""

    __slots__ = ("_keys",)

    def __init__(self, *publics: bytes) -> None:
        self._keys = {key_id(raw): Ed25519PublicKey.from_public_bytes(raw) for raw in publics}

    def __contains__(self, kid: object) -> bool:
        return kid in self._keys

    @property
    def kids(self) -> list[str]:
        """Key ids, sorted."""
        return sorted(self._keys)

    @property
    def publics(self) -> list[bytes]:
        """The raw public keys, in the order of their ids."""
        return [self._keys[kid].public_bytes_raw() for kid in self.kids]

    def verifies(self, kid: str, line: bytes, signature: bytes) -> bool:
        """Whether `signature` (64 bytes) over `line` is the trusted key `kid`'s."""
        key = self._keys.get(kid)
        if key is None:
            return False
        try:
            key.verify(signature, line)
        except InvalidSignature:
            return False
        return True

    def signer_of(self, line: bytes, signature: bytes) -> str | None:
        """The key id of the trusted key that signed `line`, for lines that name none."""
        return next((kid for kid in self._keys if self.verifies(kid, line, signature)), None)


def encode_signature(signature: bytes) -> bytes:
    """A second line, without its newline."""
    return canonical({"sig": b64u(signature)})


def parse_signature_line(line: bytes, what: str) -> bytes:
    """The 64 signature bytes of a second line; `FormatError` when it has another form."""
    value = parse_line(line, what)
    if set(value) != {"sig"}:
        raise FormatError(f"{what} has members other than sig")
    return b64u_decode(value["sig"], f"{what} sig", 64)
