"""Keys that are let go of are overwritten, and what is still used is not."""

from __future__ import annotations

import os
import weakref

import pytest

from audit_stream.privacy.subjects import KeyDeriver
from audit_stream.privacy.wiping import wipe
from tests.support import golden

STREAM = bytes(16)
YEAR = min(golden.KEYRING.years)
TENANT = "tenant_wiped"


def copy_of(data: bytes) -> bytes:
    """Another object with the same content."""
    return bytes(bytearray(data))


def test_content_is_overwritten_in_place() -> None:
    secret = os.urandom(32)
    before = copy_of(secret)
    same = secret
    wipe(secret)
    assert same == bytes(32) != before
    wipe(b"")


def test_a_deriver_forgets_and_fails_whoever_goes_on_with_it() -> None:
    """It must not say of everybody that they were erased, nor derive them anew."""
    cover = memoryview(golden.COVER)
    deriver, there = KeyDeriver(golden.KEYRING, cover, STREAM), weakref.ref(cover)
    subjects = [(TENANT, "external", f"CUST_{number}") for number in range(50)]
    held = [deriver.keys(subject, YEAR) for subject in subjects]
    secrets = {copy_of(each.enc)[::-1] for each in held if each is not None}  # reversed: not these
    assert len(secrets) == 50
    deriver.wipe()
    assert all(each is not None and each.enc == each.mac == bytes(32) for each in held)
    del cover
    assert there() is None
    with pytest.raises(AttributeError):
        deriver.keys(subjects[0], YEAR)
