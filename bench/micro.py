"""Single steps on one core, in this process: what each of them costs an event.

``python -m bench.micro`` prints them as JSON. The steps are the ones the worker's loop calls.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from hashlib import shake_256
from pathlib import Path

import orjson

from audit_stream.flatten.event import Event as FlatEvent
from audit_stream.flatten.event import read_event
from audit_stream.flatten.status_map import StatusMap
from audit_stream.precedence.matrix import RANK
from audit_stream.privacy.keyring import new_keyring, secret_size
from audit_stream.privacy.sealer import RecordSealer
from audit_stream.privacy.subjects import KeyDeriver
from bench.generate import Event, Workload, generate

_ROOT = Path(__file__).resolve().parent.parent
_EVENTS = 100_000
_ROUNDS = 3
_BATCH = 2_000  # what a worker judges at once
_TIMESTAMP_MS = 1_715_351_521_000


def micro(events: int = _EVENTS) -> dict[str, float]:
    """Each step's rate, the best of some rounds (the machine can only make it slower)."""
    stream = list(generate(Workload(events=events, warmup=0)))
    status_map = StatusMap.parse((_ROOT / "topics" / "status-map.v1.json").read_bytes())
    flat = [read_event(event.value, status_map) for event in stream if event.rise is not None]
    rises = [event for event in flat if isinstance(event, FlatEvent)]
    return {
        "read_events_per_second": _rate(events, lambda: _read(stream, status_map)),
        "judge_events_per_second": _rate(events, lambda: _judge(stream, status_map)),
        "seal_records_per_second": _rate(len(rises), lambda: _seal(rises)),
    }


def _rate(count: int, step: Callable[[], None]) -> float:
    best = float("inf")
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - started)
    return count / best


def _read(stream: Sequence[Event], status_map: StatusMap) -> None:
    for event in stream:
        read_event(event.value, status_map)


def _judge(stream: Sequence[Event], status_map: StatusMap) -> None:
    """Reading and precedence, over a dict instead of the table."""
    held: dict[str, int] = {}
    for event in stream:
        read = read_event(event.value, status_map)
        if isinstance(read, FlatEvent):
            rank = RANK[read.delivery_status]
            if rank > held.get(read.message_uuid, 0):
                held[read.message_uuid] = rank


def _seal(rises: Sequence[FlatEvent]) -> None:
    """Sealing with an empty key cache: each customer's keys are derived once."""
    keyring, cover = new_keyring("bench", 2020, shake_256(b"bench").digest(secret_size()))
    sealer = RecordSealer(
        KeyDeriver(keyring, cover, bytes(16)),
        topic="outbound_message_status_update",
        generation=1,
        partition=0,
        regulatory_tag="COMPLIANCE_ARCHIVE_V1",
    )
    for start in range(0, len(rises), _BATCH):
        batch = enumerate(rises[start : start + _BATCH], start)
        sealer.seal([
            sealer.rise_of(event, offset, _TIMESTAMP_MS + offset, 1, None, None)[0]
            for offset, event in batch
        ])  # fmt: skip


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(micro(), option=orjson.OPT_INDENT_2) + b"\n")
