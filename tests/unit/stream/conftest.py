"""A pipeline at work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from audit_stream.stream.flow import AuditApp
from audit_stream.stream.pipeline import Pipeline
from audit_stream.stream.table import BatchTable
from tests.support import golden
from tests.support.working import ONE, TOPIC, TWO, SlowStore, Working, context_of, stream_in


@pytest.fixture
async def working(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Working]:
    app = AuditApp("t", broker="kafka://127.0.0.1:1", datadir=str(tmp_path), web_enabled=False)
    table = BatchTable(app, name="precedence", partitions=2)
    consumer = app.consumer
    store, died = SlowStore(), list[str]()
    unused: Any = None  # nothing is folded, copied or asked of the broker here
    pipeline = Pipeline(
        context_of(store, died, memoryview(golden.COVER)), {TOPIC: await stream_in(store)},
        unused, unused, unused,
    )  # fmt: skip
    pipeline.attach(consumer, table.batches)

    async def nothing(*_: Any) -> dict[Any, Any]:
        return {}

    monkeypatch.setattr(consumer._thread, "seek_wait", nothing)
    monkeypatch.setattr(consumer, "highwaters", nothing)
    monkeypatch.setattr(consumer, "assignment", lambda: {ONE, TWO})
    await pipeline.positions({ONE, TWO})
    yield Working(pipeline, consumer, store, died)
    pipeline.drop()
    await table.batches.stop()
    consumer._thread.thread_loop.close()
