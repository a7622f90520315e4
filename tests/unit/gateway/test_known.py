"""No answer claims more than was looked at: what is indexed meanwhile is not in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from audit_stream.gateway.answer import AsOf
from audit_stream.gateway.caller import Caller
from audit_stream.gateway.query import Query
from audit_stream.gateway.service import Service
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support.indexing import CUSTOMERS, by_message
from tests.support.resealed import MESSAGES, name
from tests.unit.gateway.test_fresh import Odd, served

ALL = Caller(id="auditor", tenants=("*",), scopes=("audit:read",))
#: A message with a revision in the second segment of its partition, and the first one's end.
(TENANT, MESSAGE), SOURCES = next(
    item for item in by_message().items() if item[1] == [f"{MESSAGES}/1/0/34", f"{MESSAGES}/1/0/85"]
)
CUSTOMER = next(key[1] for key, theirs in CUSTOMERS.items() if (TENANT, MESSAGE) in theirs)
END = 60


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[tuple[Service, Odd]]:
    async with served(tmp_path, AlarmBoard("gateway"), logged=True) as (service, store):
        store.failures.clear()
        yield service, store


def places(answer: dict[str, Any]) -> list[tuple[str, bool]]:
    """The message's records in an answer, and whether each is in the log."""
    [message] = [
        each for each in answer.get("messages", [answer])
        if each["audit_record"]["message_uuid"] == MESSAGE
    ]  # fmt: skip
    return [
        (each["source"], each["evidence"]["log_index"] is not None) for each in message["history"]
    ]


@pytest.mark.parametrize(
    "query",
    [Query(message=MESSAGE), Query(customer=CUSTOMER, tenant=TENANT)],
    ids=lambda query: query.kind,
)
async def test_what_is_indexed_while_the_store_is_awaited(
    scene: tuple[Service, Odd], query: Query
) -> None:
    service, store = scene
    await service.tail.catch_up(limit=1)
    held, there = asyncio.Event(), asyncio.Event()
    get = store.get

    async def late(wanted: str) -> bytes | None:
        store.get = get  # type: ignore[method-assign]
        there.set()
        await held.wait()
        return await get(wanted)

    store.get = late  # type: ignore[method-assign]
    asked = asyncio.create_task(service.look_up(query, ALL))
    await there.wait()
    await service.refresh()
    held.set()
    found = await asked
    assert places(found) == [(SOURCES[0], False)]
    assert found["as_of"] is None  # so far no log was known
    place = {"generation": 1, "partition": 0, "next": END}
    assert found["archived_through"][MESSAGES] == [place]
    later = await service.look_up(query, ALL)
    assert places(later) == [(each, True) for each in SOURCES]
    assert service.head is not None
    assert later["as_of"]["size"] == service.head.size


async def test_no_log_is_named_that_covers_what_is_not_indexed(
    scene: tuple[Service, Odd], tmp_path: Path
) -> None:
    """A segment is stored and logged between the look at the chains and that at the log."""
    service, store = scene
    stored, away = tmp_path / "archive" / name(MESSAGES, 240), tmp_path / "away"
    stored.rename(away)
    get, named = store.get, list[AsOf | None]()

    async def seen(wanted: str) -> bytes | None:
        if wanted.startswith("log/") and away.exists():
            away.rename(stored)
        if stored.exists():
            named.append(service.as_of)
        return await get(wanted)

    store.get = seen  # type: ignore[method-assign]
    await service.refresh()
    assert service.caught_up
    assert set(named) == {None}
    assert service.head is not None
    assert service.as_of is not None
    assert service.as_of.size == service.head.size


async def test_how_far_it_is_archived_is_worked_out_once_for_many_answers(
    scene: tuple[Service, Odd],
) -> None:
    service, _ = scene
    await service.tail.catch_up(limit=1)
    first = service.known().through
    assert service.known().through is first
    await service.refresh()
    [place] = service.known().through[MESSAGES]
    assert place["next"] > END
    assert first[MESSAGES][0]["next"] == END
