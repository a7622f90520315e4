"""Service tokens, stored hashed. One is shown once, when it is made; nothing here prints it."""

from __future__ import annotations

import fcntl
import hmac
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from types import NoneType
from typing import Any

import orjson

from audit_stream.durable import put_in_place
from audit_stream.errors import ConfigError
from audit_stream.gateway.caller import SCOPES, Caller

_PREFIX = "ast_"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    """A service token as the file has it."""

    id: str
    sha256: str = field(repr=False)
    tenants: tuple[str, ...]
    scopes: tuple[str, ...]
    expires: int | None = None  # Unix seconds
    revoked: bool = False

    def caller(self, now: float) -> Caller | None:
        """Who it stands for at `now` (Unix seconds); None once it is revoked or expired."""
        if self.revoked or (self.expires is not None and now >= self.expires):
            return None
        return Caller(id=self.id, tenants=self.tenants, scopes=self.scopes, until=self.expires)


class TokenFile:
    """Service tokens, in a file that is read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at: tuple[int, int] | None = None
        self._tokens: tuple[StoredToken, ...] = ()

    def tokens(self) -> tuple[StoredToken, ...]:
        """As the file has them now; none without a file. `ConfigError` when it is damaged."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise _unusable(self._path, error) from error
        stamp = (stat.st_mtime_ns, stat.st_ino)
        if stamp != self._read_at:
            self._tokens, self._read_at = _parse(self._path), stamp
        return self._tokens

    def find(self, token: str, now: float) -> Caller | None:
        """Whose it is. Every stored hash is compared, each in constant time."""
        digest = sha256(token.encode("utf-8", "replace")).hexdigest()
        found: StoredToken | None = None
        for each in self.tokens():
            if hmac.compare_digest(each.sha256, digest):
                found = each
        return None if found is None else found.caller(now)

    def standing(self, token_id: str, now: float) -> Caller | None:
        """Who it is that came in by this token, as the file has it now; None if it is no good."""
        found = next((each for each in self.tokens() if each.id == token_id), None)
        return None if found is None else found.caller(now)

    def create(
        self, tenants: tuple[str, ...], scopes: tuple[str, ...], expires: int | None
    ) -> tuple[StoredToken, str]:
        """A new token and its secret, which is nowhere else."""
        if unknown := set(scopes) - set(SCOPES):
            raise ConfigError(f"unknown scopes: {', '.join(sorted(unknown))}",
                              hint=f"there are {', '.join(SCOPES)}")  # fmt: skip
        token = _PREFIX + secrets.token_urlsafe(32)
        stored = StoredToken(
            id=secrets.token_hex(6), sha256=sha256(token.encode()).hexdigest(), tenants=tenants,
            scopes=scopes, expires=expires,
        )  # fmt: skip
        with self._alone():
            self._write((*self.tokens(), stored))
        return stored, token

    def revoke(self, token_id: str) -> None:
        """Refuse it from now on. `ConfigError` for an id that is none."""
        with self._alone():
            tokens = self.tokens()
            if not any(each.id == token_id for each in tokens):
                raise ConfigError(f"no token has the id {token_id}")
            self._write(tuple(
                replace(each, revoked=each.revoked or each.id == token_id) for each in tokens
            ))  # fmt: skip

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two who change the file at once do not undo each other's change."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _write(self, tokens: tuple[StoredToken, ...]) -> None:
        document = [asdict(each) for each in tokens]
        put_in_place(self._path, orjson.dumps(document, option=orjson.OPT_INDENT_2))


def _parse(path: Path) -> tuple[StoredToken, ...]:
    try:
        return tuple(map(_stored, orjson.loads(path.read_bytes())))
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"AUDIT_GATEWAY_TOKENS: {path} cannot be used: {type(error).__name__}",
                       hint="restore it from its backup")  # fmt: skip


def _stored(value: Any) -> StoredToken:
    for name in ("tenants", "scopes"):
        if not all(isinstance(each, str) for each in value[name]) or type(value[name]) is not list:
            raise TypeError(name)
    found = StoredToken(
        **{**value, "tenants": tuple(value["tenants"]), "scopes": tuple(value["scopes"])}
    )
    if not (type(found.id) is type(found.sha256) is str and type(found.revoked) is bool):
        raise TypeError("id")
    if not _SHA256.fullmatch(found.sha256) or type(found.expires) not in (int, NoneType):
        raise TypeError("sha256")
    return found
