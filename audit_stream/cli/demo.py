"""`audit-stream demo`: everything there is, on an embedded Kafka and a file archive."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from audit_stream.app.places import archive_reader
from audit_stream.archive.coverage import Coverage
from audit_stream.cli.output import Output
from audit_stream.cli.reconcile import cover, show_coverage
from audit_stream.cli.show import history_of, print_history
from audit_stream.cli.verify import (
    archive_verifier,
    log_key_of,
    report,
    trusted_keys,
    with_log,
)
from audit_stream.errors import BrokerError, ConfigError
from audit_stream.settings import Settings
from audit_stream.verify.part import Part
from audit_stream.verify.report import Report, Verdict

_MARK = ".audit-stream-demo"
_NAME = "demo.audit-stream/1"
_DEADLINE_SECONDS = 120.0
_LOGGED_SECONDS = 60.0  # what the notary may take once nothing is stored any more
_POLL_SECONDS = 0.5
_PARTITIONS = 4


def demo(
    folder: Annotated[
        Path, typer.Option(help="Where broker, keys and archive go; emptied first.")
    ] = Path("var/demo"),
) -> None:
    """Start Kafka, archive a messy sample, reconcile, show one message, verify everything."""
    raise typer.Exit(asyncio.run(_demo(_clean(folder.absolute()), Output())))


def _clean(folder: Path) -> Path:
    """Empty the folder, but only if an earlier demo made it."""
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
        raise ConfigError(f"{folder} is not empty and not a demo's", hint="choose another --folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()
    return folder


def _settings(folder: Path, broker: str) -> Settings:
    return Settings.load(
        None, broker=broker, archive=(folder / "archive").as_uri(), archive_name=_NAME,
        state_dir=folder / "state", keyring=folder / "keys" / "keyring.json",
        partitions=_PARTITIONS, replication=1, segment_max_records=1000, segment_max_seconds=2.0,
        allow_assurance="mutable", web_port=0, instance_id="demo",
    )  # fmt: skip


async def _demo(folder: Path, out: Output) -> int:
    from audit_stream.kafka.embedded import EmbeddedKafka
    from audit_stream.keys.file import create_keyring

    started = time.monotonic()
    out.say("starting an embedded Kafka (the first start fetches it)")
    async with EmbeddedKafka(folder / "kafka") as broker:
        settings = _settings(folder, broker.url)
        settings.archive_path.mkdir()
        settings.subjects_path.mkdir()
        create_keyring(settings.keyring, settings.archive_name)
        await _apply_topics(settings, out)
        async with _running("notary", settings, folder):
            async with _running("worker", settings, folder):
                await _import(settings, out)
                coverage = await _wait(settings, out)
            await _logged(settings, out)
    show_coverage(out, coverage)
    out.say(f"archive: {folder / 'archive'}")
    example = _example(folder)
    print_history(out, example, await history_of(settings, example, None, None))
    verifying = time.monotonic()
    verified = _verify(settings)
    report(out, verified, time.monotonic() - verifying)
    good = (
        coverage.to_come == 0 and coverage.unexplained == 0
        and verified.records > 0 and verified.log is not None and verified.log.newer == 0
        and verified.verdict is Verdict.VERIFIED
    )  # fmt: skip
    out.say(f"{'nothing is missing' if good else 'SOMETHING IS WRONG'}: still to come "
            f"{coverage.to_come}, unexplained {coverage.unexplained}, quarantined "
            f"{coverage.totals()['q']}; {time.monotonic() - started:.0f} s in all")  # fmt: skip
    return 0 if good else 1


async def _apply_topics(settings: Settings, out: Output) -> None:
    from audit_stream.cli.topics import wanted_topics
    from audit_stream.kafka.connect import KafkaConnection
    from audit_stream.kafka.topic_apply import apply_plan, plan_topics

    connection = KafkaConnection.from_settings(settings)
    plan = await plan_topics(connection, wanted_topics(settings))
    await apply_plan(connection, plan)
    out.say(f"declared {plan.changes} topics")


@asynccontextmanager
async def _running(command: str, settings: Settings, folder: Path) -> AsyncIterator[None]:
    """A command as an operator would run it: its own process, told by the environment."""
    environment = os.environ | {
        "AUDIT_BROKER": settings.broker, "AUDIT_ARCHIVE": settings.archive,
        "AUDIT_ARCHIVE_NAME": settings.archive_name, "AUDIT_STATE_DIR": str(settings.state_dir),
        "AUDIT_KEYRING": str(settings.keyring), "AUDIT_PARTITIONS": str(settings.partitions),
        "AUDIT_SEGMENT_MAX_RECORDS": str(settings.segment_max_records),
        "AUDIT_SEGMENT_MAX_SECONDS": str(settings.segment_max_seconds),
        "AUDIT_LOG_BATCH_SECONDS": "2", "AUDIT_LOG_POLL_SECONDS": "1",
        "AUDIT_LOG_PROBE_SECONDS": "2",
        "AUDIT_ALLOW_ASSURANCE": "mutable", "AUDIT_WEB_PORT": "0", "AUDIT_INSTANCE_ID": "demo",
    }  # fmt: skip
    path = folder / f"{command}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "audit_stream", command], env=environment, stdout=log,
            stderr=log,
        )  # fmt: skip
        try:
            yield
            if process.poll() is not None:
                raise BrokerError(f"the demo's {command} ended early", hint=f"see {path}")
        finally:
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, 30)
            except subprocess.TimeoutExpired:
                process.kill()


async def _import(settings: Settings, out: Output) -> None:
    from audit_stream.kafka.connect import KafkaConnection
    from audit_stream.kafka.importer import import_files
    from audit_stream.kafka.lines import find_file
    from audit_stream.kafka.topics import topics_dir

    samples = sorted((topics_dir() / "samples").glob("*.jsonl.gz"))
    imported = await import_files(
        KafkaConnection.from_settings(settings), [find_file(str(path)) for path in samples],
        raw_topics=settings.topics,
    )  # fmt: skip
    out.say(f"imported {imported.total:,} events of {len(samples)} topics")


async def _wait(settings: Settings, out: Output) -> Coverage:
    with out.progress() as progress:
        task: Any = progress.add_task("archiving", total=None, rate="")

        def told(coverage: Coverage) -> None:
            end = sum(found.end for found in coverage.partitions.values())
            progress.update(task, total=end, completed=end - coverage.to_come,
                            rate=f"{_batches(settings)} batches logged")  # fmt: skip

        coverage, _ = await cover(settings, _DEADLINE_SECONDS, told)
        return coverage


async def _logged(settings: Settings, out: Output) -> None:
    """Wait until the notary has logged everything that is stored; say how the log grew."""
    deadline = time.monotonic() + _LOGGED_SECONDS
    while (log := _verify(settings).log) is None or log.newer:
        if time.monotonic() >= deadline:
            break
        await asyncio.sleep(_POLL_SECONDS)
    size = 0 if log is None else log.size
    out.say(f"the archive log grew beside: {size} leaves in {_batches(settings)} batches")


def _batches(settings: Settings) -> int:
    return len(list(settings.archive_path.glob("log/*.json")))


def _verify(settings: Settings) -> Report:
    with archive_reader(settings) as reader:
        verifier = archive_verifier(reader, trusted_keys(settings, []), Part())
        for _ in verifier.run():
            pass
        return with_log(verifier, reader, Part(), log_key_of(settings, None))


def _example(folder: Path) -> str:
    """A message with several revisions, so that its history says something."""
    from audit_stream.evidence.segment import decode

    best = ("", 0)
    for path in sorted((folder / "archive" / "segments").rglob("*.gz")):
        for line in decode(path.read_bytes(), path.name).record_lines():
            pub = orjson.loads(line)["pub"]
            best = max(best, (pub["message_uuid"], pub["revision"]), key=lambda item: item[1])
    return best[0]
