"""The order of judgement, reason by reason."""

from __future__ import annotations

import json

import pytest

from audit_stream.errors import ConfigError
from audit_stream.flatten.event import MAX_VALUE_BYTES, Event, read_event, read_exactly
from audit_stream.flatten.status_map import INTERMEDIATE, StatusMap
from tests.support.golden import STATUS_MAP

GOOD = {
    "id": "evt-1", "type": "outbound", "message_id": "msg-1", "status": "DELIVERED",
    "timestamp": "2026-11-25T10:00:00Z", "error_code": None, "workflow_id": "wf", "agent_id": None,
    "recipient": {"external_id": "CUST_1", "address": "+4915100000"}, "tenant": {"id": "t1"},
}  # fmt: skip


def judged(**changes: object) -> Event | str | None:
    event = {k: v for k, v in (GOOD | changes).items() if v != "MISSING"}
    return read_event(json.dumps(event, ensure_ascii=False).encode(), STATUS_MAP)


def test_a_good_event_is_flat() -> None:
    found = judged()
    assert isinstance(found, Event)
    assert (found.delivery_status, found.carrier_status) == ("DELIVERED", "DELIVERED")
    assert found.recipient_address == "+4915100000"


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "not-an-object"), (b"", "not-json"), (b"{", "not-json"), (b"[]", "not-an-object"),
     (b'"DELIVERED"', "not-an-object"), (b"null", "not-an-object"), (b"{} x", "not-json"),
     (b'{"status": NaN}', "not-json"), (b"\xff\xfe{}", "not-json"), (b"\xef\xbb\xbf{}", "not-json"),
     (b'{"a":' * 5000 + b"1" + b"}" * 5000, "not-json"),
     (b"{}", "status-missing"), (b'{"status": 1}', "status-missing"),
     (b'{"status": null}', "status-missing"), (b'{"status": "BOUNCED"}', "status-unmapped"),
     (b'{"status": "' + b"x" * MAX_VALUE_BYTES + b'"}', "too-large")],
)  # fmt: skip
def test_what_is_no_event_is_quarantined(value: bytes | None, reason: str) -> None:
    assert read_event(value, STATUS_MAP) == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({field: bad}, f"invalid:{field}")
     for field in ("id", "message_id", "type", "timestamp", "workflow_id")
     for bad in ("MISSING", None, 7, "", "x" * 257, "a\nb", "a\x7fb", "a\x85b", ["x"])]
    + [({"tenant": bad}, "invalid:tenant.id")
       for bad in ("MISSING", None, "t1", {}, {"id": None}, {"id": ""}, {"id": 1})]
    + [({"recipient": bad}, "invalid:recipient") for bad in ("MISSING", None, "x", [])]
    + [({"recipient": {"external_id": bad}}, "invalid:recipient.external_id")
       for bad in (1, True, ["x"], "x" * 257, "a\x00b")]
    + [({"error_code": bad}, "invalid:error_code") for bad in (True, 1.5, "x" * 129, [], "a\nb")]
    + [({"agent_id": bad}, "invalid:agent_id") for bad in (1, "", "x" * 257)]
    + [({"carrier_message_id": 5}, "invalid:carrier_message_id")]
    + [({"workflow_id": "to CUST_1 now"}, "personal-data"),
       ({"error_code": "+4915100000"}, "personal-data")],
)  # fmt: skip
def test_an_invalid_terminal_event_is_quarantined(changes: dict, reason: str) -> None:
    assert judged(**changes) == reason


@pytest.mark.parametrize(
    "changes",
    [{"error_code": 30007}, {"error_code": ""}, {"error_code": "x" * 128}, {"id": "x" * 256},
     {"recipient": {}}, {"recipient": {"external_id": "", "address": ""}}, {"extra": {"a": [1.5]}},
     {"agent_id": "MISSING"}, {"id": "Grüße 顧客 😀"}, {"id": "a b"},
     {"recipient": {"external_id": "wf"}, "workflow_id": "wf"}],
)  # fmt: skip
def test_what_may_be_is_accepted(changes: dict) -> None:
    assert isinstance(judged(**changes), Event)


def test_an_integer_error_code_becomes_decimal() -> None:
    found = judged(error_code=30007)
    assert isinstance(found, Event)
    assert found.carrier_error_code == "30007"


@pytest.mark.parametrize(
    "code", [2**63, 2**64 - 1, 2**64, -(2**63) - 1, int("9" * 128), -int("9" * 127)]
)
def test_an_integer_error_code_of_any_size_keeps_every_digit(code: int) -> None:
    found = judged(error_code=code)
    assert isinstance(found, Event)
    assert found.carrier_error_code == str(code)


@pytest.mark.parametrize(
    "code", [int("9" * 129), -int("9" * 128), int("9" * 400), 1e30, 2.0, float(2**64)]
)
def test_longer_integers_and_floats_are_no_error_codes(code: float) -> None:
    assert judged(error_code=code) == "invalid:error_code"


def test_a_long_error_code_is_no_way_around_the_later_checks() -> None:
    assert judged(error_code=2**64, workflow_id="") == "invalid:workflow_id"
    assert judged(error_code=2**64, agent_id=7) == "invalid:agent_id"
    assert judged(error_code=2**64, workflow_id="to CUST_1 now") == "personal-data"


@pytest.mark.parametrize(
    "code", [b"1234567890123456789012.0", b"0.1234567890123456789012", b"1e0000000000000000000001",
             b"-1E+000000000000000000002", b"1234567890123456789012e1"]
)  # fmt: skip
def test_long_digits_of_a_float_are_no_error_code(code: bytes) -> None:
    value = json.dumps(GOOD | {"error_code": "CODE"}).encode().replace(b'"CODE"', code)
    assert read_event(value, STATUS_MAP) == "invalid:error_code"


def test_only_the_error_code_may_be_a_long_integer() -> None:
    digits = 10**30
    assert judged(error_code=digits, id=digits) == "invalid:id"
    found = judged(error_code=digits, workflow_id=f'"{digits}\\" {digits}', more=[digits, 1.5])
    assert isinstance(found, Event)
    assert found.carrier_error_code == str(digits)
    assert found.workflow_id == f'"{digits}\\" {digits}'


def on_a_deep_stack(frames: int, value: bytes) -> Event | str | None:
    if frames:
        return on_a_deep_stack(frames - 1, value)
    return read_event(value, STATUS_MAP)


@pytest.mark.parametrize("depth", [10, 390, 450, 700, 900, 1100, 5000])
@pytest.mark.parametrize("member", [b'"y":"\\ud800"', b'"error_code":18446744073709551616'])
def test_no_answer_depends_on_the_callers_stack(member: bytes, depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    for status in (b"SENT", b"READ"):
        good = json.dumps(GOOD).encode()[:-1]
        value = good + b',"status":"' + status + b'",' + member + b',"x":' + nested + b"}"
        assert on_a_deep_stack(0, value) == on_a_deep_stack(300, value)


def test_an_intermediate_event_is_intermediate_however_broken_the_rest_is() -> None:
    assert judged(status="QUEUED", id=None, tenant=None, recipient=None) is None
    assert read_event(b'{"status":"SENT","x":"\\ud800"}', STATUS_MAP) is None


def test_a_lone_surrogate_makes_a_terminal_event_invalid() -> None:
    value = json.dumps(GOOD | {"id": "\ud800"}).encode()
    assert read_event(value, STATUS_MAP) in ("invalid:id", "invalid:text")
    value = json.dumps(GOOD | {"other": "\ud800"}).encode()
    assert read_event(value, STATUS_MAP) == "invalid:text"


@pytest.mark.parametrize("number", [b"1e999", b"-1e400", b"9" * 400 + b".5"])
def test_a_number_beyond_a_double_in_a_member_nobody_reads_changes_nothing(number: bytes) -> None:
    value = json.dumps(GOOD).encode()[:-1] + b',"more":[' + number + b"]}"
    assert read_event(value, STATUS_MAP) == read_event(json.dumps(GOOD).encode(), STATUS_MAP)
    assert read_exactly(value, STATUS_MAP) == read_event(value, STATUS_MAP)


def test_of_duplicate_members_the_last_counts() -> None:
    value = json.dumps(GOOD).encode()[:-1] + b', "status": "READ"}'
    found = read_event(value, STATUS_MAP)
    assert isinstance(found, Event)
    assert found.delivery_status == "READ"


@pytest.mark.parametrize(
    ("word", "status"),
    [("delivered", "DELIVERED"), ("Delivery-Success", "DELIVERED"),
     ("DELIVERY_SUCCESS", "DELIVERED"),
     ("read", "READ"), ("delivery-failed", "FAILED"), ("removed", "EXPIRED"),
     ("Expired", "EXPIRED"),
     ("queued", INTERMEDIATE), ("SENT", INTERMEDIATE), ("bounced", None), ("", None)],
)  # fmt: skip
def test_the_shipped_map_is_blind_to_case_and_separators(word: str, status: str | None) -> None:
    assert STATUS_MAP.look_up(word, {}) == status


@pytest.mark.parametrize(
    "event",
    [{"error_code": "MessageExpired"}, {"error_code": "message_expired"},
     {"reasons": [{"code": "GeneralError"}, {"code": "MessageExpired"}]}],
)  # fmt: skip
def test_a_failure_whose_reason_is_expiry_is_expired(event: dict) -> None:
    assert STATUS_MAP.look_up("Failed", event) == "EXPIRED"
    assert STATUS_MAP.look_up("read", event) == "READ"
    assert STATUS_MAP.look_up("Failed", {"reasons": [{"code": 5}, 7]}) == "FAILED"


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"v":"audit-status-map/2"}',
     b'{"v":"audit-status-map/1","description":"","terminal":{},"intermediate":[],"reasons":[]}',
     (b'{"v":"audit-status-map/1","description":"","terminal":{"DELIVERED":["a"],"READ":["A"],'
     b'"FAILED":[],"EXPIRED":[]},"intermediate":[],"reasons":[]}'),
     (b'{"v":"audit-status-map/1","description":"","terminal":{"DELIVERED":["a"],"READ":["b"],'
      b'"FAILED":[],"EXPIRED":[]},"intermediate":"xyz","reasons":[]}'),
     b'{"v":"audit-status-map/1","description":"","terminal":7,"intermediate":[],"reasons":[]}',
     (b'{"v":"audit-status-map/1","description":"","terminal":{"DELIVERED":[1],"READ":["b"],'
      b'"FAILED":[],"EXPIRED":[]},"intermediate":[],"reasons":[5]}')],
)  # fmt: skip
def test_a_broken_map_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError):
        StatusMap.parse(data)
