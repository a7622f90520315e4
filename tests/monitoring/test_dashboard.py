"""The dashboard: fresh, made of what there is, readable, and it opens on the three answers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.prometheus import MONITORING, ROOT, records, run, tool
from tests.support.promql import vocabulary, wrong

GRAFANA = MONITORING / "grafana"
PATH = GRAFANA / "dashboards" / "audit_stream.json"
DASHBOARD = json.loads(PATH.read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
every_panel = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])


def queries() -> Iterator[tuple[str, str]]:
    """Expression and legend of every query, annotations among them."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield target["expr"], target["legendFormat"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["expr"], annotation["titleFormat"]


def concrete(expression: str) -> str:
    """The expression with Grafana's variables filled in."""
    filled = expression.replace("$__rate_interval", "1m").replace("$topic", ".*")
    assert "$" not in filled
    return filled


def test_the_dashboard_is_what_its_generator_writes() -> None:
    done = subprocess.run([sys.executable, str(GRAFANA / "generate.py"), "--check"])
    assert done.returncode == 0, "run: python deploy/monitoring/grafana/generate.py"


def test_it_opens_on_the_three_answers() -> None:
    first = DASHBOARD["panels"][:3]
    assert [panel["title"] for panel in first] == [
        "Is anything missing?", "Is anything late?", "Is anything broken?",
    ]  # fmt: skip
    assert {(panel["type"], panel["gridPos"]["y"]) for panel in first} == {("stat", 0)}


@every_panel
def test_a_panel_explains_itself(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"]
    values = [step["value"] for step in defaults["thresholds"]["steps"]]
    assert values[0] is None
    assert values[1:] == sorted(values[1:])
    assert panel["targets"]


@every_panel
def test_a_panel_leads_to_a_runbook_that_there_is(panel: dict[str, Any]) -> None:
    for link in panel["links"]:
        found = re.fullmatch(r"\$\{runbooks\}/([a-z-]+)\.md", link["url"])
        assert found is not None
        assert (ROOT / "docs" / "runbooks" / f"{found[1]}.md").exists()


def test_panels_do_not_overlap_and_fill_the_grid() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        mine = {(place["x"] + x, place["y"] + y) for x in range(place["w"])
                for y in range(place["h"])}  # fmt: skip
        assert not mine & cells, panel["title"]
        cells |= mine
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_query_is_made_of_metrics_and_labels_that_there_are() -> None:
    known = vocabulary(records())
    problems = {
        expression: found
        for expression, legend in queries()
        if (found := wrong(expression, known, set(re.findall(r"\{\{(\w+)\}\}", legend))))
    }
    assert problems == {}


def test_every_query_is_valid_promql(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": concrete(expression)}
        for number, (expression, _) in enumerate(queries())
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in run(tool("promtool"), "check", "rules", str(path))


def test_grafana_is_provisioned_with_the_source_and_the_folder() -> None:
    (source,) = yaml.safe_load(
        (GRAFANA / "provisioning/datasources/audit_stream.yaml").read_text("utf-8")
    )["datasources"]
    (provider,) = yaml.safe_load(
        (GRAFANA / "provisioning/dashboards/audit_stream.yaml").read_text("utf-8")
    )["providers"]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    scraped = yaml.safe_load((MONITORING / "prometheus.yaml").read_text("utf-8"))["global"]
    assert source["jsonData"]["timeInterval"] == scraped["scrape_interval"]
