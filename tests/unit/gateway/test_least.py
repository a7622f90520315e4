"""A gateway needs no signing key of the archive."""

from __future__ import annotations

import asyncio
from pathlib import Path

from audit_stream.keys.file import load_keyring, write_view
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
