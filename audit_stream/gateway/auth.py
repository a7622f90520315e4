"""Who asks: service tokens, stored hashed, or JWTs against a key set; tenants, scopes, rate.

A token is shown once, when it is made. Nothing here prints one.
"""

from __future__ import annotations

import fcntl
import hmac
import logging
import math
import os
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from types import NoneType
from typing import Any

import orjson
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError, MissingKeyError

from audit_stream.durable import put_in_place
from audit_stream.errors import ConfigError
from audit_stream.gateway.keysets import Keys, keys_at
from audit_stream.gateway.problems import Problem

log = logging.getLogger(__name__)
SCOPES = ("audit:read", "audit:export", "audit:redact", "audit:hold")
EVERY_TENANT = "*"
_PREFIX, _JWT = "ast_", "jwt:"
#: A JWT's `sub` goes into the access journal, and so into the archive: an id, no name or address.
_SUBJECT = re.compile(r"[A-Za-z0-9._:|-]{1,128}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_BUCKETS = 10_000
_LEEWAY_SECONDS = 30  # between an issuer's clock and ours (RFC 7519 section 4.1.4)
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


def _unknown() -> Problem:
    return Problem(401, "a valid bearer token is needed", headers=_CHALLENGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who a token stands for."""

    id: str
    tenants: tuple[str, ...]  # ``*`` is every tenant
    scopes: tuple[str, ...]
    until: float | None = None  # Unix seconds when the token expires

    @property
    def shown(self) -> str:
        """What a log may say: a service token's id says nothing, a JWT's subject is somebody."""
        return "jwt" if self.id.startswith(_JWT) else self.id

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


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtRules:
    """Whose JWTs are believed: keys, issuer, audience; scopes in `scope`, tenants in `tenants`."""

    keys: Keys = field(repr=False)
    issuer: str
    audience: str
    algorithms: tuple[str, ...] = ("ES256", "RS256", "PS256", "EdDSA")

    def caller(self, token: str, now: float) -> Caller | None:
        """Whose it is; None unless signature, issuer, audience and times hold."""
        try:
            found = jwt.decode(token, self.keys.now(), algorithms=list(self.algorithms))
            registry = jwt.JWTClaimsRegistry(
                now=int(now), leeway=_LEEWAY_SECONDS, iss={"essential": True, "value": self.issuer},
                aud={"essential": True, "value": self.audience}, exp={"essential": True},
                sub={"essential": True},
            )  # fmt: skip
            registry.validate(found.claims)
        except (InvalidKeyIdError, MissingKeyError):
            self.keys.missed()
            return None
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            return None
        claims: dict[str, Any] = found.claims
        scopes, tenants = claims.get("scope", ""), claims.get("tenants", [])
        if not isinstance(scopes, str) or not isinstance(tenants, list):
            return None
        if not all(isinstance(each, str) for each in tenants):
            return None
        if type(claims["sub"]) is not str or not _SUBJECT.fullmatch(claims["sub"]):
            return None
        return Caller(
            id=f"{_JWT}{claims['sub']}", tenants=tuple(tenants),
            scopes=tuple(scope for scope in scopes.split() if scope in SCOPES),
            until=float(claims["exp"]),
        )  # fmt: skip


def load_rules(place: Path | str, issuer: str | None, audience: str | None) -> JwtRules:
    """From a JWKS file or https URL. `ConfigError` when something is missing."""
    if not issuer or not audience:
        raise ConfigError(
            "AUDIT_GATEWAY_JWKS needs AUDIT_GATEWAY_ISSUER and AUDIT_GATEWAY_AUDIENCE"
        )
    return JwtRules(keys=keys_at(str(place)), issuer=issuer, audience=audience)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        log.warning("%s", error)
        raise Problem(503, "the tokens cannot be read") from error


class Door:
    """Lets callers in: token to caller, at most so many requests a second each."""

    def __init__(
        self, tokens: TokenFile, rules: JwtRules | None, rate: float, *,
        wall: Callable[[], float], clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._tokens, self._rules, self._rate = tokens, rules, rate
        self._wall, self._clock = wall, clock  # seconds since 1970; seconds since any moment
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, when

    def admit(self, authorization: str | None) -> Caller:
        """The caller that an `Authorization` header names, or `Problem` 401, 429, 503."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unknown()
        caller = self._caller(token.strip())
        if caller is None:
            raise _unknown()
        self._spend(caller.id)
        return caller

    def again(self, caller: Caller) -> Caller:
        """A caller who was let in before, without the token, as it stands now; `Problem` as above.

        Of a service token tenants and scopes are those of now. A JWT is good until it expires.
        """
        now = self._wall()
        if caller.id.startswith(_JWT):
            found = caller if caller.until is not None and now < caller.until else None
        else:
            with _readable():
                found = self._tokens.standing(caller.id, now)
        if found is None:
            raise _unknown()
        self._spend(found.id)
        return found

    def _caller(self, token: str) -> Caller | None:
        now = self._wall()
        with _readable():
            found = self._tokens.find(token, now)
        if found is None and self._rules is not None and token.count(".") == 2:
            found = self._rules.caller(token, now)
        return found

    def _spend(self, caller: str) -> None:
        now, burst = self._clock(), max(1.0, 2 * self._rate)
        left, at = self._buckets.pop(caller, (burst, now))
        left = min(burst, left + (now - at) * self._rate)
        self._buckets[caller] = (left - 1 if left >= 1 else left, now)
        if len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
        if left < 1:
            wait = math.ceil((1 - left) / self._rate)
            raise Problem(429, "too many requests with this token",
                          headers={"Retry-After": str(wait)})  # fmt: skip
