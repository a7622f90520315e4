"""Asking a timestamp authority (RFC 3161, over HTTP as in its section 3.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from audit_stream.anchors.http import Post
from audit_stream.errors import AnchorError, AnchorRefused, FormatError
from audit_stream.evidence.timestamp import Timestamp, TrustedAuthorities, check_timestamp

_QUERY, _REPLY = "application/timestamp-query", "application/timestamp-reply"
_HINT = "check its line in AUDIT_ANCHOR_TSA_URLS, and the login if the authority wants one"
_ROOTS = "does AUDIT_ANCHOR_TSA_CERTIFICATES hold the root of this authority?"


@dataclass(frozen=True, slots=True)
class TimestampAuthority:
    """One authority under the name that its replies are stored by; `url` is asked at each call."""

    name: str
    url: Callable[[], str]
    trusted: TrustedAuthorities
    post: Post

    async def ask(self, checkpoint: bytes) -> tuple[bytes, Timestamp]:
        """The raw reply over these bytes, checked, and what it says.

        `AnchorError` when none came that holds, `AnchorRefused` when none will.
        """
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

        builder = TimestampRequestBuilder(checkpoint, HashAlgorithm.SHA256, nonce=True)
        request = builder.cert_request(cert_request=True).build()
        answer = await self.post(self.url(), request.as_bytes(), _QUERY)
        if answer.status != 200:
            passing = answer.status >= 500 or answer.status in (408, 425, 429)
            refusal = AnchorError if passing else AnchorRefused
            raise refusal(f"it answered HTTP {answer.status}", hint="" if passing else _HINT)
        if answer.kind != _REPLY:
            raise AnchorError(f"its answer is not of the type {_REPLY}", hint=_HINT)
        try:
            said = check_timestamp(
                answer.body, checkpoint, self.trusted, "its reply", nonce=request.nonce
            )
        except FormatError as error:
            hint = _ROOTS if "certificate" in error.message else ""
            raise AnchorError(error.message, hint=hint) from error
        return answer.body, said
