"""What a PromQL expression names: enough of its grammar to hold it against the catalogue."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from audit_stream.telemetry.catalogue import (
    CATALOGUE,
    PREFIX,
    PROCESS,
    RECONCILED,
    RECONCILED_PREFIX,
    Metric,
)

#: Functions, operators and grouping words that rules and dashboard use.
WORDS = {
    "abs", "absent", "and", "bool", "by", "changes", "count", "group_left", "histogram_quantile",
    "increase", "max", "max_over_time", "min", "on", "or", "predict_linear", "rate", "sort_desc",
    "sum", "time", "unless", "vector",
}  # fmt: skip
TARGET = {"job", "instance"}  # what a scrape adds
_STRING = re.compile(r'"[^"]*"')
_SELECTOR = re.compile(r"([A-Za-z_:][\w:]*)\s*\{([^}]*)\}")
_GROUPING = re.compile(r"\b(?:by|on|group_left)\s*\(([^)]*)\)")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_NAME = re.compile(r"[A-Za-z_:][\w:]*")
_NUMBER = re.compile(r"\[[^]]*\]|\b\d[\w.]*")  # windows, too


@dataclass(slots=True)
class Uses:
    """Metrics of an expression, each with the labels it is chosen by; and what it groups by."""

    metrics: dict[str, set[str]] = field(default_factory=dict)
    grouped: set[str] = field(default_factory=set)


def uses(expression: str) -> Uses:
    """Everything named in it that is no word of the language."""
    found = Uses()
    text = _STRING.sub('""', expression.replace("$__rate_interval", "5m"))
    for labels in _GROUPING.findall(text):
        found.grouped |= set(_NAME.findall(labels))
    for name, labels in _SELECTOR.findall(text):
        found.metrics.setdefault(name, set()).update(_LABEL.findall(labels))
    rest = _NUMBER.sub(" ", _GROUPING.sub(" ", re.sub(r"\{[^}]*\}", " ", text)))
    for name in set(_NAME.findall(rest)) - WORDS:
        found.metrics.setdefault(name, set())
    return found


def vocabulary(recorded: dict[str, str]) -> dict[str, set[str]]:
    """Every series there may be, with its labels: of the catalogues, the rules, Prometheus."""
    known = {"up": TARGET, "ALERTS": {"alertname", "alertstate", "severity", *TARGET}}
    for prefix, catalogue in (
        (PREFIX, CATALOGUE), (RECONCILED_PREFIX, RECONCILED), ("", PROCESS),
    ):  # fmt: skip
        for metric in catalogue:
            known |= _series(prefix + metric.name, metric)
    for name, expression in recorded.items():
        labels = uses(expression).grouped
        if not labels:
            labels = set.union(*(known[metric] for metric in uses(expression).metrics))
        known[name] = labels
    return known


def _series(name: str, metric: Metric) -> dict[str, set[str]]:
    labels = {*metric.labels, *TARGET}
    if metric.kind != "histogram":
        return {name: labels}
    return {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}


def wrong(expression: str, known: dict[str, set[str]], shown: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
    """What an expression names that there is not; `shown` are labels a text shows of it."""
    found = uses(expression)
    problems = [f"no metric {name}" for name in found.metrics if name not in known]
    if problems:
        return problems
    for name, labels in found.metrics.items():
        problems += [f"{name} has no label {label}" for label in labels - known[name]]
    every = set().union(*(known[name] for name in found.metrics))
    problems += [f"no label {label} to group by" for label in found.grouped - every]
    return problems + [f"no label {label} to show" for label in shown - every]
