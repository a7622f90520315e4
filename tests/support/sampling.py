"""What one process uses, and what it says of itself. Linux: read below ``/proc``."""

from __future__ import annotations

import os
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

_TICKS = os.sysconf("SC_CLK_TCK")
_KB = 1024
_TABLE_FILE = ".sst"  # a database keeps those it reads open, up to a number of its own
_BLOCK = 512  # of `st_blocks`, whatever the file system's are
#: Buckets that are kept; of other histograms their sum and count are enough.
_BUCKETS = "audit_stream_archive_delay_seconds_bucket"
_STATUS = {"RssAnon": "rss_anon", "RssFile": "rss_file", "VmRSS": "rss", "VmHWM": "rss_peak"}


def of_process(pid: int) -> dict[str, float]:
    """Memory in bytes, descriptors, threads, processor seconds since it began."""
    proc = Path(f"/proc/{pid}")
    status = _pairs(proc / "status")
    found = {ours: _kb(status[theirs]) for theirs, ours in _STATUS.items()}
    files = list(_targets(proc / "fd"))
    ticks = (proc / "stat").read_text().rpartition(")")[2].split()[11:13]
    return found | {
        "pss": _kb(_pairs(proc / "smaps_rollup")["Pss"]),
        "descriptors": sum(not each.endswith(_TABLE_FILE) for each in files),
        "table_files": sum(each.endswith(_TABLE_FILE) for each in files),
        "threads": int(status["Threads"]),
        "cpu_seconds": sum(map(int, ticks)) / _TICKS,
    }


def _targets(folder: Path) -> Iterator[str]:
    for each in folder.iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            yield str(each.readlink())


def _pairs(path: Path) -> dict[str, str]:
    return dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)


def _kb(text: str) -> int:
    return int(text.split(maxsplit=1)[0]) * _KB


def of_metrics(port: int) -> dict[str, float]:
    """Its metrics, each summed over its labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    summed: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == _BUCKETS:
                summed[f"{sample.name}:{sample.labels['le']}"] += sample.value
            elif not sample.name.endswith(("_bucket", "_created")):
                summed[sample.name] += sample.value
    return summed


def size_of(folders: Iterable[Path]) -> int:
    """Bytes of all files below them; one that goes meanwhile counts nothing."""
    total = 0
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                with suppress(FileNotFoundError):
                    total += (Path(parent) / name).stat().st_blocks * _BLOCK
    return total


def of_machine() -> dict[str, float]:
    """Load, and ticks of all processors since it began: all, and idle ones."""
    ticks = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return {"load": os.getloadavg()[0], "ticks": sum(ticks), "idle": ticks[3] + ticks[4]}
