"""How a Key Vault is reached: identity, TLS, time limits; and its refusals in our words.

Blocking: a vault is asked when a keyring is loaded and by whoever erases, never on the way of a
record. One client lasts for one act.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import (
    AzureCliCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from azure.keyvault.keys import KeyClient
from requests.adapters import HTTPAdapter

from audit_stream.errors import KeyringError, VaultAway

_GUIDE = "see docs/how-to/wrap-the-cover.md"
_RIGHTS = f"check the identity's role on the vault and the vault's network rules; {_GUIDE}"
_NO_TOKEN = f"no token could be had: is the identity assigned to this machine? {_GUIDE}"
_NO_VAULT = f"is AUDIT_KEYRING_VAULT the URL of a vault, and no proxy in between? {_GUIDE}"
_TLS = f"the certificate is not of an authority we trust: set AUDIT_AZURE_CA_FILE; {_GUIDE}"
_LATER = f"try again later; if it lasts: can the vault be reached from here? {_GUIDE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultAccess:
    """Which vault, and how it is reached."""

    url: str  # https://host, in lower case
    client_id: str | None = None  # of a user-assigned managed identity
    cli_login: bool = False  # the Azure CLI's login in place of an identity
    ca_file: str | None = None  # certificates of a private CA
    require_tls13: bool = False  # else 1.2 at least
    connect_seconds: float = 5.0
    read_seconds: float = 20.0
    attempts: int = 3  # at each request; the SDK waits longer each time
    # What the vault has begun takes its time to be seen: deletions and purges, and a key that was
    # just deleted is in neither list for a moment.
    patience_seconds: float = 60.0
    settle_seconds: float = 15.0


class _Tls(HTTPAdapter):
    """Connections under a context of ours."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=self._context)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        return super().proxy_manager_for(*args, **options, ssl_context=self._context)


@contextmanager
def open_client(access: VaultAccess) -> Iterator[KeyClient]:
    """For the block; the SDK's errors come out of it as ours."""
    with requests.Session() as session:
        session.mount("https://", _Tls(_context(access)))
        # The session is ours, so that closing one of its users leaves it to the other.
        transport = RequestsTransport(
            session=session, session_owner=False, connection_verify=access.ca_file or True,
            connection_timeout=access.connect_seconds, read_timeout=access.read_seconds,
        )  # fmt: skip
        with vault_errors(access.url):
            yield KeyClient(
                access.url, _credential(access, transport), transport=transport,
                retry_total=access.attempts - 1,
            )  # fmt: skip


def _context(access: VaultAccess) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=access.ca_file)
    least = ssl.TLSVersion.TLSv1_3 if access.require_tls13 else ssl.TLSVersion.TLSv1_2
    context.minimum_version = least
    return context


def _credential(access: VaultAccess, transport: RequestsTransport) -> Any:
    """The identity the stores take, too (`stores.azure_client.identity`), without an event loop."""
    if access.cli_login:
        return AzureCliCredential()
    try:
        return WorkloadIdentityCredential(
            transport=transport, retry_total=access.attempts - 1
        )  # fmt: skip
    except ValueError:  # its environment is not set: not in a cluster
        return ManagedIdentityCredential(client_id=access.client_id)


@contextmanager
def vault_errors(url: str) -> Iterator[None]:
    """Turn the SDK's exceptions into `VaultAway` or `KeyringError`. Never the service's text: it
    names who asked."""
    try:
        yield
    except AzureError as error:
        if may_pass(error):
            message = f"the key vault {url} does not answer ({_what(error)})"
            raise VaultAway(message, hint=_TLS if _distrusted(error) else _LATER) from error
        refused = isinstance(error, ClientAuthenticationError) and status_of(error) is None
        hint = _NO_TOKEN if refused else _RIGHTS if status_of(error) in (401, 403) else _NO_VAULT
        raise KeyringError(f"the key vault {url} refused ({_what(error)})", hint=hint) from error
    except ValueError as error:  # the SDK's word for a challenge that is another host's, or none
        raise KeyringError(f"{url} does not answer as a key vault", hint=_NO_VAULT) from error


def status_of(error: AzureError) -> int | None:
    """The HTTP status, if there was an answer."""
    status: int | None = getattr(error, "status_code", None)
    return status


def may_pass(error: AzureError) -> bool:
    """Whether the same call may go through later; 409 is a key that is just being deleted."""
    if isinstance(error, ClientAuthenticationError):
        return False
    status = status_of(error)
    return status is None or status in (408, 409, 429) or status >= 500


def _distrusted(error: AzureError) -> bool:
    inner = getattr(error, "inner_exception", None)
    return isinstance(inner, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY" in str(inner)


def is_missing(error: AzureError) -> bool:
    """Whether the vault itself says that there is no such key; a 404 of anybody else says nothing
    of keys."""
    return status_of(error) == 404 and _code(error) == "KeyNotFound"


def _code(error: AzureError) -> str | None:
    """The service's code."""
    return getattr(getattr(error, "error", None), "code", None)


def _what(error: AzureError) -> str:
    """The service's code, else the HTTP status, else the kind of failure."""
    status = status_of(error)
    inner = getattr(error, "inner_exception", None) or error
    return str(_code(error) or (f"HTTP {status}" if status else type(inner).__name__))
