"""The event loop a gateway listens with: a TLS handshake is not waited for as long as asyncio does.

Until its handshake is done, a connection is none of `protocol`'s, which bounds it from then on.
"""

from __future__ import annotations

import asyncio
from typing import Any

HANDSHAKE_SECONDS = 10.0  # for the handshake, and for the goodbye
NAME = f"{__name__}:BoundedLoop"  # as uvicorn wants it


class BoundedLoop(asyncio.SelectorEventLoop):
    """As asyncio's."""

    async def create_server(self, *given: Any, **named: Any) -> asyncio.Server:
        """As asyncio's; where it serves TLS, that is bounded."""
        if named.get("ssl") is not None:
            named |= {
                "ssl_handshake_timeout": HANDSHAKE_SECONDS,
                "ssl_shutdown_timeout": HANDSHAKE_SECONDS,
            }
        return await super().create_server(*given, **named)
