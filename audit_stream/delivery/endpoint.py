"""A receiver over HTTP: one POST a record, and its status resource until the answer is final.

aiohttp sends a GET a second time by itself when a connection that was kept open turns out closed,
and a POST never; were it to, the second would bear the same key.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from audit_stream.delivery.outcome import (
    Answer,
    Pending,
    Stored,
    Verdict,
    is_this_machine,
    polled,
    posted,
)
from audit_stream.delivery.token import Token
from audit_stream.errors import StoreRefused, StoreTransient
from audit_stream.evidence.encoding import time_text
from audit_stream.ports import Clock, Receipt, Rejected

LONGEST = 64 << 10  # bytes of an answer that are read
_FIRST_POLL, _LAST_POLL = 0.25, 8.0  # seconds between two looks: doubled, the last one kept
_NETWORK = "check the URL's host, the firewall, HTTPS_PROXY and NO_PROXY"
_TLS = "the certificate is not of an authority we trust: set AUDIT_DELIVERY_CA_FILE"
_PROXY = "the proxy wants a login or refuses the host: check HTTPS_PROXY and NO_PROXY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to post, and what its answers are worth. Durations in seconds."""

    name: str  # of the target, for positions, certificates and people
    url: str
    synchronous: bool = False  # 200 and 201 mean stored
    request_limit: float = 30.0  # for one request and its answer
    poll_limit: float = 120.0  # from a 202 on, for its final answer
    connections: int = 32


class HttpDelivery:
    """`ports.Delivery` over one session. Made and closed on one event loop.

    `now` is Unix seconds. The token goes to the endpoint's origin alone; no message repeats a URL,
    a token or what was posted.
    """

    def __init__(
        self, endpoint: Endpoint, token: Token | None, tls: ssl.SSLContext, *, clock: Clock,
        now: Callable[[], float],
    ) -> None:  # fmt: skip
        self._endpoint, self._token, self._tls = endpoint, token, tls
        self._clock, self._now = clock, now
        self._session: aiohttp.ClientSession | None = None
        self._proxy = _proxy_for(endpoint.url)

    @property
    def target(self) -> str:
        """The receiver's name."""
        return self._endpoint.name

    async def deliver(self, body: bytes, key: str) -> Receipt | Rejected:
        """See `ports.Delivery`. A 202 that comes to no end within its limit is `StoreTransient`:
        the same key is posted again."""
        return (await self.observe(body, key))[1]

    async def observe(self, body: bytes, key: str) -> tuple[Answer, Receipt | Rejected]:
        """The same, and the answer to the post itself, for who judges the receiver by it."""
        headers = {"Content-Type": "application/json", "X-Idempotency-Key": key}
        answer = await self._ask("POST", self._endpoint.url, headers, body)
        verdict = posted(
            answer, self._endpoint.url, synchronous=self._endpoint.synchronous, now=self._now()
        )
        if isinstance(verdict, Pending):
            verdict = await self._until_final(verdict)
        if isinstance(verdict, Stored):
            at = time_text(round(self._now() * 1000))
            return answer, Receipt(at=at, said=verdict.said)
        return answer, verdict

    async def read(self, url: str) -> Answer:
        """A GET of a URL of the endpoint's origin, which is given the token."""
        return await self._ask("GET", url, {})

    async def close(self) -> None:
        """Release connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _until_final(self, pending: Pending) -> Stored | Rejected:
        """Looked at when the receiver says, and at the limit at the latest, whatever it says: how
        long it asks us to wait for one post's status is no word about others."""
        deadline = self._clock.monotonic() + self._endpoint.poll_limit
        delay = _FIRST_POLL
        verdict: Verdict = pending
        while isinstance(verdict, Pending):
            left = deadline - self._clock.monotonic()
            if left <= 0:
                raise StoreTransient(
                    f"an accepted post came to no end within {self._endpoint.poll_limit:g} s"
                )
            wait = delay if verdict.wait is None else max(verdict.wait, _FIRST_POLL)
            await self._clock.sleep(min(wait, left))
            delay = min(2 * delay, _LAST_POLL)
            verdict = await self._status(pending.location)
        return verdict

    async def _status(self, location: str) -> Verdict:
        """One look. A status that cannot be reached says nothing of the post."""
        try:
            answer = await self._ask("GET", location, {})
        except StoreTransient:
            return Pending(location)
        return polled(answer, location, self._now())

    async def _ask(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> Answer:
        """One request, and once more if its token was refused and there is another one."""
        token = None if self._token is None else self._token.current()
        answer = await self._send(method, url, _with(token, headers), body)
        if answer.status != 401 or self._token is None or token is None:
            return answer
        if not self._token.renewed(token):
            return answer
        return await self._send(method, url, _with(self._token.current(), headers), body)

    async def _send(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> Answer:
        try:
            async with self._opened().request(
                method, url, data=body, headers=headers, allow_redirects=False, proxy=self._proxy
            ) as answer:
                held = {name.lower(): value for name, value in answer.headers.items()}
                return Answer(status=answer.status, headers=held, body=await _beginning(answer))
        # `from None`: the causes repeat the URL.
        except aiohttp.ClientHttpProxyError as error:  # its answer to CONNECT
            raise _by_proxy(error.status) from None
        except aiohttp.InvalidURL:
            raise StoreRefused("the receiver's URL is none", hint="AUDIT_DELIVERY_URL") from None
        except aiohttp.ClientConnectorCertificateError:
            raise StoreRefused("the receiver's certificate is not trusted", hint=_TLS) from None
        except (aiohttp.ClientError, OSError, UnicodeError) as error:  # names go through IDNA
            raise StoreTransient(
                f"the receiver was not reached: {type(error).__name__}", hint=_NETWORK
            ) from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, limit=self._endpoint.connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept": "application/json"},
                timeout=aiohttp.ClientTimeout(total=self._endpoint.request_limit),
            )
        return self._session


def _proxy_for(url: str) -> str | None:
    """The environment's proxy for the URL, read once. aiohttp's own way (`trust_env`) also reads
    ``~/.netrc`` for each request, and refuses to send a token to a host that it finds there. What
    goes to this machine without TLS stays on it: a proxy would read the token."""
    parts = urlsplit(url)
    if parts.scheme == "http" and is_this_machine(parts.hostname or ""):
        return None
    if proxy_bypass(parts.netloc):
        return None
    return getproxies().get(parts.scheme)


def _with(token: str | None, headers: dict[str, str]) -> dict[str, str]:
    return headers if token is None else {"Authorization": f"Bearer {token}", **headers}


def _by_proxy(status: int) -> StoreRefused | StoreTransient:
    said = f"the proxy before the receiver answered HTTP {status}"
    if status in (408, 425, 429) or status >= 500:
        return StoreTransient(said, hint=_PROXY)
    return StoreRefused(said, hint=_PROXY)


async def _beginning(answer: aiohttp.ClientResponse) -> bytes:
    """Of the body, at most `LONGEST` bytes; what is longer is cut, and its connection closed."""
    body = bytearray()
    async for chunk in answer.content.iter_chunked(1 << 14):
        body += chunk
        if len(body) >= LONGEST:
            answer.close()
            break
    return bytes(body[:LONGEST])
