"""Requests in the private objects: filing, approving, withdrawing, by reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audit_stream.archive.private import PrivateObjects
from audit_stream.erasure.request import (
    REQUESTS,
    Request,
    State,
    decode_request,
    request_name,
)
from audit_stream.errors import RequestError


class Requests:
    """All requests of one archive."""

    def __init__(self, private: PrivateObjects) -> None:
        self._private = private

    async def file(self, request: Request) -> Request:
        """Store it, or find what a repetition of it has become. `RequestError` when the reference
        is another request's."""
        if await self._private.create(request.name, request.encode()):
            return request
        there = await self.get(request.ref)
        if there is None or not there.same_as(request):
            raise RequestError(
                f"the reference {request.ref} is another request's", hint="give it another one"
            )
        return there

    async def get(self, ref: str) -> Request | None:
        """By reference."""
        kept = await self._private.get(request_name(ref))
        return None if kept is None else decode_request(kept.value, kept.name)

    async def all(self) -> list[Request]:
        """Every request, the oldest first."""
        kept = await self._private.all(REQUESTS)
        found = [decode_request(each.value, each.name) for each in kept]
        return sorted(found, key=lambda each: (each.requested_at, each.ref))

    async def approve(self, ref: str, by: str, at: str) -> Request:
        """By a second person; `RequestError`."""
        return await self.change(ref, lambda request: request.approved(by, at))

    async def withdraw(self, ref: str) -> Request:
        """`RequestError` once it is at work."""
        return await self.change(ref, Request.withdrawn)

    async def change(self, ref: str, change: Callable[[Request], Request]) -> Request:
        """Compare and swap; `RequestError` when there is no such request."""

        def changed(value: dict[str, Any] | None) -> dict[str, Any]:
            if value is None:
                raise RequestError(
                    f"there is no request {ref}", hint="audit-stream redact list shows them"
                )
            return change(decode_request(value, request_name(ref))).encode()

        value = await self._private.update(request_name(ref), changed)
        return decode_request(value, request_name(ref))

    async def to_carry_out(self) -> list[Request]:
        """Approved ones, those a hold stood against included, and those that a run had just taken
        when it was cut off before it had a journal."""
        open_states = (State.APPROVED, State.HELD, State.EXECUTING)
        return [each for each in await self.all() if each.state in open_states]
