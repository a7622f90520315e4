"""The settings that say how Azure is reached."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr, field_validator

from audit_stream.settings.fields import shown
from audit_stream.settings.secret import Secret, secret_of
from audit_stream.stores.access import Role
from audit_stream.stores.azure_target import (
    PUBLIC_CLOUD,
    AzureAccess,
    Management,
    parse_connection_string,
)


class AzureSettings(BaseModel):
    """Azure"""

    azure_endpoint: str = Field(
        PUBLIC_CLOUD,
        description="URL of the blob service; `{account}` stands for the account's name. Another "
        "one for a sovereign cloud or an emulator.",
    )
    azure_client_id: str | None = Field(
        None,
        description="Client id of a user-assigned managed identity. Without a SAS or a connection "
        "string the workload's, then the machine's identity is used.",
    )
    azure_cli_login: bool = Field(
        False,
        description="Take the login of the Azure CLI (`az login`) in place of an identity: for "
        "people who check, lock or ask, never for workers.",
    )
    azure_sas: SecretStr | None = Field(
        None, description="SAS token for the archive's container, instead of an identity."
    )
    azure_sas_file: Path | None = Field(
        None,
        description="File that holds it; read again when the service refuses, so it may rotate.",
    )
    azure_connection_string: SecretStr | None = Field(
        None,
        description="Connection string of the archive's account, instead of an identity: for "
        "emulators and trials.",
    )
    azure_connection_string_file: Path | None = Field(None, description="File that holds it.")
    azure_subjects_sas: SecretStr | None = Field(
        None,
        description="SAS token for the subject objects' container.",
        json_schema_extra=shown("the archive's"),
    )
    azure_subjects_sas_file: Path | None = Field(None, description="File that holds it.")
    azure_subjects_connection_string: SecretStr | None = Field(
        None,
        description="Connection string of the subject objects' account.",
        json_schema_extra=shown("the archive's"),
    )
    azure_subjects_connection_string_file: Path | None = Field(
        None, description="File that holds it."
    )
    azure_secondary_sas: SecretStr | None = Field(
        None,
        description="SAS token for the second store's container.",
        json_schema_extra=shown("the archive's"),
    )
    azure_secondary_sas_file: Path | None = Field(None, description="File that holds it.")
    azure_secondary_connection_string: SecretStr | None = Field(
        None,
        description="Connection string of the second store's account.",
        json_schema_extra=shown("the archive's"),
    )
    azure_secondary_connection_string_file: Path | None = Field(
        None, description="File that holds it."
    )
    azure_ca_file: Path | None = Field(
        None,
        description="PEM file of the authorities that sign the service's certificate, or that of "
        "an inspecting proxy.",
        json_schema_extra=shown("the system's"),
    )
    azure_tls13: bool = Field(
        False, description="Refuse TLS below 1.3; otherwise 1.2 at least, 1.3 where both have it."
    )
    azure_connections: int = Field(
        16, ge=1, le=256, description="Connections to one container at most."
    )
    azure_subscription: str | None = Field(
        None,
        description="Subscription of the archive's account: to ask the management plane whether "
        "the policy is locked.",
    )
    azure_resource_group: str | None = Field(None, description="Its resource group.")
    azure_subjects_resource_group: str | None = Field(
        None,
        description="Resource group of the subject objects' account.",
        json_schema_extra={"shown_default": "the archive's"},
    )
    azure_secondary_resource_group: str | None = Field(
        None,
        description="Resource group of the second store's account.",
        json_schema_extra={"shown_default": "the archive's"},
    )
    azure_management: str = Field(
        "https://management.azure.com",
        description="URL of the management plane; another one in a sovereign cloud.",
    )

    @field_validator("azure_endpoint", "azure_management")
    @classmethod
    def _check_http(cls, value: str) -> str:
        if not value.startswith(("https://", "http://")):
            raise ValueError("must be an https:// URL (http:// for an emulator)")
        return value.rstrip("/")

    def azure_access(self, role: Role = "archive") -> AzureAccess:
        """How the container of a role is reached; what it has not of its own is the archive's.

        `ConfigError` when a file cannot be read or a connection string cannot be used.
        """
        string, sas = self._credentials(role)
        endpoint, key = self.azure_endpoint, None
        if string is not None:
            found = parse_connection_string(string())
            endpoint, key = found.endpoint, found.key
            if found.sas is not None:
                sas = _constant(found.sas)
        return AzureAccess(
            endpoint=endpoint, key=key, sas=sas, client_id=self.azure_client_id,
            cli_login=self.azure_cli_login,
            ca_file=None if self.azure_ca_file is None else str(self.azure_ca_file),
            require_tls13=self.azure_tls13, connections=self.azure_connections,
            management=self._management(role),
        )  # fmt: skip

    def _management(self, role: Role) -> Management | None:
        own = None if role == "archive" else getattr(self, f"azure_{role}_resource_group")
        group = own or self.azure_resource_group
        if not self.azure_subscription or not group:
            return None
        return Management(
            url=self.azure_management, subscription=self.azure_subscription, resource_group=group
        )

    def _credentials(self, role: Role) -> tuple[Secret | None, Secret | None]:
        """(connection string, SAS); those of the archive where the role has none of its own."""
        prefix = "azure" if role == "archive" else f"azure_{role}"
        own = (secret_of(self, f"{prefix}_connection_string"), secret_of(self, f"{prefix}_sas"))
        return own if any(own) or role == "archive" else self._credentials("archive")


def _constant(text: str) -> Secret:
    return lambda: text
