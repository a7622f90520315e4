"""Who asks: service tokens, stored hashed, or JWTs against a key set; tenants, scopes, rate.

A token is shown once, when it is made. Nothing here prints one.
"""

from __future__ import annotations

import hmac
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from audit_stream.errors import ConfigError
from audit_stream.gateway.problems import Problem

SCOPES = ("audit:read", "audit:export", "audit:redact", "audit:hold")
EVERY_TENANT = "*"
_PREFIX = "ast_"
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


def _unknown() -> Problem:
    return Problem(401, "a valid bearer token is needed", headers=_CHALLENGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who a token stands for."""

    id: str
    tenants: tuple[str, ...]  # ``*`` is every tenant
    scopes: tuple[str, ...]

    def may(self, scope: str) -> None:
        """`Problem` 403 without the scope."""
        if scope not in self.scopes:
            raise Problem(403, f"this token lacks the scope {scope}")

    def sees(self, tenant: str) -> bool:
        """Whether records of the tenant are for this caller."""
        return EVERY_TENANT in self.tenants or tenant in self.tenants


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    """A service token as the file has it."""

    id: str
    sha256: str = field(repr=False)
    tenants: tuple[str, ...]
    scopes: tuple[str, ...]
    expires: int | None = None  # Unix seconds
    revoked: bool = False


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
        if found is None or found.revoked or (found.expires is not None and now >= found.expires):
            return None
        return Caller(id=found.id, tenants=found.tenants, scopes=found.scopes)

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
        self._write((*self.tokens(), stored))
        return stored, token

    def revoke(self, token_id: str) -> None:
        """Refuse it from now on. `ConfigError` for an id that is none."""
        tokens = self.tokens()
        if not any(each.id == token_id for each in tokens):
            raise ConfigError(f"no token has the id {token_id}")
        self._write(tuple(
            StoredToken(**{**asdict(each), "revoked": each.revoked or each.id == token_id})
            for each in tokens
        ))  # fmt: skip

    def _write(self, tokens: tuple[StoredToken, ...]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._path.with_suffix(f".{secrets.token_hex(4)}.tmp")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps([asdict(each) for each in tokens], option=orjson.OPT_INDENT_2))
            file.flush()
            os.fsync(handle)
        temporary.replace(self._path)


def _parse(path: Path) -> tuple[StoredToken, ...]:
    try:
        return tuple(
            StoredToken(**{
                **each, "tenants": tuple(each["tenants"]), "scopes": tuple(each["scopes"]),
            })
            for each in orjson.loads(path.read_bytes())
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ConfigError(f"AUDIT_GATEWAY_TOKENS: {path} cannot be used: {type(error).__name__}",
                          hint="restore it from its backup") from error  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtRules:
    """Whose JWTs are believed: keys, issuer, audience; scopes in `scope`, tenants in `tenants`."""

    keys: KeySet = field(repr=False)
    issuer: str
    audience: str
    algorithms: tuple[str, ...] = ("ES256", "RS256", "PS256", "EdDSA")

    def caller(self, token: str, now: float) -> Caller | None:
        """Whose it is; None unless signature, issuer, audience and times hold."""
        try:
            found = jwt.decode(token, self.keys, algorithms=list(self.algorithms))
            registry = jwt.JWTClaimsRegistry(
                now=int(now), iss={"essential": True, "value": self.issuer},
                aud={"essential": True, "value": self.audience}, exp={"essential": True},
                sub={"essential": True},
            )  # fmt: skip
            registry.validate(found.claims)
        except (JoseError, ValueError, TypeError, KeyError):
            return None
        claims: dict[str, Any] = found.claims
        scopes, tenants = claims.get("scope", ""), claims.get("tenants", [])
        if not isinstance(scopes, str) or not isinstance(tenants, list):
            return None
        return Caller(
            id=f"jwt:{claims['sub']}", tenants=tuple(map(str, tenants)),
            scopes=tuple(scope for scope in scopes.split() if scope in SCOPES),
        )  # fmt: skip


def load_rules(path: Path, issuer: str | None, audience: str | None) -> JwtRules:
    """From a JWKS file. `ConfigError` when something is missing."""
    if not issuer or not audience:
        raise ConfigError(
            "AUDIT_GATEWAY_JWKS needs AUDIT_GATEWAY_ISSUER and AUDIT_GATEWAY_AUDIENCE"
        )
    try:
        keys = KeySet.import_key_set(orjson.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, JoseError) as error:
        raise ConfigError(
            f"AUDIT_GATEWAY_JWKS: {path} cannot be used: {type(error).__name__}",
            hint="it must be a JSON Web Key Set with public keys",
        ) from error
    return JwtRules(keys=keys, issuer=issuer, audience=audience)


class Door:
    """Lets callers in: token to caller, at most so many requests a second each."""

    def __init__(
        self, tokens: TokenFile, rules: JwtRules | None, rate: float, *,
        wall: Callable[[], float], clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._tokens, self._rules, self._rate = tokens, rules, rate
        self._wall, self._clock = wall, clock  # seconds since 1970; seconds since any moment
        self._buckets: dict[str, tuple[float, float]] = {}  # caller -> tokens left, when

    def admit(self, authorization: str | None) -> Caller:
        """The caller, or `Problem` 401 or 429."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unknown()
        caller = self._caller(token.strip())
        if caller is None:
            raise _unknown()
        self._spend(caller.id)
        return caller

    def _caller(self, token: str) -> Caller | None:
        now = self._wall()
        found = self._tokens.find(token, now)
        if found is None and self._rules is not None and token.count(".") == 2:
            found = self._rules.caller(token, now)
        return found

    def _spend(self, caller: str) -> None:
        now, burst = self._clock(), 2 * self._rate
        left, at = self._buckets.get(caller, (burst, now))
        left = min(burst, left + (now - at) * self._rate)
        if left < 1:
            wait = max(1, round((1 - left) / self._rate))
            raise Problem(429, "too many requests with this token",
                          headers={"Retry-After": str(wait)})  # fmt: skip
        self._buckets[caller] = (left - 1, now)
