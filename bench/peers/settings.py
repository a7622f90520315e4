"""What a peer's process is told, by environment variables."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSettings:
    """One process's part in one run."""

    app: str  # consumer group, and prefix of the changelog
    broker: str  # host:port
    raw_topic: str
    output_topic: str
    partitions: int
    session_seconds: int
    state_dir: Path  # of this process alone

    @classmethod
    def from_environment(cls) -> Self:
        """Read ``BENCH_*``."""
        read = os.environ
        return cls(
            app=read["BENCH_APP"],
            broker=read["BENCH_BROKER"],
            raw_topic=read["BENCH_RAW_TOPIC"],
            output_topic=read["BENCH_OUTPUT_TOPIC"],
            partitions=int(read["BENCH_PARTITIONS"]),
            session_seconds=int(read["BENCH_SESSION_SECONDS"]),
            state_dir=Path(read["BENCH_STATE_DIR"]),
        )
