"""What a release is built from: the files of one commit, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit and its time in Unix seconds: the only clock that a release has."""

    id: str
    seconds: int

    def extract(self, into: Path) -> None:
        """Its files, with modes that no umask changes: 0755 for what git calls executable."""
        into.mkdir(parents=True)
        packed = _git("archive", "--format=tar", self.id)
        with tarfile.open(fileobj=BytesIO(packed)) as archive:
            archive.extractall(into, filter="data")
        for path in into.rglob("*"):
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)


def commit(name: str = "HEAD") -> Commit:
    """The commit of a name. Raises CalledProcessError where git knows none."""
    said = _git("log", "-1", "--format=%H %ct", name).decode("ascii").split()
    return Commit(said[0], int(said[1]))


def uncommitted() -> list[str]:
    """Files that differ from the commit, and so are not in its release as they are here."""
    lines = _git("status", "--porcelain").decode("utf-8").splitlines()
    return [line[3:] for line in lines]


def _git(*words: str) -> bytes:
    git = shutil.which("git") or "git"
    return subprocess.run([git, *words], cwd=ROOT, check=True, capture_output=True).stdout
