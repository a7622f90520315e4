"""Bodies: a request's, of one kind and bounded in size and time; a bundle as an answer."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from audit_stream.gateway.problems import Problem

_BODY_BYTES, _BODY_SECONDS = 16 << 10, 10.0


async def body_of(request: Request, kind: str) -> bytes:
    """The whole body. `Problem` 415 for another media type, 413, 408."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != kind:
        raise Problem(415, f"send {kind}")
    data = b""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                data += part
                if len(data) > _BODY_BYTES:
                    raise Problem(413, f"a body has {_BODY_BYTES} bytes at most")
    except TimeoutError:
        raise Problem(408, "the body did not come in time") from None
    except ClientDisconnect:  # nobody hears it; but it is no error of ours
        raise Problem(408, "the body did not come whole") from None
    return data


def zipped(bundle: bytes) -> Response:
    """An evidence bundle as a file to keep."""
    return Response(bundle, media_type="application/zip", headers={
        "Content-Disposition": 'attachment; filename="evidence.zip"',
    })  # fmt: skip
