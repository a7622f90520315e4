"""The job in stock Faust as its documentation writes one: models, an agent, a RocksDB table.

The events are `faust.Record` models over the JSON codec (orjson, which Faust takes when it is
installed). Tuned by its settings reference: Cython streams, a producer that lingers and compresses,
large fetches, rare commits, no standby and no leader topic. With ``BENCH_RAW_BYTES=1`` Faust is
spared its models and codecs, as ours spares itself: nobody's documentation says so, it is faster.
"""

from __future__ import annotations

import os
from typing import Any

import faust
import orjson

from bench.peers.settings import PeerSettings
from bench.rule import rank_of, record_line

_settings = PeerSettings.from_environment()

app = faust.App(
    _settings.app,
    broker=f"kafka://{_settings.broker}",
    store="rocksdb://",
    datadir=str(_settings.state_dir),
    topic_partitions=_settings.partitions,
    topic_replication_factor=1,
    topic_disable_leader=True,
    table_standby_replicas=0,
    web_enabled=False,
    cython_optimizations=True,
    broker_session_timeout=_settings.session_seconds,
    broker_commit_every=100_000,
    consumer_max_fetch_size=4 << 20,
    producer_linger=0.05,
    producer_max_batch_size=256 << 10,
    producer_compression_type="lz4",
)
_RAW_BYTES = os.environ.get("BENCH_RAW_BYTES") == "1"


class Recipient(faust.Record):
    """Whom a message went to."""

    external_id: str | None = None
    address: str | None = None


class Tenant(faust.Record):
    """Whose message it is."""

    id: str


class StatusEvent(faust.Record):
    """A raw event."""

    id: str
    type: str
    message_id: str
    status: str
    timestamp: str
    workflow_id: str
    tenant: Tenant
    recipient: Recipient
    agent_id: str | None = None
    error_code: str | None = None
    carrier_message_id: str | None = None


raw_topic = (
    app.topic(_settings.raw_topic, key_type=bytes, value_type=bytes, value_serializer="raw")
    if _RAW_BYTES
    else app.topic(_settings.raw_topic, key_type=bytes, value_type=StatusEvent)
)
output_topic = app.topic(
    _settings.output_topic, key_type=bytes, value_type=bytes, value_serializer="raw"
)
ranks = app.Table("precedence", default=int, partitions=_settings.partitions)


@app.agent(raw_topic)
async def dedupe(events: Any) -> None:
    """Forward each rise."""
    async for event in events.events():
        raw = orjson.loads(event.value) if _RAW_BYTES else _Members(event.value)
        rank = rank_of(raw)
        if not rank:
            continue
        message_id = raw["message_id"]
        if rank <= ranks[message_id]:
            continue
        ranks[message_id] = rank
        line = record_line(raw, int(event.message.timestamp * 1000))
        await output_topic.send(key=event.key, value=line)


class _Members:
    """A model's fields under the names by which the shared rule reads a dict."""

    __slots__ = ("_model",)

    def __init__(self, model: faust.Record) -> None:
        self._model = model

    def __getitem__(self, name: str) -> Any:
        value = getattr(self._model, name)
        return _Members(value) if isinstance(value, faust.Record) else value

    def get(self, name: str) -> Any:
        """The field's value."""
        return self[name]


if __name__ == "__main__":
    app.main()
