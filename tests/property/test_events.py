"""Whatever a platform sends: one of three answers, and what is archived always parses again."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audit_stream.evidence.record import parse_record
from audit_stream.flatten import common
from audit_stream.flatten.event import Event, read_event, read_exactly, read_typed
from audit_stream.flatten.status_map import INTERMEDIATE
from audit_stream.seal.judge import Judge
from tests.support import golden

TOPIC = golden.TOPICS[0]
REASON = re.compile(r"not-json|not-an-object|too-large|status-missing|status-unmapped|personal-data"
                    r"|misplaced|invalid:[a-z_.-]+").fullmatch  # fmt: skip
WORDS = {
    "delivered": "DELIVERED", "read": "READ", "failed": "FAILED", "expired": "EXPIRED",
    "removed": "EXPIRED", "deliverysuccess": "DELIVERED", "deliveryfailed": "FAILED",
    "queued": INTERMEDIATE, "sent": INTERMEDIATE,
}  # fmt: skip
TEXT = st.text(max_size=12)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def mostly(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 15).flatmap(lambda n: VALUE if n == 0 else good)


SHORT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
EVENTS = st.fixed_dictionaries(
    {
        "id": mostly(SHORT), "type": mostly(SHORT), "message_id": mostly(SHORT),
        "status": mostly(st.sampled_from(sorted(WORDS))), "timestamp": mostly(SHORT),
        "workflow_id": mostly(SHORT), "tenant": mostly(st.fixed_dictionaries({"id": SHORT})),
        "recipient": mostly(
            st.fixed_dictionaries({}, optional={"external_id": SHORT, "address": SHORT})
        ),
    },
    optional={"error_code": mostly(SHORT | st.integers()), "agent_id": mostly(SHORT),
              "carrier_message_id": mostly(SHORT), "reasons": VALUE, "more": VALUE},
)  # fmt: skip


@given(st.binary(max_size=300))
@example(b'{"error_code": 18446744073709551616}')
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
def test_any_bytes_get_an_answer(value: bytes) -> None:
    found = read_event(value, golden.STATUS_MAP)
    assert found is None or isinstance(found, Event) or REASON(found)


for word in WORDS:  # the compiled reader knows only what the map was asked for before
    golden.STATUS_MAP.look_up_plain(word, None)


def agrees(value: bytes) -> None:
    exact = read_exactly(value, golden.STATUS_MAP)
    assert read_typed(value, golden.STATUS_MAP) == exact
    assert read_event(value, golden.STATUS_MAP) == exact


@settings(max_examples=600)
@given(EVENTS, st.booleans())
def test_the_short_way_agrees_with_the_long_one(event: dict[str, Any], ascii_only: bool) -> None:
    agrees(json.dumps(event, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))


@settings(max_examples=600)
@given(st.data())
def test_it_agrees_on_damaged_events_too(data: st.DataObject) -> None:
    value = bytearray(golden.raw_records(TOPIC)[data.draw(st.integers(0, 19))].value or b"")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(value) - 1))
        new = data.draw(st.sampled_from([b"", b"|", b'"', b"\\", b"\x01", b"\xff", b"\xc3\xa9",
                                         b"1e999", b"null", b"{", b"]", b",", b":", b" ", b"-0",
                                         b'"more":01,', b'"more":[{"a":1.5},true],', b'"id":"x",',
                                         b'"tenant":{},', b'"recipient":{"address":null},',
                                         b"\xed\xa0\x80"]))  # fmt: skip
        value[at : at + data.draw(st.integers(0, 2))] = new
    agrees(bytes(value))


PLAIN = (
    '{"id":"e1","type":"sms","message_id":"m1","status":"delivered","timestamp":"t","more":%s,'
    '"workflow_id":"w","tenant":{"id":"a"},"recipient":{"external_id":"c","address":"+49151234"}%s}'
)


@pytest.mark.skipif(not common.COMPILED, reason="not built: no C compiler when this was installed")
@pytest.mark.parametrize(
    ("more", "end", "taken"),
    [
        ("1", "", True), ("-0.5", "", True), ("123456789012345", "", True), ("[]", "", True),
        ('{"a":[1,{"b":null}],"c":true}', "", True), ("false", ', "agent_id" : null ', True),
        ('""', ',"error_code":""', True), ("null", ',"reasons":null', True),
        ("null", ',"id":"e2"', True), ("null", ',"recipient":{}', True),
        ("null", ',"tenant":{"id":"a","id":"b"}', True), ("null", ',"id":"%s"' % ("a" * 256), True),
        ("01", "", False), ("1.", "", False), ("1e5", "", False), ("-", "", False),
        ("1234567890123456", "", False), ("tru", "", False),
        ("nul", "", False), ("[1,]", "", False),
        ("[1", "", False), ('{"a"}', "", False), ('{"a":}', "", False), ('"\x01"', "", False),
        ('"\\n"', "", False), ('"ü"', "", False), ("[" * 17 + "]" * 17, "", False),
        ("1", "}", False),
        ("null", ',"tenant":{}', False), ("null", ',"recipient":null', False),
        ("null", ',"recipient":[]', False), ("null", ',"id":""', False), ("null", ',"id":5', False),
        ("null", ',"id":"%s"' % ("a" * 257), False), ("null", ',"agent_id":""', False),
        ("null", ',"agent_id":"call +49151234"', False), ("null", ',"reasons":[]', False),
        ("null", ',"error_code":30003', False), ("null", ',"error_code":"%s"' % ("a" * 129), False),
        ("null", ',"status":"unheard of"', False), ("null", ',"status":null', False),
        ("null", ',"error_code":"not asked before"', False),
        ("null", ',"agent_id":"+49151234"', False),
    ],
)  # fmt: skip
def test_what_the_compiled_reader_takes(more: str, end: str, taken: bool) -> None:
    answers = {"delivered": "DELIVERED", ("delivered", ""): "DELIVERED", "unheard of": None}
    value = (PLAIN % (more, end)).encode()
    found = common.read_common(value, answers, Event)
    assert (found is not NotImplemented) == taken
    if taken:
        assert found == read_exactly(value, golden.STATUS_MAP)
        for cut in range(len(value)):
            assert common.read_common(value[:cut], answers, Event) is NotImplemented


def test_nearly_all_events_take_the_short_way() -> None:
    values = [record.value for record in golden.raw_records(TOPIC)]
    before = [read_event(value, golden.STATUS_MAP) for value in values]
    read = [common.read_common(value, golden.STATUS_MAP.answers, Event) for value in values]
    known = [pair for pair in zip(read, before, strict=True) if pair[0] is not NotImplemented]
    assert all(found == answer for found, answer in known)
    if common.COMPILED:
        assert len(known) > len(values) // 2


@pytest.mark.parametrize("depth", [50, 199, 201, 390, 399, 400, 401, 1000, 1023, 1025, 5000])
@pytest.mark.parametrize("inner", [b"1", b"1e999"])
def test_it_agrees_at_every_depth(depth: int, inner: bytes) -> None:
    good = (golden.raw_records(TOPIC)[0].value or b"").rstrip()[:-1]
    agrees(good + b',"more":' + b"[" * depth + inner + b"]" * depth + b"}")


@settings(max_examples=400)
@given(EVENTS, st.booleans())
def test_what_is_archived_parses_and_nothing_fails_unexpectedly(
    event: dict[str, Any], ascii_only: bool
) -> None:
    value = json.dumps(event, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    key = str(event["message_id"]).encode("utf-8", "surrogatepass")
    record = golden.Raw(41, golden.FIRST_MS, key, value)
    judge = Judge(TOPIC, golden.STATUS_MAP, golden.sealer(TOPIC), {}.get)
    chunk, used = judge.judge([record], 41, 42, 10)
    assert used == 1
    for reason, _ in chunk.quarantined:
        assert REASON(reason)
    for line in chunk.lines:
        pub = parse_record(line[:-1], "line").pub
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert pub["message_uuid"] == event["message_id"]
        assert pub["source"].endswith("/0/41")
        for personal in event["recipient"].values():
            if isinstance(personal, str) and len(personal) >= 5:
                assert not any(personal in text for text in from_event(pub))
    assert golden.letters(chunk) == ("a" if chunk.lines else "q" if chunk.quarantined else "i")


def from_event(pub: Any) -> list[str]:
    """The clear fields that a platform fills."""
    names = ("audit_id", "carrier_error_code", "carrier_message_id", "carrier_receipt_timestamp",
             "carrier_status", "communication_type", "message_uuid", "originating_agent_id",
             "originating_workflow_id", "platform_tenant_id")  # fmt: skip
    return [pub[name] for name in names if pub[name] is not None]


@pytest.mark.parametrize("word", sorted(WORDS))
@given(data=st.data())
def test_a_status_is_read_in_any_case_and_with_any_separators(
    word: str, data: st.DataObject
) -> None:
    spelled = "".join(
        data.draw(st.sampled_from(["", "_", "-", " ", ".", "__"]))
        + data.draw(st.sampled_from([letter, letter.upper()]))
        for letter in word
    )
    assert golden.STATUS_MAP.look_up(spelled, {}) == WORDS[word]
