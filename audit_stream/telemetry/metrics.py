"""The catalogue as Prometheus objects on a registry that is passed in: nothing at import."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from audit_stream import __version__
from audit_stream.telemetry.catalogue import CATALOGUE, PREFIX, Metric


def _build(metric: Metric, registry: CollectorRegistry) -> Any:
    name = PREFIX + metric.name
    if metric.kind == "counter":
        return Counter(name, metric.help, metric.labels, registry=registry)
    if metric.kind == "gauge":
        return Gauge(name, metric.help, metric.labels, registry=registry)
    return Histogram(name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)


class Metrics:
    """One attribute per metric of the catalogue, named without the prefix."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._metrics = {metric.name: _build(metric, self.registry) for metric in CATALOGUE}
        self.build_info.labels(__version__).set(1)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_metrics"][name]
        except KeyError:
            raise AttributeError(f"no metric {name} in the catalogue") from None
