"""The source distribution and the wheel, built in a folder of their own by pinned tools."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

from deploy.release.archives import normal_tar, normal_wheel
from deploy.release.source import ROOT, Commit

#: Runs without site-packages: nothing of the builder's own environment has a say.
_BACKEND = """
import os, sys
os.umask(0o022)
tools, what, into = sys.argv[1:]  # before the backend, which writes its own words there
sys.path.insert(0, tools)
from setuptools import build_meta
getattr(build_meta, what)(into)
"""


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
    """Both packages of a commit, the wheel from the source distribution; `work` is a folder that
    does not exist yet. Raises RuntimeError with what the build said."""
    source = work / "source"
    commit.extract(source)
    into.mkdir(parents=True, exist_ok=True)
    _run("build_sdist", commit, source, tools, into)
    (sdist,) = into.glob("*.tar.gz")
    normal_tar(sdist, commit.seconds)
    with tarfile.open(sdist) as archive:
        archive.extractall(work / "unpacked", filter="data")
    (unpacked,) = (work / "unpacked").iterdir()
    _run("build_wheel", commit, unpacked, tools, into)
    (wheel,) = into.glob("*.whl")
    normal_wheel(wheel, commit.seconds, needed=compiled(source))
    return [sdist, wheel]


def compiled(source: Path) -> list[str]:
    """The modules in C that a wheel must have: each has one `_compiled.c`."""
    found = sorted((source / "audit_stream").rglob("_compiled.c"))
    return [str(path.relative_to(source).with_suffix(".abi3.so")) for path in found]


def _run(what: str, commit: Commit, source: Path, tools: Path, into: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", _BACKEND, str(tools), what, str(into.absolute())],
        check=False, cwd=source, env=_environment(commit, source), capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{what} failed:\n{done.stdout}{done.stderr}")


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
