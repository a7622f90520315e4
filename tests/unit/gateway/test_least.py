"""What a gateway needs, and what it keeps: no signing key of the archive, and rows of the log."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from audit_stream.index.database import ArchiveIndex
from audit_stream.keys.file import load_keyring, write_view
from audit_stream.settings import Settings
from tests.support.asking import serving
from tests.support.indexing import PUBS
from tests.unit.gateway.conftest import installed, log_all


def test_it_answers_with_a_gateway_s_view_of_the_keyring(tmp_path: Path) -> None:
    settings = installed(tmp_path)
    asyncio.run(log_all(settings))
    write_view(load_keyring(settings.keyring), settings.keyring, "gateway", tmp_path / "view")
    own = settings.model_copy(update={"keyring": tmp_path / "view" / "keyring.json"})
    with serving(own) as asked:
        pub = PUBS[0]
        answer = asked.get(
            asked.token("*"), message_uuid=pub["message_uuid"],
            platform_tenant_id=pub["platform_tenant_id"],
        )  # fmt: skip
        assert answer.status_code == 200
        assert answer.json()["audit_record"]["customer_external_id"] is not None


def test_what_it_knows_of_the_log_outlives_it(tmp_path: Path) -> None:
    settings = installed(tmp_path)
    asyncio.run(log_all(settings))
    pub = PUBS[0]
    wanted = {
        "message_uuid": pub["message_uuid"], "platform_tenant_id": pub["platform_tenant_id"],
    }  # fmt: skip
    seen = []
    for _ in range(2):
        with serving(settings) as asked:
            found = asked.get(asked.token("*"), **wanted).json()
            seen.append((found["as_of"]["size"], found["history"][0]["evidence"]["log_index"]))
        asyncio.run(log_all(settings))  # another batch, between the two
    # the digest, and the line about the journal that the first gateway sealed
    assert seen[1] == (seen[0][0] + 2, seen[0][1])
    assert seen[0][1] is not None


def test_an_index_that_knows_a_longer_log_than_there_is_says_so(tmp_path: Path) -> None:
    settings = installed(tmp_path)
    asyncio.run(log_all(settings))
    with serving(settings):
        pass
    for path in (settings.archive_path / "log").iterdir():
        path.unlink()
    index = opened(settings)
    assert index.log_size() > 0
    index.close()
    names = ("archive", "archive_name", "keyring", "index_dir", "answer_keys", "journal_dir")
    own = {f"AUDIT_{name.upper()}": str(getattr(settings, name)) for name in names}
    done = subprocess.run(
        [sys.executable, "-m", "audit_stream", "gateway"], capture_output=True, text=True,
        env=os.environ | own | {"AUDIT_WEB_PORT": "0", "AUDIT_GATEWAY_PORT": "0"}, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "the index knows an archive log of" in done.stderr


def opened(settings: Settings) -> ArchiveIndex:
    ring = load_keyring(settings.keyring).keyring
    return ArchiveIndex.open(settings.index_dir, ring.archive, ring.index_key)
