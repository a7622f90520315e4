"""Signing answers: detached JWS ES256 over the canonical body (RFC 7515 appendix F, RFC 8785).

The payload is JCS of the answer without `signature`; whoever saved the answer can rebuild it. ES256
since every JOSE tool has it. Old public keys stay in the key set: answers outlive keys.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import orjson
from joserfc import jws
from joserfc.jwk import ECKey

from audit_stream.errors import ConfigError
from audit_stream.evidence.canonical import canonical

ALGORITHM, TYPE = "ES256", "audit-response+jws"
ROTATE_SECONDS = 90 * 86_400
_PRIVATE = 0o600


class AnswerSigner:
    """Signs with the newest key of a folder; its repr shows no key."""

    def __init__(self, keys: list[ECKey]) -> None:
        self._keys = keys
        self._newest = keys[-1]

    def __repr__(self) -> str:
        return f"AnswerSigner(kid={self.kid!r})"

    @property
    def kid(self) -> str:
        """RFC 7638 thumbprint of the signing key."""
        return str(self._newest.thumbprint())

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
        header = {"alg": ALGORITHM, "kid": self.kid, "typ": TYPE}
        compact = jws.serialize_compact(header, canonical(document), self._newest)
        head, _, signature = compact.split(".")
        return canonical({**document, "signature": f"{head}..{signature}"})


def load_signer(folder: Path, now: float) -> AnswerSigner:
    """The keys of a folder, made at first use; a new one when the newest is 90 days old at `now`.

    `ConfigError` when the folder cannot be used or a key is open to others.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        names = sorted(path for path in folder.glob("answer-*.json"))
        if not names or now - _made(names[-1]) > ROTATE_SECONDS:
            names.append(_make(folder, int(now)))
        return AnswerSigner([_load(path) for path in names])
    except OSError as error:
        raise ConfigError(
            f"AUDIT_ANSWER_KEYS: {error.filename}: {error.strerror}",
            hint="name a folder this user may write",
        ) from error


def _made(path: Path) -> int:
    try:
        return int(path.stem.split("-")[1])
    except (IndexError, ValueError):
        raise ConfigError(f"AUDIT_ANSWER_KEYS: {path.name} is no key of ours") from None


def _make(folder: Path, moment: int) -> Path:
    path = folder / f"answer-{moment:012d}-{secrets.token_hex(4)}.json"
    data = orjson.dumps(ECKey.generate_key("P-256").as_dict(private=True))
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(handle)
    return path


def _load(path: Path) -> ECKey:
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path} is open to others than its owner", hint=f"chmod 600 {path}")
    try:
        return ECKey.import_key(orjson.loads(path.read_bytes()))
    except (ValueError, orjson.JSONDecodeError) as error:
        raise ConfigError(f"{path} is no key", hint="restore it, or move it away") from error
