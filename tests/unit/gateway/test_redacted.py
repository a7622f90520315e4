"""What answers say of who was erased: which certificates it can be, and the very one to who knows
the customer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit_stream.archive.certificates import Certificates
from audit_stream.archive.opening import Closed, Personal
from audit_stream.archive.private import PrivateObjects
from audit_stream.erasure.certifying import ERASED
from audit_stream.erasure.counting import erased_name
from audit_stream.evidence.encoding import b64u_decode
from audit_stream.evidence.register import Register
from audit_stream.gateway.redacted import Redacted
from audit_stream.index.lookup import Message
from audit_stream.settings import Settings
from audit_stream.stores.file import FileStore
from audit_stream.stores.memory import MemoryWormStore
from tests.support import golden
from tests.support.asking import Asked, serving
from tests.support.chains import NAME, TRUSTED
from tests.support.indexing import CUSTOMERS, Asking, golden_archive, golden_subjects
from tests.support.registers import put, redaction
from tests.unit.gateway.conftest import installed, log_all
from tests.unit.gateway.test_adoption import (
    CUSTOMER,
    KEY,
    MESSAGE,
    TAGGED,
    TENANT,
    certify,
    private,
    puncture,
    subjects,
    zero,
)
from tests.unit.gateway.test_answers import verified, verified_problem

ID = redaction(0).certificate_id
OTHER = next(key for key in CUSTOMERS if key[0] != TENANT)


def tell(settings: Settings, number: int = 0) -> None:
    """Who knows the customer finds the certificate."""
    name = erased_name(KEY, TAGGED)
    value = {"certificate": number, "v": ERASED}
    asyncio.run(private(settings).create(name, value))


@pytest.fixture(scope="module")
def erased(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """The customer was erased before the gateway began."""
    settings = installed(tmp_path_factory.mktemp("erased"))
    puncture(settings)
    asyncio.run(zero(subjects(settings)))
    certify(settings, 2)
    tell(settings)
    asyncio.run(log_all(settings))
    with serving(settings) as found:
        yield found


def test_a_message_says_which_certificates_it_can_be(erased: Asked) -> None:
    answer = erased.get(erased.token(TENANT), message_uuid=MESSAGE)
    assert answer.status_code == 200
    found = verified(erased, answer)
    assert found["redaction"] == {
        "erased": True, "certificate_id": None,
        "certificates": {"first": 0, "last": 0, "newest_id": ID},
    }  # fmt: skip
    assert found["audit_record"]["customer_external_id"] is None


@pytest.mark.parametrize("more", [{}, {"message_uuid": MESSAGE}])
def test_who_knows_the_customer_is_told_the_very_certificate(
    erased: Asked, more: dict[str, str]
) -> None:
    query = {"customer_external_id": CUSTOMER, **more}
    answer = erased.post(erased.token(TENANT), **query)
    assert answer.status_code == 404
    assert verified_problem(erased, answer)["redaction"]["certificate_id"] == ID


def test_a_token_of_every_tenant_is_told_by_the_message(erased: Asked) -> None:
    token = erased.token("*")
    for query in ({}, {"platform_tenant_id": TENANT}):
        answer = erased.post(token, message_uuid=MESSAGE, customer_external_id=CUSTOMER, **query)
        assert verified_problem(erased, answer)["redaction"]["certificate_id"] == ID
    for message, customer in ((MESSAGE, "nobody"), ("unknown", CUSTOMER)):
        answer = erased.post(token, message_uuid=message, customer_external_id=customer)
        assert "redaction" not in verified_problem(erased, answer)


def test_nobody_else_is_told(erased: Asked) -> None:
    tenant, customer = OTHER
    same = erased.post(erased.token(tenant), customer_external_id=CUSTOMER)
    assert same.json().get("redaction") is None  # another tenant's customer of that id
    theirs = erased.post(erased.token(tenant), customer_external_id=customer).json()
    assert theirs["redaction"] is None
    assert {each["redaction"] is None for each in theirs["messages"]} == {True}
    unknown = erased.post(erased.token(TENANT), customer_external_id="nobody")
    assert "redaction" not in unknown.json()


def test_an_sd_jwt_says_it_too(erased: Asked) -> None:
    headers = erased.token(TENANT) | {"Accept": "application/sd-jwt"}
    answer = erased.get(headers, message_uuid=MESSAGE)
    payload = json.loads(b64u_decode(answer.text.split(".")[1], "the payload"))
    assert payload["redaction"]["certificates"]["newest_id"] == ID


@pytest.fixture
async def message(tmp_path: Path) -> Message:
    made = Asking(golden_archive(FileStore(golden.ARCHIVE, True), golden_subjects()), tmp_path)
    await made.catch_up()
    found = await made.lookup.by_message(TENANT, MESSAGE)
    made.index.close()
    return found[0]


async def register(*epochs: int) -> Certificates:
    """One certificate for each: the first epoch that does not open what it erased."""
    store = MemoryWormStore()
    said = [redaction(n, epochs=[each - 1, each]).said() for n, each in enumerate(epochs)]
    await put(store, Register.REDACTIONS, *said)
    found = Certificates(store, TRUSTED, NAME)
    await found.poll()
    return found


def erased_at(message: Message, *sealed: tuple[int, bool]) -> Message:
    """Its first revision as of segments of these epochs, sealed without fields or erased since."""
    revision = message.revisions[0]
    made = [
        replace(
            revision, header=replace(revision.header, key_epoch=epoch),
            record=replace(revision.record, pub={**revision.record.pub, "erased": True})
            if before else revision.record,
            personal=Personal(closed=Closed.ERASED),
        )
        for epoch, before in sealed
    ]  # fmt: skip
    return replace(message, revisions=tuple(made))


@pytest.mark.parametrize(
    ("epochs", "sealed", "wanted"),
    [
        ((2, 2, 3, 5), [(1, False)], (0, 3)),
        ((2, 2, 3, 5), [(2, False)], (2, 3)),
        ((2, 2, 3, 5), [(4, False)], (3, 3)),
        ((2, 2, 3, 5), [(5, False)], None),  # its certificate is still to come
        ((2, 2, 3, 5), [(5, True)], (0, 3)),  # a late event, sealed without fields
        ((2, 2, 3, 5), [(2, True)], (0, 1)),
        ((2, 2, 3, 5), [(1, True)], None),
        ((2, 2, 3, 5), [(4, False), (2, True)], (0, 3)),
        ((), [(1, False)], None),
    ],
)
async def test_the_range_by_epochs(
    message: Message, epochs: tuple[int, ...], sealed: list[tuple[int, bool]],
    wanted: tuple[int, int] | None,
) -> None:  # fmt: skip
    found = Redacted(await register(*epochs), None, golden.KEYRING)
    said: Any = await found.of_message(erased_at(message, *sealed), None)
    if wanted is None:
        assert said["certificates"] is None
    else:
        newest = redaction(wanted[1]).certificate_id
        assert said["certificates"] == {
            "first": wanted[0], "last": wanted[1], "newest_id": newest,
        }  # fmt: skip


async def test_what_is_not_erased_says_nothing(message: Message) -> None:
    private_objects = PrivateObjects(golden_subjects(), KEY)
    found = Redacted(await register(2), private_objects, golden.KEYRING)
    assert await found.of_message(message, CUSTOMER) is None
    assert await found.of_customer([TENANT], CUSTOMER) is None
