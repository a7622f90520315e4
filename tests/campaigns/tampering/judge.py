"""What each finder makes of an archive or a bundle, held against what was archived."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.ending import End, decode_link
from audit_stream.evidence.layout import parse_segment_name, parse_stream_name
from audit_stream.evidence.record import parse_record
from audit_stream.verify.archive import ArchiveVerifier
from audit_stream.verify.log import LogVerifier
from audit_stream.verify.report import Verdict
from tests.campaigns.tampering.api import Api, Said
from tests.campaigns.tampering.archives import Changed
from tests.campaigns.tampering.bundles import Brought, Verifiers, jwks, verifiers
from tests.campaigns.tampering.scene import LOG, POLICY, Objects, Scene, erased
from tests.campaigns.tampering.table import Finder
from tests.support import golden
from tests.support.indexing import Key

#: Each index is thrown away: memory will do.
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
GOOD, UNANCHORED = "WITNESSED", "UNANCHORED"


class Outcome(Enum):
    """What came of it."""

    FOUND = "it says that something is wrong, or gives nothing out"
    SHOWN = "its answer names another log than the kept checkpoint"
    SILENT = "it says nothing, and what it says is so"
    WRONG = "it vouches for something that is not so"


Outcomes = dict[Finder, Outcome]


def shown_by(objects: Objects, name: str) -> list[Mapping[str, Any]]:
    """The fields of the records that an object holds."""
    if parse_segment_name(name) is None:
        return []
    link = decode_link(objects[name], name)
    lines = [] if isinstance(link, End) else link.record_lines()
    return [parse_record(line, "it").pub for line in lines]


@dataclass(frozen=True)
class Truth:
    """What was archived."""

    scene: Scene

    @cached_property
    def by_source(self) -> dict[str, Mapping[str, Any]]:
        """Every record's fields."""
        objects = self.scene.objects
        return {pub["source"]: pub for name in objects for pub in shown_by(objects, name)}

    @cached_property
    def messages(self) -> dict[Key, list[str]]:
        """Sources of each message's records."""
        found: dict[Key, list[str]] = defaultdict(list)
        for source, pub in self.by_source.items():
            found[pub["platform_tenant_id"], pub["message_uuid"]].append(source)
        return found

    def key(self, source: str) -> Key:
        """The message of a record."""
        pub = self.by_source[source]
        return pub["platform_tenant_id"], pub["message_uuid"]

    def touched(self, objects: Objects, chance: random.Random) -> Key:
        """A message in the first segment that is not as it was, or of such a stream, or any."""
        before = self.scene.objects
        changed = [name for name in sorted(before) if objects.get(name) != before[name]]
        for name in changed:
            if pubs := shown_by(before, name):
                return self.key(chance.choice(pubs)["source"])
        streams = {found for name in changed if (found := parse_stream_name(name)) is not None}
        sources = [source for source in self.by_source
                   if (source.split("/")[0], int(source.split("/")[1])) in streams]  # fmt: skip
        return self.key(chance.choice(sources or list(self.by_source)))

    def has(self, key: Key, answer: Mapping[str, Any]) -> bool:
        """Whether an answer has all of the message's records and nothing else, as archived."""
        told = {each["source"]: (each["integrity_hash"], each["delivery_status"])
                for each in answer["history"]}  # fmt: skip
        pubs = [self.by_source[source] for source in self.messages[key]]
        return told == {
            pub["source"]: (
                f"sha256:{sha256(canonical(dict(pub))).hexdigest()}", pub["delivery_status"]
            ) for pub in pubs
        }  # fmt: skip

    def holds(self, records: Mapping[str, Any]) -> bool:
        """Whether a bundle has nothing but archived records. That a later one exists, no bundle
        can show (docs/spec/bundle.md)."""
        return bool(records) and all(
            self.by_source.get(source) == pub for source, pub in records.items()
        )


class Judges:
    """All finders, over one archive as it was."""

    def __init__(self, scene: Scene, api: Api, index: Path, both: Verifiers) -> None:
        self.truth = Truth(scene)
        self.brought = Brought(POLICY, scene.kept[0].encode(), jwks(api.signer.key_set))
        self._scene, self._api, self._index, self._both = scene, api, index, both

    def asked(self, changed: Changed, chance: random.Random) -> list[Key]:
        """A message that the change touches, if it touches one, and another one."""
        first = (self.truth.touched(changed.objects, chance) if changed.source is None
                 else self.truth.key(changed.source))  # fmt: skip
        return [first, chance.choice(list(self.truth.messages))]

    async def archive(self, changed: Changed, keys: list[Key], good: str = GOOD) -> Outcomes:
        """What each of them makes of it; `good`: the verdict on a bundle that is."""
        objects, subjects = changed.objects, changed.subjects
        fresh = await self._api.ask(objects, subjects, keys, export=True)
        known = await self._api.ask(objects, subjects, keys, index=self._index)
        found = {
            Finder.VERIFY: verify(objects, self._scene), Finder.FRESH: self._said(fresh),
            Finder.KNOWN: self._said(known),
        }  # fmt: skip
        if fresh.bundle is None:
            return found | dict.fromkeys((Finder.PROGRAM, Finder.PAGE), Outcome.FOUND)
        return found | await self.bundle(fresh.bundle, self.brought, good)

    async def bundle(self, data: bytes, brought: Brought, good: str = GOOD) -> Outcomes:
        """What both verifiers make of it. The page must have the program's verdict."""
        judged = await self._both.judge(data, brought)
        silent = Outcome.SILENT if self.truth.holds(judged.records) else Outcome.WRONG
        program = silent if judged.program == good else Outcome.FOUND
        page = program if judged.page == judged.program else Outcome.WRONG
        return {Finder.PROGRAM: program, Finder.PAGE: page}

    async def good_bundle(self) -> bytes:
        """Of a message with two statuses whose personal fields can be opened."""
        for key, sources in self.truth.messages.items():
            if len(sources) > 1:
                scene = self._scene
                said = await self._api.ask(scene.objects, scene.subjects, [key], export=True)
                _, answer = said.answers[key]
                if said.bundle and answer["audit_record"]["customer_external_id"]:
                    return said.bundle
        raise AssertionError("no message of two statuses can be opened")

    async def erased_bundle(self) -> bytes:
        """Of a message whose personal fields were erased: with certificates that can be of it."""
        scene, key = self._scene, next(iter(self.truth.messages))
        said = await self._api.ask(scene.objects, erased(scene.subjects), [key], export=True)
        assert said.bundle is not None
        return said.bundle

    def _said(self, said: Said) -> Outcome:
        found = {self._answered(key, *each, alarmed=said.is_alarmed)
                 for key, each in said.answers.items()}  # fmt: skip
        if said.is_alarmed and Outcome.WRONG not in found:
            return Outcome.FOUND
        worst = (Outcome.WRONG, Outcome.FOUND, Outcome.SHOWN)
        return next((each for each in worst if each in found), Outcome.SILENT)

    def _answered(
        self, key: Key, status: int, answer: Mapping[str, Any], *, alarmed: bool
    ) -> Outcome:
        if status not in (200, 404):
            return Outcome.FOUND
        as_of, kept = answer["as_of"] or {}, self._scene.checkpoints[-1]
        if (as_of.get("size"), as_of.get("root")) != (kept.size, kept.root.hex()):
            return Outcome.SHOWN
        if status == 404:  # of a message that was archived
            return Outcome.FOUND if alarmed else Outcome.WRONG
        return Outcome.SILENT if self.truth.has(key, answer) else Outcome.WRONG


def verify(objects: Objects, scene: Scene) -> Outcome:
    """What `audit-stream verify` says, with the kept checkpoints."""
    archive = ArchiveVerifier(objects, objects.get, golden.trusted())
    for _ in archive.run():
        pass
    log = LogVerifier(
        archive.log_names, objects.get, LOG.key, archive.leaves, scene.checkpoints
    ).run()  # fmt: skip
    good = archive.report.with_log(log).verdict is Verdict.VERIFIED
    return Outcome.SILENT if good else Outcome.FOUND


@asynccontextmanager
async def tools() -> AsyncIterator[tuple[Api, Verifiers]]:
    """Gateways over archives, and a browser, while it is entered."""
    with TemporaryDirectory(dir=_MEMORY) as folder:
        async with Api(Path(folder)) as api, verifiers() as both:
            yield api, both


async def judges(scene: Scene, api: Api, both: Verifiers) -> Judges:
    """The finders over one archive, which an index has followed to its end."""
    index = await api.index_of(scene.objects, scene.subjects)
    return Judges(scene, api, index, both)
