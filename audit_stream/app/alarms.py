"""The alarm board of a process, and the ways its alarms leave by."""

from __future__ import annotations

import json
import socket

from audit_stream.kafka import ops_events
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.settings import Settings
from audit_stream.telemetry.alarm import Alarm
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.outbox import Deliver, Outbox
from audit_stream.telemetry.shapes import body
from audit_stream.telemetry.webhook import Webhook, tls_context


def alarm_board(settings: Settings) -> AlarmBoard:
    """The board of a worker, told by every way the settings name. `ConfigError` as `ways`."""
    outboxes = [Outbox(way, deliver) for way, deliver in ways(settings).items()]
    return AlarmBoard(worker_name(settings), *outboxes)


def worker_name(settings: Settings) -> str:
    """What this process is called in an alarm."""
    return settings.static_member or socket.gethostname()


def ways(settings: Settings) -> dict[str, Deliver]:
    """Each way by name: the webhook, if there is one, and the topic. No two share anything.

    `ConfigError` when a secret's file or the authorities' cannot be used.
    """
    found: dict[str, Deliver] = {ops_events.TOPIC: _topic(KafkaConnection.from_settings(settings))}
    webhook = _webhook(settings)
    return found if webhook is None else {"webhook": webhook, **found}


def _webhook(settings: Settings) -> Deliver | None:
    url, routing_key = settings.webhook_url(), settings.routing_key()
    if url is None:
        return None
    for secret in (url, routing_key):
        secret()  # a file that cannot be read is told now, not with the first alarm

    def render(alarm: Alarm) -> dict[str, object]:
        return body(
            settings.alert_shape, alarm, archive=settings.archive_name, routing_key=routing_key()
        )

    return Webhook(url, render, tls_context(settings.alert_ca_file))


def _topic(connection: KafkaConnection) -> Deliver:
    async def deliver(alarm: Alarm) -> None:
        event = alarm.document()
        await ops_events.write_event(connection, event["key"], json.dumps(event).encode())

    return deliver
