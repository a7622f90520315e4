"""What the dashboard's panels are made of: the few forms of Grafana's JSON that it uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, YELLOW, RED, GREY, BLUE = "green", "yellow", "red", "text", "blue"
Json = dict[str, Any]
#: From a value on, a colour; the first counts from the smallest value on.
Steps = Sequence[tuple[float | None, str]]
CALM: Steps = ((None, GREEN),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel; `queries` are (PromQL, legend)."""

    title: str
    kind: str
    description: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    steps: Steps = CALM
    runbook: str = ""
    width: int = 12
    height: int = 8
    mappings: Sequence[Json] = ()
    options: Json = field(default_factory=dict)
    custom: Json = field(default_factory=dict)
    limits: Json = field(default_factory=dict)  # min, max, decimals, noValue
    instant: bool = False
    transformations: Sequence[Json] = ()
    overrides: Sequence[Json] = ()

    def document(self, number: int, x: int, y: int) -> Json:
        """The panel's JSON at a place of the grid, which is 24 wide."""
        links = [] if not self.runbook else [_link(f"Runbook: {self.runbook}", self.runbook)]
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "links": links,
            "targets": [self._target(i, *query) for i, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": list(self.overrides)},
            "options": self.options,
            "transformations": list(self.transformations),
        }

    def _target(self, index: int, expression: str, legend: str) -> Json:
        form = "heatmap" if self.kind == "heatmap" else "table" if self.kind == "table" else ""
        return {
            "refId": chr(ord("A") + index),
            "datasource": DATASOURCE,
            "expr": expression,
            "legendFormat": legend or "__auto",
            "format": form or "time_series",
            "instant": self.instant,
            "range": not self.instant,
        }

    def _defaults(self) -> Json:
        steps = [{"color": color, "value": value} for value, color in self.steps]
        return {
            "unit": self.unit,
            "color": {"mode": "palette-classic" if self.kind == "timeseries" else "thresholds"},
            "thresholds": {"mode": "absolute", "steps": steps},
            "mappings": list(self.mappings),
            "custom": self.custom,
            **self.limits,
        }


def _link(title: str, page: str) -> Json:
    return {"title": title, "url": f"${{runbooks}}/{page}.md", "targetBlank": True}


def words(**values: tuple[str, str]) -> Json:
    """Value mapping: ``_0=("none", GREEN)`` shows 0 as ``none`` in green."""
    options = {
        name.lstrip("_"): {"text": text, "color": color, "index": i}
        for i, (name, (text, color)) in enumerate(values.items())
    }
    return {"type": "value", "options": options}


def nothing(text: str, color: str) -> Json:
    """Value mapping for no data."""
    return {
        "type": "special",
        "options": {"match": "null", "result": {"text": text, "color": color, "index": 99}},
    }


def stat(title: str, query: str, description: str, **more: Any) -> Panel:
    """One number, the last one, coloured as a whole."""
    options = {
        "colorMode": "background",
        "graphMode": "none",
        "justifyMode": "center",
        "textMode": "value",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return Panel(
        title=title, kind="stat", description=description, queries=[(query, "")], instant=True,
        options=options, **{"width": 4, "height": 5} | more,
    )  # fmt: skip


def lines(title: str, queries: Sequence[tuple[str, str]], description: str, **more: Any) -> Panel:
    """Curves over time; thresholds other than calm are drawn."""
    custom = {
        "lineWidth": 2,
        "fillOpacity": 10,
        "showPoints": "never",
        "thresholdsStyle": {"mode": "dashed" if "steps" in more else "off"},
        "stacking": {"mode": "normal" if more.pop("stacked", False) else "none"},
    }
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return Panel(
        title=title, kind="timeseries", description=description, queries=queries, custom=custom,
        options=options, **more,
    )  # fmt: skip


def states(title: str, queries: Sequence[tuple[str, str]], description: str, **more: Any) -> Panel:
    """Which of a few states each series was in, as bands."""
    options = {
        "showValue": "never",
        "mergeValues": True,
        "rowHeight": 0.8,
        "legend": {"displayMode": "list", "placement": "bottom"},
    }
    return Panel(
        title=title, kind="state-timeline", description=description, queries=queries,
        custom={"fillOpacity": 80, "lineWidth": 0}, options=options, **more,
    )  # fmt: skip


def table(title: str, query: str, description: str, hidden: Sequence[str], **more: Any) -> Panel:
    """The series of an instant query, one a row, by their labels."""
    hide = {"id": "organize", "options": {"excludeByName": dict.fromkeys(hidden, True)}}
    return Panel(
        title=title, kind="table", description=description, queries=[(query, "")], instant=True,
        transformations=[hide], options={"showHeader": True, "cellHeight": "sm"}, **more,
    )  # fmt: skip


def heatmap(title: str, query: str, description: str, unit: str, **more: Any) -> Panel:
    """A histogram over time."""
    options = {
        "calculate": False,
        "color": {"mode": "scheme", "scheme": "Blues", "steps": 64},
        "yAxis": {"unit": unit, "axisPlacement": "left"},
        "cellGap": 1,
        "tooltip": {"mode": "single", "yHistogram": False},
        "legend": {"show": False},
    }
    return Panel(
        title=title, kind="heatmap", description=description, queries=[(query, "{{le}}")],
        options=options, **more,
    )  # fmt: skip
