"""The generated pages say all there is, and what they take for granted holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest

from audit_stream.cli.main import COMMANDS, exit_code, main
from audit_stream.errors import AuditError
from audit_stream.kafka.topics import load_topic, topics_dir
from audit_stream.settings import Settings, env_name
from audit_stream.telemetry.catalogue import CATALOGUE, PROCESS, RECONCILED, Metric
from docs.generator import alerts, errors, healthy, markdown, metrics

ROOT = Path(__file__).parents[2]
FAMILY = sorted(errors.family(), key=lambda error: error.code)
SOURCES = {
    path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "audit_stream").rglob("*.py"))
}


def _page(name: str) -> str:
    return (ROOT / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")


def test_each_code_is_one_row_and_each_row_a_code() -> None:
    rows = re.findall(r"^\| \[(AS-[0-9]{4})\]", _page("errors"), re.M)
    assert rows == [error.code for error in FAMILY]


@pytest.mark.parametrize("error", FAMILY, ids=lambda error: error.code)
def test_each_error_is_raised_somewhere(error: type[AuditError]) -> None:
    # The root stands for bugs: a process is ended by its code, nobody makes one.
    assert (error is AuditError) is not (error.__name__ in errors.raised())


def test_no_other_code_is_written_anywhere() -> None:
    written = {code for text in SOURCES.values() for code in re.findall(r"\bAS-[0-9]{4}\b", text)}
    assert written == {error.code for error in FAMILY}


def test_an_error_that_is_not_in_the_family_would_be_seen() -> None:
    class Stray(AuditError):
        code = "AS-1234"

    assert Stray not in set(errors.family())
    assert Stray.code not in {error.code for error in FAMILY}


def test_the_exit_codes_are_the_ones_a_command_ends_with() -> None:
    codes = dict(re.findall(r"^\| \[(AS-[0-9]{4})\].*\| ([0-9]+) \| [^|]+ \| [^|]+ \|$",
                            _page("errors"), re.M))  # fmt: skip
    assert codes == {error.code: str(exit_code(error)) for error in FAMILY}
    assert set(codes.values()) == {"1", "2", "3", "70"}


def _commands(command: Any, path: str) -> list[tuple[str, Any]]:
    below = getattr(command, "commands", {})
    return [(path, command), *(pair for name, one in below.items()
                               for pair in _commands(one, f"{path} {name}"))]  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_a_section_with_each_of_its_options(name: str) -> None:
    context = click.Context(main)
    sections = re.split(r"^#{2,4} audit-stream ", _page("cli"), flags=re.M)
    by_path = dict(section.partition("\n")[::2] for section in sections)
    for path, command in _commands(main.get_command(context, name), name):
        words = [word for one in command.params for word in one.opts if word.startswith("-")]
        assert {word for word in words if f"`{word}`" not in by_path[path]} == set(), path


def test_each_topic_has_a_section_and_a_row() -> None:
    declared = {load_topic(path).topic for path in topics_dir().glob("*.yaml")}
    assert set(re.findall(r"^## (.+)$", _page("topics"), re.M)) == declared
    assert set(re.findall(r"^\| \[`([^`]+)`\]", _page("topics"), re.M)) == declared


def test_what_is_healthy_is_said_of_each_metric_and_of_nothing_else() -> None:
    assert set(healthy.HEALTHY) == {metric.name for metric in (*CATALOGUE, *PROCESS)}
    assert set(healthy.RECONCILED_HEALTHY) == {metric.name for metric in RECONCILED}


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("archive_delay_seconds", "seconds"),
        ("last_progress_timestamp_seconds", "Unix seconds"),
        ("process_start_time_seconds", "Unix seconds"),
        ("records_archived_total", "records"),
        ("lost_offsets_total", "offsets"),
        ("ready", "1"),
    ],
)
def test_the_unit_is_the_names(name: str, unit: str) -> None:
    assert metrics.unit(Metric(name, "gauge", "")) == unit


def test_the_alerts_of_a_metric_are_found_through_what_is_recorded_of_it() -> None:
    assert "AuditStreamArchiveDelayFastBurn" in alerts.using("audit_stream_archive_delay_seconds")
    assert alerts.using("audit_stream_lost") == []


def test_a_cell_that_holds_the_tables_own_sign_stays_one_cell() -> None:
    assert markdown.table(["a"], [["b|c"]]).splitlines()[-1] == "| b\\|c |"


def test_every_setting_says_what_it_is() -> None:
    rows = re.findall(r"^\| `(AUDIT_[A-Z0-9_]+)` \| (.*?) \| (.*) \|$", _page("settings"), re.M)
    assert {name for name, _, _ in rows} == {env_name(name) for name in Settings.model_fields}
    assert [
        name for name, default, meaning in rows if not default or len(meaning.split()) < 2
    ] == []


def test_every_metric_has_its_unit_and_what_is_healthy() -> None:
    rows = [row.split(" | ") for row in re.findall(r"^\| `audit_.+ \|$", _page("metrics"), re.M)]
    assert len(rows) == len(CATALOGUE) + len(RECONCILED)
    assert [row[0] for row in rows if not (row[2] and row[5])] == []


def test_every_alert_is_one_row_with_its_runbook() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.+\| \[[a-z-]+\]\(\.\./runbooks/[a-z-]+\.md\) \|$",
                      _page("alerts"), re.M)  # fmt: skip
    assert rows == [rule["alert"] for rule in alerts.rules() if "alert" in rule]
