"""The OpenAPI document against the gateway it comes from: no 5xx, no answer it does not name."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks

from audit_stream.gateway import hold_routes, redaction_routes
from audit_stream.gateway.answer import BUNDLE, KEYS
from audit_stream.gateway.api import LOOK_UP, ROUTES, SEARCH
from audit_stream.gateway.deletions import PATH
from audit_stream.gateway.hold_routes import APPROVAL as HOLD_APPROVAL
from audit_stream.gateway.hold_routes import HOLDS, RELEASE
from audit_stream.gateway.redaction_routes import APPROVAL, ITEM, OPENING, REDACTIONS
from tests.support.asking import Asked
from tests.support.indexing import CUSTOMERS, PUBS

EXAMPLES, FEWER = 100, 40
OFFICERS = (*redaction_routes.ROUTES, *hold_routes.ROUTES)
#: Which ids go together cannot be said of parameters in a URL, nor that a cursor is one of ours.
NOT_SAID = [checks.positive_data_acceptance]
OPERATIONS = [
    ("GET", LOOK_UP), ("POST", SEARCH), ("POST", BUNDLE), ("GET", KEYS), ("POST", PATH),
    ("POST", REDACTIONS), ("GET", REDACTIONS), ("GET", ITEM), ("DELETE", ITEM), ("POST", APPROVAL),
    ("GET", OPENING), ("POST", HOLDS), ("GET", HOLDS), ("POST", RELEASE), ("POST", HOLD_APPROVAL),
]  # fmt: skip


@pytest.fixture(scope="module")
def document(asked: Asked) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{asked.url}/openapi.json")


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_a_documented_one(
    asked: Asked, document: schemathesis.BaseSchema, method: str, path: str, mode: GenerationMode
) -> None:
    operation = document[path][method]
    if mode is GenerationMode.NEGATIVE and path == KEYS:
        return  # it takes nothing that could be wrong
    headers = {"Authorization": asked.token_line.partition(b": ")[2].decode()}

    @settings(
        max_examples=FEWER if path in OFFICERS else EXAMPLES, deadline=None, database=None,
        derandomize=True, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def each(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=headers, excluded_checks=NOT_SAID)

    each()


def test_all_that_is_served_is_in_the_document(document: schemathesis.BaseSchema) -> None:
    described = {
        (method.upper(), path)
        for path, operations in document.raw_schema["paths"].items()
        for method in operations
    }
    assert described == set(OPERATIONS)
    assert {path for _, path in described} | {"/openapi.json"} == set(ROUTES)


def test_good_answers_have_the_documented_form(
    asked: Asked, document: schemathesis.BaseSchema
) -> None:
    token = asked.token("*")
    look_up = document[LOOK_UP]["GET"]
    search = document[SEARCH]["POST"]
    for pub in PUBS:
        found = asked.get(token, message_uuid=pub["message_uuid"],
                          platform_tenant_id=pub["platform_tenant_id"])  # fmt: skip
        assert found.status_code == 200
        look_up.validate_response(found)
    for tenant, customer in CUSTOMERS:
        found = asked.post(token, customer_external_id=customer, platform_tenant_id=tenant)
        assert found.status_code == 200
        search.validate_response(found)
    for status, answer in {
        401: asked.get({}, message_uuid="x"),
        404: asked.get(token, message_uuid="x"),
        400: asked.get(token),
        403: asked.get(asked.token("*", scopes=()), message_uuid="x"),
    }.items():
        assert answer.status_code == status
        look_up.validate_response(answer)


def test_each_operation_names_its_errors_and_who_may(document: schemathesis.BaseSchema) -> None:
    raw = document.raw_schema
    for path, operations in raw["paths"].items():
        for operation in operations.values():
            assert {"405", "408", "431", "500", "503"} <= operation["responses"].keys()
            assert len({"200", "202"} & operation["responses"].keys()) == 1
            if path.startswith("/api/"):
                assert operation["security"] == [{"bearer": []}]
                finds = {"404", "409"} if path != PATH else set()
                assert {"401", "403", "429"} | finds <= operation["responses"].keys()
    assert raw["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
