"""Keys in the archive log, `audit-key/1`: announced, in force from one size on, revoked at another.

A leaf of its own that a key in force has signed, so whoever trusts the first log key can follow
every later key from the log alone, and judge a signature by its place in the log, without a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Literal, get_args

from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical, check_version, kind_of, parse_line
from audit_stream.evidence.encoding import b64u, b64u_decode
from audit_stream.evidence.note import verifies
from audit_stream.evidence.signing import LineSigner, key_id

VERSION = "audit-key/1"
KIND = "audit-key/"
Use = Literal["answer", "log", "segment"]
_SIGNATURE_BYTES = 64
_POINT_BYTES = 65  # 04 || x || y
_POINT = 0x04


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLine:
    """What is said of one key. `public`: 32 bytes of Ed25519; of an answer key (ES256) the
    uncompressed point on P-256, 65 bytes."""

    archive: str
    not_before_size: int  # of leaves and checkpoints of this index and size on
    public: bytes
    reason: str
    revoked_at_size: int | None = None  # and no longer from this index and size on
    signer: str = ""  # the key id of who signed
    use: Use
    signature: bytes = b""

    @property
    def kid(self) -> str:
        """As signatures of this use name the key."""
        return key_id(self.public) if self.use != "answer" else thumbprint(self.public)

    def in_force(self, place: int) -> bool:
        """Whether it counts for the leaf of this index, or the checkpoint of this size."""
        end = self.revoked_at_size
        return self.not_before_size <= place and (end is None or place < end)

    def signed(self, signer: LineSigner) -> KeyLine:
        """The same, signed."""
        unsigned = replace(self, signer=signer.kid)
        return replace(unsigned, signature=signer.sign(unsigned._text()))

    def is_signed_by(self, key: KeyLine) -> bool:
        """Whether the signature is that key's."""
        return self.signer == key.kid and verifies(key.public, self.signature, self._text())

    def line(self) -> bytes:
        """The leaf's data, without a newline."""
        return canonical(self._members() | {"sig": b64u(self.signature)})

    def _text(self) -> bytes:
        return canonical(self._members())

    def _members(self) -> dict[str, Any]:
        return {
            "archive": self.archive, "kid": self.kid, "not_before_size": self.not_before_size,
            "public": b64u(self.public), "reason": self.reason,
            "revoked_at_size": self.revoked_at_size, "signer": self.signer, "use": self.use,
            "v": VERSION,
        }  # fmt: skip


def thumbprint(point: bytes) -> str:
    """RFC 7638 key id of a P-256 key, from its uncompressed point."""
    x, y = point[1:33], point[33:]
    jwk = {"crv": "P-256", "kty": "EC", "x": b64u(x), "y": b64u(y)}
    return b64u(sha256(canonical(jwk)).digest())


def is_key_line(line: bytes) -> bool:
    """Whether a leaf's line is of this kind, of any version; `FormatError` when it is no line."""
    return kind_of(line, "a leaf") == KIND


def decode_key_line(line: bytes, what: str) -> KeyLine:
    """A key's line; `FormatError` for any other. `KeyHistory` says whether it counts."""
    value = parse_line(line, what)
    check_version(value, VERSION, what)
    key = _key_line(value, what)
    if key.line() != line:
        raise FormatError(f"{what} does not have the members of {VERSION}, or not its kid")
    return key


def _key_line(value: dict[str, Any], what: str) -> KeyLine:
    use: Any = value.get("use")
    start, end = value.get("not_before_size"), value.get("revoked_at_size")
    for name in ("archive", "reason", "signer"):
        if type(value.get(name)) is not str:
            raise FormatError(f"{what} {name} is not a string")
    if use not in get_args(Use):
        raise FormatError(f"{what} use is not {', '.join(get_args(Use))}")
    if type(start) is not int or start < 0:
        raise FormatError(f"{what} not_before_size is not a number")
    if end is not None and (type(end) is not int or end < 0):
        raise FormatError(f"{what} revoked_at_size is neither a number nor null")
    public = b64u_decode(
        value.get("public"), f"{what} public", _POINT_BYTES if use == "answer" else 32
    )
    if use == "answer" and public[0] != _POINT:
        raise FormatError(f"{what} public is not an uncompressed point")
    return KeyLine(
        archive=value["archive"], not_before_size=start, public=public, reason=value["reason"],
        revoked_at_size=end, signer=value["signer"], use=use,
        signature=b64u_decode(value.get("sig"), f"{what} sig", _SIGNATURE_BYTES),
    )  # fmt: skip


@dataclass
class KeyHistory:
    """The keys of one archive's log, folded from its key lines in the log's order.

    `log_public` is the first log key, which the reader trusts from elsewhere.
    """

    archive: str
    log_public: bytes
    _keys: dict[tuple[Use, str], KeyLine] = field(default_factory=dict)
    _announced: dict[tuple[Use, str], tuple[int, str]] = field(default_factory=dict)  # leaf, signer
    _founded: set[tuple[Use, str]] = field(default_factory=set)  # announced by one that counts

    def add(self, index: int, key: KeyLine) -> None:
        """Take the line that is leaf `index`; `FormatError` when nobody entitled says it."""
        what = f"leaf {index}, which is about the {key.use} key {key.kid},"
        if key.archive != self.archive:
            raise FormatError(f"{what} is of the archive {key.archive}")
        known = self._keys.get((key.use, key.kid))
        if known is None:
            self._check_announced(index, key, what)
        else:
            self._check_revoked(key, known, what)
        if not any(key.is_signed_by(each) for each in self._entitled(index, key, known)):
            raise FormatError(f"{what} is not signed by a key that may say so")
        self._keys[key.use, key.kid] = key
        self._announced.setdefault((key.use, key.kid), (index, key.signer))
        self._founded.add((key.use, key.kid))
        if known is not None:
            self._found_anew()

    def key(self, use: Use, kid: str, place: int) -> bytes | None:
        """The public key, if it is in force for that leaf index or checkpoint size."""
        found = self._keys.get((use, kid))
        return found.public if found is not None and self._counts(found, place) else None

    @property
    def keys(self) -> list[KeyLine]:
        """What is said of every key by now, in the order of their announcement."""
        return list(self._keys.values())

    def in_force(self, use: Use, place: int) -> list[KeyLine]:
        """The keys of a use that count for that leaf index or checkpoint size, oldest first."""
        return [key for key in self._keys.values() if key.use == use and self._counts(key, place)]

    @property
    def unfounded(self) -> list[str]:
        """What is wrong with keys that count nowhere: as a later line says, who signed their
        announcement counted no longer at its leaf."""
        return [
            f"leaf {index} announces the {use} key {kid} by one that does not count there"
            for (use, kid), (index, _) in self._announced.items()
            if (use, kid) not in self._founded
        ]

    def _counts(self, key: KeyLine, place: int) -> bool:
        return key.in_force(place) and (key.use, key.kid) in self._founded

    def _found_anew(self) -> None:
        """In the order of announcement: who announces was announced before."""
        self._founded = set()
        for (use, kid), (index, signer) in self._announced.items():
            uses: list[Use] = ["log", "segment"] if use == "segment" else ["log"]
            signers = [self._keys[each, signer] for each in uses if (each, signer) in self._founded]
            if (use == "log" and signer == kid) or any(each.in_force(index) for each in signers):
                self._founded.add((use, kid))

    def _check_announced(self, index: int, key: KeyLine, what: str) -> None:
        first = not any(each.use == key.use for each in self._keys.values())
        if key.revoked_at_size is not None:
            raise FormatError(f"{what} revokes a key that was never announced")
        if key.not_before_size <= index and not (first and key.not_before_size == 0):
            raise FormatError(f"{what} would hold for what stands before it in the log")
        if first and key.use == "log" and key.public != self.log_public:
            raise FormatError(f"{what} is not about the log key that is trusted")

    @staticmethod
    def _check_revoked(key: KeyLine, known: KeyLine, what: str) -> None:
        if known.revoked_at_size is not None:
            raise FormatError(f"{what} is about a key that is revoked already")
        if key.revoked_at_size is None:
            raise FormatError(f"{what} announces the key a second time")
        if (key.public, key.not_before_size) != (known.public, known.not_before_size):
            raise FormatError(f"{what} is not the key that was announced")

    def _entitled(self, index: int, key: KeyLine, known: KeyLine | None) -> list[KeyLine]:
        """A log key in force; for a segment key another one; a key for its own revocation; and
        the first log key, which no other can have signed, itself."""
        found = self.in_force("log", index)
        if key.use == "segment":
            found += self.in_force("segment", index)
        if known is not None:
            found.append(known)
        if not self._keys and key.use == "log":
            found.append(key)
        return found
