"""The golden archive: an independent reading of the formats, and how to feed its input."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from audit_stream.evidence.encoding import hex_decode
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.flatten.event import Event
from audit_stream.flatten.status_map import StatusMap
from audit_stream.privacy.keyring import parse_keyring
from audit_stream.privacy.sealer import RecordSealer
from audit_stream.privacy.subjects import KeyDeriver
from audit_stream.seal.judge import Chunk, Judge

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "vectors" / "golden"
ARCHIVE = GOLDEN / "archive"
FIRST_MS = 1_795_564_800_000  # 2026-11-25T00:00:00.000Z
STEP_MS = 7
SPAN = 60  # offsets a segment
TOPICS = sorted(path.stem for path in (GOLDEN / "input").glob("*.jsonl"))
KEYRING = parse_keyring((GOLDEN / "keyring.json").read_bytes())
COVER = (GOLDEN / "cover-1.bin").read_bytes()
STATUS_MAP = StatusMap.parse((ROOT / "topics" / "status-map.v1.json").read_bytes())


@dataclass(frozen=True)
class Raw:
    """One raw record as a consumer would see it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def message_key(value: bytes) -> bytes | None:
    try:
        return str(json.loads(value)["message_id"]).encode()
    except (ValueError, KeyError, TypeError):
        return None


def raw_records(topic: str) -> list[Raw]:
    lines = (GOLDEN / "input" / f"{topic}.jsonl").read_bytes().splitlines()
    return [Raw(n, FIRST_MS + STEP_MS * n, message_key(v), v) for n, v in enumerate(lines)]


def stream_id(topic: str) -> bytes:
    return sha256(topic.encode()).digest()[:16]


def sealer(topic: str, partition: int = 0) -> RecordSealer:
    keys = KeyDeriver(KEYRING, COVER, stream_id(topic))
    return RecordSealer(
        keys, topic=topic, generation=1, partition=partition, regulatory_tag="COMPLIANCE_ARCHIVE_V1"
    )


def seal_one(sealer: RecordSealer, event: Event, *where: Any) -> tuple[bytes, bytes, bytes]:
    """``(line, raw integrity hash, tag)`` of one event; `where` as `rise_of` takes it."""
    rise, tag = sealer.rise_of(event, *where)
    (line,), (integrity,) = sealer.seal([rise])
    return line, integrity, tag


def judged(topic: str, span: int = SPAN) -> list[Chunk]:
    """The golden input of a topic, judged in ranges of `span` offsets."""
    states: dict = {}
    judge = Judge(topic, STATUS_MAP, sealer(topic), states.get)
    records, chunks = raw_records(topic), []
    for base in range(0, len(records), span):
        part = records[base : base + span]
        chunk, used = judge.judge(part, base, base + len(part), 10**6)
        assert used == len(part)
        states.update(chunk.states)
        chunks.append(chunk)
    return chunks


def letters(chunk: Chunk) -> str:
    """The disposition of each offset a chunk covers."""
    return "".join(letter * count for count, letter in chunk.runs)


def trusted() -> TrustedKeys:
    text = (GOLDEN / "segment_key.pub.hex").read_text().strip()
    return TrustedKeys(hex_decode(text, "key"))


def archive_objects() -> dict[str, bytes]:
    return {
        str(path.relative_to(ARCHIVE)): path.read_bytes()
        for path in ARCHIVE.rglob("*")
        if path.is_file()
    }


def in_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the archive with its keys, which the environment's settings name; the archive."""
    shutil.copytree(GOLDEN, folder)
    for path in ("keyring.json", "cover-1.bin"):
        (folder / path).chmod(0o600)
    for name, value in {
        "ARCHIVE": (folder / "archive").as_uri(), "SUBJECTS": folder.as_uri(),
        "ARCHIVE_NAME": KEYRING.archive, "KEYRING": str(folder / "keyring.json"),
        "BROKER": "kafka://127.0.0.1:1",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"AUDIT_{name}", value)
    return folder / "archive"
