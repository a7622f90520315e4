"""Which Azure container, and how it is reached: plain data, without the SDK."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult

from audit_stream.errors import ConfigError

_ACCOUNT = re.compile(r"[a-z0-9]{3,24}").fullmatch
_CONTAINER = re.compile(r"[a-z0-9](?!.*--)[a-z0-9-]{1,61}[a-z0-9]").fullmatch
_EXAMPLE = "for example azure://account/container"


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureAccess:
    """How Azure is reached; the same for every container. Secrets stay out of the repr.

    Without `sas` and `key` the identity of the workload, then of the machine, is used.
    """

    endpoint: str = ""  # of the blob service; the public cloud's if empty
    sas: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)  # account key: for emulators
    client_id: str | None = None  # of a user-assigned managed identity
    ca_file: str | None = None  # certificates of a private CA
    require_tls13: bool = False  # else 1.2 at least; 1.3 is taken where both ends have it
    connections: int = 16
    connect_seconds: float = 5.0
    read_seconds: float = 20.0  # also a body that trickles: from one part to the next
    server_seconds: int = 15  # how long the service itself may take


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureTarget:
    """One container."""

    account: str
    container: str
    access: AzureAccess

    @property
    def url(self) -> str:
        """``azure://account/container``: names it without a credential."""
        return f"azure://{self.account}/{self.container}"

    @property
    def service_url(self) -> str:
        """Of the blob service."""
        return self.access.endpoint or f"https://{self.account}.blob.core.windows.net"


def azure_target(parts: SplitResult, access: AzureAccess) -> AzureTarget:
    """The container an ``azure://account/container`` URL means; `ConfigError` for any other."""
    account, container = parts.netloc, parts.path.strip("/")
    if parts.query or parts.fragment or "@" in account:
        raise ConfigError(
            "an azure URL is account and container, nothing else",
            hint=f"{_EXAMPLE}; credentials have settings of their own (AUDIT_AZURE_…)",
        )
    if not _ACCOUNT(account) or not _CONTAINER(container):
        raise ConfigError("an azure URL names no storage account and container", hint=_EXAMPLE)
    return AzureTarget(account=account, container=container, access=access)
