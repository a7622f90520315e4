"""Millions of messages written to a topic without keeping them: two processes generate and send."""

from __future__ import annotations

import asyncio
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context

from aiokafka import AIOKafkaProducer

from bench.fingerprint import Fingerprint
from bench.generate import delivered

_WRITERS = 2
_LIMIT_MS = 300_000  # a broker on a busy machine may take its time
_AT_ONCE = 20_000  # events on their way


async def flood(bootstrap: str, topic: str, messages: int, partitions: int) -> Fingerprint:
    """Write messages of one event each; which there were, once the broker has all of them."""
    loop = asyncio.get_running_loop()
    share = messages // _WRITERS
    counts = [share] * (_WRITERS - 1) + [messages - share * (_WRITERS - 1)]
    with ProcessPoolExecutor(_WRITERS, get_context("spawn")) as pool:
        parts = await asyncio.gather(
            *(
                loop.run_in_executor(pool, _write, bootstrap, topic, count, partitions, seed)
                for seed, count in enumerate(counts, 1)
            )
        )
    found = Fingerprint()
    for part in parts:
        found.join(part)
    return found


def _write(bootstrap: str, topic: str, count: int, partitions: int, seed: int) -> Fingerprint:
    return asyncio.run(send(bootstrap, topic, count, partitions, seed))


async def send(
    bootstrap: str, topic: str, count: int, partitions: int, seed: int = 1, whole: int | None = None
) -> Fingerprint:
    """Write the first `count` of `whole` messages of a seed; all of them if left out."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", linger_ms=20, compression_type="lz4",
        max_batch_size=256 * 1024, request_timeout_ms=_LIMIT_MS,
    )  # fmt: skip
    found = Fingerprint()
    events = islice(delivered(whole or count, partitions, seed), count)
    async with producer:
        while some := list(islice(events, _AT_ONCE)):
            sent = []
            for event in some:
                sent.append(
                    await producer.send(topic, event.value, event.key, partition=event.partition)
                )
                found.add(event.rise or "")
            await asyncio.gather(*sent)
    return found
