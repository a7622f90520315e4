"""Everything that is left of a seed and was seen of it, gathered for the judge."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit_stream.app.places import archive_reader, subject_store
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.quarantine import read_quarantine
from audit_stream.keys.file import LoadedKeyring, load_keyring
from audit_stream.privacy.place import At, Where
from tests.campaigns.chaos.archived import Objects
from tests.campaigns.chaos.crew import Exit
from tests.campaigns.chaos.play import Play
from tests.campaigns.chaos.rawlog import Log
from tests.campaigns.chaos.schedule import Schedule
from tests.campaigns.chaos.traffic import Made
from tests.campaigns.stores.azure import AZURE
from tests.support.commands import run
from tests.support.fleet import Fleet
from tests.support.planting import Scene, Seen, place_of

Raw = tuple[bytes | None, bytes | None]  # key, value
#: Of so many checkpoints `verify` is told; the judge's own pass looks at all.
_TOLD = 40


@dataclass(frozen=True, slots=True)
class Said:
    """A command's exit code, and what it said."""

    code: int
    out: str
    error: str = ""

    def __str__(self) -> str:
        return f"ended with {self.code}: {self.out[-1500:]} {self.error[-500:]}"


@dataclass(kw_only=True)
class Evidence:
    """What the judge looks at; nothing of it is asked of the workers."""

    objects: Objects  # the archive
    subjects: Objects  # what lies beside it and can be rewritten
    logs: Mapping[tuple[str, int], Mapping[int, Log]]  # raw, by topic and generation
    made: Mapping[Raw, Made]
    sent: Mapping[str, set[Raw]]  # acknowledged, by topic
    ring: LoadedKeyring
    erased: Mapping[int, str]  # person -> reference of the request
    kept: Sequence[str]  # checkpoints in the order they were shown
    copies: set[str]  # sources of what lies in quarantine
    seen: list[Seen]  # where no person may stand
    exits: Sequence[Exit]
    refusals: Collection[str]  # with which error codes one that starts may have been refused
    words: Mapping[str, str]  # log files
    reconciled: Said
    replayed: Said
    verified: Said
    change: str  # what was done to a copy of the archive
    changed: Said  # and what `verify` says of it


class _Left(Scene):
    """What is left in an installation whose archive may be in no folder."""

    def _place(self, path: Path) -> At:
        if self.fleet.settings.archive.startswith("file"):
            return super()._place(path)
        return place_of(path.relative_to(self.folder).parts[0])


async def gather(play: Play, folder: Path) -> Evidence:
    """The installation is at rest; `folder` is for what is written meanwhile."""
    fleet, site = play.site.fleet, play.site
    for topic in fleet.topics:
        await play.raw.keep(topic)
    objects, subjects = objects_of(fleet), await subjects_of(fleet)
    told = _written(play.witness.kept, folder)
    change = changed_copy(objects, folder / "changed", random.Random(f"change {play.traffic.seed}"))
    where = (folder / "changed").as_uri()
    return Evidence(
        objects=objects, subjects=subjects, logs=play.raw.logs, made=play.traffic.made,
        sent=_sent(play), ring=load_keyring(fleet.settings.keyring), erased=play.erased,
        kept=play.witness.kept, copies=await _copies(fleet), exits=site.crew.exits,
        refusals=set(_refusals(site.schedule)),
        seen=await _everything(fleet, objects, subjects, play.pages),
        words={path.name: path.read_text(errors="replace") for path in fleet.folder.glob("*.log")},
        reconciled=await said(fleet, "reconcile", "--json"),
        replayed=await said(
            fleet, "replay", "--compare", "--processes", "1", "--keep-going", "--json"
        ),
        verified=await said(fleet, "verify", *told), change=change,
        changed=await said(fleet, "verify", "--archive", where, *told[-2:]),
    )  # fmt: skip


def _refusals(schedule: Schedule) -> Iterator[str]:
    """A disk was made to take nothing, or a store to refuse."""
    for action in schedule.actions:
        if action.kind == "disk-full":
            yield "AS-1301"
        if action.kind == "store-fault" and AZURE.by_name[str(action.given["fault"])].refuses:
            yield "AS-3003"


async def said(fleet: Fleet, *words: str, **extra: str) -> Said:
    """What a command says."""
    done = await run(fleet, *words, **extra)
    return Said(done.returncode, done.stdout, done.stderr)


def objects_of(fleet: Fleet) -> dict[str, bytes]:
    """The whole archive."""
    with archive_reader(fleet.settings) as reader:
        names = reader.names("")
        reader.expect(names)
        return {name: reader.get(name) or b"" for name in names}


async def subjects_of(fleet: Fleet) -> dict[str, bytes]:
    """Subject objects, and what else lies there."""
    store = subject_store(fleet.settings)
    try:
        names = await store.names("")
        found = {name: await store.get(name) for name in names}
    finally:
        await store.close()
    return {name: each.data for name, each in found.items() if each is not None}


def _sent(play: Play) -> dict[str, set[Raw]]:
    sent: dict[str, set[Raw]] = defaultdict(set)
    for line in play.sender.sent:
        sent[line.topic].add((line.key, line.value))
    return sent


async def _copies(fleet: Fleet) -> set[str]:
    connection = KafkaConnection.from_settings(fleet.settings)
    return {each.source async for each in read_quarantine(connection)}


async def _everything(
    fleet: Fleet, objects: Objects, subjects: Objects, pages: Sequence[bytes]
) -> list[Seen]:
    """Files, databases, topics, the objects of a store that has no folder, and pages."""
    found = await _Left(fleet).look_everywhere()
    if not fleet.settings.archive.startswith("file"):
        found += [Seen(At(Where.ARCHIVE, name), name, data) for name, data in objects.items()]
        found += [Seen(At(Where.SUBJECTS, name), name, data) for name, data in subjects.items()]
    found += [Seen(At(Where.SAID, "metrics"), "pages", page) for page in set(pages)]
    return found


def _written(kept: Sequence[str], folder: Path) -> list[str]:
    """The newest of the checkpoints in files, as arguments."""
    files = [folder / f"checkpoint-{number:04d}" for number in range(len(kept))]
    for file, note in zip(files, kept, strict=True):
        file.write_text(note)
    return [word for file in files[-_TOLD:] for word in ("--checkpoint", str(file))]


def changed_copy(objects: Objects, copy: Path, draw: random.Random) -> str:
    """Write the archive into files, with one change; what it is."""
    evidence = [
        name for name, data in sorted(objects.items())
        if name.startswith(("segments/", "log/", "streams/", "redactions/")) and data
    ]  # fmt: skip
    name, how = draw.choice(evidence), draw.choice(("flipped", "dropped", "cut"))
    data, changed = objects[name], dict(objects)
    at = draw.randrange(len(data))
    changed[name] = data[:at]
    if how == "flipped":
        changed[name] += bytes((data[at] ^ 1 << draw.randrange(8),)) + data[at + 1 :]
    elif how == "dropped":
        del changed[name]
    write(changed, copy)
    return f"{name} was {how} at byte {at}"


def write(objects: Objects, folder: Path) -> None:
    """As the file store would."""
    for each, content in objects.items():
        path = folder / each
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
