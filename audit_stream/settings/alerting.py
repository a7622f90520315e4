"""The settings of the alarms' ways out."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from audit_stream.errors import ConfigError
from audit_stream.settings.fields import is_http_url
from audit_stream.settings.secret import PREFIX, Secret, secret_of
from audit_stream.telemetry.shapes import Shape

_NO_URL = "must be an http:// or https:// URL"


class AlertSettings(BaseModel):
    """Alarms"""

    alert_webhook: SecretStr | None = Field(
        None,
        description="URL that gets a JSON POST for each alarm that opens or closes; it is kept "
        "secret. HTTPS_PROXY and NO_PROXY hold for it.",
    )
    alert_webhook_file: Path | None = Field(None, description="File that holds the URL.")
    alert_shape: Shape = Field(
        "generic",
        description="What the receiver understands: `generic` (the record of `audit-ops-events`), "
        "`slack`, `teams` (a Workflows webhook) or `pagerduty` (Events API v2).",
    )
    alert_routing_key: SecretStr | None = Field(
        None, description="PagerDuty's integration key, 32 characters; needed with `pagerduty`."
    )
    alert_routing_key_file: Path | None = Field(None, description="File that holds it.")
    alert_ca_file: Path | None = Field(
        None,
        description="PEM file of the authorities that sign the webhook's certificate, or that of "
        "an inspecting proxy.",
        json_schema_extra={"shown_default": "the system's"},
    )

    @field_validator("alert_webhook")
    @classmethod
    def _check_webhook(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not is_http_url(value.get_secret_value()):
            raise ValueError(_NO_URL)
        return value

    @model_validator(mode="after")
    def _check_alerts(self) -> Self:
        has_key = bool(self.alert_routing_key or self.alert_routing_key_file)
        if self.alert_shape != "generic" and not (self.alert_webhook or self.alert_webhook_file):
            raise ValueError(f"alert_webhook: the shape is {self.alert_shape}, a URL is missing")
        if self.alert_shape == "pagerduty" and not has_key:
            raise ValueError("alert_routing_key: PagerDuty needs one, or its file")
        if self.alert_shape != "pagerduty" and has_key:
            raise ValueError("alert_shape: a routing key is given, which is for pagerduty only")
        return self

    def webhook_url(self) -> Secret | None:
        """The URL, from the setting or its file. `ConfigError` at a call that finds none."""
        url = secret_of(self, "alert_webhook")
        return None if url is None else lambda: _checked(url())

    def routing_key(self) -> Secret:
        """PagerDuty's key, from the setting or its file; empty for other shapes."""
        return secret_of(self, "alert_routing_key") or (lambda: "")


def _checked(url: str) -> str:
    if not is_http_url(url):
        raise ConfigError(
            f"{PREFIX}ALERT_WEBHOOK_FILE: {_NO_URL}", hint="it holds the URL and nothing else"
        )
    return url
