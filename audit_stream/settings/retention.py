"""The settings of retention: how long a class is kept, and in which container it lies."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel, Field, field_validator

from audit_stream.errors import ConfigError
from audit_stream.settings.fields import Pairs
from audit_stream.stores.open import place_of
from audit_stream.stores.target import RETENTION_DAYS

LONGEST_DAYS = 146_000  # Azure's limit of a policy
_PERIOD = re.compile(r"(?P<number>[1-9]\d{0,5})(?P<unit>[dy])").fullmatch
_FOUR_YEARS_DAYS = 1461


class RetentionSettings(BaseModel):
    """Retention"""

    retention_days: int = Field(
        RETENTION_DAYS,
        ge=1,
        le=LONGEST_DAYS,
        description="How long a class is kept that `AUDIT_RETENTION` does not name, and what the "
        "archive's retention policy must be at least: 2557 days are never less than seven years.",
    )
    retention: Pairs = Field(
        {},
        description="How long a retention class is kept, as `TAG=7y, TAG=3653d`: years or days.",
    )
    archives: Pairs = Field(
        {},
        description="A container or bucket of its own for a class, as "
        "`TAG=azure://account/container` or `TAG=s3://bucket`: fix it before the class's first "
        "record. What it does not name lies in `AUDIT_ARCHIVE`, and so does all else. Not taken "
        "over for an archive that a flag names.",
    )

    @field_validator("retention")
    @classmethod
    def _check_periods(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for period in value.values():
            days_of(period)
        return value

    @field_validator("archives")
    @classmethod
    def _check_archives(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        try:
            places = [place_of(url) for url in value.values()]
        except ConfigError as error:
            raise ValueError(str(error)) from None
        if any(place in places[:at] for at, place in enumerate(places)):
            raise ValueError("two classes cannot lie in one container")
        return value

    def class_days(self, tag: str) -> int:
        """How many days a class is kept from its newest record on."""
        period = self.retention.get(tag)
        return self.retention_days if period is None else days_of(period)


def days_of(period: str) -> int:
    """Days of ``7y`` or ``2557d``; of years so many that they are never less. `ValueError`."""
    match = _PERIOD(period)
    if match is None:
        raise ValueError(f"{period!r} is no time: write 7y or 2557d")
    number = int(match["number"])
    days = number if match["unit"] == "d" else -(-number * _FOUR_YEARS_DAYS // 4)
    if days > LONGEST_DAYS:
        raise ValueError(f"{period} is longer than {LONGEST_DAYS} days")
    return days
