"""A golden archive in folders, a receiver beside it, and deliverers as processes of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from audit_stream.evidence.segment import decode
from tests.support import golden
from tests.support.siem import TOKEN, Siem

ROOT = golden.ROOT


def expected(form: str = "{message_uuid}:{delivery_status}") -> Counter[str]:
    """Keys of every record of the golden archive, read without the code under test."""
    return Counter(form.format(**pub) for pub in pubs())


def pubs() -> list[dict[str, Any]]:
    """Of every record of the golden archive, by topic and offset."""
    return [
        orjson.loads(line)["pub"]
        for name, data in sorted(golden.archive_objects().items())
        if name.startswith("segments/")
        for line in decode(data, name).record_lines()
    ]


@dataclass
class Delivering:
    """One installation that delivers to one receiver."""

    folder: Path
    siem: Siem
    extra: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.folder / "archive").exists():
            shutil.copytree(golden.ARCHIVE, self.folder / "archive")
            shutil.copytree(golden.GOLDEN / "subjects", self.folder / "subjects" / "subjects")
            for name in ("keyring.json", "cover-1.bin"):
                shutil.copy(golden.GOLDEN / name, self.folder / name)
                (self.folder / name).chmod(0o600)

    @property
    def environment(self) -> dict[str, str]:
        url = (self.folder / "archive").as_uri()
        return {
            "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1",
            "AUDIT_ARCHIVE": url, "AUDIT_SUBJECTS": f"file://{self.folder}/subjects",
            "AUDIT_ARCHIVE_NAME": golden.KEYRING.archive,
            "AUDIT_KEYRING": str(self.folder / "keyring.json"),
            "AUDIT_STATE_DIR": str(self.folder / "state"),
            "AUDIT_BROKER": "kafka://127.0.0.1:9", "AUDIT_WEB_PORT": "0",
            "AUDIT_DELIVERY_URL": f"http://127.0.0.1:{self.siem.port}",
            "AUDIT_DELIVERY_TOKEN": TOKEN, "AUDIT_DELIVERY_SYNCHRONOUS": "true",
            "AUDIT_DELIVERY_POLL_SECONDS": "0.1", "AUDIT_BREAKER_PROBE_SECONDS": "0.5",
        } | self.extra  # fmt: skip

    @contextmanager
    def running(self, *words: str, **extra: str) -> Iterator[subprocess.Popen[str]]:
        """A command of `deliver`, killed behind the block if it still runs."""
        with self.started("deliver", *words, **extra) as process:
            yield process

    @contextmanager
    def started(self, *words: str, **extra: str) -> Iterator[subprocess.Popen[str]]:
        """Any command, the same."""
        process = subprocess.Popen(
            [sys.executable, "-m", "audit_stream", *words],
            env=self.environment | extra, cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        with process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """The command, ended."""
        return self.command("deliver", *words, **extra)

    def command(self, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Any command, ended."""
        with self.started(*words, **extra) as process:
            out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def once(self, **extra: str) -> subprocess.CompletedProcess[str]:
        """All that is stored now; it must go well."""
        done = self.run("siem", "--once", **extra)
        assert done.returncode == 0, done.stderr
        return done

    def settled(self) -> dict[str, int]:
        """The first offset not settled, by topic, as the position objects say."""
        root = self.folder / "state" / "delivery" / "positions"
        found = [orjson.loads(path.read_bytes()) for path in root.rglob("*.json")]
        return {each["topic"]: each["settled"] for each in found}

    def ends(self) -> dict[str, int]:
        """Where the archive ends, by topic."""
        headers = [decode(data, name).header for name, data in golden.archive_objects().items()
                   if name.startswith("segments/")]  # fmt: skip
        return {t: max(h.next for h in headers if h.topic == t) for t in golden.TOPICS}
