"""The sample is what its generator writes, and the package judges it as the generator reckons."""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from audit_stream.flatten.event import Event, read_event
from audit_stream.flatten.status_map import StatusMap
from audit_stream.kafka.topics import topics_dir

SAMPLES = topics_dir() / "samples"
RANK = {"DELIVERED": 1, "READ": 2, "FAILED": 3, "EXPIRED": 4}


def generator() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("generate", SAMPLES / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "generate", module)
        spec.loader.exec_module(module)
    return module


def content(path: Path) -> bytes:
    """Bytes of a file, unpacked: deflate may differ between builds of zlib."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def sample_files(folder: Path) -> dict[str, bytes]:
    """What the generator writes, by name."""
    return {
        path.name: content(path)
        for path in sorted(folder.iterdir())
        if path.suffix in (".gz", ".json")
    }


def topics() -> list[str]:
    """The sample's topics."""
    return sorted(path.name.removesuffix(".jsonl.gz") for path in SAMPLES.glob("*.jsonl.gz"))


def lines(topic: str) -> list[bytes]:
    """Lines of a topic's file, without their line feeds."""
    return content(SAMPLES / f"{topic}.jsonl.gz").split(b"\n")[:-1]


def judge(topic: str) -> tuple[Counter[str], dict[tuple[str, str], str], Counter[str]]:
    """Dispositions, effective statuses and quarantine reasons by the package's own reading."""
    status_map = StatusMap.parse((topics_dir() / "status-map.v1.json").read_bytes())
    wrong_keys: dict[str, Any] = orjson.loads((SAMPLES / f"{topic}.keys.json").read_bytes())
    held: dict[tuple[str, str], str] = {}
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for number, line in enumerate(lines(topic), start=1):
        event = read_event(line, status_map)
        counts["read"] += 1
        if event is None:
            counts["intermediate"] += 1
        elif not isinstance(event, Event) or str(number) in wrong_keys:
            reasons[event if isinstance(event, str) else "misplaced"] += 1
            counts["quarantined"] += 1
        else:
            state = (event.tenant_id, event.message_uuid)
            rise = RANK[event.delivery_status] - RANK.get(held.get(state, ""), 0)
            counts["archived" if rise > 0 else "regressed" if rise else "duplicate"] += 1
            if rise > 0:
                held[state] = event.delivery_status
    return counts, held, reasons


def test_the_generator_writes_the_committed_files(tmp_path: Path) -> None:
    generator().write_sample(tmp_path)
    assert sample_files(tmp_path) == sample_files(SAMPLES)


def test_the_sample_has_ten_thousand_events_of_three_topics() -> None:
    assert len(topics()) == 3
    assert sum(len(lines(topic)) for topic in topics()) >= 10_000


def test_the_package_judges_every_line_as_the_generator_reckons() -> None:
    expected = json.loads((SAMPLES / "expected.json").read_text("utf-8"))
    judged = {topic: judge(topic) for topic in topics()}
    assert {topic: dict(one[0]) for topic, one in judged.items()} == expected["by_topic"]
    total = sum((one[0] for one in judged.values()), Counter())
    effective = Counter(status for one in judged.values() for status in one[1].values())
    assert dict(total) == expected["counts"]
    assert dict(effective) == expected["effective"]


def test_the_sample_holds_every_kind_of_mess() -> None:
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for topic in topics():
        one, _, why = judge(topic)
        counts += one
        reasons += why
    assert min(counts[name] for name in ("duplicate", "regressed", "intermediate")) > 100
    assert {
        "not-json",
        "not-an-object",
        "status-missing",
        "status-unmapped",
        "invalid:workflow_id",
        "invalid:message_id",
        "personal-data",
        "misplaced",
    } <= set(reasons)


def test_names_are_not_all_ascii_in_either_spelling() -> None:
    text = b"\n".join(lines("outbound_message_status_update"))
    assert "李雷".encode() in text
    assert rb"\u674e\u96f7" in text


def test_duplicates_come_with_the_same_and_with_new_event_ids() -> None:
    every = lines("outbound_message_status_update")
    assert any(count > 1 for count in Counter(every).values())
    assert any(b"evt_again_" in line for line in every)
