"""How a request is passed on: byte for byte, on a connection of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from tests.support.s3_faults.signed import Incoming

#: What one hop says to the next; the proxy has answered Expect itself.
_HOP = ("Connection", "Keep-Alive", "Transfer-Encoding", "Expect")
_AUTOMATIC = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back."""

    status: int
    headers: CIMultiDict[str]
    body: bytes = b""


class Upstream:
    """The server behind the proxy, while the `async with` lasts."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True), auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(), skip_auto_headers=_AUTOMATIC,
        )  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def ask(self, request: Incoming) -> Answer:
        """The server's answer."""
        assert self._session is not None
        url = URL(self._url + request.target, encoded=True)
        async with self._session.request(
            request.method, url, headers=_to_pass_on(request.headers), data=request.body or None,
            allow_redirects=False,
        ) as found:  # fmt: skip
            body = await found.read()
            return Answer(found.status, _to_pass_on(CIMultiDict(found.headers)), body)


def _to_pass_on(headers: CIMultiDict[str]) -> CIMultiDict[str]:
    left = CIMultiDict(headers)
    for name in _HOP:
        left.popall(name, None)
    return left
