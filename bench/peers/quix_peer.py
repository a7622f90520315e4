"""The job in Quix Streams: one stateful function over a StreamingDataFrame, bytes in and out.

Tuned by its documentation: raw bytes with orjson instead of the JSON (de)serializers, librdkafka
told to batch, linger and compress, large fetches.
"""

from __future__ import annotations

from typing import Any

import orjson
from quixstreams import Application, State

from bench.peers.settings import PeerSettings
from bench.rule import rank_of, record_line


def judge(value: bytes, key: bytes, timestamp: int, headers: Any, state: State) -> bytes | None:
    """The record line of a rise, else None."""
    raw = orjson.loads(value)
    rank = rank_of(raw)
    if not rank or rank <= state.get("rank", 0):
        return None
    state.set("rank", rank)
    return record_line(raw, timestamp)


def main() -> None:
    """Run until SIGTERM."""
    settings = PeerSettings.from_environment()
    app = Application(
        broker_address=settings.broker,
        consumer_group=settings.app,
        auto_offset_reset="earliest",
        state_dir=settings.state_dir,
        loglevel="WARNING",
        consumer_extra_config={
            "session.timeout.ms": settings.session_seconds * 1000,
            "fetch.message.max.bytes": 4 << 20,
            "queued.min.messages": 200_000,
        },
        producer_extra_config={
            "linger.ms": 50,
            "batch.size": 256 << 10,
            "compression.type": "lz4",
        },
    )
    raw = app.topic(settings.raw_topic, key_deserializer="bytes", value_deserializer="bytes")
    output = app.topic(settings.output_topic, key_serializer="bytes", value_serializer="bytes")
    stream = app.dataframe(raw)
    stream = stream.apply(judge, stateful=True, metadata=True)
    stream = stream[stream.apply(lambda line: line is not None)]
    stream.to_topic(output)
    app.run()


if __name__ == "__main__":
    main()
