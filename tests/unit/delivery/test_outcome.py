"""What a receiver's answer means: the table of `delivery.outcome`, and what it never says."""

import string

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.delivery.outcome import (
    MOST_ANSWER,
    MOST_WAIT,
    Answer,
    Pending,
    Stored,
    polled,
    posted,
    readable,
    retry_after,
)
from audit_stream.errors import StoreError, StoreRefused, StoreTransient
from audit_stream.ports import Rejected

URL = "https://siem.example/api/v1/compliance/notifications"
PLACE = "https://siem.example/jobs/7"
NOW = 1_733_047_800.0  # 2024-12-01T10:10:00Z
STATUSES = st.integers(100, 599)


def post(status, body=b"", synchronous=False, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = Answer(status=status, headers=named, body=body)
    return posted(answer, URL, synchronous=synchronous, now=NOW)


def poll(status, body=b"", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return polled(Answer(status=status, headers=named, body=body), PLACE, NOW)


@pytest.mark.parametrize("status", [200, 201])
def test_a_plain_yes_is_believed_of_a_synchronous_endpoint_alone(status):
    assert post(status, synchronous=True, location="/n/1?token=x") == Stored(f"HTTP {status}, /n/1")
    with pytest.raises(StoreRefused, match="AUDIT_DELIVERY_SYNCHRONOUS"):
        post(status)


@pytest.mark.parametrize("synchronous", [False, True])
def test_202_is_asked_again_at_its_location(synchronous):
    found = post(202, location="../../../jobs/7", synchronous=synchronous, retry_after="3")
    assert found == Pending("https://siem.example/jobs/7", 3.0)
    assert post(202, location=PLACE) == Pending(PLACE, None)
    assert post(202, location="HTTPS://SIEM.example:443/jobs/7").location.endswith("/jobs/7")


@pytest.mark.parametrize(
    "place",
    [
        "https://other.example/jobs/7",
        "http://siem.example/jobs/7",
        "https://siem.example:8443/jobs/7",
        "//other.example/jobs/7",
        "https://siem.example@other.example/jobs/7",
        "https://user:pass@siem.example/jobs/7",
        "https://siem.example.other.example/",
        "ftp://siem.example/jobs/7",
        "https://[broken/",
        "",
    ],
)
def test_a_location_that_is_not_the_receivers_gets_no_token(place):
    with pytest.raises(StoreRefused):
        post(202, location=place)


def test_a_202_without_location_is_said():
    with pytest.raises(StoreRefused, match="202 without Location"):
        post(202)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_what_may_pass_is_tried_again_when_the_receiver_says(status):
    with pytest.raises(StoreTransient) as error:
        post(status, retry_after="17", synchronous=True)
    assert error.value.retry_after == 17.0
    assert poll(status, retry_after="17") == Pending(PLACE, 17.0)


@pytest.mark.parametrize("status", [401, 403, 407])
def test_credentials_are_no_fault_of_the_record(status):
    for ask in (post, poll):
        with pytest.raises(StoreRefused, match=str(status)):
            ask(status)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_post_is_never_redirected(status):
    with pytest.raises(StoreRefused, match="not followed"):
        post(status, location="https://other.example/", synchronous=True)


@pytest.mark.parametrize("status", [400, 404, 405, 409, 410, 413, 415, 418, 422, 451])
def test_any_other_no_is_about_the_record(status):
    assert post(status, b"no\x00such\nfield") == Rejected(status=status, answer="no such field")


@given(STATUSES, st.binary(max_size=50), st.booleans(), st.none() | st.just("/jobs/7"))
def test_nothing_but_a_synchronous_yes_is_stored_at_once(status, body, synchronous, place):
    headers = {} if place is None else {"location": place}
    try:
        found = post(status, body, synchronous, **headers)
    except StoreError:
        return
    if isinstance(found, Stored):
        assert synchronous
        assert status in (200, 201)
    elif isinstance(found, Pending):
        assert (status, place) == (202, "/jobs/7")
    else:
        assert 400 <= status < 500
        assert status not in (401, 403, 407, 408, 425, 429)


@pytest.mark.parametrize("word", ["stored", "completed", "succeeded", "Stored"])
def test_a_status_that_is_stored(word):
    found = poll(200, orjson.dumps({"status": word, "id": 7}))
    assert found == Stored(f"HTTP 200, {word.lower()}, /jobs/7")
    assert isinstance(poll(204), Stored)
    assert isinstance(poll(200), Stored)
    assert poll(303, location="/n/7") == Stored("HTTP 303, /n/7")


@pytest.mark.parametrize("word", ["pending", "running"])
def test_a_status_that_is_pending(word):
    assert poll(200, orjson.dumps({"status": word}), retry_after="2") == Pending(PLACE, 2.0)
    assert poll(202) == Pending(PLACE)


@pytest.mark.parametrize("word", ["failed", "rejected"])
def test_a_status_that_failed(word):
    body = orjson.dumps({"status": word, "why": "schema"})
    assert poll(200, body) == Rejected(status=200, answer=body.decode())


@given(
    st.sampled_from([200, 201]),
    st.text(string.ascii_lowercase, min_size=1).map(lambda w: orjson.dumps({"status": w}))
    | st.sampled_from([b"<html>sign in</html>", b"{}", b"[]", b"null", b'"stored"', b"stored",
                       b'{"status":null}', b'{"state":"stored"}', b'{"status":"stored"'])
    | st.binary(min_size=1, max_size=20),
)  # fmt: skip
def test_a_status_of_unknown_words_is_not_stored(status, body):
    try:
        word = orjson.loads(body)["status"].lower()
    except (AttributeError, KeyError, TypeError, IndexError, orjson.JSONDecodeError):
        word = ""
    try:
        found = poll(status, body)
    except StoreRefused:
        found = None
    assert isinstance(found, Stored) == (word in ("stored", "completed", "succeeded"))


@pytest.mark.parametrize("status", [404, 410])
def test_a_receiver_that_forgot_gets_the_post_again(status):
    with pytest.raises(StoreTransient, match="forgotten"):
        poll(status)


@pytest.mark.parametrize("status", [301, 302, 307, 400, 405, 409, 422])
def test_an_odd_answer_about_a_status_is_said(status):
    with pytest.raises(StoreRefused):
        poll(status, location="/elsewhere")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("Sun, 01 Dec 2024 10:10:30 GMT", 30.0),
        ("Sun, 01 Dec 2024 10:00:00 GMT", 0.0),
        ("999999999999", MOST_WAIT),
        ("Sun, 01 Dec 2124 10:10:30 GMT", MOST_WAIT),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("Sun, 99 Dec 2024 10:10:30 GMT", None),
    ],
)
def test_retry_after_in_both_its_forms(text, seconds):
    assert retry_after(Answer(status=429, headers={"retry-after": text}), NOW) == seconds


@given(st.text())
def test_retry_after_never_waits_backwards_or_for_ever(text):
    found = retry_after(Answer(status=429, headers={"retry-after": text}), NOW)
    assert found is None or 0 <= found <= MOST_WAIT


@given(st.binary(max_size=3 * MOST_ANSWER))
def test_an_answer_is_kept_as_one_short_line(body):
    text = readable(body)
    assert len(text) <= MOST_ANSWER
    assert text.isprintable()
