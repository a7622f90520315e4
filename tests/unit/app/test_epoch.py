"""The epoch an archive has reached, whoever signed what stands at its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_stream.app.epoch import ArchiveEpoch, archive_epoch
from audit_stream.errors import KeyringError
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.register import Register
from audit_stream.evidence.segment import encode
from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.stores.memory import MemoryWormStore
from tests.support.chains import NAME, SIGNER, TRUSTED, ChainMaker, stream_of
from tests.support.registers import put, put_certificates, redaction

NEXT = LineSigner(b"\x12" * 32)


@pytest.fixture
async def chain() -> ChainMaker:
    maker = ChainMaker(MemoryWormStore(), stream_of("t"))
    await maker.found()
    return maker


async def test_an_archive_without_segments_has_none(chain: ChainMaker) -> None:
    assert await archive_epoch(MemoryWormStore(), TRUSTED, NAME) == ArchiveEpoch(0, 0)
    assert await archive_epoch(chain.store, TRUSTED, NAME) == ArchiveEpoch(0, 0)


async def test_the_highest_of_all_partitions_and_topics_counts(chain: ChainMaker) -> None:
    await chain.add(0, key_epoch=2)
    await chain.add(1, key_epoch=3)
    await chain.add(0, key_epoch=2)
    assert await archive_epoch(chain.store, TRUSTED, NAME) == ArchiveEpoch(3, 3)
    other = ChainMaker(chain.store, stream_of("a"))
    await other.found()
    await other.add(1, key_epoch=4)
    assert await archive_epoch(chain.store, TRUSTED, NAME) == ArchiveEpoch(4, 4)


async def test_a_generation_that_has_begun_and_is_empty_hides_nothing(chain: ChainMaker) -> None:
    await chain.add(0, key_epoch=3)
    await ChainMaker(chain.store, stream_of("t", generation=2)).found()
    assert await archive_epoch(chain.store, TRUSTED, NAME) == ArchiveEpoch(3, 3)


async def test_what_a_successor_signed_is_claimed_and_not_proven(chain: ChainMaker) -> None:
    await chain.add(0, key_epoch=1)
    chain.signer = NEXT
    await chain.add(0, key_epoch=5)
    await chain.add(0, key_epoch=6)
    assert await archive_epoch(chain.store, TRUSTED, NAME) == ArchiveEpoch(1, 6)
    both = TrustedKeys(SIGNER.public, NEXT.public)
    assert await archive_epoch(chain.store, both, NAME) == ArchiveEpoch(6, 6)


async def test_junk_hides_nothing_and_claims_nothing(chain: ChainMaker) -> None:
    await chain.add(0, key_epoch=1)
    for attempt in range(2):
        await chain.store.put_if_absent(str(SegmentName("t", 1, 0, 10, attempt)), b"junk", {})
    assert await archive_epoch(chain.store, TRUSTED, NAME) == ArchiveEpoch(1, 1)
    header = replace(chain.header(0, 10), key_epoch=2)
    behind = encode(header.line(), SIGNER.signature_line(header.line()), b"")
    await chain.store.put_if_absent(str(SegmentName("t", 1, 0, 10, 2)), behind, {})
    assert await archive_epoch(chain.store, TRUSTED, NAME) == ArchiveEpoch(2, 2)


async def test_a_claim_behind_junk_is_heard(chain: ChainMaker) -> None:
    await chain.add(0, key_epoch=1)
    await chain.store.put_if_absent(str(SegmentName("t", 1, 0, 10)), b"junk", {})
    header = replace(chain.header(0, 10), key_epoch=2, kid=NEXT.kid)
    behind = encode(header.line(), NEXT.signature_line(header.line()), b"")
    await chain.store.put_if_absent(str(SegmentName("t", 1, 0, 10, 1)), behind, {})
    assert await archive_epoch(chain.store, TRUSTED, NAME) == ArchiveEpoch(1, 2)


async def test_an_archive_founded_under_other_keys_is_said(chain: ChainMaker) -> None:
    with pytest.raises(KeyringError, match="not founded under this keyring"):
        await archive_epoch(chain.store, TrustedKeys(NEXT.public), NAME)


async def test_a_certificate_proves_its_epoch_before_any_segment_has_it(chain: ChainMaker) -> None:
    await chain.add(0, key_epoch=1)
    await put_certificates(chain.store, 3)
    assert await archive_epoch(chain.store, TRUSTED, NAME) == ArchiveEpoch(3, 3)
    await put(chain.store, Register.REDACTIONS, redaction(3).said(), signer=NEXT)
    assert await archive_epoch(chain.store, TRUSTED, NAME) == ArchiveEpoch(3, 4)
    await chain.add(0, key_epoch=5)
    assert await archive_epoch(chain.store, TRUSTED, NAME) == ArchiveEpoch(5, 5)
