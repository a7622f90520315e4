"""What one put costs: its latency, how many go through in a second, and our processor time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from audit_stream.ports import PutResult, WormStore
from audit_stream.stores.open import open_store
from bench.processes import RunFailed
from bench.servers import Server

_BYTES = 256 << 10  # about a segment of 10,000 records
_FILLER = os.urandom(_BYTES)
_TOGETHER = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of the puts of one round."""

    median_seconds: float
    p99_seconds: float
    cpu_seconds: float  # a put, of all our threads
    per_second: float  # `_TOGETHER` at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many puts: in a round one after another, and as many together."""

    count: int = 200
    rounds: int = 3
    warmup: int = 20


_USUAL = Plan()


async def table(folder: Path, servers: Sequence[Server], plan: Plan = _USUAL) -> str:
    """The table; every store once in each round."""
    container = "bench-puts"
    stores = {"file": open_store(folder.as_uri())}
    for server in servers:
        await server.create_container(container)
        stores[server.title] = open_store(server.url(container), server.writer)
    found: dict[str, list[Cost]] = {title: [] for title in stores}
    for number in range(plan.rounds):
        for title, store in stores.items():
            found[title].append(await _cost(store, f"round-{number}", plan))
    for store in stores.values():
        await store.close()
    return _markdown(found, plan)


async def _cost(store: WormStore, prefix: str, plan: Plan) -> Cost:
    for number in range(plan.warmup):
        await _put(store, f"{prefix}/warmup/{number}")
    used = time.process_time()
    seconds = [await _put(store, f"{prefix}/alone/{number}") for number in range(plan.count)]
    used = time.process_time() - used
    started = time.perf_counter()
    await _together(store, f"{prefix}/together", plan.count)
    return Cost(
        median_seconds=median(seconds), p99_seconds=quantiles(seconds, n=100)[98],
        cpu_seconds=used / plan.count, per_second=plan.count / (time.perf_counter() - started),
    )  # fmt: skip


async def _together(store: WormStore, prefix: str, count: int) -> None:
    numbers = iter(range(count))

    async def putter() -> None:
        for number in numbers:
            await _put(store, f"{prefix}/{number}")

    await asyncio.gather(*(putter() for _ in range(_TOGETHER)))


async def _put(store: WormStore, name: str) -> float:
    """Put an object of its own; seconds."""
    body = name.encode() + _FILLER  # no two the same
    started = time.perf_counter()
    result = await store.put_if_absent(name, body, {})
    seconds = time.perf_counter() - started
    if result is not PutResult.STORED:
        raise RunFailed(f"{store.url} has {name} already")
    return seconds


def _markdown(found: dict[str, list[Cost]], plan: Plan) -> str:
    rows = [
        f"| {title} | {_ms(each.median_seconds for each in costs)} | "
        f"{_ms(each.p99_seconds for each in costs)} | "
        f"{median(each.per_second for each in costs):,.0f} | "
        f"{_ms(each.cpu_seconds for each in costs)} |"
        for title, costs in found.items()
    ]
    head = (
        f"Puts of {_BYTES >> 10} KiB, median of {plan.rounds} rounds of {plan.count} one after "
        f"another and {plan.count} with {_TOGETHER} under way; processor time is the writer's, "
        "not the server's."
    )
    columns = [
        "| store | median, ms | p99, ms | puts/s, together | CPU, ms |",
        "|---|--:|--:|--:|--:|",
    ]
    return "\n".join([head, "", *columns, *rows, ""])


def _ms(seconds: Iterable[float]) -> str:
    return f"{median(seconds) * 1000:.2f}"
