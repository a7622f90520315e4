"""Checking whether the receiver that the settings name honours idempotency keys."""

from __future__ import annotations

import secrets
import time
from functools import partial
from urllib.parse import quote

from audit_stream.app.delivering import positions_store
from audit_stream.app.receiving import receiver, same_origin
from audit_stream.delivery.checking import Checker, kept_check
from audit_stream.delivery.endpoint import HttpDelivery
from audit_stream.delivery.outcome import Answer
from audit_stream.delivery.probing import Check, Verdict, count_in
from audit_stream.ports import Alerts
from audit_stream.settings import Settings
from audit_stream.settings.probing import KEY
from audit_stream.telemetry.metrics import Metrics

_ID_BYTES = 8


async def check_receiver(settings: Settings) -> Check:
    """Post what is due, and say how far the checks are. Errors of `Checker.run`, `ConfigError`."""
    url, delivery = settings.delivery_check_url, receiver(settings)
    if url is not None:
        same_origin(settings, url, "AUDIT_DELIVERY_CHECK_URL")
    positions = positions_store(settings)
    try:
        return await Checker(
            target=settings.delivery_name, archive=settings.archive_name, store=positions,
            observe=partial(_observe, delivery), now=time.time,
            count=None if url is None else partial(_count, delivery, url),
            draw=partial(secrets.token_hex, _ID_BYTES),
        ).run()  # fmt: skip
    finally:
        await delivery.close()
        await positions.close()


async def last_check(settings: Settings) -> Check | None:
    """How far they are; None where none was made."""
    positions = positions_store(settings)
    try:
        return await kept_check(positions, settings.delivery_name)
    finally:
        await positions.close()


async def tell_check(settings: Settings, metrics: Metrics, alarms: Alerts) -> None:
    """Check, where the settings have this process do it, and tell how it stands."""
    check = await (check_receiver if settings.delivery_check else last_check)(settings)
    target = settings.delivery_name
    if check is None or (judgement := check.judgement) is None:
        return
    for verdict in Verdict:
        told = metrics.delivery_key_verdict.labels(target, verdict.value)
        told.set(1 if verdict is judgement.verdict else 0)
    metrics.delivery_key_memory_seconds.labels(target).set(check.remembered)
    key = f"delivery:keys:{target}"
    if judgement.verdict is Verdict.HONOURED:
        alarms.close_alarm(key, f"{target} honours idempotency keys")
    else:
        alarms.raise_alarm(key, f"whether {target} honours idempotency keys: {said(check)}")


def said(check: Check) -> str:
    """For people: verdict, why, and for how long a key was shown to be remembered."""
    found = check.judgement
    if found is None:
        return "not known yet"
    text = f"{found.verdict.value.replace('_', ' ')}: {found.why}"
    hours = check.remembered // 3600
    return f"{text}; a key was remembered for {hours} h" if hours else text


async def _observe(delivery: HttpDelivery, body: bytes, key: str) -> Answer:
    return (await delivery.observe(body, key))[0]


async def _count(delivery: HttpDelivery, url: str, key: str) -> int:
    return count_in(await delivery.read(url.replace(KEY, quote(key, safe=""))))
