"""Bundles changed in every way there is: bits, fields and files; by one who knows no better, and by
one who writes the manifest and the zip anew, so that only the proofs can tell."""

from __future__ import annotations

import json
import random
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from audit_stream.bundle.package import pack
from audit_stream.bundle.shipped import verify
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.encoding import b64u, b64u_decode

#: Files that nothing but the manifest vouches for, and what README.txt says of them.
UNPROVEN = ("README.txt", "custody.json", "fre902.md", "loadfile.dat", "openssl.sh", "report.html",
            "verify.html", "verify.py", "certificates/range.json", "consistency/",
            "keys/log-")  # fmt: skip
PROOF = ("records/", "proofs/", "headers/", "streams/", "maps/")
ALARMS = ("INVALID", "DIVERGED")
UNCHANGED = ("WITNESSED",)
LESS = ("UNANCHORED",)
Files = dict[str, bytes]


@dataclass(frozen=True)
class Tampered:
    """A changed bundle, and the verdicts it may get where the good one is WITNESSED."""

    label: str
    data: bytes
    may: tuple[str, ...] = ALARMS


def unpack(data: bytes) -> Files:
    files, at = {}, 0
    while data[at : at + 4] == b"PK\x03\x04":
        size = int.from_bytes(data[at + 22 : at + 26], "little")
        length = int.from_bytes(data[at + 26 : at + 28], "little")
        at += 30 + length + size
        files[data[at - size - length : at - size].decode()] = data[at - size : at]
    return files


def remade(files: Files) -> bytes:
    """The zip under a manifest that fits."""
    rest = {name: data for name, data in files.items() if name != "manifest.json"}
    hashes = {name: sha256(data).hexdigest() for name, data in rest.items()}
    return pack(rest | {"manifest.json": canonical({"files": hashes, "v": "audit-bundle/1"})})


def proven(name: str) -> bool:
    return not name.startswith(UNPROVEN)


def flipped(data: bytes, chance: random.Random) -> bytes:
    at, bit = chance.randrange(len(data)), chance.randrange(8)
    return data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :]


def without_pii(line: bytes) -> bytes:
    """A record line without its encrypted fields, of which only the archive's keys can tell."""
    return line.partition(b'"pii":"')[0] + line.rpartition(b'","pub":')[2]


def clumsy(good: bytes, chance: random.Random, flips: int) -> Iterator[Tampered]:
    """The zip changed, its manifest as it was."""
    files = unpack(good)
    for _ in range(flips):
        yield Tampered("a bit of the zip", flipped(good, chance))
    yield Tampered("cut", good[:-1])
    yield Tampered("half", good[: len(good) // 2])
    yield Tampered("longer", good + b"\0")
    yield Tampered("empty", b"")
    yield Tampered("twice", good + good)
    for name, data in files.items():
        rest = {each: files[each] for each in files if each != name}
        yield Tampered(f"{name} dropped", pack(rest))
        yield Tampered(f"{name} doubled", pack(files | {f"{name}.2": data}))
        yield Tampered(f"{name} flipped", pack(files | {name: flipped(data, chance)}))
        yield Tampered(f"{name} empty", pack(files | {name: b""}))
        other = chance.choice([each for each in rest if rest[each] != data])
        yield Tampered(f"{name} and {other} swapped",
                       pack(files | {name: files[other], other: data}))  # fmt: skip


def knowing(good: bytes, chance: random.Random, flips: int) -> Iterator[Tampered]:
    """Files changed, with a manifest and a zip that fit them."""
    files = unpack(good)
    del files["manifest.json"]
    for name, data in files.items():
        told = ALARMS if proven(name) else UNCHANGED
        anchor = name.startswith("anchors/")  # without it there is less to say, and that is all
        rest = {each: files[each] for each in files if each != name}
        yield Tampered(f"{name} dropped", remade(rest), LESS if anchor else told)
        for _ in range(flips if proven(name) else 1):
            changed = flipped(data, chance)
            while name.endswith(".line") and without_pii(changed) == without_pii(data):
                changed = flipped(data, chance)
            may = ALARMS + LESS if anchor else told
            if anchor and changed.splitlines()[-1:] == data.splitlines()[-1:]:
                may += UNCHANGED  # of a witness's note only the witness's own line counts
            yield Tampered(f"{name} flipped", remade(files | {name: changed}), may)
        peers = [each for each in rest if each.partition("/")[0] == name.partition("/")[0]]
        for other in peers if "/" in name and proven(name) else ():
            if rest[other] != data:
                swapped = files | {name: rest[other], other: data}
                yield Tampered(f"{name} and {other} swapped", remade(swapped))
        if name.startswith(PROOF):
            copied = name.replace(".", "x.", 1)
            yield Tampered(f"{name} doubled", remade(files | {copied: data}))
    yield from records(files)
    yield from proofs(files)
    yield from disclosures(files)
    yield from note_lines(files)
    for folders in (("records/", "proofs/"), PROOF):
        bare = {each: files[each] for each in files if not each.startswith(folders)}
        yield Tampered("no record", remade(bare | {"disclosures.json": b"{}"}))
    yield from spelling(files)


def other(value: Any) -> Any:
    """A value of the same type that is another."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return value[:-1] + ("A" if value[-1:] != "A" else "B")
    if isinstance(value, list):
        return [*value[1:], *value[:1]] if len(set(map(str, value))) > 1 else [*value, "x"]
    return "x" if value is None else None


def changes(value: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every member changed, dropped and nulled, and one that is new."""
    for member, held in value.items():
        yield f"{member} changed", value | {member: other(held)}
        yield f"{member} dropped", {each: value[each] for each in value if each != member}
        if held is not None:
            yield f"{member} null", value | {member: None}
    yield "a new member", value | {"zz": 1}
    if "v" in value:
        yield "of a newer version", value | {"v": value["v"][:-1] + "2"}


def _first(files: Files, folder: str, end: str) -> str:
    return next(each for each in sorted(files) if each.startswith(folder) and each.endswith(end))


def records(files: Files) -> Iterator[Tampered]:
    """Fields of a record, its own hash recomputed; and the proof's copy with them."""
    name = _first(files, "records/", ".json")
    key = name[8:-5]
    whole = json.loads(files[f"records/{key}.line"])
    for what, pub in changes(whole["pub"]):
        fields = canonical(pub)
        hashed = f"sha256:{sha256(fields).hexdigest()}"
        line = canonical(whole | {"integrity_hash": hashed, "pub": pub}) + b"\n"
        changed = files | {f"records/{key}.json": fields, f"records/{key}.line": line}
        yield Tampered(f"record {what}", remade(changed))
        proof = f"proofs/{key}.tlog-proof"
        with_proof = changed | {proof: with_extra(files[proof], pub=pub)}
        yield Tampered(f"record and proof {what}", remade(with_proof))
    for what, line in changes(whole):
        hidden = what in ("pii changed", "pii null")  # only the archive's keys tell of these
        changed = files | {f"records/{key}.line": canonical(line) + b"\n"}
        yield Tampered(f"line {what}", remade(changed), UNCHANGED if hidden else ALARMS)
    for nothing in ({}, None, [], "", 0):
        fields = canonical(nothing)
        hashed = f"sha256:{sha256(fields).hexdigest()}"
        line = canonical({"integrity_hash": hashed, "pii": None, "pub": nothing}) + b"\n"
        more = {"records/evil.json": fields, "records/evil.line": line}
        yield Tampered(f"one more record whose fields are {nothing!r}", remade(files | more))
    renamed = {each.replace(key, f"{key}0"): data for each, data in files.items()}
    named = renamed["disclosures.json"].replace(key.encode(), f"{key}0".encode())
    yield Tampered("all of a record under the name of another position",
                   remade(renamed | {"disclosures.json": named}))  # fmt: skip
    gone = {each: data for each, data in files.items() if key not in each}
    shown = {each: texts for each, texts in json.loads(files["disclosures.json"]).items()
             if each != key}  # fmt: skip
    dropped = remade(gone | {"disclosures.json": canonical(shown)})
    yield Tampered("the first record of a message dropped, with all that is its own", dropped)


def extra_of(proof: bytes) -> dict[str, Any]:
    line = proof.split(b"\n")[1].removeprefix(b"extra ")
    return json.loads(b64decode(line))


def with_extra(proof: bytes, extra: dict[str, Any] | None = None, **members: Any) -> bytes:
    first, _, rest = proof.split(b"\n", 2)
    text = b64encode(canonical((extra or extra_of(proof)) | members))
    return b"\n".join((first, b"extra " + text, rest))


def proofs(files: Files) -> Iterator[Tampered]:
    """Members of `extra`, members of the header in it, and the lines of a proof."""
    name = _first(files, "proofs/", "")
    proof, extra = files[name], extra_of(files[name])
    header_file = _first(files, "headers/", "")
    for what, changed in changes(extra):
        yield Tampered(f"extra {what}", remade(files | {name: with_extra(proof, changed)}))
    yield Tampered("extra without a step",
                   remade(files | {name: with_extra(proof, path=extra["path"][:-1])}))  # fmt: skip
    for what, header in changes(json.loads(extra["header"])):
        line = canonical(header)
        changed = files | {name: with_extra(proof, header=line.decode())}
        yield Tampered(f"header in the proof {what}", remade(changed))
        signature = files[header_file].split(b"\n")[1]
        changed[header_file] = line + b"\n" + signature + b"\n"
        yield Tampered(f"header {what}", remade(changed))
    lines = proof.split(b"\n")
    gap = lines.index(b"")
    for at in range(gap):
        index = lines[at].startswith(b"index ")
        changed_line = b"index 1" if index and lines[at] != b"index 1" else b"index 2"
        line = changed_line if index else b64encode(sha256(lines[at]).digest())
        for what, some in (("changed", [*lines[:at], line, *lines[at + 1 :]]),
                           ("dropped", [*lines[:at], *lines[at + 1 :]]),
                           ("doubled", [*lines[:at], lines[at], *lines[at:]])):  # fmt: skip
            yield Tampered(f"proof line {at} {what}", remade(files | {name: b"\n".join(some)}))


def spelling(files: Files) -> Iterator[Tampered]:
    """The same values, written in another way."""
    for name, data in files.items():
        if proven(name) and b'":' in data:
            spaced = files | {name: data.replace(b'":', b'": ', 1)}
            yield Tampered(f"{name} with a space", remade(spaced))
    name = _first(files, "proofs/", "")
    extra = json.dumps(extra_of(files[name])).encode()
    lines = files[name].split(b"\n")
    lines[1] = b"extra " + b64encode(extra)
    yield Tampered("extra with spaces", remade(files | {name: b"\n".join(lines)}))
    hashes = {each: sha256(data).hexdigest() for each, data in files.items()}
    for what, manifest in (
        ("with spaces", json.dumps({"files": hashes, "v": "audit-bundle/1"}, sort_keys=True)),
        ("with more", canonical({"files": hashes, "more": 1, "v": "audit-bundle/1"}).decode()),
    ):
        packed = pack(files | {"manifest.json": manifest.encode()})
        yield Tampered(f"manifest {what}", packed)
    older = files[name].replace(files["checkpoint.txt"], files["checkpoint.txt"] + b"\n")
    yield Tampered("proof with another checkpoint", remade(files | {name: older}))


def disclosures(files: Files) -> Iterator[Tampered]:
    """Salt, field and value of a disclosure, in the file for people and in the proof."""
    shown = json.loads(files["disclosures.json"])
    key = sorted(shown)[0]
    proof = f"proofs/{key}.tlog-proof"
    salt, field, value = json.loads(b64u_decode(shown[key][0], "it"))
    others = [[other(salt), field, value], [salt, "recipient_address", value],
              [salt, field, other(value)], [salt, field], [salt, field, value, 1]]  # fmt: skip
    for at, made in enumerate(others):
        texts = [b64u(canonical(made)), *shown[key][1:]]
        changed = files | {"disclosures.json": canonical(shown | {key: texts})}
        yield Tampered(f"disclosure {at} in the file", remade(changed))
        changed[proof] = with_extra(files[proof], disclosures=texts)
        yield Tampered(f"disclosure {at} in file and proof", remade(changed))
    twice = [*shown[key], shown[key][0]]
    changed = files | {"disclosures.json": canonical(shown | {key: twice}),
                       proof: with_extra(files[proof], disclosures=twice)}  # fmt: skip
    yield Tampered("a disclosure twice", remade(changed))


def note_lines(files: Files) -> Iterator[Tampered]:
    """Lines of the checkpoint, everywhere it stands; of streams, and of what cosigns."""
    note = files["checkpoint.txt"]
    lines = note.decode().split("\n")
    changed_lines = {"origin": (0, other(lines[0])), "size": (1, str(int(lines[1]) + 1)),
                     "root": (2, b64encode(sha256(b"x").digest()).decode()),
                     "signature": (4, lines[4][:-9] + "AAAAAAA" + lines[4][-2:])}  # fmt: skip
    for what, (at, line) in changed_lines.items():
        new = "\n".join([*lines[:at], line, *lines[at + 1 :]]).encode()
        everywhere = {name: data.replace(note, new) for name, data in files.items()}
        yield Tampered(f"checkpoint {what} everywhere", remade(everywhere))
        yield Tampered(f"checkpoint {what}", remade(files | {"checkpoint.txt": new}))
    name = _first(files, "streams/", "")
    line, signature, _ = files[name].split(b"\n")
    for what, stream in changes(json.loads(line)):
        data = canonical(stream) + b"\n" + signature + b"\n"
        yield Tampered(f"stream {what}", remade(files | {name: data}))


def judged(data: bytes, policy: str, **trust: Any) -> verify.Verifier:
    """What the shipped verifier says, without starting a program for each."""
    members = {"segments": [], "answers": b"", "authorities": b"", "kept": b"", "proof": b""}
    verifier = verify.Verifier({}, verify.Trust(verify.Policy(policy, ()), **(members | trust)))
    verifier.files = verifier.check(1, "the zip", verify.read_zip, data) or {}
    verifier.run()
    return verifier
