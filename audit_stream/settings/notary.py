"""The settings of the notary and of those who read its log."""

from __future__ import annotations

from pydantic import BaseModel, Field


class NotarySettings(BaseModel):
    """Archive log"""

    log_batch_seconds: float = Field(
        60.0,
        gt=0,
        le=3600,
        description="A batch of the archive log, with its checkpoint, is written so often, idle or "
        "not; of several notaries whoever is first writes it.",
    )
    log_poll_seconds: float = Field(
        5.0,
        gt=0,
        description="How often a notary looks for another one's batches in between.",
    )
    log_probe_seconds: float = Field(
        600.0,
        gt=0,
        description="In between a notary looks where the hints of `audit-segments` point; so often "
        "it looks at every partition. Without a broker it always does.",
    )
