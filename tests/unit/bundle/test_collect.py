"""Facts gathered from an archive: what was tampered with is not exported."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_stream.bundle.anchors import held_anchors
from audit_stream.bundle.collect import Wanted, collect
from audit_stream.bundle.facts import BundleFacts
from audit_stream.errors import FormatError
from audit_stream.evidence import layout
from audit_stream.evidence.segment import decode, encode
from audit_stream.evidence.signing import LineSigner, encode_signature
from audit_stream.ports import WormStore
from audit_stream.stores.memory import MemoryWormStore
from tests.support import bundles


async def copied(archive: bundles.Archive, name: str = "", data: bytes = b"") -> WormStore:
    """The archive in another store, with other bytes under `name`: none is without it."""
    store = MemoryWormStore()
    for each in await archive.store.names(""):
        stored = data if each == name else await archive.store.get(each)
        if stored:
            await store.put_if_absent(each, stored, {})
    return store


async def gathered(archive: bundles.Archive, store: WormStore, *wanted: Wanted) -> BundleFacts:
    return await collect(
        store, archive.log, archive.heads[-1], wanted, disclose=bundles.disclosures,
        custody=bundles.CUSTODY, segment_keys=[bundles.SEGMENT_SIGNER.public],
        anchors=await held_anchors(store, archive.heads[-1]),
    )  # fmt: skip


async def test_what_is_missing_or_changed_is_refused(archive: bundles.Archive) -> None:
    wanted = (await bundles.wanted(archive, 1))[0]
    whole = await gathered(archive, await copied(archive), wanted)
    assert [each.index for each in whole.records] == list(wanted.records)
    assert whole.anchors.keys() == {"auditor.note"}
    for name in (wanted.segment, "streams/outbound_message_status_update/00001.json"):
        with pytest.raises(FormatError, match="does not have"):
            await gathered(archive, await copied(archive, name), wanted)
    segment = decode(await archive.store.get(wanted.segment) or b"", "it")
    line, signer = segment.header_line, bundles.SEGMENT_SIGNER
    fewer = segment.body.partition(b"\n")[2]
    spoilt = encode(line, signer.signature_line(line), fewer)
    with pytest.raises(FormatError, match="does not hold the records"):
        await gathered(archive, await copied(archive, wanted.segment, spoilt), wanted)
    other = line.replace(b'"mutable"', b'"worm_locked"')
    forged = encode(other, LineSigner(b"\x11" * 32).signature_line(other), segment.body)
    with pytest.raises(FormatError, match="not what the archive log has"):
        await gathered(archive, await copied(archive, wanted.segment, forged), wanted)
    misplaced = replace(wanted, log_index=wanted.log_index + 1)
    with pytest.raises(FormatError, match="not what the archive log has"):
        await gathered(archive, await copied(archive), misplaced)


async def test_what_no_root_covers_is_refused_too(archive: bundles.Archive) -> None:
    """A signature, the encrypted fields, the stream object, the status map."""
    wanted = (await bundles.wanted(archive, 1))[0]
    segment = decode(await archive.store.get(wanted.segment) or b"", "it")
    line, signature = segment.header_line, encode_signature(segment.signature)
    forged = encode(line, LineSigner(b"\x11" * 32).signature_line(line), segment.body)
    with pytest.raises(FormatError, match="not signed by a trusted key"):
        await gathered(archive, await copied(archive, wanted.segment, forged), wanted)
    start = segment.body.index(b'"pii":"') + len(b'"pii":"')
    pii = segment.body[start : start + 4]
    body = segment.body.replace(pii, b"AAAA" if pii != b"AAAA" else b"BBBB", 1)
    spoilt = encode(line, signature, body)
    with pytest.raises(FormatError, match="does not hold the records"):
        await gathered(archive, await copied(archive, wanted.segment, spoilt), wanted)
    stream = layout.stream_name(segment.header.topic, 1)
    other = bundles.stream_of(segment.header.topic).encode(LineSigner(b"\x11" * 32))
    with pytest.raises(FormatError, match="not the signature of a trusted key"):
        await gathered(archive, await copied(archive, stream, other), wanted)
    name = layout.map_name(segment.header.status_map)
    with pytest.raises(FormatError, match="has another hash"):
        await gathered(archive, await copied(archive, name, b"{}"), wanted)
