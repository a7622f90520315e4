"""The golden archive with a log, behind a gateway on a real socket."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_stream.keys.file import load_keyring, log_signer
from audit_stream.notary.gather import Ends, Gatherer
from audit_stream.notary.notary import Notary
from audit_stream.settings import Settings
from audit_stream.stores.file import FileStore
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support import golden
from tests.support.asking import Asked, serving


def installed(folder: Path) -> Settings:
    """A copy of the golden archive, keys and subject objects, and settings that name them."""
    shutil.copytree(golden.ARCHIVE, folder / "archive")
    shutil.copytree(golden.GOLDEN / "subjects", folder / "archive-subjects" / "subjects")
    keys = folder / "keys"
    keys.mkdir()
    for name in ("keyring.json", "cover-1.bin"):
        shutil.copy(golden.GOLDEN / name, keys / name)
        (keys / name).chmod(0o600)
    for path in (folder / "archive").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return Settings.load(
        None, archive=(folder / "archive").as_uri(), archive_name=golden.KEYRING.archive,
        keyring=keys / "keyring.json", index_dir=folder / "index", web_port=0,
        broker="kafka://127.0.0.1:1", gateway_tokens=folder / "tokens.json",
        answer_keys=folder / "answers", journal_dir=folder / "journal", gateway_rate=10_000,
        gateway_refresh_seconds=0.2, journal_seal_seconds=3600,
    )  # fmt: skip


async def log_all(settings: Settings) -> None:
    """Write the archive's log."""
    ring, store = load_keyring(settings.keyring), FileStore(settings.archive_path)

    async def nobody() -> Ends | None:
        return None

    gatherer = Gatherer(store, ring.keyring.archive, ring.trusted, AlarmBoard("n"))
    signer = log_signer(ring.keyring)
    notary = Notary(store, signer, gatherer, nobody, lambda: "2026-11-25T12:00:00.000Z")
    await notary.resume()
    await notary.write()


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    settings = installed(tmp_path_factory.mktemp("gateway"))
    asyncio.run(log_all(settings))
    with serving(settings) as found:
        yield found
