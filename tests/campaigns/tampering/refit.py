"""What an insider makes fit once something was changed: chains, roots, hashes, the whole log."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from audit_stream.errors import FormatError
from audit_stream.evidence.access import JournalPart, decode_part
from audit_stream.evidence.batch import Batch, Leaf
from audit_stream.evidence.canonical import canonical, parse_line
from audit_stream.evidence.checkpoint import Checkpoint
from audit_stream.evidence.ending import End, decode_link
from audit_stream.evidence.layout import parse_segment_name, stream_name
from audit_stream.evidence.log_names import (
    TILE_WIDTH,
    batch_name,
    parse_access_name,
    parse_batch_name,
    tile_name,
)
from audit_stream.evidence.log_tree import Frontier
from audit_stream.evidence.note import NoteSigner
from audit_stream.evidence.register import decode_entry
from audit_stream.evidence.segment import decode, encode, inflate
from audit_stream.evidence.signing import LineSigner
from audit_stream.evidence.stream_object import decode_stream
from audit_stream.evidence.tree import leaf_hash, root_hash
from tests.campaigns.tampering.scene import LOG, Objects
from tests.support import golden
from tests.support.resealed import SIGNER


def signature_line(data: bytes) -> bytes:
    """Line 2 of a segment or end, as stored."""
    return inflate(data, "it").split(b"\n")[1]


def following(
    objects: Objects, name: str, line: bytes, signer: LineSigner = SIGNER
) -> Objects:  # fmt: skip
    """With the links behind `name`, whose line 1 that is, made to follow it and signed again."""
    result, prev = dict(objects), leaf_hash(line).hex()
    folder = name.rpartition("/")[0] + "/"
    for later in sorted(each for each in objects if each.startswith(folder) and each > name):
        link = decode_link(objects[later], later)
        if isinstance(link, End):
            result[later] = replace(link.ending, prev=prev).encode(signer)
            _founded(result, link, prev, signer)
        else:
            fitted = replace(link.header, prev=prev).line()
            result[later] = encode(fitted, signer.signature_line(fitted), link.body)
            prev = leaf_hash(fitted).hex()
    return result


def _founded(objects: Objects, end: End, leaf: str, signer: LineSigner) -> None:
    """The next generation's stream object names the leaf that the ended one ends with."""
    name = stream_name(end.ending.topic, end.ending.generation + 1)
    if name in objects:
        stream = decode_stream(objects[name], name, golden.trusted())
        ended = [each | {"leaf": leaf} for each in stream.ended or ()]
        objects[name] = replace(stream, ended=ended).encode(signer)


def records(
    objects: Objects, name: str, lines: list[bytes], signer: LineSigner = SIGNER, **changes: object
) -> Objects:
    """The segment with these record lines: header, chain and signatures made to fit."""
    body = b"".join(line + b"\n" for line in lines)
    fits: dict[str, object] = {"body": sha256(body).hexdigest(), "count": len(lines)}
    try:
        hashes = [bytes.fromhex(line[26:90].decode()) for line in lines]
        fits["root"] = root_hash([leaf_hash(each) for each in hashes]).hex()
    except ValueError:  # no hash stands where one should: no root can be of it
        pass
    header = replace(decode(objects[name], name).header, **(fits | changes))  # type: ignore[arg-type]
    line = header.line()
    put = encode(line, signer.signature_line(line), body)
    return following(objects | {name: put}, name, line, signer)


def leaf(objects: Objects, name: str, index: int, line: bytes) -> Objects:
    """Another line for one leaf of a batch, with its hash."""
    whole = parse_line(objects[name][:-1], name)
    fitted = {"hash": leaf_hash(line).hex(), "line": line.decode()}
    whole["leaves"][index] = whole["leaves"][index] | fitted
    return objects | {name: canonical(whole) + b"\n"}


def log(objects: Objects, signer: NoteSigner = LOG) -> Objects:
    """All batches as they say, with digests, checkpoints and tiles that fit, signed."""
    names = sorted(name for name in objects if parse_batch_name(name) is not None)
    batches = [
        [Leaf(each["line"].encode(), each["name"]) for each in
         parse_line(objects[name][:-1], name)["leaves"]] for name in names
    ]  # fmt: skip
    return logged(objects, batches, signer)


def logged(objects: Objects, batches: list[list[Leaf]], signer: NoteSigner = LOG) -> Objects:
    """A log of these leaves, each batch's last one made the digest behind those before."""
    result = {n: d for n, d in objects.items() if not n.startswith(("log/", "tile/"))}
    frontier, hashes = Frontier(), []
    for leaves in batches:
        root = {"prev_root": frontier.root.hex()}
        digest = canonical(parse_line(leaves[-1].line, "it") | root)
        whole = (*leaves[:-1], Leaf(digest))
        after = frontier.add(each.hash for each in whole)
        text = Checkpoint(origin=signer.key.name, size=after.size, root=after.root).text()
        note = signer.sign(text).encode().decode()
        batch = Batch(old_size=frontier.size, leaves=whole, checkpoint=note)
        result[batch_name(frontier.size)] = batch.encode()
        hashes += [each.hash for each in whole]
        frontier = after
    for index in range(len(hashes) // TILE_WIDTH):
        tile = hashes[index * TILE_WIDTH : (index + 1) * TILE_WIDTH]
        result[tile_name(0, index)] = b"".join(tile)
    return result


def relogged(objects: Objects) -> Objects:
    """The same log, with each leaf the first line that its object has now; signed by its key."""
    lines = {name: first_line(data, name) for name, data in objects.items()
             if name.startswith(("segments/", "streams/"))}  # fmt: skip
    for name in sorted(name for name in objects if parse_batch_name(name) is not None):
        whole = parse_line(objects[name][:-1], name)
        for each in whole["leaves"]:
            if each["name"] is not None:
                each["line"] = lines.get(each["name"], each["line"].encode()).decode()
        objects = objects | {name: canonical(whole) + b"\n"}
    return log(objects)


def first_line(data: bytes, name: str) -> bytes:
    """Line 1 of a segment, end or stream object."""
    plain = inflate(data, name) if parse_segment_name(name) is not None else data
    return plain.partition(b"\n")[0]


def journal(objects: Objects, name: str, entries: list[bytes]) -> Objects:
    """The part with these entries and a header that fits, and the parts behind it."""
    result = dict(objects)
    before = decode_part(objects[name], name)
    try:
        part = replace(before, entries=tuple(entries))
        result[part.name], prev = part.encode(), part.leaf
    except FormatError:  # no header can be of such an entry
        header = objects[name].partition(b"\n")[0]
        return objects | {name: b"\n".join((header, *entries, b""))}
    for later in sorted(each for each in objects if parse_access_name(each) and each > name):
        again: JournalPart = replace(decode_part(objects[later], later), prev=prev)
        result[later], prev = again.encode(), again.leaf
    return result


def register(objects: Objects, name: str, line: bytes, signer: LineSigner = SIGNER) -> Objects:
    """With that line 1 in an entry, and the entries behind it made to follow it, all signed."""
    result = objects | {name: line + b"\n" + signer.signature_line(line) + b"\n"}
    prev, folder = leaf_hash(line), name.rpartition("/")[0] + "/"
    for later in sorted(each for each in objects if each.startswith(folder) and each > name):
        entry = replace(decode_entry(objects[later], later), prev=prev)
        result[later], prev = entry.encode(signer), entry.leaf
    return result
