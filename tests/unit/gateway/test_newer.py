"""What a newer release wrote cannot be judged: it is neither tampered with nor an error of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from audit_stream.evidence.log_names import access_name
from tests.support.access import JOURNAL, chained
from tests.support.asking import Asked, serving
from tests.support.indexing import CUSTOMERS
from tests.support.resealed import resigned
from tests.support.visiting import Visitor, text_of
from tests.unit.gateway.conftest import installed, log_all

TENANT, CUSTOMER = next(iter(CUSTOMERS))
MESSAGE = CUSTOMERS[TENANT, CUSTOMER][0][1]


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """Another gateway and the workers are of the next release; the index is from before."""
    settings = installed(tmp_path_factory.mktemp("upgraded"))
    asyncio.run(log_all(settings))
    with serving(settings) as found:
        assert found.get(found.token(), message_uuid=MESSAGE).status_code == 200
        for path in settings.archive_path.glob("segments/**/*.gz"):
            path.write_bytes(resigned(path.read_bytes(), v="audit-segment/2"))
        part = settings.archive_path / access_name(JOURNAL, 0)
        part.parent.mkdir(parents=True)
        part.write_bytes(chained(1)[0].encode().replace(b"audit-journal/1", b"audit-journal/2", 1))
        yield found


def test_the_api_cannot_answer(upgraded: Asked) -> None:
    for asked in (
        {"message_uuid": MESSAGE},
        {"customer_external_id": CUSTOMER, "platform_tenant_id": TENANT},
    ):
        answer = upgraded.post(upgraded.token(), **asked)
        assert (answer.status_code, "newer release" in answer.text) == (503, True)


def test_the_pages_do_not_say_that_something_was_changed(upgraded: Asked) -> None:
    visitor = Visitor(upgraded.url)
    visitor.sign_in(upgraded.token())
    for page in (visitor.look_up(message_uuid=MESSAGE), visitor.get("/access")):
        assert (page.status_code, "newer release" in text_of(page)) == (503, True)
        assert "not what was archived" not in text_of(page)
    assert "tampered:" not in text_of(visitor.get("/archive"))
    visitor.client.close()
