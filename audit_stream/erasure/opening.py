"""Handing out the opening of a certificate's commitment: once, to who filed the request."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from audit_stream.archive.private import PrivateObjects
from audit_stream.erasure.counting import opening_name
from audit_stream.erasure.request import State
from audit_stream.erasure.requests import Requests
from audit_stream.errors import RequestError


async def take_opening(
    private: PrivateObjects, requests: Requests, ref: str, by: str,
    write: Callable[[dict[str, Any]], None],
) -> None:  # fmt: skip
    """Give it to `write`, and then remove it. `RequestError` for anybody else, or a second time.

    The value: ``{"hashes": [hex…], "secret": hex, "v": "audit-opening/1"}``.
    """
    request = await requests.get(ref)
    if request is None or not hmac.compare_digest(request.requested_by.encode(), by.encode()):
        raise RequestError(f"there is no request {ref} that {by} filed")
    kept = await private.get(opening_name(ref)) if request.state is State.DONE else None
    if kept is None:
        raise RequestError(
            f"there is no opening of the request {ref}",
            hint="it is not carried out yet, or its opening was given out: that is done once",
        )
    write(kept.value)
    await private.remove(kept)
