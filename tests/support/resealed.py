"""Archives changed and signed again: what an insider with the segment key could write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

from audit_stream.evidence.ending import Ending
from audit_stream.evidence.layout import SegmentName, parse_segment_name, stream_name
from audit_stream.evidence.segment import Segment, decode, encode
from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.evidence.stream_object import StreamObject, decode_stream
from audit_stream.evidence.tree import leaf_hash, root_hash
from audit_stream.verify.archive import ArchiveVerifier
from audit_stream.verify.part import Part
from audit_stream.verify.report import Report
from tests.support import golden

MESSAGES = "outbound_message_status_update"
EMAIL = "outbound_email_status_update"
OBJECTS = golden.archive_objects()
SIGNER = LineSigner(golden.KEYRING.segment_key or b"")
_PUB = b',"pub":'


def verified(
    objects: dict[str, bytes], keys: TrustedKeys | None = None, part: Part | None = None
) -> Report:
    verifier = ArchiveVerifier(objects, objects.get, keys or golden.trusted(), part)
    for _ in verifier.run():
        pass
    return verifier.report


def steps(objects: dict[str, bytes]) -> list[str]:
    return [problem.step for problem in verified(objects).problems]


def name(topic: str, base: int, attempt: int = 0, generation: int = 1) -> str:
    return str(SegmentName(topic, generation, 0, base, attempt))


def only(*topics: str) -> dict[str, bytes]:
    return {n: d for n, d in OBJECTS.items() if any(f"/{topic}/" in n for topic in topics)}


def rehashed(line: bytes) -> bytes:
    """The record line with the integrity hash its `pub` has."""
    start = line.index(_PUB) + len(_PUB)
    hashed = sha256(line[start:-1]).hexdigest().encode()
    return b'{"integrity_hash":"sha256:' + hashed + line[90:]


def resigned(
    data: bytes, lines: list[bytes] | None = None, signer: LineSigner = SIGNER, **changes: object
) -> bytes:
    """The segment with other header members, or other lines and a header that fits them."""
    segment = decode(data, "x")
    body = segment.body
    if lines is not None:
        body = b"".join(line + b"\n" for line in lines)
        hashes = [bytes.fromhex(line[26:90].decode()) for line in lines]
        root = root_hash([leaf_hash(item) for item in hashes]).hex()
        changes = {"body": sha256(body).hexdigest(), "root": root} | changes
    line = replace(segment.header, **changes).line()  # type: ignore[arg-type]
    return encode(line, signer.signature_line(line), body)


def edited(
    data: bytes, index: int, *swaps: tuple[bytes, bytes], signer: LineSigner = SIGNER
) -> bytes:
    """The segment with one record line changed, its hash and the header made to fit."""
    lines = decode(data, "x").record_lines()
    for old, new in swaps:
        assert old in lines[index]
        lines[index] = lines[index].replace(old, new)
    lines[index] = rehashed(lines[index])
    return resigned(data, lines, signer)


def relinked(objects: dict[str, bytes], signer: LineSigner = SIGNER) -> dict[str, bytes]:
    """With every `prev` and `seq` made to fit, for each place one chain."""
    result = dict(objects)
    before: dict[tuple[str, int, int], Segment] = {}
    names = filter(None, map(parse_segment_name, objects))
    for segment_name in sorted(names):
        place = (segment_name.topic, segment_name.generation, segment_name.partition)
        previous = before.get(place)
        prev = previous.leaf.hex() if previous else None
        seq = previous.header.seq + 1 if previous else 0
        data = resigned(objects[str(segment_name)], signer=signer, prev=prev, seq=seq)
        result[str(segment_name)] = data
        before[place] = decode(data, "x")
    return result


def stream_of(topic: str) -> StreamObject:
    found = stream_name(topic, 1)
    return decode_stream(OBJECTS[found], found, golden.trusted())


def end_of(objects: dict[str, bytes], topic: str, generation: int = 1) -> dict[str, object]:
    """What `ended` of the next generation has to say of partition 0."""
    folder = f"segments/{topic}/{generation:05d}/"
    last = decode(objects[max(n for n in objects if n.startswith(folder))], "x")
    return {"leaf": last.leaf.hex(), "next": last.header.next, "partition": 0}


def second_generation(
    topic: str, change: Callable[[StreamObject], StreamObject] = lambda stream: stream,
    *, closed: bool = True,
) -> dict[str, bytes]:  # fmt: skip
    """The topic with the same segments again in generation 2; `change` edits its stream object.
    `closed`: with the end of generation 1."""
    objects = only(topic)
    stream = replace(
        stream_of(topic), generation=2, stream="2" * 32, ended=[end_of(objects, topic)]
    )
    ending = ending_of(objects, topic)
    end = {name(topic, ending.base): ending.encode(SIGNER)} if closed else {}
    result = objects | end | {stream_name(topic, 2): change(stream).encode(SIGNER)}
    again: dict[str, bytes] = {}
    for old in (n for n in objects if n.startswith("segments/")):
        lines = [
            rehashed(line.replace(f"{topic}/1/0/".encode(), f"{topic}/2/0/".encode()))
            for line in decode(objects[old], old).record_lines()
        ]
        new = resigned(objects[old], lines, generation=2, stream=stream.stream)
        again[old.replace("/00001/", "/00002/", 1)] = new
    return result | relinked(again)


def ending_of(objects: dict[str, bytes], topic: str, generation: int = 1) -> Ending:
    """What closes partition 0 of a generation behind its last segment."""
    folder = f"segments/{topic}/{generation:05d}/"
    last = decode(objects[max(n for n in objects if n.startswith(folder))], "x")
    header = last.header
    return Ending(
        archive=header.archive, base=header.next, ended_at="2026-11-25T01:00:00.000Z",
        generation=generation, last=header.base, partition=0, prev=last.leaf.hex(),
        seq=header.seq + 1, stream=header.stream, topic=topic, void=[],
    )  # fmt: skip
