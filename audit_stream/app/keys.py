"""The archive's keys in its log: read, announced, revoked, over the notary's own way of writing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

from audit_stream.app.notary import build_notary
from audit_stream.app.places import archive_to_write
from audit_stream.errors import ConfigError, FormatError
from audit_stream.evidence.canonical import parse_line
from audit_stream.evidence.encoding import b64u_decode
from audit_stream.evidence.key_line import KeyHistory, KeyLine, Use
from audit_stream.evidence.layout import parse_segment_name
from audit_stream.evidence.register import parse_entry_name
from audit_stream.evidence.signing import LineSigner
from audit_stream.keys.file import LoadedKeyring, log_signer
from audit_stream.notary.keys import LoggedKeys, announcements, revocation, unannounced
from audit_stream.notary.notary import Notary
from audit_stream.settings import Settings
from audit_stream.telemetry.alerts import AlarmBoard

Key = tuple[Use, bytes]
_COORDINATE = 32


@dataclass(frozen=True, slots=True)
class Registry:
    """The log, opened to say something of keys in it."""

    notary: Notary
    logged: LoggedKeys
    signer: LineSigner
    alarms: AlarmBoard

    async def announce(self, keys: Sequence[Key], reason: str) -> list[KeyLine]:
        """Announce what the log does not know; the lines that were written."""
        before = len((await self.logged.catch_up(self.notary.head)).keys)
        _check_first(self.logged.history, keys)
        while unannounced(self.logged.history, keys):
            await self.notary.write(lines=self.logged.saying(
                lambda said, index: announcements(said, index, keys, self.signer, reason)
            ))  # fmt: skip
            await self.logged.catch_up(self.notary.head)
        return self.logged.history.keys[before:]

    async def revoke(self, kid: str, start: int | None, reason: str) -> KeyLine:
        """Revoke one key; everything that waited is a leaf before its line. `ConfigError`, also
        when what waited is this key's, unless `start` says that this is known."""
        before = 0 if self.notary.head is None else self.notary.head.size
        head = (await self.notary.write()).head
        if start is None and kid in await self._signers(before, head.size):
            raise ConfigError(
                f"the key {kid} has signed since the log was last written, and may still",
                hint="stop who signs with it, wait a minute and try again; --from does not wait",
            )

        def say(said: KeyHistory, index: int) -> list[KeyLine]:
            return [revocation(said, index, kid, self.signer, reason, start)]

        await self.notary.write(lines=self.logged.saying(say))
        history = await self.logged.catch_up(self.notary.head)
        return next(key for key in history.keys if key.kid == kid)

    async def _signers(self, start: int, end: int) -> set[str]:
        """Ids of the keys that signed the segments and registers' entries among these leaves."""
        return {
            str(parse_line(leaf.line, f"the leaf of {leaf.name}")["kid"])
            async for batch in self.notary.log.whole_batches(start, end)
            for leaf in batch.leaves
            if leaf.name is not None
            and (parse_segment_name(leaf.name) or parse_entry_name(leaf.name))
        }


@asynccontextmanager
async def open_registry(settings: Settings, ring: LoadedKeyring) -> AsyncIterator[Registry]:
    """For the block. `KeyringError` of a view without log key, `FormatError`, `StoreError`."""
    alarms, secret = AlarmBoard("command"), ring.keyring.log_key
    log_signer(ring.keyring)
    assert secret is not None
    store = archive_to_write(settings)
    try:
        notary = build_notary(settings, ring, store, alarms)
        await notary.resume()
        yield Registry(notary, LoggedKeys(notary.log), LineSigner(secret), alarms)
    finally:
        await store.close()


def keys_of(ring: LoadedKeyring, key_set: bytes | None = None) -> list[Key]:
    """The public keys of an archive, the log's first, and those of a gateway's key set (JWKS)."""
    segments: list[Key] = [("segment", public) for public in ring.trusted.publics]
    answers: list[Key] = [("answer", point) for point in _points(key_set)] if key_set else []
    return [("log", ring.log_key.public), *segments, *answers]


def _check_first(history: KeyHistory, keys: Sequence[Key]) -> None:
    """Only one key of a use can count from the log's beginning: the one that began."""
    known = any(key.use == "segment" for key in history.keys)
    if not known and sum(use == "segment" for use, _ in keys) > 1:
        raise ConfigError(
            "the archive log knows no segment key yet, and the keyring trusts several",
            hint="announce with the keyring that sealed until now, without the new key beside it",
        )


def _points(key_set: bytes) -> list[bytes]:
    """The uncompressed points of the P-256 keys of a JWKS. `ConfigError`."""
    try:
        keys = orjson.loads(key_set)["keys"]
        points = [
            b"\x04" + b"".join(b64u_decode(key[name], name, _COORDINATE) for name in ("x", "y"))
            for key in keys
            if (key["kty"], key["crv"]) == ("EC", "P-256")
        ]
        for point in points:
            EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    except (FormatError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            "the key set is no JWKS of P-256 keys",
            hint="save the gateway's /.well-known/jwks.json",
        ) from error
    return points
