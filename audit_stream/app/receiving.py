"""The receiver that the settings name, as a client: for deliveries, erasure notices and probes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from audit_stream.delivery.endpoint import HttpDelivery
from audit_stream.delivery.outcome import origin
from audit_stream.delivery.patient import PatientDelivery
from audit_stream.errors import ConfigError, StoreTransient
from audit_stream.ports import Delivery
from audit_stream.settings import Settings
from audit_stream.stores.attempts import Attempts
from audit_stream.stores.breaker import CircuitBreaker
from audit_stream.stores.clock import SystemClock
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.webhook import tls_context

_CA = "AUDIT_DELIVERY_CA_FILE"


def receiver(settings: Settings, url: str | None = None) -> HttpDelivery:
    """Posts to AUDIT_DELIVERY_URL, or to another URL of its origin; tries nothing again. To be
    closed. `ConfigError`."""
    endpoint = settings.delivery_endpoint()
    return HttpDelivery(
        endpoint if url is None else replace(endpoint, url=url), settings.delivery_bearer(),
        tls_context(settings.delivery_ca_file, _CA), clock=SystemClock(), now=time.time,
    )  # fmt: skip


def same_origin(settings: Settings, url: str, setting: str) -> str:
    """The URL, if it may be given the receiver's token. `ConfigError`."""
    if origin(url) != origin(settings.delivery_endpoint().url):
        raise ConfigError(
            f"{setting}: is of another origin than AUDIT_DELIVERY_URL",
            hint="the token goes to the receiver alone: name a URL of the same scheme, host and "
            "port",
        )
    return url


@contextlib.asynccontextmanager
async def told_receivers(settings: Settings) -> AsyncIterator[Mapping[str, Delivery]]:
    """Who can be told to erase, by name, for the block. `ConfigError`."""
    if settings.delivery_url is None:
        yield {}
        return
    url = settings.erasure_notice_url
    if url is not None:
        same_origin(settings, url, "AUDIT_ERASURE_NOTICE_URL")
    inner, name, clock = receiver(settings, url), settings.delivery_name, SystemClock()
    breaker = CircuitBreaker(
        f"siem:{name}", clock=clock, alerts=AlarmBoard("command")
    )  # the keeper has its own
    attempts = Attempts(breaker, only_a_post_tells, clock=clock)
    try:
        yield {name: PatientDelivery(inner, attempts)}
    finally:
        attempts.close()
        await inner.close()


async def only_a_post_tells() -> None:
    """What an open breaker asks while no post waits: nothing else says that a receiver is back."""
    raise StoreTransient("nothing waits to be posted")
