"""Who takes part: how each is prepared, started, and where its effect shows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.effects import ArchiveEffect, Effect, TopicEffect
from bench.generate import PARTITIONS
from bench.processes import Command, RunFailed

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
MEMBERS = 2  # processes, or threads of one process
_SESSION_SECONDS = 60  # longer than a frozen contender waits for the load to be written
_TOOL_LIMIT_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of one contender: a name nobody used before, a fresh folder, topics of its own."""

    name: str
    bootstrap: str
    folder: Path  # this run's alone, removed afterwards
    tools: Path  # kept between runs: virtual environment, jars, compiled classes
    partitions: int = PARTITIONS  # of the raw topic
    members: int = MEMBERS

    @property
    def raw_topic(self) -> str:
        """What every contender reads."""
        return f"{self.name}-raw"

    @property
    def output_topic(self) -> str:
        """Where a peer forwards rises to."""
        return f"{self.name}-rises"

    def env(self, member: int) -> dict[str, str]:
        """What a peer's process is told."""
        return {
            "PYTHONPATH": str(ROOT),
            "BENCH_APP": self.name,
            "BENCH_BROKER": self.bootstrap,
            "BENCH_RAW_TOPIC": self.raw_topic,
            "BENCH_OUTPUT_TOPIC": self.output_topic,
            "BENCH_PARTITIONS": str(self.partitions),
            "BENCH_SESSION_SECONDS": str(_SESSION_SECONDS),
            "BENCH_MEMBERS": str(self.members),
            "BENCH_STATE_DIR": str(self.folder / f"state-{member}"),
        }


class Contender(ABC):
    """One way of doing the job."""

    name: str
    title: str  # as the table has it
    share = 1.0  # of the workload, for those who would take an hour over all of it

    @abstractmethod
    def missing(self, tools: Path) -> str | None:
        """Install what can be installed under `tools`; why it cannot run here, or None."""

    @abstractmethod
    def prepare(self, run: Run) -> None:
        """Whatever a deployment does once, before the first start. Not timed."""

    @abstractmethod
    def commands(self, run: Run) -> Sequence[Command]:
        """The processes."""

    @abstractmethod
    def effect(self, run: Run) -> Effect:
        """Where to see what it has done."""


class Peer(Contender):
    """Somebody else's stream processor with our job in it; it forwards rises to a topic."""

    def prepare(self, run: Run) -> None:
        """Nothing: its topics are created with the raw topic, or by itself."""

    def effect(self, run: Run) -> Effect:
        """The output topic."""
        return TopicEffect(run.bootstrap, run.output_topic)


class StockFaust(Peer):
    """faust-streaming from this very environment, as its documentation shows it."""

    name = "faust"
    title = "stock Faust"
    RAW_BYTES = "0"
    share = 0.1  # some 2,000 events/s a process: the rate, not the patience, is measured

    def missing(self, tools: Path) -> str | None:
        """It is a dependency of ours."""
        return None

    def commands(self, run: Run) -> Sequence[Command]:
        """Two workers."""
        argv = [
            sys.executable,
            "-m",
            "bench.peers.faust_peer",
            "worker",
            "--without-web",
            "-l",
            "warn",
        ]
        return [
            Command(
                name=f"faust-{member}",
                argv=argv,
                folder=run.folder,
                env=run.env(member) | {"BENCH_RAW_BYTES": self.RAW_BYTES},
            )
            for member in range(run.members)
        ]


class RawBytesFaust(StockFaust):
    """The same without models and codecs: stock Faust's machinery at its cheapest."""

    name = "faust-bytes"
    title = "stock Faust, raw bytes"
    RAW_BYTES = "1"


class QuixStreams(Peer):
    """Quix Streams, in a virtual environment of its own: it pins other versions than we do."""

    name = "quix"
    title = "Quix Streams"

    def missing(self, tools: Path) -> str | None:
        """Without an index to install it from it cannot run."""
        if self._python(tools).exists():
            return None
        try:
            _run([sys.executable, "-m", "venv", str(tools / "quix")])
            requirements = str(BENCH / "peers" / "requirements-quix.txt")
            _run([str(self._python(tools)), "-m", "pip", "install", "-q", "-r", requirements])
        except RunFailed as failure:
            shutil.rmtree(tools / "quix", ignore_errors=True)
            return f"Quix Streams cannot be installed: {failure}"
        return None

    def commands(self, run: Run) -> Sequence[Command]:
        """Two processes."""
        argv = [str(self._python(run.tools)), "-m", "bench.peers.quix_peer"]
        return [
            Command(name=f"quix-{member}", argv=argv, folder=run.folder, env=run.env(member))
            for member in range(run.members)
        ]

    @staticmethod
    def _python(tools: Path) -> Path:
        return tools / "quix" / "bin" / "python"


class KafkaStreams(Peer):
    """Kafka Streams in one JVM with two stream threads, compiled here."""

    name = "kafka-streams"
    title = "Kafka Streams"
    _COORDINATES = "org.apache.kafka:kafka-streams:4.1.1+org.slf4j:slf4j-simple:1.7.36"

    def missing(self, tools: Path) -> str | None:
        """It needs a JDK to compile, and its jars once."""
        if shutil.which("javac") is None:
            return "no JDK on this machine: javac is not on the path"
        try:
            self._compile(tools)
        except (RunFailed, OSError, RuntimeError) as failure:
            return f"Kafka Streams cannot be built: {failure}"
        return None

    def commands(self, run: Run) -> Sequence[Command]:
        """One process; its two threads are a setting."""
        java = shutil.which("java") or "java"
        classpath = f"{self._classes(run.tools)}:{self._classpath(run.tools)}"
        argv = [java, "-Xmx1g", "-XX:+UseParallelGC", "-cp", classpath, "DedupePeer"]
        return [Command(name="streams", argv=argv, folder=run.folder, env=run.env(0))]

    def _compile(self, tools: Path) -> None:
        source = BENCH / "peers" / "DedupePeer.java"
        target = self._classes(tools)
        target.mkdir(parents=True, exist_ok=True)
        _run(["javac", "-cp", self._classpath(tools), "-d", str(target), str(source)])

    def _classpath(self, tools: Path) -> str:
        import jgo

        jars = jgo.build(self._COORDINATES, cache_dir=tools / "jars").all_jars
        return ":".join(str(jar) for jar in jars)

    @staticmethod
    def _classes(tools: Path) -> Path:
        return tools / "classes"


class AuditStream(Contender):
    """Ours: two workers, end to end into the ``file`` store."""

    name = "audit-stream"
    title = "audit_stream, end to end"
    PROGRAM: tuple[str, ...] = ("-c", "from audit_stream.cli.main import run; run()")

    def missing(self, tools: Path) -> str | None:
        """It is what stands here."""
        return None

    def prepare(self, run: Run) -> None:
        """Keyring and topics, by our own commands."""
        for words in (("keyring", "init"), ("topics", "apply")):
            argv = [sys.executable, *AuditStream.PROGRAM, *words]
            _run(argv, env=self.settings(run, 0), folder=run.folder)

    def commands(self, run: Run) -> Sequence[Command]:
        """Two workers."""
        argv = [sys.executable, *self.PROGRAM, "worker"]
        return [
            Command(
                name=f"worker-{member}",
                argv=argv,
                folder=run.folder,
                env=self.settings(run, member),
            )
            for member in range(run.members)
        ]

    def effect(self, run: Run) -> Effect:
        """The archive."""
        return ArchiveEffect(run.bootstrap, run.raw_topic, self.archive(run), run.partitions)

    def settings(self, run: Run, member: int) -> dict[str, str]:
        """Defaults but for places and names, and a short wait before a last, small segment."""
        return {
            "PYTHONPATH": str(ROOT),
            "AUDIT_BROKER": f"kafka://{run.bootstrap}",
            "AUDIT_APP_ID": run.name,
            "AUDIT_TOPICS": run.raw_topic,
            "AUDIT_PARTITIONS": str(run.partitions),
            "AUDIT_REPLICATION": "1",
            "AUDIT_ARCHIVE": self.archive(run).as_uri(),
            "AUDIT_SUBJECTS": (run.folder / "subjects").as_uri(),
            "AUDIT_ARCHIVE_NAME": "bench",
            "AUDIT_ALLOW_ASSURANCE": "mutable",
            "AUDIT_KEYRING": str(run.folder / "keys" / "keyring.json"),
            "AUDIT_STATE_DIR": str(run.folder / f"state-{member}"),
            "AUDIT_INSTANCE_ID": f"{run.name}-{member}",
            "AUDIT_SESSION_TIMEOUT_SECONDS": str(_SESSION_SECONDS),
            "AUDIT_SEGMENT_MAX_SECONDS": "1",
            "AUDIT_WEB_PORT": "0",
            "AUDIT_LOG_LEVEL": "WARNING",
        }

    @staticmethod
    def archive(run: Run) -> Path:
        """The archive's folder."""
        return run.folder / "archive"


class AuditStreamUnsealed(AuditStream):
    """Ours with sealing replaced by nothing, in the benchmark only: the pipeline's own cost."""

    name = "audit-stream-unsealed"
    title = "audit_stream, sealing off"
    _ENTRY = BENCH / "worker_nosealing.py"
    PROGRAM = (str(_ENTRY),)

    def missing(self, tools: Path) -> str | None:
        """Its entry point is the benchmark's own."""
        return None if self._ENTRY.exists() else f"{self._ENTRY.name} does not exist yet"

    def settings(self, run: Run, member: int) -> dict[str, str]:
        """As the others', and the word that its entry point asks for."""
        return {**super().settings(run, member), "AUDIT_BENCH_NO_SEAL": "1"}


#: In the order of the table.
CONTENDERS: tuple[Contender, ...] = (
    AuditStream(),
    AuditStreamUnsealed(),
    KafkaStreams(),
    QuixStreams(),
    StockFaust(),
    RawBytesFaust(),
)


def _run(
    argv: Sequence[str], *, env: Mapping[str, str] | None = None, folder: Path | None = None
) -> None:

    done = subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TOOL_LIMIT_SECONDS,
        check=False,
    )
    if done.returncode:
        tail = (done.stdout + done.stderr).strip()[-800:]
        raise RunFailed(f"{Path(argv[0]).name} … ended with code {done.returncode}: {tail}")
