"""The promises, held against what is left: archive, broker, files, and what was seen meanwhile."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audit_stream.app.places import archive_reader, subject_store
from audit_stream.evidence.layout import map_name
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.quarantine import read_quarantine
from audit_stream.keys.file import load_keyring
from tests.campaigns.chaos import archived, persons, promises
from tests.campaigns.chaos.archived import Objects
from tests.campaigns.chaos.crew import Exit
from tests.campaigns.chaos.play import Play
from tests.campaigns.chaos.promises import Found
from tests.campaigns.chaos.traffic import UNMAPPED
from tests.support.commands import run
from tests.support.fleet import Fleet

#: As Kubernetes sees it: 0, killed, start again (fenced, or something was away), internal.
_ASKED = {0, -9, -15}
_BY_ITSELF = {1, 70, 71}
_BUGS = ("unexpected", "agent failed", "Faust crashed", "Traceback")


@dataclass
class Verdict:
    """What the judge says."""

    problems: list[str] = field(default_factory=list)
    records: int = 0
    offsets: int = 0
    quarantined: int = 0
    erased: int = 0


async def judge(play: Play, folder: Path) -> Verdict:
    """Everything; the installation is at rest. `folder` is for what the judge writes."""
    fleet, site = play.site.fleet, play.site
    for topic in fleet.topics:
        await play.raw.keep(topic)
    objects, subjects = objects_of(fleet), await subjects_of(fleet)
    ring = load_keyring(fleet.settings.keyring)
    found = promises.judge(
        objects, play.raw.logs, play.traffic.made, ring.signer.public,
        lambda name: UNMAPPED.lower() in objects[map_name(name)].decode().lower(),
    )  # fmt: skip
    problems = [*found.problems, *promises.unsent(play.raw.logs, _sent(play))]
    problems += await _commands(play, found)
    problems += await _evidence(fleet, objects, play.witness.kept, folder, site.schedule.seed)
    problems += persons.private(await persons.everything(fleet, objects, subjects, play.pages))
    problems += persons.forgotten(
        fleet.settings, ring, objects, subjects, found.records, play.erased
    )
    problems += await _quarantine(fleet, found)
    problems += ended(site.crew.exits)
    problems += alarmed(fleet.folder)
    return Verdict(
        problems=problems, records=len(found.records), offsets=found.letters.total(),
        quarantined=found.letters["q"], erased=len(play.erased),
    )  # fmt: skip


def objects_of(fleet: Fleet) -> dict[str, bytes]:
    """The whole archive."""
    with archive_reader(fleet.settings) as reader:
        names = reader.names("")
        reader.expect(names)
        return {name: reader.get(name) or b"" for name in names}


async def subjects_of(fleet: Fleet) -> dict[str, bytes]:
    """All that lies beside it and can be rewritten."""
    store = subject_store(fleet.settings)
    try:
        names = await store.names("")
        found = {name: await store.get(name) for name in names}
    finally:
        await store.close()
    return {name: each.data for name, each in found.items() if each is not None}


def _sent(play: Play) -> dict[str, set[tuple[bytes | None, bytes | None]]]:
    sent: dict[str, set[tuple[bytes | None, bytes | None]]] = defaultdict(set)
    for line in play.sender.sent:
        sent[line.topic].add((line.key, line.value))
    return sent


async def _commands(play: Play, found: Found) -> list[str]:
    """P1 as `reconcile` says it, P3 as `replay` does."""
    fleet, problems = play.site.fleet, []
    done = await run(fleet, "reconcile", "--json")
    said = json.loads(done.stdout or "{}")
    if done.returncode != 0 or said.get("unexplained") != 0:
        problems.append(f"P1: reconcile ended with {done.returncode}: {done.stdout} {done.stderr}")
    elif not said["older_generations"]:
        totals = {name[0] if name != "absent" else "x": n for name, n in said["dispositions"].items()}
        if {k: n for k, n in totals.items() if n} != dict(found.letters):
            problems.append(f"P8: reconcile counts {totals}, not {dict(found.letters)}")
    done = await run(fleet, "replay", "--compare", "--processes", "1", "--keep-going")
    if done.returncode != 0:
        problems.append(f"P3: replay ended with {done.returncode}: {done.stdout} {done.stderr}")
    return problems


async def _evidence(
    fleet: Fleet, objects: Objects, kept: Sequence[str], folder: Path, seed: int
) -> list[str]:  # fmt: skip
    """P5: verify says that it is whole, every kept checkpoint fits, a change is found."""
    problems = list(inconsistent(objects, kept))
    files = []
    for number, note in enumerate(kept):
        files.append(folder / f"checkpoint-{number:04d}")
        files[-1].write_text(note)
    kept_ones = [word for file in files[-50:] for word in ("--checkpoint", str(file))]
    done = await run(fleet, "verify", *kept_ones)
    if done.returncode != 0:
        problems.append(f"P5: verify ended with {done.returncode}: {done.stdout} {done.stderr}")
    copy = folder / "changed"
    what = _change(objects, copy, random.Random(f"change {seed}"))
    done = await run(fleet, "verify", "--archive", copy.as_uri(), *kept_ones[-2:])
    if done.returncode != 1:
        problems.append(f"P5: {what} and verify ended with {done.returncode}: {done.stdout}")
    return problems


def inconsistent(objects: Objects, kept: Sequence[str]) -> Iterator[str]:
    """Checkpoints that were shown and are not of this log, or not in its order."""
    leaves, stored = archived.log_leaves(objects)
    last = 0
    for note in kept:
        size, root = archived.said_by(note)
        if size < last:
            yield f"P5: a checkpoint of {size} was shown behind one of {last}"
        if size > len(leaves) or archived.root_of(leaves[:size]) != root:
            yield f"P5: a checkpoint of {size} that was shown is not of this log"
        last = size
    if len(kept) < 2 or not set(kept) <= set(stored):
        yield f"P5: {len(kept)} checkpoints were kept, not all of them stored"


def _change(objects: Objects, copy: Path, draw: random.Random) -> str:
    """Write the archive with one change into files; what it was."""
    changed = dict(objects)
    evidence = [
        name for name in objects
        if name.startswith(("segments/", "log/", "streams/", "redactions/")) and objects[name]
    ]  # fmt: skip
    name, how = draw.choice(sorted(evidence)), draw.choice(("flipped", "dropped", "cut"))
    data = objects[name]
    at = draw.randrange(len(data))
    if how == "flipped":
        changed[name] = data[:at] + bytes((data[at] ^ 1 << draw.randrange(8),)) + data[at + 1 :]
    elif how == "cut":
        changed[name] = data[:at]
    else:
        del changed[name]
    for each, content in changed.items():
        path = copy / each
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return f"{name} was {how} at {at}"


async def _quarantine(fleet: Fleet, found: Found) -> list[str]:
    """P8: what was not understood lies in quarantine, each."""
    connection = KafkaConnection.from_settings(fleet.settings)
    copies = {each.source async for each in read_quarantine(connection)}
    lost = found.quarantined - copies
    return [f"P8: no copy in quarantine of {sorted(lost)[:5]}"] if lost else []


def ended(exits: Sequence[Exit]) -> Iterator[str]:
    """P8: ends that no supervisor should see."""
    for each in exits:
        codes = _ASKED | _BY_ITSELF if each.asked else _BY_ITSELF
        if each.code not in codes or any(word in each.reason for word in _BUGS):
            yield f"P8: {each}"


def alarmed(folder: Path) -> Iterator[str]:
    """Alarms and words that must not be in any log."""
    for path in sorted(folder.glob("*.log")):
        text = path.read_text(errors="replace")
        for promise, words in (("P5", "ALARM fork"), ("P8", "Traceback"), ("P1", "ALARM lost")):
            for line in text.splitlines():
                if words in line:
                    yield f"{promise}: {path.name} says: {line[:400]}"
                    break
