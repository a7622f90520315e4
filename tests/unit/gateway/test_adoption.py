"""A gateway's keys: none before it is registered, the newest within seconds, the old ones gone
before it says so."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit_stream.app import adoption
from audit_stream.app.gateway_server import GatewayServer
from audit_stream.app.newest import BEHIND
from audit_stream.app.now import now
from audit_stream.archive.fleet import Member, members, tell_epoch
from audit_stream.archive.private import PrivateObjects
from audit_stream.erasure.batch import JOURNAL
from audit_stream.errors import KeyringError
from audit_stream.evidence.access import check_entry
from audit_stream.evidence.register import Register
from audit_stream.evidence.signing import LineSigner
from audit_stream.gateway.caller import Caller
from audit_stream.gateway.journal import Journal
from audit_stream.gateway.officers import Officers
from audit_stream.gateway.query import Query
from audit_stream.gateway.reads import Gateway
from audit_stream.gateway.redaction_routes import REDACTIONS
from audit_stream.kafka.embedded import free_ports
from audit_stream.keys.epochs import advance, destroy_strays, read_master
from audit_stream.keys.file import load_cover
from audit_stream.keys.lock import keyring_lock
from audit_stream.privacy.keytree import path_of
from audit_stream.privacy.named_object import NONCE_BYTES
from audit_stream.privacy.subject_object import NO_TAG, open_tags, seal_tags
from audit_stream.privacy.subjects import EXTERNAL
from audit_stream.settings import Settings
from audit_stream.stores.file import FileStore
from audit_stream.stores.subjects import FileSubjectStore
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support import golden
from tests.support.asking import Asked, serving
from tests.support.eventually import eventually, until
from tests.support.indexing import CUSTOMERS, TAGS
from tests.support.registers import put, redaction
from tests.unit.gateway.conftest import installed, log_all
from tests.unit.gateway.test_fresh import served

KEY = golden.KEYRING.index_key
(TENANT, CUSTOMER), THEIRS = max(CUSTOMERS.items(), key=lambda item: len(item[1]))
TAGGED = TAGS.tag((TENANT, EXTERNAL, CUSTOMER))
MESSAGE = THEIRS[0][1]


def private(settings: Settings) -> PrivateObjects:
    return PrivateObjects(subjects(settings), KEY)


def subjects(settings: Settings) -> FileSubjectStore:
    return FileSubjectStore(settings.archive_path.parent / "archive-subjects")


def fleet(settings: Settings) -> list[Member]:
    return asyncio.run(members(private(settings)))


async def says(settings: Settings, epoch: int) -> bool:
    return [each.epoch for each in await members(private(settings))] == [epoch]


def puncture(settings: Settings) -> None:
    """The customer's keys go, and the old cover with them."""
    path = settings.keyring
    with keyring_lock(path):
        advance(path, read_master(path), lambda _: [path_of(TAGGED)])
        destroy_strays(path)


def certify(settings: Settings, epoch: int) -> None:
    said = redaction(0, epochs=[epoch - 1, epoch]).said()
    signer = LineSigner(golden.KEYRING.segment_key or b"")
    archive = golden.KEYRING.archive
    asyncio.run(put(FileStore(settings.archive_path), Register.REDACTIONS, said, archive=archive,
                    signer=signer))  # fmt: skip


async def zero(store: FileSubjectStore) -> None:
    """The customer's tags in the subject objects."""
    for name in await store.names("subjects/"):
        found = await store.get(name)
        assert found is not None
        tags = [NO_TAG if tag == TAGGED else tag for tag in open_tags(KEY, name, found.data)]
        data = seal_tags(KEY, name, b"".join(tags), bytes(NONCE_BYTES))
        assert await store.replace(name, data, found.etag)


def opened(answer: Any) -> bool:
    return answer.json()["audit_record"]["customer_external_id"] == CUSTOMER


def test_it_is_registered_while_it_holds_keys(tmp_path: Path) -> None:
    settings = installed(tmp_path)
    asyncio.run(log_all(settings))
    assert fleet(settings) == []
    with serving(settings):
        [member] = fleet(settings)
        assert (member.role, member.epoch) == ("gateway", 1)
    assert fleet(settings) == []


@pytest.mark.parametrize("gone_past", ["told", "certified"])
def test_a_keyring_that_erasures_have_gone_past_is_refused(tmp_path: Path, gone_past: str) -> None:
    settings = installed(tmp_path)
    if gone_past == "told":
        asyncio.run(tell_epoch(private(settings), 2))
    else:
        certify(settings, 2)
    with pytest.raises(KeyringError, match="has the epoch 1, the archive is at 2"):
        GatewayServer(settings).run()
    assert fleet(settings) == []


def test_while_it_waits_for_an_erasure_it_lives_and_says_why(
    tmp_path: Path,
) -> None:
    """Else what looks after it would end it again and again."""
    port = free_ports(1)[0]
    settings = installed(tmp_path).model_copy(update={"web_port": port, "gateway_port": 0})
    asyncio.run(tell_epoch(private(settings), 2))
    asyncio.run(begun(settings))
    server = GatewayServer(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()

    def says_so() -> bool:
        try:
            return BEHIND in httpx.get(f"http://127.0.0.1:{port}/alarms").text
        except httpx.TransportError:
            return False

    until(says_so)
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 503
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()
    assert fleet(settings) == []


async def begun(settings: Settings) -> None:
    """An erasure is at work."""
    await private(settings).create(JOURNAL, {"v": "any"})


class Askers:
    """Some who ask for one message again and again: when each question was put, and its answer."""

    def __init__(self, asked: Asked, number: int = 4) -> None:
        self._asked, self._token = asked, asked.token()
        self.seen: list[tuple[float, bool]] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(number)]

    def _ask(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            answer = self._asked.get(self._token, message_uuid=MESSAGE, platform_tenant_id=TENANT)
            self.seen.append((began, opened(answer)))

    def __enter__(self) -> Askers:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for each in self._threads:
            each.join()

    def answered(self, more: int) -> Callable[[], bool]:
        before = len(self.seen)
        return lambda: len(self.seen) >= before + more


def test_under_load_nothing_erased_is_opened_once_the_new_epoch_is_said(tmp_path: Path) -> None:
    settings = installed(tmp_path)
    asyncio.run(log_all(settings))
    with serving(settings) as asked, Askers(asked) as askers:
        until(askers.answered(20))
        assert all(shown for _, shown in askers.seen)
        puncture(settings)
        asyncio.run(eventually(lambda: says(settings, 2)))
        said = time.monotonic()
        until(askers.answered(20))
    assert not any(shown for began, shown in askers.seen if began > said)
    assert len([began for began, _ in askers.seen if began > said]) >= 16


def test_an_older_keyring_is_not_taken_over(tmp_path: Path) -> None:
    [port] = free_ports(1)
    settings = installed(tmp_path).model_copy(update={"web_port": port})
    asyncio.run(log_all(settings))
    keys = settings.keyring.parent
    shutil.copytree(keys, tmp_path / "old")
    puncture(settings)
    with serving(settings) as asked:
        for file in ("cover-1.bin", "keyring.json"):
            (tmp_path / "old" / file).replace(keys / file)
        alarms = f"http://127.0.0.1:{port}/alarms"
        until(lambda: "keyring:load" in asked.client.get(alarms).text)
        assert [each.epoch for each in fleet(settings)] == [2]
        found = asked.get(asked.token(), message_uuid=MESSAGE, platform_tenant_id=TENANT)
        assert not opened(found)


def test_rows_of_who_was_erased_go_once_the_certificate_is_there(tmp_path: Path) -> None:
    settings = installed(tmp_path)
    asyncio.run(log_all(settings))

    def held() -> list[str]:
        files = [each for each in settings.index_dir.iterdir() if each.is_file()]
        return [each.name for each in files if TAGGED in each.read_bytes()]

    with serving(settings) as asked:
        token = asked.token(TENANT)
        assert asked.post(token, customer_external_id=CUSTOMER).status_code == 200
        puncture(settings)
        asyncio.run(zero(subjects(settings)))
        assert held() != []
        certify(settings, 2)
        until(lambda: held() == [])
        assert asked.post(token, customer_external_id=CUSTOMER).status_code == 404


async def test_who_is_at_work_with_the_old_keys_is_waited_for(tmp_path: Path) -> None:
    """Held up in the store between finding a message and opening it."""
    async with served(tmp_path, AlarmBoard("gateway")) as (service, store):
        store.failures.clear()
        await service.refresh()
        held, there = asyncio.Event(), asyncio.Event()
        get = store.get

        async def late(name: str) -> bytes | None:
            there.set()
            await held.wait()
            return await get(name)

        async def ask() -> dict[str, Any]:
            with service.turns.working():
                return await service.look_up(query, caller)

        query = Query(message=MESSAGE, tenant=TENANT)
        caller = Caller(id="auditor", tenants=("*",), scopes=("audit:read",))
        store.get = late  # type: ignore[method-assign]
        at_work = asyncio.create_task(ask())
        await there.wait()
        path = tmp_path / "keys" / "keyring.json"
        ring = advance(path, read_master(path), lambda _: [path_of(TAGGED)])
        adopted = asyncio.create_task(service.adopt(ring, lambda tree: load_cover(path, tree)))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not adopted.done()
        store.get = get  # type: ignore[method-assign]
        new = (await ask())["audit_record"]
        assert new["customer_external_id"] is None
        assert not adopted.done()  # who came since does not hold it up, nor end it
        held.set()
        assert (await at_work)["audit_record"]["customer_external_id"] == CUSTOMER
        await adopted


async def test_an_officer_at_work_with_the_old_keys_is_waited_for(tmp_path: Path) -> None:
    async with served(tmp_path, AlarmBoard("gateway")) as (service, store):
        store.failures.clear()
        path = tmp_path / "keys" / "keyring.json"
        unused: Any = None
        journal = Journal(tmp_path / "journal", read_master(path).archive)
        gateway = Gateway(service=service, signer=unused, journal=journal, now=now, door=unused)
        officers = Officers(gateway=gateway, private=unused, holds=unused)
        caller = Caller(id="officer", tenants=("*",), scopes=("audit:redact",))
        async with journal:
            async with officers.acting(caller, "redact", "look"):
                ring = advance(path, read_master(path), lambda _: [path_of(TAGGED)])
                adopted = asyncio.create_task(
                    service.adopt(ring, lambda tree: load_cover(path, tree))
                )
                for _ in range(10):
                    await asyncio.sleep(0)
                assert not adopted.done()
            await adopted


async def test_an_act_that_ends_in_an_error_of_ours_is_in_the_journal(tmp_path: Path) -> None:
    async with served(tmp_path, AlarmBoard("gateway")) as (service, _):
        unused: Any = None
        journal = Journal(tmp_path / "journal", service.archive.keyring.archive)
        gateway = Gateway(service=service, signer=unused, journal=journal, now=now, door=unused)
        officers = Officers(gateway=gateway, private=unused, holds=unused)
        caller = Caller(id="officer", tenants=("*",), scopes=("audit:redact",))

        async def act() -> None:
            async with officers.acting(caller, "redact", "file") as tenants:
                tenants.add(TENANT)
                raise ValueError("nobody thought of it")

        async with journal:
            with pytest.raises(ValueError, match="nobody thought of it"):
                await act()
    parts = (tmp_path / "journal").glob("part-*.jsonl")
    [line] = [line for part in parts for line in part.read_bytes().splitlines()]
    entry = check_entry(line, "it")
    said = ("redact", "file", 500, [TENANT])
    assert (entry["kind"], entry["query"], entry["status"], entry["tenants"]) == said


def test_the_old_cover_is_not_mapped_any_more(tmp_path: Path) -> None:
    """An idle gateway, too: whoever has the map can derive everybody's keys from it."""
    settings = installed(tmp_path)
    asyncio.run(log_all(settings))
    old = str(settings.keyring.parent / "cover-1.bin")
    with serving(settings) as asked:
        asked.post(asked.token(TENANT), customer_external_id=CUSTOMER)
        assert old in Path("/proc/self/maps").read_text()
        puncture(settings)
        asyncio.run(eventually(lambda: says(settings, 2)))
        assert old not in Path("/proc/self/maps").read_text()


def test_a_gateway_that_knows_it_is_behind_answers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its view is not brought up: its keys still open who was erased."""
    monkeypatch.setattr(adoption, "_COMPARE_SECONDS", 0.0)
    settings = installed(tmp_path)
    asyncio.run(log_all(settings))
    asked_for = {"customer_external_id": CUSTOMER}
    with serving(settings) as asked:
        token, officer = asked.token(TENANT), asked.token("*", scopes=("audit:redact",))
        assert asked.post(token, **asked_for).status_code == 200
        asyncio.run(tell_epoch(private(settings), 2))
        until(lambda: asked.post(token, **asked_for).status_code == 503)
        assert asked.client.get(REDACTIONS, headers=officer).status_code == 503
        puncture(settings)
        until(lambda: asked.client.get(REDACTIONS, headers=officer).status_code == 200)
        assert asked.post(token, **asked_for).status_code != 503
