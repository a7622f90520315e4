"""The settings that say how S3 is reached: the archive's, and for the subject objects and the
second store what differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, SecretStr, field_validator

from audit_stream.errors import ConfigError
from audit_stream.settings.fields import is_http_url, shown
from audit_stream.settings.secret import PREFIX, secret_of
from audit_stream.stores.access import Role
from audit_stream.stores.s3_target import S3Access, S3Keys

_ARCHIVES = shown("the archive's")


class S3Settings(BaseModel):
    """S3"""

    s3_region: str | None = Field(
        None,
        description="Region of the archive's bucket, as `eu-central-1`.",
        json_schema_extra=shown("that of the SDK's configuration"),
    )
    s3_endpoint: str | None = Field(
        None,
        description="URL of a service that is compatible with S3.",
        json_schema_extra=shown("Amazon's, of the region"),
    )
    s3_path_style: bool = Field(
        False,
        description="The bucket in the path of a URL and not in its host name: for services and "
        "emulators without such names.",
    )
    s3_access_key_id: str | None = Field(
        None,
        description="Id of an access key. Without one, the SDK's own order is followed: its "
        "environment variables, the profile, the role of the workload, then of the machine.",
    )
    s3_secret_access_key: SecretStr | None = Field(None, description="The access key's secret.")
    s3_secret_access_key_file: Path | None = Field(
        None,
        description="File that holds it; read again when the service refuses, so it may rotate.",
    )
    s3_session_token: SecretStr | None = Field(
        None, description="Session token of a temporary access key."
    )
    s3_session_token_file: Path | None = Field(None, description="File that holds it.")
    s3_profile: str | None = Field(
        None, description="Profile of the SDK's configuration files to take in place of a key."
    )
    s3_ca_file: Path | None = Field(
        None,
        description="PEM file of the authorities that sign the service's certificate, or that of "
        "an inspecting proxy.",
        json_schema_extra=shown("those shipped with the SDK"),
    )
    s3_tls13: bool = Field(
        False, description="Refuse TLS below 1.3; otherwise 1.2 at least, 1.3 where both have it."
    )
    s3_connections: int = Field(
        16, ge=1, le=256, description="Connections to one bucket at most, each with a thread."
    )
    s3_subjects_region: str | None = Field(
        None, description="Region of the subject objects' bucket.", json_schema_extra=_ARCHIVES
    )
    s3_subjects_endpoint: str | None = Field(
        None,
        description="URL of the service that has the subject objects' bucket.",
        json_schema_extra=_ARCHIVES,
    )
    s3_subjects_access_key_id: str | None = Field(
        None,
        description="Id of the access key for the subject objects' bucket.",
        json_schema_extra=_ARCHIVES,
    )
    s3_subjects_secret_access_key: SecretStr | None = Field(None, description="Its secret.")
    s3_subjects_secret_access_key_file: Path | None = Field(None, description="File that holds it.")
    s3_subjects_profile: str | None = Field(
        None, description="Profile for the subject objects' bucket.", json_schema_extra=_ARCHIVES
    )
    s3_secondary_region: str | None = Field(
        None, description="Region of the second store's bucket.", json_schema_extra=_ARCHIVES
    )
    s3_secondary_endpoint: str | None = Field(
        None,
        description="URL of the service that has the second store's bucket.",
        json_schema_extra=_ARCHIVES,
    )
    s3_secondary_access_key_id: str | None = Field(
        None,
        description="Id of the access key for the second store's bucket.",
        json_schema_extra=_ARCHIVES,
    )
    s3_secondary_secret_access_key: SecretStr | None = Field(None, description="Its secret.")
    s3_secondary_secret_access_key_file: Path | None = Field(
        None, description="File that holds it."
    )
    s3_secondary_profile: str | None = Field(
        None, description="Profile for the second store's bucket.", json_schema_extra=_ARCHIVES
    )

    @field_validator("s3_endpoint", "s3_subjects_endpoint", "s3_secondary_endpoint")
    @classmethod
    def _check_s3_endpoint(cls, value: str | None) -> str | None:
        if value is not None and not is_http_url(value):
            raise ValueError("must be an https:// URL (http:// for an emulator)")
        if value is not None and "@" in value:
            raise ValueError("must be a URL and nothing else: keys have settings of their own")
        return value

    def s3_access(self, role: Role = "archive") -> S3Access:
        """How the bucket of a role is reached; what the role has not of its own is the archive's.

        `ConfigError` for half a key, and for a key beside a profile.
        """
        whose = self._whose_key(role)
        return S3Access(
            region=self._of(role, "region"), endpoint=self._of(role, "endpoint"),
            path_style=self.s3_path_style, keys=self._keys(whose),
            profile=getattr(self, _name(whose, "profile")),
            ca_file=None if self.s3_ca_file is None else str(self.s3_ca_file),
            require_tls13=self.s3_tls13, connections=self.s3_connections,
        )  # fmt: skip

    def _of(self, role: Role, what: str) -> Any:
        """The role's own value, else the archive's."""
        own = getattr(self, _name(role, what))
        return own if own is not None else getattr(self, _name("archive", what))

    def _whose_key(self, role: Role) -> Role:
        """Keys are never mixed: a role that has any part of one has all of it."""
        parts = ("access_key_id", "secret_access_key", "secret_access_key_file", "profile")
        own = any(getattr(self, _name(role, part)) is not None for part in parts)
        return role if own else "archive"

    def _keys(self, role: Role) -> Callable[[], S3Keys] | None:
        id_name, secret_name = _name(role, "access_key_id"), _name(role, "secret_access_key")
        key_id, secret = getattr(self, id_name), secret_of(self, secret_name)
        if key_id is None and secret is None:
            return None
        if key_id is None or secret is None:
            missing = id_name if key_id is None else secret_name
            raise ConfigError(
                f"{PREFIX}{missing.upper()}: an access key is an id and a secret, and one is not "
                "set", hint="set both, or none for the role of the workload",
            )  # fmt: skip
        if getattr(self, _name(role, "profile")) is not None:
            raise ConfigError(
                f"{PREFIX}{_name(role, 'profile').upper()}: a profile and an access key are set",
                hint="set one of the two",
            )
        token = secret_of(self, "s3_session_token") if role == "archive" else None
        return lambda: S3Keys(
            key_id=key_id, secret=secret(), token=None if token is None else token()
        )


def _name(role: Role, what: str) -> str:
    return f"s3_{what}" if role == "archive" else f"s3_{role}_{what}"
