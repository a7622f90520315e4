"""A stock Faust worker as its documentation writes one, for the losses it has and ours has not."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import faust

CASE, NAME = os.environ["STOCK_CASE"], os.environ["STOCK_NAME"]
DONE = Path(os.environ["STOCK_DONE"])  # one line for each record the agent was done with

app = faust.App(
    NAME, broker=os.environ["STOCK_BROKER"], datadir=os.environ["STOCK_DATA"], store="memory://",
    topic_partitions=1, topic_replication_factor=1, topic_disable_leader=True, web_enabled=False,
    broker_commit_interval=0.2,
)  # fmt: skip
source = app.topic(f"{NAME}-in", value_serializer="json" if CASE.startswith("json") else "raw")
target = app.topic(f"{NAME}-out", value_serializer="raw")


def done(what: str) -> None:
    with DONE.open("a") as log:
        log.write(f"{what}\n")


@app.agent(source)
async def work(values: Any) -> None:
    async for value in values:
        if CASE == "raises" and value == b"2":
            raise ValueError("a bug")
        if CASE == "json-slow":
            await asyncio.Event().wait()  # still at work
        if CASE == "produce":
            await target.send(value=value * 5000)
        done(str(value))


if __name__ == "__main__":
    app.main()
