"""The catalogue as Prometheus objects on a registry that is passed in: nothing at import."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    write_to_textfile,
)

from audit_stream import __version__
from audit_stream.telemetry.catalogue import (
    CATALOGUE,
    PREFIX,
    RECONCILED,
    RECONCILED_PREFIX,
    Metric,
)


def _build(prefix: str, metric: Metric, registry: CollectorRegistry) -> Any:
    name = prefix + metric.name
    if metric.kind == "counter":
        return Counter(name, metric.help, metric.labels, registry=registry)
    if metric.kind == "gauge":
        return Gauge(name, metric.help, metric.labels, registry=registry)
    return Histogram(name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)


class _Registered:
    """One attribute per metric, named without the prefix."""

    def __init__(
        self, prefix: str, catalogue: Sequence[Metric], registry: CollectorRegistry
    ) -> None:
        self.registry = registry
        self._metrics = {m.name: _build(prefix, m, registry) for m in catalogue}

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_metrics"][name]
        except KeyError:
            raise AttributeError(f"no metric {name} in the catalogue") from None


class Metrics(_Registered):
    """What a worker measures."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__(PREFIX, CATALOGUE, registry or CollectorRegistry())
        ProcessCollector(registry=self.registry)
        self.build_info.labels(__version__).set(1)

    def start_topics(self, topics: Iterable[str], dispositions: Iterable[str]) -> None:
        """Begin at 0 what is counted by topic: a rate cannot be taken from the first event on
        of a series that was absent before it."""
        counted = [m for m in CATALOGUE if m.kind != "gauge" and m.labels == ("topic",)]
        for topic in topics:
            for metric in counted:
                self._metrics[metric.name].labels(topic)
            for disposition in dispositions:
                self.records_total.labels(topic, disposition)


class Reconciled(_Registered):
    """What a reconciliation proved."""

    def __init__(self) -> None:
        super().__init__(RECONCILED_PREFIX, RECONCILED, CollectorRegistry())

    def write(self, path: Path) -> None:
        """Replace the file at once, for the textfile collector of node_exporter."""
        write_to_textfile(str(path), self.registry)
