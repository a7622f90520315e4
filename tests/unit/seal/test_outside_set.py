"""The outside test set: made and answered elsewhere, 79,000 raw events of 20,000 messages."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from audit_stream.evidence.ledger import MEANING
from audit_stream.precedence.matrix import STATUSES, State
from tests.support import golden

#: Beside the project, where it was handed over; it is no part of it.
FOLDER = golden.ROOT.parent / "shared" / "data"
EXPECTED = FOLDER / "expected.json.gz"
BATCH = 5000

pytestmark = pytest.mark.skipif(
    not EXPECTED.is_file(), reason="the outside test set does not lie beside the project"
)


@dataclass
class Replayed:
    """What came out of one pass over every topic, in order of arrival."""

    counts: Counter[str] = field(default_factory=Counter)  # letter -> offsets
    per_topic: dict[str, int] = field(default_factory=dict)
    current: dict[str, str] = field(default_factory=dict)  # message id -> status
    lines: list[bytes] = field(default_factory=list)


@cache
def expected() -> dict[str, Any]:
    with gzip.open(EXPECTED) as file:
        found: dict[str, Any] = json.load(file)
    return found


@cache
def replayed() -> Replayed:
    out = Replayed()
    for path in sorted(FOLDER.glob("*.jsonl.gz")):
        replay(path, out)
    return out


def replay(path: Path, out: Replayed) -> None:
    topic = path.name.removesuffix(".jsonl.gz")
    values = gzip.decompress(path.read_bytes()).splitlines()
    records = [
        golden.Raw(n, golden.FIRST_MS + n, golden.message_key(value), value)
        for n, value in enumerate(values)
    ]
    states: dict[bytes, State] = {}
    judge = golden.Judge(topic, golden.STATUS_MAP, golden.sealer(topic), states.get)
    for base in range(0, len(records), BATCH):
        part = records[base : base + BATCH]
        chunk, used = judge.judge(part, base, base + len(part), BATCH)
        assert used == len(part)
        states.update(chunk.states)
        out.counts.update(golden.letters(chunk))
        out.lines.extend(chunk.lines)
    out.per_topic[topic] = len(records)
    for key, state in states.items():
        out.current[key.split(b"\x00")[2].decode()] = STATUSES[state.rank - 1]


def test_every_offset_has_the_disposition_it_must_have() -> None:
    found = {MEANING[letter]: count for letter, count in replayed().counts.items()}
    assert found | {"read": sum(found.values())} == expected()["counts"]
    assert replayed().per_topic == expected()["per_topic"]


def test_every_message_ends_in_the_status_it_must_end_in() -> None:
    assert replayed().current == expected()["current"]


def test_what_must_be_archived_is_archived_once_and_nothing_else_is() -> None:
    pubs = [orjson.loads(line)["pub"] for line in replayed().lines]
    found = Counter((p["message_uuid"], p["delivery_status"], p["audit_id"]) for p in pubs)
    assert found == Counter(map(tuple, expected()["records"]))


def test_revisions_count_up_from_one_and_name_the_one_before() -> None:
    before: dict[tuple[str, str, str], tuple[int, str | None]] = {}
    for line in replayed().lines:
        pub = orjson.loads(line)["pub"]
        key = (pub["source"].partition("/")[0], pub["platform_tenant_id"], pub["message_uuid"])
        revision, source = before.get(key, (0, None))
        assert (pub["revision"], pub["supersedes"]) == (revision + 1, source)
        before[key] = (pub["revision"], pub["source"])
