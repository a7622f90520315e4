"""An installation in which planted persons are put everywhere a platform could put them.

`Scene` collects all that comes out of it, each with its location in the map of personal data;
`judge` says what the map does not allow.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from audit_stream.app.privacy_map import declared_topics
from audit_stream.cli.main import run_command
from audit_stream.kafka.anything import send_anything
from audit_stream.kafka.ask import topic_ends
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.topics import Topic
from audit_stream.privacy.place import At, Form, Where
from audit_stream.privacy.places import place_at
from audit_stream.rocks import new_cache, open_database
from tests.support.events import Line
from tests.support.fleet import ROOT, Fleet
from tests.support.planted import persons_in, spellings_in
from tests.support.planted_events import planted_lines


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that came out: where, and what it is for who reads a failure.

    `asked`: persons whose data its reader asked for, or sent.
    """

    at: At
    what: str
    data: bytes
    asked: frozenset[int] = frozenset()


def judge(seen: Iterable[Seen]) -> list[str]:
    """What the map does not allow, a sentence each."""
    return sorted(
        {f"{each.at.where.value} {each.at.name}: {wrong} in {each.what}"
         for each in seen for wrong in _wrong(each)}
    )  # fmt: skip


def _wrong(seen: Seen) -> Iterator[str]:
    place = place_at(*seen.at)
    if place is None:
        yield "no place in the map"
    elif seen.asked or (place.form is Form.CLEAR and seen.at.where is Where.SAID):
        if others := persons_in(seen.data) - seen.asked:
            yield f"{place.name} tells of {sorted(others)}, who were not asked for,"
    elif place.form is not Form.CLEAR and (found := spellings_in(seen.data)):
        yield f"{place.name} is {place.form.value}, and an identity stands there ({sorted(found)})"


@dataclass
class Scene:
    """One installation, and what came out of it so far."""

    fleet: Fleet
    seen: list[Seen] = field(default_factory=list, repr=False)
    url: str = ""  # of the gateway, once one runs
    ends: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, repr=False)

    @property
    def folder(self) -> Path:
        return self.fleet.folder

    @cached_property
    def connection(self) -> KafkaConnection:
        return KafkaConnection.from_settings(self.fleet.settings)

    def say(self, name: str, what: str, data: bytes, asked: Iterable[int] = ()) -> None:
        """Something that was said."""
        self.seen.append(Seen(At(Where.SAID, name), what, data, frozenset(asked)))

    async def command(self, *words: str, name: str = "command", asked: Iterable[int] = ()) -> int:
        """Run a command in this process, as the environment says; its exit code."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = await asyncio.to_thread(run_command, list(words))
        what = f"`{words[0]}`, exit {code}"
        self.say(name, f"stdout of {what}", out.getvalue().encode(), asked)
        self.say("log", f"stderr of {what}", err.getvalue().encode())
        return code

    async def command_apart(self, *words: str) -> int:
        """Run a command that is a process of its own, or starts some."""
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", "audit_stream", *words], cwd=ROOT, timeout=120,
            capture_output=True,
        )  # fmt: skip
        what = f"`{words[0]}`, exit {done.returncode}"
        self.say("command", f"stdout of {what}", done.stdout)
        self.say("log", f"stderr of {what}", done.stderr)
        return done.returncode

    async def plant(self, topic: str, copies: list[Line] = []) -> None:  # noqa: B006 - not changed
        """Send everything planted to a topic, among other events."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.fleet.settings.bootstrap_servers, acks="all"
        )
        await producer.start()
        try:
            for key, value in copies:
                await producer.send(topic, value, key)
            sent = [
                await send_anything(producer, topic, key=key, value=value, headers=headers)
                for key, value, headers in planted_lines()
            ]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    @contextlib.contextmanager
    def process(self, name: str, **extra: str) -> Iterator[None]:
        """A service as an operator runs it, its words in a log of its own; stopped behind it."""
        with (self.folder / f"{name}.log").open("ab") as log:
            running = subprocess.Popen(
                [sys.executable, "-m", "audit_stream", name], cwd=ROOT, stdout=log, stderr=log,
                env=os.environ | extra,
            )  # fmt: skip
        try:
            yield
            running.terminate()
            assert running.wait(30) == 0, self.fleet.log()
        finally:
            running.kill()
            running.wait()

    # What is left behind

    async def look_everywhere(self) -> list[Seen]:
        """All that was said, and every file, object, database and topic. Processes have ended."""
        return [*self.seen, *self._files(), *self._databases(), *await self._records()]

    def _files(self) -> Iterator[Seen]:
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                at = self._place(path)
                what = str(path.relative_to(self.folder))
                yield Seen(at, what, what.encode() + b"\n" + path.read_bytes())

    def _place(self, path: Path) -> At:
        """By the folder; a name that nobody gave a place has none."""
        settings = self.fleet.settings
        for root, where in (
            (settings.archive_path, Where.ARCHIVE), (settings.subjects_path, Where.SUBJECTS),
        ):  # fmt: skip
            if path.is_relative_to(root):
                return At(where, str(path.relative_to(root)))
        return place_of(path.relative_to(self.folder).parts[0])

    def _databases(self) -> Iterator[Seen]:
        """Rows as they are read, since tables on disk are compressed."""
        for current in sorted(self.folder.rglob("CURRENT")):
            database = open_database(current.parent, new_cache(), read_only=True)
            rows = [part for row in database.items() for part in row]
            database.close()
            at, what = self._place(current), str(current.parent.relative_to(self.folder))
            yield Seen(at, f"rows of {what}", b"\n".join(rows))

    async def _records(self) -> list[Seen]:
        """Every record of each topic of ours, and of Kafka's own."""
        kinds = {topic.topic: topic for topic in declared_topics(self.fleet.settings)}
        async with open_admin(self.connection) as admin:
            names = [
                name for name in await admin.list_topics()
                if name.startswith((self.fleet.prefix, "audit-", "__"))
            ]  # fmt: skip
        consumer = AIOKafkaConsumer(**self.connection.client_options(), enable_auto_commit=False)
        await consumer.start()
        try:
            found = [
                Seen(_topic_place(kinds.get(name), name), f"records of {name}",
                     b"\n".join([part async for part in self._all_of(consumer, name)]))
                for name in names
            ]  # fmt: skip
        finally:
            await consumer.stop()
        return found

    async def _all_of(self, consumer: AIOKafkaConsumer, topic: str) -> AsyncIterator[bytes]:
        for (_, partition), (start, end) in (await topic_ends(self.connection, [topic])).items():
            tp = TopicPartition(topic, partition)
            consumer.assign([tp])
            consumer.seek(tp, start)
            while await consumer.position(tp) < end:
                for record in (await consumer.getmany(tp, timeout_ms=500)).get(tp, ()):
                    yield record.key or b""
                    yield record.value or b""
                    for name, value in record.headers:
                        yield b"%b=%b" % (name.encode(), value)


def place_of(top: str) -> At:
    """Of a file or folder of an installation that is no archive, by its first name."""
    if top.endswith(".log"):
        return At(Where.SAID, "log")
    if "-state" in top:
        return At(Where.SETTING, "state_dir")
    return FILES.get(top, At(Where.FILE, top))


def _topic_place(topic: Topic | None, name: str) -> At:
    own = topic is None or topic.kind == "own"
    return At(Where.TOPIC, name) if own or topic is None else At(Where.KIND, topic.kind)


#: Files and folders of a scene by their first name.
FILES = {
    "keys": At(Where.SETTING, "keyring"), "index": At(Where.SETTING, "index_dir"),
    "journal": At(Where.SETTING, "journal_dir"), "answers": At(Where.SETTING, "answer_keys"),
    "tokens.json": At(Where.SETTING, "gateway_tokens"),
    "tokens.lock": At(Where.SETTING, "gateway_tokens"),
    "import.jsonl": At(Where.FILE, "import"), "import.jsonl.position": At(Where.FILE, "position"),
    "proof": At(Where.FILE, "proof"), "metrics.prom": At(Where.FILE, "proof"),
    "evidence.zip": At(Where.FILE, "evidence bundle"),
}  # fmt: skip


def environment_of(scene_folder: Path) -> dict[str, str]:
    """Settings of a scene beside its fleet's: everything there is, at the loudest."""
    return {
        "AUDIT_INDEX_DIR": str(scene_folder / "index"),
        "AUDIT_JOURNAL_DIR": str(scene_folder / "journal"),
        "AUDIT_GATEWAY_TOKENS": str(scene_folder / "tokens.json"),
        "AUDIT_ANSWER_KEYS": str(scene_folder / "answers"),
        "AUDIT_STATE_DIR": str(scene_folder / "command-state"),
        "AUDIT_LOG_LEVEL": "DEBUG", "AUDIT_LOG_BATCH_SECONDS": "0.5",
        "AUDIT_LOG_POLL_SECONDS": "0.2", "AUDIT_GATEWAY_REFRESH_SECONDS": "0.2",
        "AUDIT_JOURNAL_SEAL_SECONDS": "0.5", "AUDIT_GATEWAY_QUARANTINE_SECONDS": "1",
        "AUDIT_GATEWAY_RATE": "10000",
    }  # fmt: skip
