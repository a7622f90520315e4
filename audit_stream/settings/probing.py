"""The settings of checking a receiver's memory of idempotency keys."""

from __future__ import annotations

from pydantic import BaseModel, Field, field_validator

from audit_stream.settings.fields import is_http_url

KEY = "{key}"


class ProbingSettings(BaseModel):
    """Checks of a receiver"""

    delivery_check: bool = Field(
        False,
        description="`deliver siem` checks by itself, as `deliver check` does: probes once a day "
        "whether the receiver honours idempotency keys.",
    )
    delivery_check_url: str | None = Field(
        None,
        description='Where the receiver says how many posts it has under a key, as `{"count": n}` '
        f"or a number: a URL of its origin with `{KEY}` in it. Without it the receiver's answers "
        "are compared.",
    )

    @field_validator("delivery_check_url")
    @classmethod
    def _check_delivery_check_url(cls, value: str | None) -> str | None:
        if value is not None and not (is_http_url(value) and KEY in value):
            raise ValueError(f"must be an http:// or https:// URL with {KEY} in it")
        return value
