"""The settings of the gateway's index."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field


class IndexSettings(BaseModel):
    """Index"""

    index_dir: Path = Field(
        Path("var/index"),
        description="The index's folder: one gateway each, a cache that `index rebuild` makes anew "
        "from archive, subject objects and keyring. About 90 bytes a record.",
    )
