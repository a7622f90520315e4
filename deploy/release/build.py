"""Build, and build again and compare."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from audit_stream import __version__
from deploy.release.notes import notes
from deploy.release.packages import build_packages, pinned
from deploy.release.sbom import sbom
from deploy.release.source import ROOT, Commit

SUMS = "SHA256SUMS"


def build(commit: Commit, work: Path, tools: Path, into: Path) -> list[Path]:
    """All files of a release; `into` must be empty or absent, `work` absent."""
    must_be_empty(into)
    files = build_packages(commit, work, tools, into)
    changelog = (work / "source" / "CHANGELOG.md").read_text(encoding="utf-8")
    texts = {
        "sbom.cdx.json": sbom(__version__, commit),
        "RELEASE_NOTES.md": notes(changelog, __version__),
        "BUILDINFO.json": buildinfo(commit),
    }
    for name, text in texts.items():
        (into / name).write_text(text, encoding="utf-8")
        files.append(into / name)
    (into / SUMS).write_text(sums(files), encoding="ascii")
    return [*files, into / SUMS]


def must_be_empty(into: Path) -> None:
    """Raises FileExistsError where another release lies: what is left of it would go along."""
    if into.exists() and any(into.iterdir()):
        raise FileExistsError(f"{into} is not empty")


def sums(files: list[Path]) -> str:
    """As `sha256sum --check` reads it."""
    ordered = sorted(files, key=lambda path: path.name)
    return "".join(f"{sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in ordered)


def buildinfo(commit: Commit) -> str:
    """With what it was built: who has the same gets the same bytes."""
    compiler = os.environ.get("CC", "cc")
    said = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    info = {
        "commit": commit.id,
        "compiler": said.stdout.splitlines()[0],
        "libc": " ".join(platform.libc_ver()),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "setuptools": pinned("setuptools").partition("==")[2],
        "source_date_epoch": commit.seconds,
        "version": __version__,
    }
    return json.dumps(info, indent=1, sort_keys=True) + "\n"


def differing(one: Path, other: Path) -> list[str]:
    """Names of files that one of two releases lacks, or that are not the same in both."""
    names = {path.name for folder in (one, other) for path in folder.iterdir()}
    return sorted(name for name in names if _bytes(one / name) != _bytes(other / name))


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def build_elsewhere(commit: Commit, work: Path, tools: Path, into: Path) -> None:
    """Another build, in a process with another umask, locale, time zone and hash seed."""
    script = (
        "import os, sys; os.umask(0o077)\n"
        "from pathlib import Path\n"
        "from deploy.release.build import build\n"
        "from deploy.release.source import Commit\n"
        "commit, seconds, *paths = sys.argv[1:]\n"
        "build(Commit(commit, int(seconds)), *map(Path, paths))\n"
    )
    changed = {"LC_ALL": "C", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "7",
               "PYTHONPATH": str(ROOT)}  # fmt: skip
    subprocess.run(
        [sys.executable, "-c", script, commit.id, str(commit.seconds), str(work), str(tools),
         str(into)],
        check=True, env=os.environ | changed,
    )  # fmt: skip
