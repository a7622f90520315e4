"""The settings of delivery to a receiver over HTTP (a SIEM)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from audit_stream.delivery.body import KeyForm
from audit_stream.delivery.outcome import is_this_machine
from audit_stream.delivery.token import FileToken, StaticToken, Token, is_token
from audit_stream.errors import ConfigError
from audit_stream.evidence.record import PERSONAL_FIELDS
from audit_stream.settings.fields import Names, is_http_url, shown
from audit_stream.stores.open import place_of

if TYPE_CHECKING:
    from audit_stream.delivery.endpoint import Endpoint

PATH = "/api/v1/compliance/notifications"
_UNFIT = "must be a bearer token: letters, digits and -._~+/ with = at its end"


class DeliverySettings(BaseModel):
    """Delivery to a SIEM"""

    delivery_url: str | None = Field(
        None,
        description=f"Where `deliver siem` posts each record; without a path, to `{PATH}`. "
        "HTTPS_PROXY and NO_PROXY hold for it.",
    )
    delivery_name: str = Field(
        "siem",
        pattern=r"^[a-z][a-z0-9-]{0,30}$",
        description="The receiver's name, in positions, metrics and alarms: one for each receiver.",
    )
    delivery_token: SecretStr | None = Field(
        None, description="Bearer token, as it stands behind `Authorization: Bearer`."
    )
    delivery_token_file: Path | None = Field(
        None,
        description="File that holds it, for a JWT that rotates: read again when it changes, and "
        "when the receiver answers 401.",
    )
    delivery_ca_file: Path | None = Field(
        None,
        description="PEM file of the authorities that sign the receiver's certificate, or that of "
        "an inspecting proxy.",
        json_schema_extra=shown("the system's"),
    )
    delivery_allow_http: bool = Field(
        False,
        description="Post over http:// to other machines, too: whoever is on the way reads the "
        "token and every record.",
    )
    delivery_synchronous: bool = Field(
        False,
        description="The receiver answers 200 or 201 once it has stored, and only then. Without it "
        "only 202 with `Location`, followed to its end, counts as stored.",
    )
    delivery_fields: Names = Field(
        (),
        description="Personal fields that are sent, after commas: `customer_external_id`, "
        "`recipient_address`. With one, the process holds keys like a gateway.",
    )
    delivery_public_keys: Path | None = Field(
        None,
        description="The archive's public keys, the `public.txt` of a view: without personal "
        "fields nothing else of a keyring is needed.",
        json_schema_extra=shown("those of the keyring"),
    )
    delivery_idempotency_key: KeyForm = Field(
        KeyForm.STATUS,
        description="What the receiver remembers a record by: `message_uuid:delivery_status`, "
        "`message_uuid` for one that updates what it has, or `source` (topic, generation, "
        "partition, offset), which no two records share.",
        json_schema_extra=shown("`message_uuid:delivery_status`"),
    )
    delivery_concurrency: int = Field(
        32, ge=1, le=1024, description="Posts under way at once; those of one message in order."
    )
    delivery_limit_seconds: float = Field(
        30.0, gt=0, le=600, description="A post or a look at a status that takes longer has failed."
    )
    delivery_status_seconds: float = Field(
        120.0,
        gt=0,
        le=3600,
        description="A post that was accepted (202) and is not final after so long is posted "
        "again, under the same key.",
    )
    delivery_positions: str | None = Field(
        None,
        description="Where its positions lie, rewritable: `azure://account/container`, "
        "`s3://bucket` (reached like the subject objects) or `file:///path`. Never within the "
        "archive.",
        json_schema_extra=shown("the folder `delivery` under the state directory"),
    )
    delivery_position_records: int = Field(
        500,
        ge=1,
        description="A position is written after so many records, or a second: what is delivered "
        "again after a crash.",
    )
    delivery_poll_seconds: float = Field(
        5.0, gt=0, description="How often it looks for new segments once all are delivered."
    )
    delivery_brake_run: int = Field(
        100,
        ge=1,
        description="When more records in a row than this are rejected (4xx), delivery stops with "
        "an alarm: the receiver is set up wrong.",
    )

    @field_validator("delivery_url")
    @classmethod
    def _check_delivery_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not is_http_url(value):
            raise ValueError("must be an http:// or https:// URL")
        parts = urlsplit(value)
        if "@" in parts.netloc or parts.fragment:
            raise ValueError("must hold no login and no fragment: the token has its own setting")
        return value if parts.path.strip("/") else parts._replace(path=PATH).geturl()

    @field_validator("delivery_token")
    @classmethod
    def _check_delivery_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not is_token(value.get_secret_value()):
            raise ValueError(_UNFIT)
        return value

    @field_validator("delivery_fields")
    @classmethod
    def _check_delivery_fields(cls, value: Sequence[str]) -> Sequence[str]:
        if strangers := sorted(set(value) - set(PERSONAL_FIELDS)):
            known = ", ".join(PERSONAL_FIELDS)
            raise ValueError(f"{', '.join(strangers)} is no personal field: they are {known}")
        return value

    @field_validator("delivery_positions")
    @classmethod
    def _check_delivery_positions(cls, value: str | None) -> str | None:
        try:
            place_of(value or "file:///x")
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _check_delivery(self) -> Self:
        if self.delivery_url is None:
            return self
        if self.delivery_token and self.delivery_token_file:
            raise ValueError("delivery_token: given itself and as a file; which one counts?")
        if not (self.delivery_token or self.delivery_token_file):
            raise ValueError("delivery_token: the receiver needs a token, or its file")
        if not (self.delivery_allow_http or _is_safe(self.delivery_url)):
            raise ValueError(
                "delivery_url: http:// shows the token to everyone on the way; use https://, or "
                "set delivery_allow_http"
            )
        return self

    def delivery_endpoint(self) -> Endpoint:
        """Where to post. `ConfigError` when no URL is set."""
        from audit_stream.delivery.endpoint import Endpoint

        if self.delivery_url is None:
            raise ConfigError("there is no receiver", hint="set AUDIT_DELIVERY_URL")
        return Endpoint(
            name=self.delivery_name, url=self.delivery_url, synchronous=self.delivery_synchronous,
            request_limit=self.delivery_limit_seconds, poll_limit=self.delivery_status_seconds,
            connections=self.delivery_concurrency,
        )  # fmt: skip

    def delivery_bearer(self) -> Token:
        """The token, from the setting or its file."""
        if self.delivery_token is not None:
            return StaticToken(self.delivery_token.get_secret_value())
        assert self.delivery_token_file is not None
        return FileToken(self.delivery_token_file)


def _is_safe(url: str) -> bool:
    """Whether nobody else is on the way: TLS, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_this_machine(parts.hostname or "")
