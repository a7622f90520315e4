"""How a receiver stands with keys, as a deliverer tells it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from audit_stream.app.probing import check_receiver, tell_check
from audit_stream.settings import Settings
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.metrics import Metrics
from tests.support.told import ToldReceiver, told_receiver


@pytest.fixture
def receiver() -> Iterator[ToldReceiver]:
    with told_receiver() as receiver:
        yield receiver


def settings(receiver: ToldReceiver, folder: Path, **more: object) -> Settings:
    return Settings.load(
        None, delivery_url=receiver.url, delivery_token="abc", delivery_synchronous=True,
        delivery_positions=folder.as_uri(), **more,
    )  # fmt: skip


def told(metrics: Metrics) -> dict[str, float]:
    """The verdict's series by verdict, and the memory."""
    lines = generate_latest(metrics.registry).decode().splitlines()
    found = [line.rpartition(" ") for line in lines if line.startswith("audit_stream_delivery_key")]
    return {name.partition("verdict=")[2].strip('"}') or "memory": float(v) for name, _, v in found}


async def test_a_deliverer_checks_where_it_is_told_to(
    receiver: ToldReceiver, tmp_path: Path
) -> None:
    metrics, alarms = Metrics(), AlarmBoard("x")
    await tell_check(settings(receiver, tmp_path), metrics, alarms)
    assert (receiver.posts, told(metrics)) == ([], {})  # somebody else's to do, and not done yet
    await tell_check(settings(receiver, tmp_path, delivery_check=True), metrics, alarms)
    assert told(metrics) == {"honoured": 1, "not_honoured": 0, "unknown": 0, "memory": 0}
    assert len(receiver.posts) == 4
    assert alarms.open() == []


async def test_a_receiver_that_honours_no_key_is_an_alarm_until_it_does(
    receiver: ToldReceiver, tmp_path: Path
) -> None:
    metrics, alarms = Metrics(), AlarmBoard("x")
    receiver.remembers = False
    await check_receiver(settings(receiver, tmp_path))  # as cron does
    posts = len(receiver.posts)
    await tell_check(settings(receiver, tmp_path), metrics, alarms)
    assert len(receiver.posts) == posts
    assert told(metrics) == {"honoured": 0, "not_honoured": 1, "unknown": 0, "memory": 0}
    assert [alarm["key"] for alarm in alarms.open()] == ["delivery:keys:siem"]
    receiver.remembers = True
    elsewhere = tmp_path / "anew"
    await tell_check(settings(receiver, elsewhere, delivery_check=True), metrics, alarms)
    assert alarms.open() == []
