"""Keys that are let go of are overwritten, and what is still used is not."""

from __future__ import annotations

import os

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


def test_a_deriver_forgets_and_derives_anew() -> None:
    deriver = KeyDeriver(golden.KEYRING, golden.COVER, STREAM)
    subjects = [(TENANT, "external", f"CUST_{number}") for number in range(50)]
    held = [deriver.keys(subject, YEAR) for subject in subjects]
    secrets = {copy_of(each.enc)[::-1] for each in held if each is not None}  # reversed: not these
    assert len(secrets) == 50
    deriver.wipe()
    assert all(each is not None and each.enc == each.mac == bytes(32) for each in held)
    del held
    again = {each.enc[::-1] for s in subjects if (each := deriver.keys(s, YEAR)) is not None}
    assert again == secrets
