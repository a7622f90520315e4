"""Which Azure container, and how it is reached: plain data, without the SDK."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from audit_stream.errors import ConfigError
from audit_stream.stores.target import Secret, Target

_ACCOUNT = re.compile(r"[a-z0-9]{3,24}").fullmatch
_CONTAINER = re.compile(r"[a-z0-9](?!.*--)[a-z0-9-]{1,61}[a-z0-9]").fullmatch
_EXAMPLE = "for example azure://account/container"
PUBLIC_CLOUD = "https://{account}.blob.core.windows.net"


@dataclass(frozen=True, slots=True, kw_only=True)
class Management:
    """Where the management plane knows the account."""

    url: str  # of Azure Resource Manager
    subscription: str
    resource_group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureAccess:
    """How Azure is reached; the same for every container. Secrets stay out of the repr.

    Without `sas` and `key` the identity of the workload, then of the machine, is used.
    """

    endpoint: str = PUBLIC_CLOUD  # of the blob service; ``{account}`` stands for the account
    sas: Secret | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)  # account key: for emulators
    client_id: str | None = None  # of a user-assigned managed identity
    cli_login: bool = False  # the Azure CLI's login in place of an identity
    ca_file: str | None = None  # certificates of a private CA
    require_tls13: bool = False  # else 1.2 at least; 1.3 is taken where both ends have it
    connections: int = 16
    connect_seconds: float = 5.0
    read_seconds: float = 20.0  # also a body that trickles: from one part to the next
    server_seconds: int = 15  # how long the service itself may take
    management: Management | None = None  # None: it cannot be asked


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureTarget(Target):
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
        return self.access.endpoint.replace("{account}", self.account)


def check_azure_place(account: str, container: str) -> None:
    """`ConfigError` unless both are names Azure gives."""
    if not _ACCOUNT(account) or not _CONTAINER(container):
        raise ConfigError("an azure URL names no storage account and container", hint=_EXAMPLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionString:
    """What a connection string of a storage account says."""

    account: str
    endpoint: str
    key: str | None = field(default=None, repr=False)
    sas: str | None = field(default=None, repr=False)


_DEVELOPMENT = "AccountName=devstoreaccount1;BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1"


def parse_connection_string(text: str) -> ConnectionString:
    """As the portal shows it. `ConfigError`, without the string, when it cannot be used.

    Source: "Configure Azure Storage connection strings", Microsoft Learn.
    """
    pairs = (part.split("=", 1) for part in text.strip().split(";") if part.strip())
    found = {pair[0].strip().lower(): pair[1].strip() for pair in pairs if len(pair) == 2}
    account = found.get("accountname", "")
    endpoint = found.get("blobendpoint", "").rstrip("/")
    if not endpoint and account:
        protocol = found.get("defaultendpointsprotocol", "https")
        suffix = found.get("endpointsuffix", "core.windows.net")
        endpoint = f"{protocol}://{account}.blob.{suffix}"
    key, sas = found.get("accountkey"), found.get("sharedaccesssignature")
    if not endpoint or not (key or sas) or (key and not account):
        raise ConfigError(
            "a connection string needs an endpoint, and an account's name and key or a SAS",
            hint=f"copy it whole, from the portal; an emulator's begins with {_DEVELOPMENT}",
        )
    return ConnectionString(account=account, endpoint=endpoint, key=key, sas=sas)
