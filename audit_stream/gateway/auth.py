"""Who is let in: service tokens, or JWTs against a key set; and how often."""

from __future__ import annotations

import logging
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError, MissingKeyError

from audit_stream.errors import ConfigError
from audit_stream.gateway.caller import JWT, SCOPES, Caller
from audit_stream.gateway.keysets import Keys, keys_at
from audit_stream.gateway.problems import Problem
from audit_stream.gateway.tokens import TokenFile

log = logging.getLogger(__name__)
#: A JWT's `sub` goes into the access journal, and so into the archive: an id, no name or address.
_SUBJECT = re.compile(r"[A-Za-z0-9._:|-]{1,128}")
_MOST_BUCKETS = 10_000
_LEEWAY_SECONDS = 30  # between an issuer's clock and ours (RFC 7519 section 4.1.4)
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


def _unknown() -> Problem:
    return Problem(401, "a valid bearer token is needed", headers=_CHALLENGE)


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
            id=f"{JWT}{claims['sub']}", tenants=tuple(tenants),
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
        if caller.id.startswith(JWT):
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
