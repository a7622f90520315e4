"""The metric catalogues: what each counts, in which unit, by what, and what is well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audit_stream.telemetry.catalogue import (
    CATALOGUE,
    PREFIX,
    PROCESS,
    RECONCILED,
    RECONCILED_PREFIX,
    Metric,
)
from docs.generator.alerts import using
from docs.generator.healthy import HEALTHY, RECONCILED_HEALTHY
from docs.generator.markdown import code, table

_HEAD = """# Metrics

Served by each process on `/metrics`, labelled as below and no further: no label holds an id of a
message, a tenant or a person. *Healthy* is what a quiet installation shows; when somebody is
told, the [alerts](alerts.md) say. What they are for: [monitoring](../how-to/monitoring.md).

"""
#: Prometheus asks for base units, and for one in the name where there is one.
_UNITS = ("seconds", "bytes", "records", "offsets", "objects", "partitions")


def page() -> str:
    """Three tables."""
    return "".join((
        _HEAD, _table(PREFIX, CATALOGUE, HEALTHY),
        "\n## Any process\n\nServed beside them.\n\n", _table("", PROCESS, HEALTHY),
        ("\n## Proved\n\nWritten by `audit-stream reconcile --textfile FILE.prom`, which reads "
        "the whole archive.\n\n"), _table(RECONCILED_PREFIX, RECONCILED, RECONCILED_HEALTHY),
    ))  # fmt: skip


def _table(prefix: str, catalogue: Sequence[Metric], healthy: Mapping[str, str]) -> str:
    rows = [
        [f"`{prefix}{one.name}`", one.kind, unit(one), ", ".join(one.labels) or "-", one.help,
         healthy[one.name], code(using(prefix + one.name))]
        for one in catalogue
    ]  # fmt: skip
    heads = ["metric", "kind", "unit", "labels", "meaning", "healthy", "alerts"]
    return table(heads, rows)


def unit(metric: Metric) -> str:
    """The unit that its name has; Unix time of a point in time; else a plain number."""
    if metric.name.endswith(("timestamp_seconds", "start_time_seconds")):
        return "Unix seconds"
    words = metric.name.split("_")
    return next((word for word in _UNITS if word in words), "1")
