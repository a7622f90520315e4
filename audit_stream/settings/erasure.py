"""The settings of erasing persons."""

from __future__ import annotations

from pydantic import BaseModel, Field, field_validator

from audit_stream.settings.fields import Names, is_http_url


class ErasureSettings(BaseModel):
    """Erasure"""

    keyring_views: Names = Field(
        (),
        description="Keyring files of other roles' views (`keyring view`), after commas: each "
        "erasure, and each destroyed year, brings them up to the new epoch, so that their "
        "processes can take it over.",
    )
    barrier_seconds: float = Field(
        120.0,
        ge=0,
        description="So long one run of erasures waits for every process to drop the old keys; "
        "the next run goes on waiting.",
    )
    erasure_grace_seconds: float = Field(
        60.0,
        ge=0,
        description="So long it waits for what a process that ended may still have on its way to "
        "an idle partition; a busy one shows sooner that nothing can come.",
    )
    erasure_notice_url: str | None = Field(
        None,
        description="Where a receiver that was sent personal fields is told which records to "
        "erase; of the same origin as `AUDIT_DELIVERY_URL`, and with its token.",
        json_schema_extra={"shown_default": "`AUDIT_DELIVERY_URL`"},
    )

    @field_validator("erasure_notice_url")
    @classmethod
    def _check_erasure_notice_url(cls, value: str | None) -> str | None:
        if value is not None and not is_http_url(value):
            raise ValueError("must be an http:// or https:// URL")
        return value
