"""An answer that is given out once: what it was made from goes when it has arrived, as far as a
server can know that."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

log = logging.getLogger(__name__)


class GivenOnce(Response):
    """JSON, sent as a whole; then `given` is called, unless whoever asked has gone; then it ends.

    Without a length: so it is complete for who reads it only once `given` has returned, and what
    `given` raises leaves it incomplete.
    """

    def __init__(
        self, content: bytes, given: Callable[[], Awaitable[None]],
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(content, headers=headers, media_type="application/json")
        del self.headers["content-length"]
        self._given = given

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        head = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **head})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        if await Request(scope, receive).is_disconnected():
            log.warning("what is given out once is kept: whoever asked for it has gone")
        else:
            await self._given()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
