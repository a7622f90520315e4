"""Spellings of one person: what officers type and what platforms sent, and never too many."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.erasure.variants import AS_TYPED, LIMIT, variants

_phones = st.from_regex(r"(\+|00)?[1-9][0-9 ./()-]{5,20}", fullmatch=True)
_emails = st.emails() | st.from_regex(r"\w{1,5}@(xn--)?[\w-]{1,9}\.\w{2,4}", fullmatch=True)
_ids = st.from_regex(r"[A-Za-z_-]{0,6}[0-9]{1,20}", fullmatch=True)
typed = st.text() | _phones | _emails | _ids


def reasons(text: str) -> dict[str, str]:
    return {each.text: each.reason for each in variants(text)}


@pytest.mark.parametrize(
    ("text", "stored", "reason"),
    [
        ("CUST_99281", "cust_99281", "case"),
        ("cust_99281", "CUST_99281", "case"),
        ("cust-a", "Cust-A", "case"),
        (" CUST_99281\n", "CUST_99281", "white space"),
        ("CUST 99281", "CUST99281", "white space"),
        ("CUST\u00a0 99281", "CUST 99281", "white space"),
        ("CUST_99281", "CUST_99281 ", "white space"),
        ("\u200eCUST_99281\u200f", "CUST_99281", "invisible characters"),
        ("Mu\u0308ller", "Müller", "Unicode form"),
        ("Müller", "Mu\u0308ller", "Unicode form"),
        ("\uff23\uff35\uff33\uff34", "CUST", "Unicode form"),
        ("00042", "42", "leading zeros"),
        ("42", "042", "leading zeros"),
        ("CUST-42", "CUST-00000042", "leading zeros"),
        ("whatsapp:+4915112345678", "+4915112345678", "prefix"),
        ("WhatsApp: CUST", "CUST", "prefix"),
        ("+4915112345678", "whatsapp:+4915112345678", "phone form"),
        ("+4915112345678", "004915112345678", "phone form"),
        ("004915112345678", "+4915112345678", "phone form"),
        ("+49 (0) 151 / 123-45.678", "+4915112345678", "phone form"),
        ("tel:+49-151-12345678", "4915112345678", "phone form"),
        ("4915112345678", "tel:+4915112345678", "phone form"),
        ("+4915112345678", "015112345678", "phone form"),
        ("+4915112345678", "+49 151 12345678", "phone form"),
        ("+4915112345678", "0151/12345678", "phone form"),
        ("+15550100123", "+1 555 0100123", "phone form"),
        ("+351212345678", "+351 212345678", "phone form"),
        ("+77012345678", "+7 701 2345678", "phone form"),
        ("0151 12345678", "015112345678", "white space"),
        ("0151/12345678", "015112345678", "phone form"),
        ("Max.Muster@Example.COM", "Max.Muster@example.com", "e-mail form"),
        ("max@example.com", "MAX@EXAMPLE.COM", "case"),
        ("Max@example.com", "mailto:Max@example.com", "e-mail form"),
        ("mailto:max@example.com", "max@example.com", "prefix"),
        ('"Muster, Max" <max@example.com>', "max@example.com", "e-mail form"),
        ("max@bücher.example", "max@xn--bcher-kva.example", "e-mail form"),
        ("max@xn--bcher-kva.example", "max@bücher.example", "e-mail form"),
        ("max@straße.example", "max@strasse.example", "case"),
        ("max@straße.example", "max@xn--strae-oqa.example", "e-mail form"),
        (" Cust-0042", "cust-42", "white space, case, leading zeros"),
        (" Whatsapp:+49 151 12345678", "whatsapp:+4915112345678", "phone form"),
        ("MAX <MAX@BÜCHER.EXAMPLE>", "max@xn--bcher-kva.example", "e-mail form"),
    ],
)
def test_a_person_stored_in_another_spelling_is_asked_for(
    text: str, stored: str, reason: str
) -> None:
    found = reasons(text)
    assert stored in found
    assert set(found[stored].split(", ")) <= set(reason.split(", "))


@pytest.mark.parametrize(
    ("text", "another"),
    [
        ("0151 12345678", "+15112345678"),  # a number of another country
        ("015112345678", "+15112345678"),
        ("CUST_99281", "CUST_9928"),
        ("12345", "+12345"),  # too short for a phone number
        ("max@example.com", "max"),
    ],
)
def test_who_is_surely_another_is_not_asked_for(text: str, another: str) -> None:
    assert another not in reasons(text)


@pytest.mark.parametrize(
    "text", ["", " ", "\n", "+", "@", "<>", "xn--@xn--.xn--", "a@xn--99999999"]
)
def test_what_is_no_id_does_no_harm(text: str) -> None:
    assert variants(text)[0] == (text, AS_TYPED)


@given(typed)
def test_the_typed_one_is_first_each_is_there_once_and_they_are_bounded(text: str) -> None:
    found = variants(text)
    assert found[0] == (text, AS_TYPED)
    assert len({each.text for each in found}) == len(found) <= LIMIT
    assert all(each.reason and each.text.strip() for each in found[1:])
    assert variants(text) == found


@given(typed, st.data())
def test_a_variant_has_no_more_of_them(text: str, data: st.DataObject) -> None:
    each = data.draw(st.sampled_from(variants(text)))
    again = variants(each.text)
    assert again[0].text == each.text
    assert len(again) <= LIMIT


@given(st.text(min_size=1))
def test_case_space_and_unicode_go_both_ways(text: str) -> None:
    found = reasons(text)
    for other in (text.lower(), text.upper(), " ".join(text.split()),
                  unicodedata.normalize("NFC", text)):  # fmt: skip
        assert other in found or not other.strip()


def test_the_fewest_changes_come_first() -> None:
    found = [each.text for each in variants(" Max@Example.com")]
    order = [" Max@Example.com", "Max@Example.com", "max@example.com", "mailto:max@example.com"]
    assert [each for each in found if each in order] == order


def test_the_most_there_can_be_is_the_limit() -> None:
    assert len(variants("whatsapp:+4915112345678")) == LIMIT
