"""Key sets of JWT issuers: a file, or an https URL that is asked again now and then."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import orjson
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey, import_key

from audit_stream.errors import ConfigError

log = logging.getLogger(__name__)
_REFRESH_SECONDS, _SPACING_SECONDS, _ASK_SECONDS = 300.0, 10.0, 10.0
_LONGEST, _LEAST_RSA_BITS = 1 << 18, 2048
_HTTPS, _HTTP = "https://", "http://"
AnyKey = OctKey | RSAKey | ECKey | OKPKey


class Keys(Protocol):
    """The keys that JWTs may be signed with."""

    def now(self) -> KeySet:
        """As they are known; never waits."""
        ...

    def missed(self) -> None:
        """A token names a key that is not among them: they may have changed."""
        ...

    def kept_fresh(self) -> contextlib.AbstractAsyncContextManager[None]:
        """While it is entered, the keys are kept up to date."""
        ...


def keys_at(place: str, tls: ssl.SSLContext | None = None) -> Keys:
    """From a file's path or an https URL. `ConfigError`."""
    if place.startswith(_HTTP):
        raise ConfigError(
            "AUDIT_GATEWAY_JWKS: keys that came over http could be anybody's",
            hint="use https, or a file",
        )
    return KeyUrl(place, tls) if place.startswith(_HTTPS) else KeyFile(Path(place))


class KeyFile:
    """A JWKS file, read once: whoever changes it starts the gateway again."""

    def __init__(self, path: Path) -> None:
        try:
            self._keys = _key_set(path.read_bytes())
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"AUDIT_GATEWAY_JWKS: {path} cannot be used: {type(error).__name__}",
                hint="it must be a JSON Web Key Set with public keys",
            ) from error

    def now(self) -> KeySet:
        """The file's keys."""
        return self._keys

    def missed(self) -> None:
        """Nothing to be done."""

    @contextlib.asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Nothing to be done."""
        yield


class KeyUrl:
    """A JWKS that is fetched at the start, every five minutes, and soon after a key was missed.

    While it cannot be had, the last one counts; before the first there is no JWT that does.
    """

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        self._url, self._tls = url, tls
        self._keys = KeySet([])
        self._wanted = asyncio.Event()

    def __repr__(self) -> str:  # a URL may hold a login
        return "KeyUrl()"

    def now(self) -> KeySet:
        """The keys last fetched."""
        return self._keys

    def missed(self) -> None:
        """Ask again, ten seconds after the last time at the earliest."""
        self._wanted.set()

    @contextlib.asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Fetches at once, and then in the background."""
        await self.refresh()
        task = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            self._wanted.clear()
            await asyncio.sleep(_SPACING_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), _REFRESH_SECONDS)
            await self.refresh()

    async def refresh(self) -> None:
        """Fetch now; what fails is logged, without the URL."""
        try:
            self._keys = _key_set(await self._fetch())
        except (aiohttp.ClientError, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("the issuer's keys could not be fetched: %s", type(error).__name__)

    async def _fetch(self) -> bytes:
        timeout = aiohttp.ClientTimeout(total=_ASK_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.get(self._url, allow_redirects=False, ssl=self._tls or True) as answer,
        ):
            if answer.status != 200:
                raise ValueError(answer.status)
            body = b""
            async for chunk in answer.content.iter_chunked(1 << 16):
                body += chunk
                if len(body) > _LONGEST:
                    raise ValueError(_LONGEST)
            return body


def _key_set(data: bytes) -> KeySet:
    """The keys that can verify, whatever else stands beside them (RFC 7517 section 5);
    `ValueError`, `KeyError`, `TypeError` when there is none."""
    keys = [key for each in list(orjson.loads(data)["keys"]) if (key := _key(each)) is not None]
    if not keys:
        raise ValueError("no key of the set can be used")
    return KeySet(keys)


def _key(value: Any) -> AnyKey | None:
    """None of a symmetric key, which would let whoever has the set sign; of one for encryption, of
    an RSA key below 2048 bits (RFC 7518 section 3.3), and of what we do not understand."""
    try:
        key = import_key(value)
    except Exception:  # each library below has errors of its own
        return None
    if isinstance(key, OctKey) or value.get("use", "sig") != "sig":
        return None
    if isinstance(key, RSAKey) and key.raw_value.key_size < _LEAST_RSA_BITS:
        return None
    return key
