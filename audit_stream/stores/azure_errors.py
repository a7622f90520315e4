"""From the SDK's exceptions to ours: what may pass, what an operator has to mend, and how."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from audit_stream.errors import StoreRefused, StoreTransient

#: Each of them says that something stands under the name; only a comparison says whose.
CONFLICTS = frozenset((
    "BlobAlreadyExists", "BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold",
    "ConditionNotMet", "UnauthorizedBlobOverwrite",
))  # fmt: skip
_DAMAGED = frozenset(("Md5Mismatch", "Crc64Mismatch"))  # on its way: the service kept nothing
_ABSENT = frozenset(("BlobNotFound", "ResourceNotFound"))
_SERVER_ERRORS_FOR_GOOD = frozenset((501, 505))
_GUIDE = "see docs/how-to/firewall.md"
_TLS = f"the certificate is not of an authority we trust: set AUDIT_AZURE_CA_FILE; {_GUIDE}"
_STRANGER = f"the answer is not Azure's: a proxy or a firewall's SNI list refused; {_GUIDE}"
_PROXY_LOGIN = f"the proxy wants a login: check HTTPS_PROXY and NO_PROXY; {_GUIDE}"
_RIGHTS = "check the identity's role, its SAS, and the account's network rules"
_SETTINGS = "check AUDIT_ARCHIVE and AUDIT_SUBJECTS, and any proxy in between"


def error_code(error: AzureError) -> str | None:
    """The service's code, from the error or the header; some calls fill in only one of them."""
    code = getattr(error, "error_code", None)
    if code is None:  # the management plane has its code in the body alone
        body = getattr(getattr(error, "error", None), "code", None)
        return response_header(error, "x-ms-error-code") or body
    return str(getattr(code, "value", code))


def response_header(error: AzureError, name: str) -> str | None:
    """A header of the answer that was an error, if there was an answer."""
    response: Any = getattr(error, "response", None)
    return None if response is None else response.headers.get(name)


def is_ambiguous(error: AzureError) -> bool:
    """Whether the call may have taken effect, or may go through later.

    In the asynchronous client every lost connection is a ServiceRequestError, also one that was
    lost after the service had the bytes.
    """
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return True
    if isinstance(error, ClientAuthenticationError):
        return False  # without a status where no token was to be had: nothing was sent
    if not isinstance(error, HttpResponseError) or error.status_code is None:
        return True  # the body broke off, or the SDK itself gave up: nothing is known
    if error_code(error) in _DAMAGED:
        return True
    status = error.status_code
    return status in (408, 429) or (status >= 500 and status not in _SERVER_ERRORS_FOR_GOOD)


@contextmanager
def store_errors(doing: str) -> Iterator[None]:
    """Turn the SDK's exceptions into `StoreTransient` or `StoreRefused`."""
    try:
        yield
    except AzureError as error:
        if is_ambiguous(error):
            raise doubt(doing, error) from error
        raise refused(doing, error) from error


def doubt(doing: str, error: AzureError) -> StoreTransient:
    """It may have happened, or may go through later."""
    retry_after = None
    with suppress(TypeError, ValueError):  # absent, or a date
        retry_after = float(response_header(error, "Retry-After") or "")
    hint = _TLS if _distrusted(error) else ""
    return StoreTransient(f"{doing}: {_what(error)}", hint=hint, retry_after=retry_after)


def refused(doing: str, error: AzureError) -> StoreRefused:
    """Repeating cannot help; the hint says where to look first."""
    status = getattr(error, "status_code", None)
    if isinstance(error, ClientAuthenticationError) and status is None:
        hint = f"no token could be had: is the managed identity assigned to this machine? {_GUIDE}"
    elif status == 407:
        hint = _PROXY_LOGIN
    elif error_code(error) is None:
        hint = _STRANGER
    else:
        hint = _RIGHTS if status in (401, 403) else _SETTINGS
    return StoreRefused(f"{doing}: the store refused ({_what(error)})", hint=hint)


def check_absent(error: AzureError) -> None:
    """`error` again, unless it is the service's own word that nothing stands under the name: a
    container that is not there has no free names, and to a stranger in between all are absent."""
    if error_code(error) not in _ABSENT:
        raise error


def _what(error: AzureError) -> str:
    """The service's code, else the HTTP status, else the kind of failure. Never its text: it may
    repeat a URL with its signature."""
    code = error_code(error)
    if code is not None:
        return code
    status = getattr(error, "status_code", None)
    inner = getattr(error, "inner_exception", None) or error
    return f"HTTP {status}" if status else type(inner).__name__


def _distrusted(error: AzureError) -> bool:
    inner: BaseException | None = getattr(error, "inner_exception", None)
    while inner is not None:
        if isinstance(inner, ssl.SSLCertVerificationError):
            return True
        inner = inner.__cause__ or inner.__context__
    return False
