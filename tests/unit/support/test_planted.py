"""The finder finds planted persons in every spelling it claims to know, and nobody elsewhere."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import zipfile
import zlib

import pytest

from tests.support.planted import Person, persons_in, spellings_in
from tests.support.planted_events import encoded, escaped, event

PERSONS = [Person(1), Person(2), Person(3)]
AROUND = [("", ""), ("x", ""), ("xy", "z"), ('{"a":"', '"}')]


def zipped(data: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", data)
    return held.getvalue()


SPELLINGS = {
    "utf-8": str.encode,
    "upper case": lambda text: text.upper().encode(),
    "json": lambda text: json.dumps(text).encode(),
    "url": lambda text: escaped(text).encode(),
    "url, all of it": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()).encode(),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "hex": lambda text: text.encode().hex().encode(),
    "HEX": lambda text: text.encode().hex().upper().encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64 without padding": lambda text: base64.urlsafe_b64encode(text.encode()).rstrip(b"="),
    "repr of bytes": lambda text: repr(text.encode()).encode(),
    "gzip": lambda text: gzip.compress(text.encode()),
    "zlib": lambda text: zlib.compress(text.encode()),
    "zip": lambda text: zipped(text.encode()),
    "base64 of gzip": lambda text: base64.b64encode(gzip.compress(text.encode())),
    "gzip of base64": lambda text: gzip.compress(base64.urlsafe_b64encode(text.encode())),
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("person", PERSONS, ids=lambda person: str(person.number))
def test_an_identity_is_found(person: Person, spelling: str, around: tuple[str, str]) -> None:
    for identity in person.identities:
        assert spellings_in(SPELLINGS[spelling](around[0] + identity + around[1])), identity


@pytest.mark.parametrize("spelling", ["utf-8", "base64", "gzip", "zip", "base64 of gzip"])
def test_it_is_told_whose(spelling: str) -> None:
    text = "".join(PERSONS[0].identities) + " " + PERSONS[2].customer
    assert persons_in(SPELLINGS[spelling](text)) == {1, 3}


def test_an_event_of_a_person_names_that_person_alone() -> None:
    assert persons_in(encoded(event(Person(7), "message"))) == {7}


def test_nobody_is_found_in_noise() -> None:
    noise = os.urandom(1 << 20)
    for data in (noise, noise.hex().encode(), base64.b64encode(noise)):
        assert spellings_in(data) == set()
