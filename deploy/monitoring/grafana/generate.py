"""Write dashboards/audit_stream.json; ``--check`` fails when it is stale.

Run it with Python alone: ``python deploy/monitoring/grafana/generate.py``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from content import FIRST, ROWS
from panels import DATASOURCE, GREY, Json, Panel

TARGET = Path(__file__).parent / "dashboards" / "audit_stream.json"
RUNBOOKS = "https://runbooks.example/audit-stream"


def layout() -> list[Json]:
    """Every panel at its place: left to right, then down, under its row's heading."""
    placed: list[Json] = []
    y = _place(FIRST, placed, 0)
    for title, panels in ROWS.items():
        placed.append({
            "id": len(placed) + 1, "type": "row", "title": title, "collapsed": False,
            "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}, "panels": [],
        })  # fmt: skip
        y = _place(panels, placed, y + 1)
    return placed


def _place(panels: Sequence[Panel], placed: list[Json], y: int) -> int:
    x = height = 0
    for panel in panels:
        if x + panel.width > 24:
            x, y, height = 0, y + height, 0
        placed.append(panel.document(len(placed) + 1, x, y))
        x, height = x + panel.width, max(height, panel.height)
    return y + height


def variables() -> list[Json]:
    """Data source, topic, and where the runbooks lie."""
    topics = "label_values(audit_stream_topic_partitions, topic)"
    everything = {"text": "All", "value": "$__all"}
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource",
         "query": "prometheus", "current": {}, "hide": 2},
        {"name": "topic", "label": "Topic", "type": "query", "multi": True, "includeAll": True,
         "allValue": ".*", "current": everything, "refresh": 2, "sort": 1,
         "datasource": DATASOURCE, "definition": topics,
         "query": {"query": topics, "refId": "topics"}},
        {"name": "runbooks", "label": "Runbooks", "type": "constant", "query": RUNBOOKS,
         "current": {"text": RUNBOOKS, "value": RUNBOOKS}, "hide": 2},
    ]  # fmt: skip


def dashboard() -> dict[str, Any]:
    """The document that Grafana reads."""
    return {
        "uid": "audit-stream", "title": "audit_stream", "tags": ["audit-stream"],
        "description": "Is anything missing, late, broken?", "schemaVersion": 39, "version": 1,
        "editable": False, "graphTooltip": 1, "refresh": "30s", "timezone": "utc",
        "time": {"from": "now-6h", "to": "now"},
        "links": [{"title": "Runbooks", "type": "link", "url": "${runbooks}", "targetBlank": True}],
        "annotations": {"list": [{
            "name": "Restarts", "enable": True, "iconColor": GREY,
            "datasource": DATASOURCE,
            "expr": 'changes(process_start_time_seconds{job="audit-stream"}[1m]) > 0',
            "titleFormat": "{{instance}} started", "step": "60s",
        }]},
        "templating": {"list": variables()},
        "panels": layout(),
    }  # fmt: skip


def main(check: bool) -> int:
    """Write, or compare."""
    text = json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"
    if not check:
        TARGET.write_text(text, encoding="utf-8")
    return int(TARGET.read_text(encoding="utf-8") != text)


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(2)
    sys.exit(main("--check" in sys.argv[1:]))
