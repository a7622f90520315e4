"""How a bundle is changed: the zip and its members, and all that a forger can make to fit."""

from __future__ import annotations

import json
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO

from audit_stream.bundle.package import pack
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.checkpoint import Checkpoint, checkpoint_of
from audit_stream.evidence.encoding import b64u, b64u_decode
from audit_stream.evidence.note import parse_note
from tests.campaigns.tampering.bundles import Brought
from tests.campaigns.tampering.insiders import STRANGER, STRANGERS_LOG
from tests.campaigns.tampering.scene import LOG
from tests.support import answers, tampering
from tests.support.strangers import strangers
from tests.support.tampering import Files, Tampered, flipped, other, proven, remade

_JWKS = "keys/jwks.json"
#: Held against the auditor's own keys, or not at all; they have kinds of their own.
_BESIDE = ("response.jws", _JWKS, "anchors/")


@dataclass
class Good:
    """A bundle of more than one status, with its signed answer; another log's; what is brought; and
    a bundle of what was erased."""

    data: bytes
    strangers: bytes
    brought: Brought
    erased: bytes  # a bundle of what was erased, with three certificates or more
    files: Files = field(init=False)

    def __post_init__(self) -> None:
        self.files = tampering.unpack(self.data)
        del self.files["manifest.json"]

    @cached_property
    def families(self) -> dict[str, list[Tampered]]:
        """Forgeries of all fields, made once."""
        makers: dict[str, Callable[[Files], Iterator[Tampered]]] = {
            "record": tampering.records, "proof": tampering.proofs,
            "disclosure": tampering.disclosures, "note or stream object": tampering.note_lines,
            "spelling": tampering.spelling,
        }  # fmt: skip
        return {name: list(make(self.files)) for name, make in makers.items()}

    @property
    def proven(self) -> list[str]:
        """Members that the proofs themselves vouch for."""
        return [name for name in self.files if proven(name) and not name.startswith(_BESIDE)]

    @property
    def note(self) -> bytes:
        """The checkpoint."""
        return self.files["checkpoint.txt"]

    def everywhere(self, old: bytes, new: bytes) -> bytes:
        """With the bytes replaced in every member, made to fit."""
        return remade({name: data.replace(old, new) for name, data in self.files.items()})


Forge = Callable[[Good, random.Random, int], bytes | tuple[bytes, Brought]]


# -- the zip


def bit(good: Good, chance: random.Random, _: int) -> bytes:
    """One bit."""
    return flipped(good.data, chance)


def length(good: Good, chance: random.Random, _: int) -> bytes:
    """Less or more of it."""
    data = good.data
    return chance.choice([
        data[: chance.randrange(len(data))], data + chance.randbytes(chance.randrange(1, 9)),
        data + data, b"#!/bin/sh\n" + data,
    ])  # fmt: skip


def packed(good: Good, chance: random.Random, turn: int, **entry: object) -> bytes:
    """By the standard library's zip."""
    target = BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        for name, data in _whole(good).items():
            info = zipfile.ZipInfo(name)
            for member, value in entry.items():
                setattr(info, member, value)
            made.writestr(info, data)
    return target.getvalue()


def name_twice(good: Good, chance: random.Random, _: int) -> bytes:
    """Two entries of one name, the second one with other bytes."""
    name = chance.choice(sorted(good.files))
    end = good.data.rindex(b"PK\5\6")
    start = int.from_bytes(good.data[end + 16 : end + 20], "little")
    alone = pack({name: flipped(good.files[name], chance)})
    alone_end = alone.rindex(b"PK\5\6")
    alone_start = int.from_bytes(alone[alone_end + 16 : alone_end + 20], "little")
    entry = bytearray(alone[alone_start:alone_end])
    entry[42:46] = struct.pack("<I", start)
    index = good.data[start:end] + bytes(entry)
    count = len(_whole(good)) + 1
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(index),
                       start + alone_start, 0)  # fmt: skip
    return good.data[:start] + alone[:alone_start] + index + tail


def two_headers(good: Good, chance: random.Random, _: int) -> bytes:
    """A member's entry in the directory says another name, size, time or mode than its own."""
    end = good.data.rindex(b"PK\5\6")
    start = int.from_bytes(good.data[end + 16 : end + 20], "little")
    at = start + chance.choice([6, 8, 10, 12, 16, 20, 24, 38, 46])
    return good.data[:at] + bytes((good.data[at] ^ 1,)) + good.data[at + 1 :]


def compressed(good: Good, chance: random.Random, turn: int) -> bytes:
    """Deflated members."""
    return packed(good, chance, turn, compress_type=zipfile.ZIP_DEFLATED)


def commented(good: Good, chance: random.Random, turn: int) -> bytes:
    """More than names and bytes in the entries."""
    if turn % 2:
        return packed(good, chance, turn, comment=b"seen")
    return packed(good, chance, turn, extra=b"\x99\x99\x01\x00x")


def _whole(good: Good) -> Files:
    return tampering.unpack(good.data)


def member(how: str) -> Forge:
    """One member, the manifest as it was."""

    def forge(good: Good, chance: random.Random, _: int) -> bytes:
        files = _whole(good)
        name, another = chance.sample(sorted(files), 2)
        changed = {
            "flipped": {name: flipped(files[name], chance)}, "dropped": {},
            "doubled": {f"{name}.2": files[name]},
            "swapped": {name: files[another], another: files[name]},
        }[how]  # fmt: skip
        gone = {name} if how == "dropped" else set()
        return pack({each: data for each, data in (files | changed).items() if each not in gone})

    return forge


# -- made to fit


def proven_member(how: str) -> Forge:
    """One that the proofs vouch for, or two of a kind."""

    def forge(good: Good, chance: random.Random, _: int) -> bytes:
        files, name = good.files, chance.choice(good.proven)
        if how == "dropped":
            return remade({each: data for each, data in files.items() if each != name})
        if how == "flipped":
            changed = flipped(files[name], chance)
            while tampering.without_pii(changed) == tampering.without_pii(files[name]) and (
                name.endswith(".line")):  # fmt: skip
                changed = flipped(files[name], chance)
            return remade(files | {name: changed})
        one, two = _pair(good, chance)
        return remade(files | {one: files[two], two: files[one]})

    return forge


def _pair(good: Good, chance: random.Random) -> tuple[str, str]:
    kinds = [(name, name.partition("/")[0]) for name in good.proven if "/" in name]
    pairs = [(one, two) for one, kind in kinds for two, same in kinds
             if kind == same and one < two and good.files[one] != good.files[two]]  # fmt: skip
    return chance.choice(pairs)


def edited(family: str) -> Forge:
    """The next of a family of forgeries that can be told."""

    def forge(good: Good, _: random.Random, turn: int) -> bytes:
        found = [
            each for each in good.families[family]
            if each.may == tampering.ALARMS and not each.label.startswith(_BESIDE)
        ]  # fmt: skip
        return found[turn % len(found)].data

    return forge


def encrypted(good: Good, _: random.Random, turn: int) -> bytes:
    """Of the record's line, what only the archive's keys can tell."""
    found = [each for each in good.families["record"] if each.may == tampering.UNCHANGED]
    return found[turn % len(found)].data


def answer_edited(good: Good, chance: random.Random, _: int) -> bytes:
    """One member of the record it tells of."""
    head, payload, signature = good.files["response.jws"].decode().split(".")
    said = json.loads(b64u_decode(payload, "it"))
    name = chance.choice(sorted(said["audit_record"]))
    said["audit_record"][name] = other(said["audit_record"][name])
    text = f"{head}.{b64u(canonical(said))}.{signature}"
    return remade(good.files | {"response.jws": text.encode()})


def answer_strangers(good: Good, chance: random.Random, turn: int) -> bytes:
    """Edited, and signed by a key that is put beside it."""
    del chance, turn
    payload = json.loads(b64u_decode(good.files["response.jws"].decode().split(".")[1], "it"))
    head, _, signature = answers.signed(payload)["signature"].split(".")
    text = f"{head}.{b64u(canonical(payload))}.{signature}"
    put = {"response.jws": text.encode(), "keys/jwks.json": answers.jwks()}
    return remade(good.files | put)


def answer_left_out(good: Good, chance: random.Random, turn: int) -> bytes:
    """The bundle without it."""
    del chance, turn
    gone = ("response.jws", "keys/jwks.json")
    return remade({name: data for name, data in good.files.items() if name not in gone})


def witness_edited(good: Good, chance: random.Random, _: int) -> bytes:
    """Its name, time or signature: the last line of its note."""
    name = "anchors/auditor.note"
    note = good.files[name]
    start = note.rindex("\N{EM DASH}".encode()) + 4
    at = chance.randrange(start, len(note) - 2)
    letters = [each for each in b"abcdefgh" if each != note[at]]
    changed = note[:at] + bytes((chance.choice(letters),)) + note[at + 1 :]
    return remade(good.files | {name: changed})


def header_strangers(good: Good, chance: random.Random, turn: int) -> bytes:
    """A header signed by another key, whose file is put in place of the good one; or a record of a
    stranger's own, in a segment whose key is put beside it."""
    own = list(strangers(good.data))
    if turn % (len(own) + 1):
        return own[turn % (len(own) + 1) - 1].data
    name = chance.choice([each for each in good.files if each.startswith("headers/")])
    line = good.files[name].split(b"\n")[0]
    signed = line + b"\n" + STRANGER.signature_line(line) + b"\n"
    return remade(good.files | {name: signed})


def checkpoint_strangers(good: Good, chance: random.Random, turn: int) -> bytes:
    """The same checkpoint, signed by another key of the same name."""
    del chance, turn
    text = parse_note(good.note, "it").text
    return good.everywhere(good.note, STRANGERS_LOG.sign(text).encode())


def another_history(good: Good, chance: random.Random, _: int) -> bytes:
    """Another root of the same size or a later one, signed by the log's own key."""
    said = checkpoint_of(parse_note(good.note, "it"), "it")
    size = said.size + chance.choice([0, 1, 100])
    new = Checkpoint(origin=said.origin, size=size, root=chance.randbytes(32)).text()
    return good.everywhere(good.note, LOG.sign(new).encode())


def another_policy(good: Good, chance: random.Random, turn: int) -> tuple[bytes, Brought]:
    """The auditor trusts another log of this name."""
    del chance, turn
    policy = good.brought.policy.replace(str(LOG.key), str(STRANGERS_LOG.key))
    return good.data, Brought(policy, good.brought.kept, good.brought.answers)


def strangers_bundle(good: Good, chance: random.Random, turn: int) -> bytes:
    """A whole one, by other keys."""
    del chance, turn
    return good.strangers


def unproven(good: Good, chance: random.Random, _: int) -> bytes:
    """What is for people, and what the bundle says of its keys."""
    name = chance.choice([each for each in good.files if not proven(each) or each == _JWKS])
    if chance.random() < 0.3:
        return remade({each: data for each, data in good.files.items() if each != name})
    return remade(good.files | {name: flipped(good.files[name], chance)})


def last_left_out(good: Good, chance: random.Random, turn: int) -> bytes:
    """All of a message's last status, and the answer that names it."""
    del chance, turn
    keys = [name[8:-5] for name in good.files if name.startswith("records/") and
            name.endswith(".json")]  # fmt: skip
    last = max(keys, key=lambda key: json.loads(good.files[f"records/{key}.json"])["revision"])
    gone = (f"records/{last}.", f"proofs/{last}.", "response.jws", "keys/jwks.json")
    files = {name: data for name, data in good.files.items() if not name.startswith(gone)}
    shown = json.loads(files["disclosures.json"])
    shown.pop(last, None)
    files["disclosures.json"] = canonical(shown)
    used = {_header_name(data) for name, data in files.items() if name.startswith("proofs/")}
    return remade({name: data for name, data in files.items()
                   if not name.startswith("headers/") or name in used})  # fmt: skip


def _header_name(proof: bytes) -> str:
    header = json.loads(tampering.extra_of(proof)["header"])
    return "headers/{topic}.{generation}.{partition}.{base}.txt".format(**header)
