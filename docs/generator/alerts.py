"""The alerts of deploy/monitoring."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from docs.generator.markdown import table

RULES = Path(__file__).parents[2] / "deploy" / "monitoring" / "rules"
_HEAD = """# Alerts

Each alert of `deploy/monitoring/rules`, with its expression. Why each threshold is what it is,
and how each alert was seen to fire: [monitoring](../how-to/monitoring.md). `critical` wakes
somebody, `warning` waits for the morning.

"""


@cache
def rules() -> list[dict[str, Any]]:
    """Every rule, in the order of the files."""
    files = [
        yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(RULES.glob("*.yaml"))
    ]
    return [rule for one in files for group in one["groups"] for rule in group["rules"]]


def page() -> str:
    """An overview, then the expressions."""
    alerts = [rule for rule in rules() if "alert" in rule]
    recorded = [rule for rule in rules() if "record" in rule]
    rows = [
        [f"`{rule['alert']}`", rule["labels"]["severity"], rule.get("for", "-"),
         rule["annotations"]["summary"], _runbook(rule)]
        for rule in alerts
    ]  # fmt: skip
    parts = [_HEAD, table(["alert", "severity", "waits", "says", "runbook"], rows)]
    parts.append("\n## Expressions\n")
    parts += [f"\n`{rule['alert']}`:\n\n{_block(rule['expr'])}" for rule in alerts]
    parts.append("\n## Recorded\n\nWhat the expressions use.\n")
    parts += [f"\n`{rule['record']}`:\n\n{_block(rule['expr'])}" for rule in recorded]
    return "".join(parts)


def _runbook(rule: dict[str, Any]) -> str:
    name = rule["annotations"]["runbook_url"].rpartition("/")[2]
    return f"[{name.removesuffix('.md')}](../runbooks/{name})"


def _block(expression: str) -> str:
    return "```promql\n" + expression.strip() + "\n```\n"


def using(metric: str) -> list[str]:
    """The alerts whose expression names a metric, by itself or through what is recorded of it."""
    named = re.compile(rf"\b{metric}(_bucket|_count|_sum)?\b")
    found = [rule for rule in rules() if named.search(rule["expr"])]
    recorded = [rule["record"] for rule in found if "record" in rule]
    return [
        rule["alert"]
        for rule in rules()
        if "alert" in rule and (rule in found or any(name in rule["expr"] for name in recorded))
    ]
