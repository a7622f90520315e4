"""The source distribution and the wheel, built in a folder of their own by pinned tools."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from deploy.release.archives import normal_tar, normal_wheel
from deploy.release.source import ROOT, Commit

#: Runs without site-packages: nothing of the builder's own environment has a say.
_BACKEND = """
import os, sys
os.umask(0o022)
tools, into = sys.argv[1:]  # before the backend, which writes its own words there
sys.path.insert(0, tools)
from setuptools import build_meta
build_meta.build_sdist(into)
build_meta.build_wheel(into)
"""
_EXTENSION = "audit_stream/privacy/_compiled.abi3.so"


def pinned(name: str) -> str:
    """`name==version`, as constraints.txt has it."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    found = re.search(rf"^{name}==\S+$", text, re.M | re.I)
    if found is None:
        raise LookupError(f"constraints.txt does not pin {name}")
    return found[0]


def install_tools(into: Path) -> None:
    """Setuptools, of the pinned version, from the package index."""
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--target", str(into), pinned("setuptools")],
        check=True,
    )  # fmt: skip


def build_packages(commit: Commit, work: Path, tools: Path, into: Path) -> list[Path]:
    """Both packages of a commit; `work` is a folder that does not exist yet. Raises
    RuntimeError with what the build said."""
    source = work / "source"
    commit.extract(source)
    into.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", _BACKEND, str(tools), str(into)],
        check=False, cwd=source, env=_environment(commit, source), capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the build failed:\n{done.stdout}{done.stderr}")
    (sdist,), (wheel,) = into.glob("*.tar.gz"), into.glob("*.whl")
    normal_tar(sdist, commit.seconds)
    normal_wheel(wheel, commit.seconds, needed=_EXTENSION)
    return [sdist, wheel]


def _environment(commit: Commit, source: Path) -> dict[str, str]:
    """Where programs are; all else that could find its way into a file is fixed."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SOURCE_DATE_EPOCH": str(commit.seconds),
        # No folder, and no hash of what was linked, stands in the compiled extension.
        "CFLAGS": f"-g0 -ffile-prefix-map={source}=.",
        "LDFLAGS": "-Wl,--build-id=none",
    }
