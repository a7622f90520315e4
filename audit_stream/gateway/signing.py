"""Signing answers: detached JWS ES256 over the canonical body (RFC 7515 appendix F, RFC 8785).

The payload is JCS of the answer without `signature`; whoever saved the answer can rebuild it. ES256
since every JOSE tool has it. Old public keys stay in the key set: answers outlive keys.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from audit_stream.durable import put_in_place
from audit_stream.errors import ConfigError
from audit_stream.evidence.canonical import canonical

ALGORITHM, TYPE, SD_TYPE = "ES256", "audit-response+jws", "audit-response+sd-jwt"
ROTATE_SECONDS = 90 * 86_400
_PRIVATE, _CURVE = 0o600, "P-256"


class AnswerSigner:
    """Signs with the newest key of a folder; its repr shows no key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: list[ECKey] = []

    def __repr__(self) -> str:
        return f"AnswerSigner(kid={self.kid!r})"

    @property
    def kid(self) -> str:
        """RFC 7638 thumbprint of the signing key."""
        return str(self._keys[-1].thumbprint())

    @property
    def public_point(self) -> bytes:
        """The signing key's uncompressed point: `public` of its `audit-key/1` line."""
        public = self._keys[-1].public_key
        return bytes(public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))

    @property
    def key_set(self) -> dict[str, Any]:
        """Public keys as a JWKS (RFC 7517), the newest last."""
        return {
            "keys": [
                {**key.as_dict(private=False), "kid": key.thumbprint(), "alg": ALGORITHM,
                 "use": "sig"}
                for key in self._keys
            ]
        }  # fmt: skip

    def signed(self, document: dict[str, Any]) -> bytes:
        """The document with its `signature`, canonical."""
        head, _, signature = self._compact(document, TYPE).split(".")
        return canonical({**document, "signature": f"{head}..{signature}"})

    def sd_jwt(self, document: dict[str, Any], disclosures: Sequence[str]) -> bytes:
        """The document as an SD-JWT (RFC 9901 section 4): whoever holds it may cut disclosures off
        before passing it on."""
        return "".join(
            f"{part}~" for part in (self._compact(document, SD_TYPE), *disclosures)
        ).encode()

    def _compact(self, document: dict[str, Any], kind: str) -> str:
        key = self._keys[-1]  # once: another thread may renew them
        header = {"alg": ALGORITHM, "kid": str(key.thumbprint()), "typ": kind}
        return jws.serialize_compact(header, canonical(document), key)

    def renew(self, now: float) -> None:
        """Take over what is in the folder; a new key when the newest is 90 days old at `now`
        (Unix seconds). Of the keys before the newest, only the public half stays.

        `ConfigError` when the folder cannot be used or a key is open to others.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            paths = sorted(self._folder.glob("answer-*.json"))
            if not paths or now - _made(paths[-1]) >= ROTATE_SECONDS:
                paths.append(_make(self._folder, int(now)))
            keys = [_load(path) for path in paths]
            if not keys[-1].is_private:
                raise ConfigError(
                    f"{paths[-1]} has no private half", hint="move it away; a new key is made"
                )
            for path, key in zip(paths[:-1], keys[:-1], strict=True):
                if key.is_private:
                    put_in_place(path, orjson.dumps(key.as_dict(private=False)))
        except OSError as error:
            raise ConfigError(
                f"AUDIT_ANSWER_KEYS: {error.filename}: {error.strerror}",
                hint="name a folder this user may write",
            ) from error
        self._keys = keys


def load_signer(folder: Path, now: float) -> AnswerSigner:
    """The keys of a folder, made at first use. `ConfigError` as `AnswerSigner.renew`."""
    signer = AnswerSigner(folder)
    signer.renew(now)
    return signer


def _made(path: Path) -> int:
    try:
        return int(path.stem.split("-")[1])
    except (IndexError, ValueError):
        raise ConfigError(f"AUDIT_ANSWER_KEYS: {path.name} is no key of ours") from None


def _make(folder: Path, moment: int) -> Path:
    path = folder / f"answer-{moment:012d}-{secrets.token_hex(4)}.json"
    # Durable: an answer must not outlive the key that verifies it.
    put_in_place(path, orjson.dumps(ECKey.generate_key(_CURVE).as_dict(private=True)))
    return path


def _load(path: Path) -> ECKey:
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path} is open to others than its owner", hint=f"chmod 600 {path}")
    try:
        key = ECKey.import_key(orjson.loads(path.read_bytes()))
    except (ValueError, KeyError, JoseError) as error:
        raise ConfigError(f"{path} is no key", hint="restore it, or move it away") from error
    if key.curve_name != _CURVE:
        raise ConfigError(f"{path} is no key for {ALGORITHM}", hint="move it away")
    return key
