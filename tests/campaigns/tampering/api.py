"""What the retrieval API says over an archive: the real application, its index made anew or from
before."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from audit_stream.anchors.newest import newest_vouched
from audit_stream.bundle.messages import Collector
from audit_stream.errors import AuditError
from audit_stream.evidence.policy import any_of
from audit_stream.evidence.vouching import Trust
from audit_stream.gateway.answer import BUNDLE
from audit_stream.gateway.api import LOOK_UP, build_app
from audit_stream.gateway.auth import Door
from audit_stream.gateway.caller import SCOPES
from audit_stream.gateway.journal import Journal
from audit_stream.gateway.reads import Gateway
from audit_stream.gateway.service import Service
from audit_stream.gateway.signing import AnswerSigner, load_signer
from audit_stream.gateway.tokens import TokenFile
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.lookup import Lookup
from audit_stream.index.tail import Archive, Tail
from audit_stream.notary.log import ArchiveLog
from audit_stream.stores.memory_subjects import MemorySubjectStore
from audit_stream.telemetry.alerts import AlarmBoard
from tests.campaigns.tampering.scene import LOG, Objects, stored
from tests.support import golden
from tests.support.bundles import WITNESS_KEY
from tests.support.indexing import Key

_NOW = "2026-11-25T12:00:00.000Z"
_TRUST = Trust(any_of(LOG.key, [WITNESS_KEY]))


@dataclass
class Said:
    """What a gateway said over one archive."""

    alarms: list[str] = field(default_factory=list)
    refused: str = ""  # why it did not start
    answers: dict[Key, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    bundle: bytes | None = None

    @property
    def is_alarmed(self) -> bool:
        """Whether operators are told."""
        return bool(self.alarms or self.refused)


class Api:
    """Gateways over archives; enter it for their journal, keys and token."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._journal = Journal(folder / "journal", golden.KEYRING.archive)
        self.signer: AnswerSigner = load_signer(folder / "keys", time.time())
        tokens = TokenFile(folder / "tokens.json")
        _, token = tokens.create(("*",), SCOPES, None)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._door = Door(tokens, None, 10**9, wall=time.time)

    async def __aenter__(self) -> Api:
        await self._journal.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._journal.__aexit__(*error)

    async def index_of(self, objects: Objects, subjects: Objects) -> Path:
        """An index that has followed archive and log to their ends."""
        folder = self._new_folder()
        async with self._service(folder, objects, subjects) as service:
            await service.refresh()
        return folder

    async def ask(
        self, objects: Objects, subjects: Objects, keys: Sequence[Key], *,
        index: Path | None = None, export: bool = False,
    ) -> Said:  # fmt: skip
        """A gateway starts over them, with a copy of that index or none, and is asked for messages;
        `export`: and for a bundle of the first."""
        folder = self._new_folder()
        if index is not None:
            shutil.copytree(index, folder)
        said = Said()
        async with self._service(folder, objects, subjects) as service:
            try:
                await service.refresh()
            except AuditError as error:
                said.refused = str(error)
            else:
                await self._asked(service, keys, said, export=export)
            said.alarms = [alarm["key"] for alarm in service.alarms.open()]
        shutil.rmtree(folder)
        return said

    async def _asked(
        self, service: Service, keys: Sequence[Key], said: Said, *, export: bool
    ) -> None:
        transport = httpx.ASGITransport(self._app(service))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://gateway", headers=self._headers
        ) as client:
            for key in keys:
                answer = await client.get(LOOK_UP, params=_query(key))
                said.answers[key] = answer.status_code, answer.json()
            if export:
                answer = await client.post(BUNDLE, json=_query(keys[0]))
                said.bundle = answer.content if answer.status_code == 200 else None

    def _app(self, service: Service) -> Any:
        gateway = Gateway(
            service=service, signer=self.signer, door=self._door, journal=self._journal,
            now=lambda: _NOW,
        )  # fmt: skip
        return build_app(gateway, contextlib.nullcontext, lambda *_: None)

    def _new_folder(self) -> Path:
        self._number += 1
        return self._folder / f"index-{self._number}"

    @contextlib.asynccontextmanager
    async def _service(
        self, folder: Path, objects: Objects, subjects: Objects
    ) -> AsyncIterator[Service]:
        store, beside = await stored(objects), MemorySubjectStore()
        for name, data in subjects.items():
            await beside.create(name, data)
        ring, trusted = golden.KEYRING, golden.trusted()
        archive, log = Archive(store, beside, trusted, ring), ArchiveLog(store, LOG.key)
        index = ArchiveIndex.open(folder, ring.archive, ring.index_key)
        alarms = AlarmBoard("gateway")
        try:
            yield Service(
                archive=archive, index=index, tail=Tail(archive, index, alarms), alarms=alarms,
                lookup=Lookup(index, archive, lambda _: golden.COVER), archive_log=log,
                collector=Collector(store=store, log=log, segment_keys=trusted.publics),
                now=lambda: _NOW,
                vouched=partial(newest_vouched, store, log, _TRUST, datetime.fromisoformat(_NOW)),
            )  # fmt: skip
        finally:
            index.close()


def _query(key: Key) -> dict[str, str]:
    return {"platform_tenant_id": key[0], "message_uuid": key[1]}
