"""Whatever is changed in a bundle is found, or README.txt says that nothing vouches for it."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from audit_stream.bundle.build import build_bundle
from audit_stream.bundle.facts import BundleFacts
from tests.support import bundles, tampering
from tests.support.strangers import strangers


@pytest.fixture(scope="module")
def good(facts: BundleFacts) -> bytes:
    return build_bundle(facts)


def wrong(found: Iterator[tampering.Tampered], least: int) -> list[str]:
    """Labels of those that got a verdict they may not get."""
    all_of_them = list(found)
    assert len(all_of_them) >= least
    judged = [(each, tampering.judged(each.data, bundles.POLICY).verdict) for each in all_of_them]
    return [f"{each.label}: {verdict}" for each, verdict in judged if verdict not in each.may]


def test_what_the_manifest_and_the_zip_tell(good: bytes) -> None:
    assert wrong(tampering.clumsy(good, random.Random(5), flips=60), least=180) == []


def test_what_only_the_proofs_tell(good: bytes) -> None:
    assert wrong(tampering.knowing(good, random.Random(6), flips=4), least=400) == []


def test_what_a_stranger_signs(good: bytes) -> None:
    assert wrong(strangers(good), least=4) == []


def test_a_good_bundle_raises_no_alarm(good: bytes) -> None:
    assert tampering.judged(good, bundles.POLICY).verdict == "WITNESSED"
    assert tampering.judged(tampering.remade(tampering.unpack(good)), bundles.POLICY).verdict == (
        "WITNESSED"
    )
