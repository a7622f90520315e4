"""Requests in the private objects: filing, approving, withdrawing, by reference.

A request that is done or withdrawn moves to another folder, so that a run reads what is open only.
One that a crash left in both is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from audit_stream.archive.fleet import newest_epoch_told
from audit_stream.archive.private import PrivateObjects
from audit_stream.erasure.request import (
    CLOSED,
    OPEN,
    TO_CARRY_OUT,
    Request,
    decode_request,
    request_id,
)
from audit_stream.errors import RequestError


class Requests:
    """All requests of one archive."""

    def __init__(self, private: PrivateObjects) -> None:
        self._private = private

    async def file(self, request: Request, epoch: int | None = None) -> Request:
        """Store it, or find what a repetition of it has become. `RequestError` when the reference
        is another request's, or the archive has a newer key epoch than its tags were reckoned by:
        somebody may have returned since, whom they would not reach."""
        there = await self.get(request.ref)
        if there is None:
            if await self._private.create(OPEN + request_id(request.ref), request.encode()):
                if epoch is not None and await newest_epoch_told(self._private) > epoch:
                    await self.withdraw(request.ref)
                    raise RequestError(
                        "keys were renewed while this was looked up: it is withdrawn",
                        hint="ask again, under another reference",
                    )
                return request
            there = await self.get(request.ref)
        if there is None or not there.same_as(request):
            raise RequestError(
                f"the reference {request.ref} is another request's", hint="give it another one"
            )
        return there

    async def get(self, ref: str) -> Request | None:
        """By reference."""
        return await self._closed(request_id(ref)) or await self._read(OPEN + request_id(ref))

    async def all(self) -> list[Request]:
        """Every request, the oldest first."""
        closed = {each.ref: each for each in await self._folder(CLOSED)}
        still = {each.ref: each for each in await self._folder(OPEN)}
        return _by_age([*(still | closed).values()])

    async def approve(self, ref: str, by: str, at: str) -> Request:
        """By a second person; `RequestError`."""
        return await self.change(ref, lambda request: request.approved(by, at))

    async def withdraw(self, ref: str) -> Request:
        """`RequestError` once it is at work."""
        return await self.change(ref, Request.withdrawn)

    async def change(self, ref: str, change: Callable[[Request], Request]) -> Request:
        """Compare and swap; `RequestError` when there is no such request, or it is closed and would
        become another."""
        name = OPEN + request_id(ref)
        if (closed := await self._closed(request_id(ref))) is not None:
            if change(closed) != closed:
                raise RequestError(f"the request {ref} is {closed.state.value}")
            await self._private.discard(name)  # a crash may have left it
            return closed

        def changed(value: dict[str, Any] | None) -> dict[str, Any]:
            if value is None:
                raise RequestError(
                    f"there is no request {ref}", hint="audit-stream redact list shows them"
                )
            return change(decode_request(value, name)).encode()

        request = decode_request(await self._private.update(name, changed), name)
        if request.is_closed:
            await self._private.create(CLOSED + request_id(ref), request.encode())
            await self._private.discard(name)
        return request

    async def open(self) -> list[Request]:
        """Those that are not done or withdrawn, the oldest first."""
        found = [
            each for each in await self._folder(OPEN)
            if not each.is_closed and await self._closed(request_id(each.ref)) is None
        ]  # fmt: skip
        return _by_age(found)

    async def to_carry_out(self) -> list[Request]:
        """Approved ones, those a hold stood against included, and those that a run had just taken
        when it was cut off before it had a journal."""
        return [each for each in await self.open() if each.state in TO_CARRY_OUT]

    async def naming(self, tags: Collection[bytes]) -> list[Request]:
        """Those that something is still to be done about, and that are about one of these tags."""
        found = [each for each in await self._folder(OPEN) if not each.is_closed]
        return _by_age([each for each in found if not set(tags).isdisjoint(each.tags)])

    async def closed(self, identity: str) -> Request | None:
        """One that is done or withdrawn, by `request_id`."""
        return await self._closed(identity)

    async def _closed(self, identity: str) -> Request | None:
        return await self._read(CLOSED + identity)

    async def _read(self, name: str) -> Request | None:
        kept = await self._private.get(name)
        return None if kept is None else decode_request(kept.value, kept.name)

    async def _folder(self, folder: str) -> list[Request]:
        kept = await self._private.all(folder)
        return [decode_request(each.value, each.name) for each in kept]


def _by_age(requests: list[Request]) -> list[Request]:
    return sorted(requests, key=lambda each: (each.requested_at, each.ref))
