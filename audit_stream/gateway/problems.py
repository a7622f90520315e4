"""Problem details (RFC 9457): every error the API answers with, in one form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MEDIA_TYPE = "application/problem+json"
TITLES = {
    400: "Bad request", 401: "Not authenticated", 403: "Not allowed", 404: "Not found",
    405: "Method not allowed", 408: "Too slow", 409: "Tampered with", 413: "Too large",
    415: "Not JSON", 422: "Unprocessable", 429: "Too many requests", 431: "Head too large",
    500: "Internal error", 503: "Cannot answer now",
}  # fmt: skip


class Problem(Exception):
    """An answer that is an error; `detail` holds no personal data, no token.

    `more`: members beside the standard ones.
    """

    STANDARD = frozenset({"type", "title", "status", "detail"})

    def __init__(
        self, status: int, detail: str, more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(status, detail)
        self.status, self.detail = status, detail
        self.more, self.headers = dict(more or {}), dict(headers or {})

    def document(self) -> dict[str, Any]:
        """The body."""
        title = TITLES.get(self.status, "Error")
        return {
            "type": "about:blank", "title": title, "status": self.status, "detail": self.detail,
            **self.more,
        }  # fmt: skip
