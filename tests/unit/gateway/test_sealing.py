"""From a look-up to the archive log: what was read is sealed, once, and `verify` holds it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from audit_stream.cli.main import run_command
from audit_stream.evidence.access import decode_part
from audit_stream.evidence.batch import decode_batch
from audit_stream.evidence.log_names import access_name, parse_access_name
from audit_stream.gateway.journal import Journal
from audit_stream.gateway.parts import identity
from audit_stream.gateway.sealing import drain, unsealed_seconds
from audit_stream.stores.memory import MemoryWormStore
from tests.support.asking import Asked, serving
from tests.support.eventually import eventually
from tests.support.indexing import CUSTOMERS, PUBS
from tests.unit.gateway.conftest import installed, log_all
from tests.unit.gateway.test_journal import members


def sealed(asked: Asked) -> list[dict[str, Any]]:
    """Entries in the archive, in the order of their journal."""
    root = asked.settings.archive_path
    paths = sorted((root / "access").rglob("*.ndjson"))
    parts = [decode_part(path.read_bytes(), str(path)) for path in paths]
    assert len({part.journal for part in parts}) <= 1
    return [json.loads(entry) for part in parts for entry in part.entries]


@pytest.fixture(scope="module")
def gone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Asked, int]:
    """A gateway that sealed while it ran and when it ended, and how often it was asked."""
    settings = installed(tmp_path_factory.mktemp("sealing"))
    settings = settings.model_copy(update={"journal_seal_seconds": 0.1})
    asyncio.run(log_all(settings))
    (tenant, customer), _ = next(iter(CUSTOMERS.items()))
    with serving(settings) as asked:
        token = asked.token("*")
        for pub in PUBS:
            asked.get(token, message_uuid=pub["message_uuid"],
                      platform_tenant_id=pub["platform_tenant_id"])  # fmt: skip
        asked.post(token, customer_external_id=customer, platform_tenant_id=tenant)

        async def some() -> bool:
            return bool(sealed(asked))

        asyncio.run(eventually(some))
        asked.get(token, message_uuid="unknown")
    asyncio.run(log_all(settings))
    return asked, len(PUBS) + 2


def test_every_read_is_sealed_once(gone: tuple[Asked, int]) -> None:
    asked, count = gone
    entries = sealed(asked)
    assert len(entries) == count
    assert [each["messages"] for each in entries[: len(PUBS)]] == [
        [pub["message_uuid"]] for pub in PUBS
    ]
    assert [each["status"] for each in entries[-2:]] == [200, 404]
    assert asked.journal() == []


def test_the_newest_batch_commits_to_all_of_it(gone: tuple[Asked, int]) -> None:
    root = gone[0].settings.archive_path
    newest = sorted((root / "log").iterdir())[-1]
    lines = [leaf.line for leaf in decode_batch(newest.read_bytes(), newest.name).leaves]
    (line,) = [json.loads(each) for each in lines if b"audit-access/1" in each]
    path = sorted((root / "access").rglob("*.ndjson"))[-1]
    part = decode_part(path.read_bytes(), str(path))
    assert parse_access_name(path.relative_to(root).as_posix()) == (part.journal, part.number)
    assert line["journals"] == [
        {"journal": part.journal, "leaf": part.leaf.hex(), "next": part.number + 1}
    ]


def test_nobody_stands_in_it(gone: tuple[Asked, int]) -> None:
    asked, _ = gone
    text = "".join(
        path.read_text() for path in (asked.settings.archive_path / "access").rglob("*.ndjson")
    )
    for _, customer in CUSTOMERS:
        assert customer not in text


@pytest.fixture
def environment(gone: tuple[Asked, int], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("archive", "archive_name", "keyring"):
        monkeypatch.setenv(f"AUDIT_{name.upper()}", str(getattr(gone[0].settings, name)))


@pytest.mark.usefixtures("environment")
def test_verify_passes_and_then_finds_an_entry_that_was_changed(
    gone: tuple[Asked, int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["verify"]) == 0, capsys.readouterr()
    path = sorted((gone[0].settings.archive_path / "access").rglob("*.ndjson"))[0]
    good = path.read_bytes()
    path.write_bytes(good.replace(b'"status":200', b'"status":404', 1))
    assert run_command(["verify"]) == 1
    assert "V23" in capsys.readouterr().out
    path.write_bytes(good)


def test_what_stands_in_the_way_is_an_alarm_and_nothing_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = installed(tmp_path).model_copy(update={"journal_seal_seconds": 0.1})
    with caplog.at_level(logging.INFO), serving(settings) as asked:
        journal, _ = identity(settings.journal_dir)
        forged = settings.archive_path / access_name(journal, 0)
        forged.parent.mkdir(parents=True)
        forged.write_bytes(b"forged")
        assert asked.get(asked.token("*"), message_uuid="unknown").status_code == 404

        async def alarmed() -> bool:
            return any("journal:seal" in record.getMessage() for record in caplog.records)

        asyncio.run(eventually(alarmed))
        assert len(asked.journal()) == 1
    forged.unlink()
    with serving(settings) as asked:
        pass
    assert [each["status"] for each in sealed(asked)] == [404]


async def test_a_part_that_waits_grows_old_until_it_is_sealed(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    assert unsealed_seconds(folder, time.time()) == 0
    async with Journal(folder, "a") as journal:
        await journal.record(members("0"))
        assert unsealed_seconds(folder, time.time() + 60) == 0  # it is still written to
        await journal.roll()
        assert 60 <= unsealed_seconds(folder, time.time() + 60) < 90
        assert await drain(folder, MemoryWormStore()) == 1
        assert unsealed_seconds(folder, time.time() + 60) == 0
