"""The settings of the second store."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, field_validator

from audit_stream.errors import ConfigError
from audit_stream.stores.open import place_of


class SecondStoreSettings(BaseModel):
    """Second store"""

    archive_secondary: str | None = Field(
        None,
        description="A second store that everything in the archive also goes to, every class of "
        "it: `azure://account/container`, `s3://bucket` or `file:///path`. Not taken over for an "
        "archive that a flag names.",
    )
    secondary_mode: Literal["behind", "before"] = Field(
        "behind",
        description="`behind`: copies follow, within the bound. `before`: nothing counts as stored "
        "that does not stand on both.",
    )
    secondary_lag_seconds: float = Field(
        60.0,
        gt=0,
        description="Behind: once the oldest object that is not copied yet is so old, nothing more "
        "is stored until it is.",
    )

    @field_validator("archive_secondary")
    @classmethod
    def _check_secondary(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                place_of(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return value
