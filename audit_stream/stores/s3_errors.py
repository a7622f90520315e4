"""From the SDK's exceptions to ours: what may pass, what an operator has to mend, and how.

Decided by the service's code, else by the HTTP status. Source of the codes: "Error responses",
Amazon S3 API Reference.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ChecksumError,
    ClientError,
    ConnectionError,  # noqa: A004 - the SDK's name
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
)
from botocore.parsers import ResponseParserError

from audit_stream.errors import StoreRefused, StoreTransient

#: What the SDK raises. An answer that is no XML is no `BotoCoreError`.
SDK_ERRORS = (BotoCoreError, ClientError, ResponseParserError)
#: A condition did not hold: something stands under the name, and only a comparison says whose.
CONDITION_FAILED = frozenset(("PreconditionFailed", "412"))
ABSENT = frozenset(("NoSuchKey", "NoSuchVersion"))
NO_LOCK = frozenset(("ObjectLockConfigurationNotFoundError", "NotImplemented"))
#: Of a version without a retention or hold of its own.
UNPROTECTED = frozenset(("NoSuchObjectLockConfiguration",))
DENIED = "AccessDenied"
#: With a status that would else be for good: overtaken, cut short, damaged on the way, too much.
_PASSING = frozenset((
    "ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "IncompleteBody",
    "BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "SlowDown",
    "Throttling", "ThrottlingException", "RequestThrottled", "RequestLimitExceeded",
    "TooManyRequests", "TemporaryRedirect",
))  # fmt: skip
_PASSING_STATUS = frozenset((307, 408, 429))
_SERVER_ERRORS_FOR_GOOD = frozenset((501, 505))
_BROKEN = (
    HTTPClientError, ConnectionError, IncompleteReadError, ChecksumError, FlexibleChecksumError,
    ResponseParserError,
)  # fmt: skip
_GUIDE = "see docs/how-to/s3.md"
_RIGHTS = f"check the identity's rights and the bucket's policy; {_GUIDE}"
_SETTINGS = "check AUDIT_ARCHIVE and AUDIT_SUBJECTS, and any proxy in between"
_STRANGER = "the answer is not S3's: a proxy or a firewall refused; see docs/how-to/firewall.md"
_TLS = "the certificate is not of an authority we trust: set AUDIT_S3_CA_FILE"
_REGION = "the bucket is in another region: set AUDIT_S3_REGION"
_NO_KEY = "no access key or role was found: set AUDIT_S3_ACCESS_KEY_ID, AUDIT_S3_PROFILE or a role"
_HINTS = {
    "PermanentRedirect": _REGION, "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "RequestTimeTooSkewed": "set this machine's clock (NTP)",
    "InvalidAccessKeyId": "check AUDIT_S3_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "check AUDIT_S3_SECRET_ACCESS_KEY",
    "ExpiredToken": "the temporary credentials are over: renew them",
    "InvalidObjectState": "the object lies in a cold storage class: restore it first",
    "InvalidRequest": f"the service does not do what was asked; {_GUIDE}",
}  # fmt: skip


def error_code(error: Exception) -> str | None:
    """The service's code; the HTTP status as text where an answer had none."""
    if not isinstance(error, ClientError):
        return None
    return str(error.response.get("Error", {}).get("Code") or _status(error))


def is_ambiguous(error: Exception) -> bool:
    """Whether the call may have taken effect, or may go through later."""
    if not isinstance(error, ClientError):
        return isinstance(error, _BROKEN)
    if error_code(error) in _PASSING or _broke_off(error):
        return True
    status = _status(error)
    return status in _PASSING_STATUS or (status >= 500 and status not in _SERVER_ERRORS_FOR_GOOD)


def _broke_off(error: ClientError) -> bool:
    """Whether it is the service's own answer and its code did not arrive: others send no XML."""
    coded = not (error_code(error) or "").isdecimal()
    return not coded and "xml" in (_header(error, "content-type") or "")


@contextmanager
def store_errors(doing: str) -> Iterator[None]:
    """Turn the SDK's exceptions into `StoreTransient` or `StoreRefused`."""
    try:
        yield
    except SDK_ERRORS as error:
        if is_ambiguous(error):
            raise doubt(doing, error) from error
        raise refused(doing, error) from error


def doubt(doing: str, error: Exception) -> StoreTransient:
    """It may have happened, or may go through later."""
    retry_after = None
    with suppress(TypeError, ValueError):  # absent, or a date
        retry_after = float(_header(error, "retry-after") or "")
    hint = _TLS if _distrusted(error) else ""
    return StoreTransient(f"{doing}: {_what(error)}", hint=hint, retry_after=retry_after)


def no_answer(doing: str) -> StoreTransient:
    """The status is good and the rest is not S3's: an empty body, or a page of somebody else's."""
    return StoreTransient(
        f"{doing}: the answer is not S3's", hint="look at the proxies in between, and the service"
    )


def refused(doing: str, error: Exception) -> StoreRefused:
    """Repeating cannot help; the hint says where to look first."""
    code = error_code(error)
    if code is None:
        hint = _NO_KEY if "redential" in type(error).__name__ else _SETTINGS
    elif code.isdecimal():
        hint = _STRANGER
    else:
        hint = _HINTS.get(code) or (_RIGHTS if _status(error) in (401, 403) else _SETTINGS)
    return StoreRefused(f"{doing}: the store refused ({_what(error)})", hint=hint)


def _status(error: Exception) -> int:
    return int(_metadata(error).get("HTTPStatusCode") or 0)


def _header(error: Exception, name: str) -> str | None:
    value = _metadata(error).get("HTTPHeaders", {}).get(name)
    return None if value is None else str(value)


def _metadata(error: Exception) -> Any:
    return error.response.get("ResponseMetadata", {}) if isinstance(error, ClientError) else {}


def _what(error: Exception) -> str:
    """The service's code, else the HTTP status, else the kind of failure. Never its text: it may
    repeat a URL."""
    code = error_code(error)
    if code is None:
        return type(error).__name__
    return f"HTTP {code}" if code.isdecimal() else code


def _distrusted(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
