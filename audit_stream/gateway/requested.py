"""All requests, the newest first, without reading those again that are over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from audit_stream.archive.private import PrivateObjects
from audit_stream.erasure.request import CLOSED, OPEN, Request, decode_request
from audit_stream.errors import FormatError
from audit_stream.evidence.encoding import b64u, b64u_decode
from audit_stream.gateway.problems import Problem

_READERS = 8


class RequestList:
    """Remembers requests that cannot change any more: their names and numbers, no tags."""

    def __init__(self, private: PrivateObjects) -> None:
        self._private = private
        self._over: dict[str, Request] = {}

    async def page(
        self, seen: Callable[[Request], bool], cursor: str | None, limit: int
    ) -> tuple[Sequence[Request], str | None]:
        """At most so many behind the cursor. `Problem` 400 for one that is none of ours."""
        after = None if cursor is None else _parse(cursor)
        found = sorted(filter(seen, await self._all()), key=_key, reverse=True)
        left = [each for each in found if after is None or _key(each) < after]
        page = left[:limit]
        return page, _cursor(page[-1]) if len(left) > limit else None

    async def _all(self) -> list[Request]:
        closed, still = await self._private.names(CLOSED), await self._private.names(OPEN)
        known = {name.rpartition("/")[2] for name in closed}  # one that is in both is closed
        names = [*closed, *(name for name in still if name.rpartition("/")[2] not in known)]
        turn = asyncio.Semaphore(_READERS)

        async def read(name: str) -> Request | None:
            if (over := self._over.get(name)) is not None:
                return over
            async with turn:
                kept = await self._private.get(name)
            if kept is None:
                return None
            request = decode_request(kept.value, name)
            if name.startswith(CLOSED):
                self._over[name] = request
            return request

        found = await asyncio.gather(*map(read, names))
        return [each for each in found if each is not None]


def _key(request: Request) -> tuple[str, str]:
    return request.requested_at, request.ref


def _cursor(request: Request) -> str:
    return b64u("\n".join(_key(request)).encode())


def _parse(cursor: str) -> tuple[str, str]:
    try:
        at, ref = b64u_decode(cursor, "the cursor").decode().split("\n")
    except (FormatError, ValueError):
        raise Problem(400, "the cursor is none that a page was given with") from None
    return at, ref
