"""One POST to an authority or witness. URLs may hold a login: they stand in no message and log."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from audit_stream.errors import AnchorError, AnchorRefused

LONGEST = 1 << 20  # bytes of an answer
_NETWORK = "check the URL's host, the firewall, HTTPS_PROXY and NO_PROXY"
_TLS = "the certificate is not of an authority we trust: set AUDIT_ANCHOR_CA_FILE"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    kind: str  # media type
    body: bytes


#: (URL, body, media type) to what came back; `AnchorError` when nothing did.
Post = Callable[[str, bytes, str], Awaitable[Answer]]


def poster(tls: ssl.SSLContext, seconds: float) -> Post:
    """POSTs over a connection of their own, through the environment's proxy, within a time limit.

    Redirects are answers like any other: what is asked goes to who was named.
    """
    timeout = aiohttp.ClientTimeout(total=seconds)

    async def post(url: str, body: bytes, kind: str) -> Answer:
        try:
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(ssl=tls), timeout=timeout, trust_env=True
                ) as session,
                session.post(
                    url, data=body, headers={"Content-Type": kind}, allow_redirects=False
                ) as answer,
            ):
                return Answer(answer.status, answer.content_type, await _body(answer))
        # `from None`: the causes repeat the URL.
        except aiohttp.InvalidURL as error:
            raise AnchorRefused(f"its URL is none: {type(error).__name__}") from None
        except aiohttp.ClientConnectorCertificateError:
            raise AnchorError("its certificate is not trusted", hint=_TLS) from None
        except (aiohttp.ClientError, OSError, UnicodeError) as error:  # names go through IDNA
            raise AnchorError(f"not reached: {type(error).__name__}", hint=_NETWORK) from None

    return post


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > LONGEST:
            raise AnchorError(f"its answer is longer than {LONGEST} bytes")
    return bytes(body)
