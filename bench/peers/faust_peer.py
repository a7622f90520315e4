"""The job in stock Faust: an agent over the raw topic, a RocksDB table, ``topic.send``.

Tuned by its settings reference: Cython streams, a producer that lingers and compresses, large
fetches, rare commits, no standby (there is one copy of everything here) and no leader topic.
"""

from __future__ import annotations

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
raw_topic = app.topic(_settings.raw_topic, key_type=bytes, value_type=bytes, value_serializer="raw")
output_topic = app.topic(
    _settings.output_topic, key_type=bytes, value_type=bytes, value_serializer="raw"
)
ranks = app.Table("precedence", default=int, partitions=_settings.partitions)


@app.agent(raw_topic)
async def dedupe(events: Any) -> None:
    """Forward each rise."""
    async for event in events.events():
        raw = orjson.loads(event.value)
        rank = rank_of(raw)
        if not rank:
            continue
        message_id = raw["message_id"]
        if rank <= ranks[message_id]:
            continue
        ranks[message_id] = rank
        line = record_line(raw, int(event.message.timestamp * 1000))
        await output_topic.send(key=event.key, value=line)


if __name__ == "__main__":
    app.main()
