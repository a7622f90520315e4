"""Whether a raw topic is the one that was archived, by its last record's time."""

from __future__ import annotations

import pytest

from audit_stream.archive.chain import Chain
from audit_stream.errors import TopicError
from audit_stream.evidence.segment import decode
from audit_stream.seal.builder import Link, Origin, SegmentBuilder
from audit_stream.seal.judge import Judge
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stream.resync import check_same_topic
from tests.support import golden
from tests.support.golden import FIRST_MS, Raw
from tests.support.resealed import SIGNER, stream_of

TOPIC = golden.TOPICS[0]
STREAM = stream_of(TOPIC)


@pytest.mark.parametrize("stamp", [FIRST_MS, 2**53, FIRST_MS * 10**6])
async def test_a_time_that_no_header_can_hold_is_no_sign_of_another_topic(stamp: int) -> None:
    chunk, _ = Judge(STREAM.stream, golden.STATUS_MAP, golden.sealer(TOPIC), {}.get).judge(
        [Raw(0, stamp, None, b"?", [])], 0, 1, 10
    )
    builder = SegmentBuilder(0, bytes(32))
    builder.add(chunk, 0)
    origin = Origin(archive=STREAM.archive, assurance="mutable", writer="w", status_map="0" * 64,
                    key_epoch=1, raw_key=bytes(32))  # fmt: skip
    sealed = builder.seal(Link(next=0, seq=0, leaf=None), STREAM, 0, origin, SIGNER, FIRST_MS)
    chain = Chain(MemoryWormStore(), golden.trusted(), STREAM, 0)
    broker = {0: stamp}

    async def timestamp_at(topic: str, partition: int, offset: int) -> int | None:
        return broker[offset]

    last = decode(sealed.data, "it")
    await check_same_topic(sealed.link, last, 1, chain, timestamp_at)
    broker[0] = FIRST_MS + 1
    with pytest.raises(TopicError, match="recreated"):
        await check_same_topic(sealed.link, last, 1, chain, timestamp_at)
