"""How the stores of one role are reached, whatever their kind: plain data, without a client."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from audit_stream.stores.azure_target import AzureAccess
from audit_stream.stores.s3_target import S3Access
from audit_stream.stores.target import RETENTION_DAYS, Turn, at_once

#: What a store is for: the archive, the subject objects, or the archive's second store.
Role = Literal["archive", "subjects", "secondary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAccess:
    """How a store is reached; its URL says which of the ways is meant. Secrets stay out of the
    repr."""

    azure: AzureAccess = field(default_factory=AzureAccess)
    s3: S3Access = field(default_factory=S3Access)
    turn: Turn = field(default=at_once, repr=False)  # awaited before each request
    retention_days: int = RETENTION_DAYS  # to keep what is archived
