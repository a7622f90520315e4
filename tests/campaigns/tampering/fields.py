"""Every field of every format: found in what the archive holds, so that a new one is there by
itself. Each can be changed as it stands, or with all that depends on it made and signed to fit."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from audit_stream.evidence.canonical import canonical, parse_line
from audit_stream.evidence.ending import End, decode_link
from audit_stream.evidence.layout import parse_segment_name, parse_stream_name
from audit_stream.evidence.log_names import parse_access_name, parse_anchor_name, parse_batch_name
from audit_stream.evidence.register import parse_entry_name
from audit_stream.evidence.segment import Segment, encode
from tests.campaigns.tampering import refit
from tests.campaigns.tampering.scene import LOG, Objects
from tests.support.resealed import SIGNER, rehashed

#: The two ways to change a field, as the kinds of the table are named.
BARE, FITTED = "as it is", "all signed to fit"
Put = Callable[[bytes], Objects]
Step = str | int


@dataclass(frozen=True)
class Line:
    """One canonical JSON value of a format in the archive, and the ways to put another there."""

    format: str
    value: bytes
    ways: dict[str, Put]
    source: str | None = None  # of the record that it is about


def places(value: Any, at: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Where each value stands that holds no other."""
    inside = value.items() if isinstance(value, dict) else (
        enumerate(value) if isinstance(value, list) else ())  # fmt: skip
    found = False
    for step, each in inside:
        found = True
        yield from places(each, (*at, step))
    if not found and at:
        yield at


def name_of(place: tuple[Step, ...]) -> str:
    """The field that it is, whichever item of a list."""
    return ".".join("[]" if isinstance(step, int) else step for step in place)


def changed(line: bytes, place: tuple[Step, ...], chance: random.Random) -> bytes:
    """The line with one bit of the value at that place flipped, or something where nothing was."""
    value = parse_line(line, "it")
    holder: Any = value
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = _flipped(holder[place[-1]], chance)
    return canonical(value)


def _flipped(value: Any, chance: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value ^ 1 << chance.randrange(8)
    if isinstance(value, str) and value:
        at = chance.randrange(len(value))
        flipped = [chr(ord(value[at]) ^ 1 << bit) for bit in range(5)]
        return value[:at] + chance.choice([x for x in flipped if x.isprintable()]) + value[at + 1 :]
    return {None: "x", "": "x"}.get(value, ["x"]) if not isinstance(value, list | dict) else ["x"]


def lines(objects: Objects) -> Iterator[Line]:
    """All there are."""
    for name in sorted(objects):
        if parse_segment_name(name) is not None:
            yield from _link_lines(objects, name)
        elif parse_stream_name(name) is not None:
            yield from _stream_lines(objects, name)
        elif name.startswith("maps/"):
            yield Line("status map", objects[name], {BARE: _at(objects, name, b"%s")})
        elif parse_batch_name(name) is not None:
            yield from _batch_lines(objects, name)
        elif parse_anchor_name(name) is not None and name.endswith(".note"):
            yield _note("witness's note", objects[name], lambda note, name=name: (  # type: ignore[misc]
                objects | {name: note}))  # fmt: skip
        elif parse_access_name(name) is not None:
            yield from _journal_lines(objects, name)
        elif parse_entry_name(name) is not None:
            yield from _entry_lines(objects, name)


def _at(objects: Objects, name: str, form: bytes) -> Put:
    return lambda line: objects | {name: form % line}


def _link_lines(objects: Objects, name: str) -> Iterator[Line]:
    """Of a segment or an end: header, signature, records."""
    link = decode_link(objects[name], name)
    what = "end" if isinstance(link, End) else "segment"
    first = link.line if isinstance(link, End) else link.header_line
    body = b"" if isinstance(link, End) else link.body
    signature = refit.signature_line(objects[name])

    def bare(line: bytes) -> Objects:
        return objects | {name: encode(line, signature, body)}

    def fitted(line: bytes) -> Objects:
        put = encode(line, SIGNER.signature_line(line), body)
        return refit.following(objects | {name: put}, name, line)

    yield Line(f"{what}, line 1", first, {BARE: bare, FITTED: fitted})
    yield Line(f"{what}, signature", signature, {
        BARE: lambda line: objects | {name: encode(first, line, body)}})  # fmt: skip
    if isinstance(link, Segment):
        yield from _record_lines(objects, name, link)


def _record_lines(objects: Objects, name: str, segment: Segment) -> Iterator[Line]:
    before = segment.record_lines()
    signature = refit.signature_line(objects[name])
    for index, each in enumerate(before[:2]):

        def bare(line: bytes, index: int = index) -> Objects:
            body = b"".join(x + b"\n" for x in (*before[:index], line, *before[index + 1 :]))
            return objects | {name: encode(segment.header_line, signature, body)}

        def fitted(line: bytes, index: int = index, each: bytes = each) -> Objects:
            other = parse_line(line, "it")["pub"] != parse_line(each, "it")["pub"]
            new = rehashed(line) if other else line
            return refit.records(objects, name, [*before[:index], new, *before[index + 1 :]])

        source = parse_line(each, "it")["pub"]["source"]
        yield Line("record line", each, {BARE: bare, FITTED: fitted}, source)


def _stream_lines(objects: Objects, name: str) -> Iterator[Line]:
    first, signature, _ = objects[name].split(b"\n")
    yield Line("stream object, line 1", first, {
        BARE: lambda line: objects | {name: line + b"\n" + signature + b"\n"},
        FITTED: lambda line: objects | {
            name: line + b"\n" + SIGNER.signature_line(line) + b"\n"},
    })  # fmt: skip
    yield Line("stream object, signature", signature, {
        BARE: lambda line: objects | {name: first + b"\n" + line + b"\n"}})  # fmt: skip


def _entry_lines(objects: Objects, name: str) -> Iterator[Line]:
    first, signature, _ = objects[name].split(b"\n")
    yield Line("register entry, line 1", first, {
        BARE: lambda line: objects | {name: line + b"\n" + signature + b"\n"},
        FITTED: lambda line: refit.register(objects, name, line),
    })  # fmt: skip
    yield Line("register entry, signature", signature, {
        BARE: lambda line: objects | {name: first + b"\n" + line + b"\n"}})  # fmt: skip


def _batch_lines(objects: Objects, name: str) -> Iterator[Line]:
    """Of a batch: its members, its checkpoint, and each kind of leaf."""
    whole = parse_line(objects[name][:-1], name)
    leaves = whole["leaves"]
    few, names = leaves[:12], [leaf["name"] for leaf in leaves if leaf["name"]]

    def put(line: bytes) -> Objects:
        value = parse_line(line, "it")
        said = [leaf | {"name": each["name"]} for leaf, each in zip(
            value["leaves"], leaves, strict=False)]  # fmt: skip
        value["leaves"] = [*said, *leaves[len(few) :]]
        return objects | {name: canonical(value) + b"\n"}

    def renamed(line: bytes) -> Objects:
        new = iter(parse_line(line, "it")["names"])
        said = [leaf | {"name": next(new) if leaf["name"] else None} for leaf in leaves]
        return objects | {name: canonical(whole | {"leaves": said}) + b"\n"}

    bare = [{member: leaf[member] for member in ("hash", "line")} for leaf in few]
    yield Line("batch", canonical(whole | {"leaves": bare}), {BARE: put})
    if names:
        yield Line("name of a leaf", canonical({"names": names}), {BARE: renamed})

    def noted(note: bytes) -> Objects:
        return objects | {name: canonical(whole | {"checkpoint": note.decode()}) + b"\n"}

    yield _note("checkpoint", whole["checkpoint"].encode(), noted, LOG)
    met = set()
    for index, leaf in enumerate(leaves):
        version = parse_line(leaf["line"].encode(), "it")["v"]
        if version not in met:
            met.add(version)
            yield Line(f"leaf {version.partition('/')[0]}", leaf["line"].encode(), {
                BARE: lambda line, index=index: refit.leaf(objects, name, index, line),
                FITTED: lambda line, index=index: refit.log(
                    refit.leaf(objects, name, index, line)),
            })  # fmt: skip


def _note(what: str, note: bytes, put: Put, signer: Any = None) -> Line:
    """A signed note as JSON: its lines are its fields."""
    text, _, signatures = note.decode().rpartition("\n\n")
    value = canonical({"signatures": signatures.split("\n")[:-1], "text": text.split("\n")})

    def made(line: bytes) -> bytes:
        said = parse_line(line, "it")
        head, tail = "\n".join(said["text"]) + "\n", "".join(f"{x}\n" for x in said["signatures"])
        return f"{head}\n{tail}".encode()

    def signed(line: bytes) -> bytes:
        said = parse_line(line, "it")
        fresh = signer.sign("\n".join(said["text"]) + "\n").encode()
        return fresh if fresh != note else made(line)

    ways: dict[str, Put] = {BARE: lambda line: put(made(line))}
    if signer is not None:
        ways[FITTED] = lambda line: put(signed(line))
    return Line(what, value, ways)


def _journal_lines(objects: Objects, name: str) -> Iterator[Line]:
    first, *entries = objects[name].split(b"\n")[:-1]
    yield Line("journal part, line 1", first, {
        BARE: lambda line: objects | {name: b"\n".join((line, *entries, b""))}})  # fmt: skip
    for index, each in enumerate(entries):
        yield Line("journal entry", each, {
            BARE: lambda line, index=index: objects | {
                name: b"\n".join((first, *entries[:index], line, *entries[index + 1 :], b""))},
            FITTED: lambda line, index=index: refit.journal(
                objects, name, [*entries[:index], line, *entries[index + 1 :]]),
        })  # fmt: skip
