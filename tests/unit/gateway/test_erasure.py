"""An erasure from the API to its certificate, the gateway at work all the while."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from audit_stream.erasure.keeper import Keeper
from audit_stream.evidence.redaction import opens
from audit_stream.gateway.redaction_routes import REDACTIONS
from audit_stream.settings import Settings
from tests.support import golden
from tests.support.asking import gateway_settings, serving
from tests.support.eventually import until
from tests.support.keeping import Kept
from tests.support.visiting import Visitor, text_of
from tests.unit.gateway.conftest import log_all
from tests.unit.gateway.test_adoption import CUSTOMER, MESSAGE, TENANT
from tests.unit.gateway.test_answers import verified, verified_problem

REF = "DSR-2026-17"


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    (tmp_path / "kept").mkdir()
    return Kept(tmp_path / "kept")


@pytest.fixture
def settings(kept: Kept, tmp_path: Path) -> Settings:
    keyring = (golden.GOLDEN / "keyring.json").read_bytes()
    made = gateway_settings(tmp_path / "own", golden.KEYRING.archive, keyring)
    return made.model_copy(update={
        "archive": (kept.folder / "archive").as_uri(), "keyring": kept.path,
        "subjects": (kept.folder / "subjects").as_uri(),
    })  # fmt: skip


def test_it_is_filed_approved_carried_out_and_told(kept: Kept, settings: Settings) -> None:
    asyncio.run(log_all(settings))
    body = {"customer": CUSTOMER, "platform_tenant_id": TENANT, "request_ref": REF,
            "basis": "GDPR Art.17(1)(b)"}  # fmt: skip
    with serving(settings) as office:
        officer, second, reader = office.token("*"), office.token("*"), office.token(TENANT)
        filed = office.client.post(REDACTIONS, json=body, headers=officer).json()
        assert (filed["status"], filed["dry_run"]["records"] > 1) == ("filed", True)
        office.client.post(f"{REDACTIONS}/{REF}/approval", headers=second)
        before = office.get(reader, message_uuid=MESSAGE).json()
        assert before["audit_record"]["customer_external_id"] == CUSTOMER

        asyncio.run(Keeper(replace(kept.installation(), barrier_seconds=30.0)).run())
        [certificate] = asyncio.run(kept.certificates())
        assert certificate.barrier == {"acknowledged": 1, "excused": []}
        assert certificate.count == filed["dry_run"]["records"]
        assert (certificate.requested_by, certificate.approved_by) == (
            filed["request"]["requested_by"],
            office.client.get(f"{REDACTIONS}/{REF}", headers=officer).json()["request"][
                "approved_by"
            ],
        )  # fmt: skip

        until(lambda: told(office.get(reader, message_uuid=MESSAGE).json()) is not None)
        found = verified(office, office.get(reader, message_uuid=MESSAGE))
        assert found["audit_record"]["customer_external_id"] is None
        assert found["history"][0]["integrity_hash"] == before["history"][0]["integrity_hash"]
        assert told(found) == certificate.certificate_id
        gone = verified_problem(office, office.post(reader, customer_external_id=CUSTOMER))
        assert gone["redaction"]["certificate_id"] == certificate.certificate_id

        asyncio.run(log_all(settings))
        until(lambda: logged(office, officer) is not None)
        visitor = Visitor(office.url)
        visitor.sign_in(officer)
        page = text_of(visitor.get("/compliance/request", ref=REF))
        assert "Stands in the archive’s log" in page
        opening = office.client.get(f"{REDACTIONS}/{REF}/opening", headers=officer).json()[
            "opening"
        ]
        hashes = [bytes.fromhex(each) for each in opening["hashes"]]
        assert opens(certificate, bytes.fromhex(opening["secret"]), hashes)
        assert bytes.fromhex(found["audit_record"]["integrity_hash"][7:]) in hashes
        again = office.client.post(REDACTIONS, json=body, headers=officer)
        assert (again.status_code, again.headers["etag"]) == (200, '"done"')
        visitor.client.close()
    assert kept.problems() == []


def told(answer: dict) -> str | None:
    """Id of the newest certificate that it can be."""
    found = (answer["redaction"] or {}).get("certificates")
    return None if found is None else found["newest_id"]


def logged(office, officer: dict[str, str]) -> int | None:
    found = office.client.get(f"{REDACTIONS}/{REF}", headers=officer).json()
    return found["certificate"]["log_index"]
