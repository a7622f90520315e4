#!/usr/bin/env python3
"""Checks an audit_stream evidence bundle: Python 3.9 or later, nothing to install, no network.

    python3 -I verify.py evidence.zip --policy my-policy.txt

The bundle may also be the folder it was unpacked to. Nothing in it is trusted because it is there:
keys of logs and witnesses come from your own policy file (C2SP tlog-policy), or from --key.

   1 package      each file is in manifest.json with its SHA-256, and no other file is there
   2 record       each record is canonical JSON (RFC 8785), and SHA-256 of its fields is its hash
   3 disclosures  each personal field shown has its digest in the record (RFC 9901)
   4 segment      the record is in the tree (RFC 9162) of its segment, in the place of its offset
   5 header       the key it names signed the header; its stream and status map are the ones here
   6 log          the header is in the archive log of the checkpoint (RFC 9162)
   7 checkpoint   the checkpoint (C2SP signed note) is signed by the log's key
   8 revisions    no message lacks a status before the last one here, but what was disposed of
   9 answer       the archive's signed answer is signed (ES256), and says what these records say
  10 kept         the checkpoint does not contradict one you kept (--checkpoint)
  11 witnesses    cosignatures of the witnesses in your policy
  12 timestamps   RFC 3161 tokens of an authority you trust (--tsa-ca; needs the program openssl)
  13 certificates each certificate of an erasure or a disposal is signed, and in the archive log

Verdicts and exit codes: INVALID 40, DIVERGED 30 (another history than the one you kept), UNANCHORED
10 (nobody outside vouches for it), CANNOT JUDGE 3 (made by a newer release), TIMESTAMPED 2,
WITNESSED 0. A wrong command line is 64.
No bundle can show that no later status exists; only the signed answer claims that, for its time.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections import namedtuple
from collections.abc import Iterable
from functools import cache
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any

STEPS = ("package", "record", "disclosures", "segment", "header", "log", "checkpoint", "revisions",
         "answer", "kept", "witnesses", "timestamps", "certificates")  # fmt: skip
VERDICTS = {  # exit code and meaning
    "INVALID": (40, "something was changed, or does not belong together: see FAILED above"),
    "DIVERGED": (30, "another history than the one whose checkpoint you kept"),
    "UNANCHORED": (10, "all of it fits together, and nobody outside the archive vouches for it"),
    "CANNOT JUDGE": (3, "it was made by a newer release: take the verify.py of that one"),
    "TIMESTAMPED": (2, "all of it fits together, under a key you trust, and is as old as stamped"),
    "WITNESSED": (0, "all of it fits together; the witnesses of your policy saw the same history"),
}
REGISTERS = {"disposals": "audit-disposal/1", "holds": "audit-hold/1",
             "redactions": "audit-redaction/1"}  # fmt: skip
CERTIFIED = ("certificate_id", "disposal_id", "executed_at", "effective_at", "basis", "count",
             "epochs", "targets")  # fmt: skip
PERSONAL = ("customer_external_id", "recipient_address")
Files = dict[str, bytes]
Point = tuple[int, ...]


class Bad(Exception):
    """A check failed; the text says why."""


class Diverged(Bad):
    """The bundle is of another history than the one the verifier kept."""


class Newer(Bad):
    """A format version this program does not know."""


class Missing(Bad):
    """What would be needed to check it is not here."""


STATES = {Diverged: "DIVERGED", Newer: "UNKNOWN", Missing: "not checked"}


def need(fact: object, why: str, error: type[Exception] = Bad) -> None:
    """Raise `error` unless `fact` holds."""
    if not fact:
        raise error(why)


# ---- Ed25519 (RFC 8032, section 5.1.7) ---------------------------------------------------------

ED_P = 2**255 - 19
ED_L = 2**252 + 27742317777372353535851937790883648493
ED_D = -121665 * pow(121666, -1, ED_P) % ED_P


def ed_add(p: Point, q: Point) -> Point:
    """Sum of two points in extended coordinates (x, y, z, xy/z)."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0])
    c, d = 2 * p[3] * q[3] * ED_D, 2 * p[2] * q[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % ED_P, g * h % ED_P, f * g % ED_P, e * h % ED_P


def ed_times(n: int, p: Point) -> Point:
    """The point n * p."""
    total: Point = (0, 1, 1, 0)
    while n:
        total = ed_add(total, p) if n & 1 else total
        n, p = n >> 1, ed_add(p, p)
    return total


def ed_point(data: bytes) -> Point | None:
    """The point of a 32-byte encoding, or None (section 5.1.3)."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    square = (y * y - 1) * pow(ED_D * y * y + 1, -1, ED_P) % ED_P
    x = pow(square, (ED_P + 3) // 8, ED_P)
    if (x * x - square) % ED_P:
        x = x * pow(2, (ED_P - 1) // 4, ED_P) % ED_P  # times a square root of -1
    if y >= ED_P or (x * x - square) % ED_P or (x == 0 and sign):
        return None
    x = x if x & 1 == sign else ED_P - x
    return x, y, 1, x * y % ED_P


ED_BASE = ed_point((4 * pow(5, -1, ED_P) % ED_P).to_bytes(32, "little"))


@cache
def ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) over `message` is the key's."""
    key = ed_point(public) if len(public) == 32 and len(signature) == 64 else None
    s = int.from_bytes(signature[32:], "little")
    if key is None or ED_BASE is None or s >= ED_L:
        return False
    k = int.from_bytes(sha512(signature[:32] + public + message).digest(), "little") % ED_L
    minus = (ED_P - key[0], key[1], 1, ED_P - key[3])
    x, y, z, _ = ed_add(ed_times(s, ED_BASE), ed_times(k, minus))
    x, y = x * pow(z, -1, ED_P) % ED_P, y * pow(z, -1, ED_P) % ED_P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


# ---- ECDSA with P-256 and SHA-256 (ES256; FIPS 186-5, section 6.4.2) ---------------------------

EC_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
EC_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
EC_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
EC_G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)  # fmt: skip


def ec_add(p: Point | None, q: Point | None) -> Point | None:
    """Sum of two points (x, y); None is the point at infinity."""
    if p is None or q is None:
        return q if p is None else p
    if p[0] == q[0] and (p[1] + q[1]) % EC_P == 0:
        return None
    if p == q:
        slope = (3 * p[0] * p[0] - 3) * pow(2 * p[1], -1, EC_P)
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, EC_P)
    x = (slope * slope - p[0] - q[0]) % EC_P
    return x, (slope * (p[0] - x) - p[1]) % EC_P


def ec_times(n: int, p: Point | None) -> Point | None:
    """The point n * p."""
    total: Point | None = None
    while n:
        total = ec_add(total, p) if n & 1 else total
        n, p = n >> 1, ec_add(p, p)
    return total


def es256(x: int, y: int, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (r and s, 32 bytes each) over `message` is the key's."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    on_curve = x < EC_P and y < EC_P and (y * y - x * x * x + 3 * x - EC_B) % EC_P == 0
    if len(signature) != 64 or not on_curve or not (0 < r < EC_N and 0 < s < EC_N):
        return False
    e, w = int.from_bytes(sha256(message).digest(), "big"), pow(s, -1, EC_N)
    point = ec_add(ec_times(e * w % EC_N, EC_G), ec_times(r * w % EC_N, (x, y)))
    return point is not None and point[0] % EC_N == r


# ---- encodings, canonical JSON, Merkle tree ----------------------------------------------------


def unb64(text: str, what: str, size: int | None = None) -> bytes:
    """Bytes of base64 in its one spelling."""
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text, f"{what} is not base64 in its one spelling")
    need(size in (None, len(data)), f"{what} is not {size} bytes")
    return data


def unhash(text: str) -> bytes:
    """A hash in base64, as the C2SP formats have them."""
    return unb64(text, "a hash", 32)


def unb64u(text: str, what: str) -> bytes:
    """Bytes of base64url without padding, in its one spelling."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    need(b64u(data) == text, f"{what} is not base64url in its one spelling")
    return data


def b64u(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def canonical(value: Any) -> bytes:
    """RFC 8785 (JCS) of what the formats hold: ASCII keys, no number but integers."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def whole_number(text: str) -> int | str:
    """An integer within 2^53, as JCS has them; else a text, which is not what stood there."""
    return int(text) if len(text.lstrip("-")) < 17 and abs(int(text)) < 2**53 else text


def parse(data: bytes, what: str) -> Any:
    """The value of canonical JSON."""
    value = json.loads(data, parse_int=whole_number, parse_float=str, parse_constant=str)
    need(canonical(value) == data, f"{what} is not in canonical form (RFC 8785)")
    return value


def need_version(value: Any, known: str) -> None:
    """Raise `Newer` for another version of the same format, `Bad` for anything else."""
    version = str(value.get("v"))
    kind, _, _ = known.partition("/")
    need(re.fullmatch(f"{kind}/[1-9][0-9]*", version), f"it is no {kind}")
    need(version == known, f"it is {version}", Newer)


def node(left: bytes, right: bytes, kind: bytes = b"\x01") -> bytes:
    """SHA-256(01 || left || right): a node of a tree."""
    return sha256(kind + left + right).digest()


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(00 || data): a leaf of a tree."""
    return node(data, b"", b"\x00")


def climb(fn: int, sn: int, first: bytes, path: Iterable[bytes]) -> tuple[bytes, bytes]:
    """The old and the new root that a proof leads to (RFC 9162, sections 2.1.3.2 and 2.1.4.2)."""
    old = new = first
    for step in path:
        need(sn, "a proof is too long")
        if fn & 1 or fn == sn:
            old, new = node(step, old), node(step, new)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            new = node(new, step)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "a proof is too short")
    return old, new


def tree_root(leaf: bytes, index: int, size: int, path: Iterable[bytes]) -> bytes:
    """The root that an inclusion proof leads to."""
    need(0 <= index < size, "a proof is for no leaf of its tree")
    return climb(index, size - 1, leaf, path)[1]


def is_prefix(old: Checkpoint, new: Checkpoint, path: list[bytes]) -> bool:
    """Whether a consistency proof shows the old log to be a prefix of the new one."""
    fn, sn = old.size - 1, new.size - 1
    first, *rest = path if old.size & fn else [old.root, *path]
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return climb(fn, sn, first, rest) == (old.root, new.root)


def place_in(ledger: str, base: int, offset: int) -> int | None:
    """How many archived offsets a segment has before this one; None if it is not archived."""
    place = 0
    for count, letter in re.findall("([0-9]*)([a-z])", ledger):
        following = base + int(count or 1)
        if base <= offset < following:
            return place + offset - base if letter == "a" else None
        place, base = place + (following - base) * (letter == "a"), following
    return None


# ---- keys, notes, policy -----------------------------------------------------------------------

Key = namedtuple("Key", "name id kind public")
Checkpoint = namedtuple("Checkpoint", "text signatures origin size root")


def read_vkey(text: str) -> Key:
    """``name+id+base64(kind, public key)`` (C2SP signed-note)."""
    name, key_id, rest = text.split("+", 2)
    raw = unb64(rest, f"the key of {name}", 33)
    fits = sha256(name.encode() + b"\n" + raw).hexdigest()[:8] == key_id and raw[0] in (1, 4)
    need(fits, f"the key of {name} does not have its key id, or is of no kind known here")
    return Key(name, bytes.fromhex(key_id), raw[0], raw[1:])


def read_pem(data: bytes) -> bytes:
    """The Ed25519 public key of a PEM file in its one spelling (RFC 8410)."""
    key = unb64("".join(data.decode().split("\n")[1:-2]), "a PEM file", 44)[12:]
    text = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + key)
    begin, end = b"-----BEGIN PUBLIC KEY-----\n", b"\n-----END PUBLIC KEY-----\n"
    need(begin + text + end == data, "a PEM file is not one of ours")
    return key


def read_signature(line: str) -> tuple[str, bytes, bytes]:
    """Name, key id and signature of a line below a note."""
    dash, name, rest = line.split(" ")
    raw = unb64(rest, f"the signature of {name}")
    need(dash == "\N{EM DASH}" and len(raw) > 4, "it has a line below it that is no signature")
    return name, raw[:4], raw[4:]


def read_checkpoint(data: bytes) -> Checkpoint:
    """A signed note (C2SP) that says a log's origin, size and root (C2SP tlog-checkpoint)."""
    text, gap, lines = data.decode().rpartition("\n\n")
    need(gap and lines.endswith("\n"), "it is not a signed note")
    origin, size, root = text.split("\n")[:3]
    need(re.fullmatch("0|[1-9][0-9]{0,18}", size), "its size is no number")
    signatures = [read_signature(line) for line in lines[:-1].split("\n")]
    return Checkpoint(text + "\n", signatures, origin, int(size), unhash(root))


def is_signed(checkpoint: Checkpoint, key: Key) -> bool:
    """Whether the log's key signed it."""
    return key.kind == 1 and key.name == checkpoint.origin and any(
        (name, key_id) == (key.name, key.id)
        and ed25519(key.public, checkpoint.text.encode(), signature)
        for name, key_id, signature in checkpoint.signatures
    )  # fmt: skip


class Policy:
    """Whom you trust: logs, witnesses, and which witnesses are enough (C2SP tlog-policy)."""

    def __init__(self, text: str, keys: Iterable[str]) -> None:
        self.logs = [read_vkey(key) for key in keys]
        self.witnesses: dict[str, Key] = {}
        self.groups: dict[str, tuple[int, list[str]]] = {}
        self.quorum = ""
        for line in text.split("\n"):
            words = line.split()
            if words and not words[0].startswith("#"):
                self.read(*words)
        need(self.quorum or not text, "a policy needs a quorum line, if only: quorum none")

    def read(self, kind: str, name: str, *rest: str) -> None:
        """One line. No key and no member counts twice."""
        known = {*self.witnesses, *self.groups}
        if kind == "log":
            self.logs.append(read_vkey(name))
        elif kind == "witness" and name not in {*known, "none"}:
            key = read_vkey(rest[0])
            there = [each for each in self.witnesses.values() if each.public == key.public]
            need(not there, f"the witness {name} is another one, too")
            self.witnesses[name] = key
        elif kind == "group" and name not in {*known, "none"}:
            members = rest[1:]
            taken = [each for _, others in self.groups.values() for each in others]
            count = {"any": "1", "all": str(len(members))}.get(rest[0], rest[0])
            fits = 0 < int(count) <= len(members) and {*members} <= known - {*taken}
            need(fits and len({*members}) == len(members), f"the group {name} cannot be met")
            self.groups[name] = int(count), list(members)
        else:
            fits = kind == "quorum" and name in {*known, "none"} and not self.quorum
            need(fits, f"a policy has no line {kind} {name} here")
            self.quorum = name

    def met(self, name: str, signed: Iterable[str]) -> bool:
        """Whether a witness, or enough of a group, is among those that signed."""
        if name not in self.groups:
            return name in signed
        count, members = self.groups[name]
        return sum(self.met(member, signed) for member in members) >= count


# ---- the package -------------------------------------------------------------------------------


def pack(files: Files) -> bytes:
    """The one form of a bundle's zip: stored, sorted by name, without times."""
    parts, index, at = [], [], 0
    for name, data in sorted(files.items()):
        shared = struct.pack("<5H3I2H", 20, 0, 0, 0, 33, zlib.crc32(data), len(data), len(data),
                             len(name), 0)  # fmt: skip
        parts.append(b"PK\3\4" + shared + name.encode("ascii") + data)
        index.append(b"PK\1\2\x14\3" + shared + struct.pack("<3H2I", 0, 0, 0, 0o100644 << 16, at)
                     + name.encode("ascii"))  # fmt: skip
        at += len(parts[-1])
    size = sum(map(len, index))
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(index), len(index), size, at, 0)
    return b"".join((*parts, *index, end))


def read_zip(data: bytes) -> Files:
    """The files of a bundle, which has every byte that packing them again gives."""
    files, at = {}, 0
    while data[at : at + 4] == b"PK\3\4" and len(data) >= at + 30:
        size, length = struct.unpack_from("<IH", data, at + 22)
        at += 30 + length
        files[data[at - length : at].decode("ascii")] = data[at : at + size]
        at += size
    same = files and pack(files) == data
    need(same, "it was changed, or packed again: then unpack it, and check the folder")
    return files


def load(path: Path) -> Files:
    """The files of a bundle, or of the folder it was unpacked to."""
    if not path.is_dir():
        return read_zip(path.read_bytes())
    found = (each for each in path.rglob("*") if not each.is_dir())
    return {each.relative_to(path).as_posix(): each.read_bytes() for each in found}


# ---- the steps ---------------------------------------------------------------------------------

#: What the verifier trusts, and what it kept: policy, segment keys, answer keys by kid, PEM file of
#: timestamp authorities, checkpoint, consistency proof.
Trust = namedtuple("Trust", "policy segments answers authorities kept proof")


class Verifier:
    """The steps over one bundle. `results` has (step, state, text); a state is ok, FAILED,
    DIVERGED, UNKNOWN (version) or not checked."""

    def __init__(self, files: Files, trust: Trust) -> None:
        self.files, self.trust = files, trust
        self.results: list[tuple[int, str, str]] = []
        self.records: dict[str, Any] = {}  # fields by file name
        self.disclosures: dict[str, list[str]] = {}  # as the proofs have them
        self.shown: dict[str, Any] = {}  # personal fields disclosed, by file name
        self.signed: dict[str, int] = {}  # Unix time of a cosignature by witness
        self.stamps: list[str | None] = []  # times of good timestamps
        self.certificates: dict[tuple[str, int], Any] = {}  # entries by register and number
        self.used: set[str] = set()

    def file(self, name: str) -> bytes:
        """A file that must be there."""
        need(name in self.files, f"{name} is missing")
        self.used.add(name)
        return self.files[name]

    def names(self, start: str, end: str = "") -> list[str]:
        """Files by their names' start and end."""
        return sorted(each for each in self.files if each.startswith(start) and each.endswith(end))

    def check(self, step: int, what: str, call: Any, *values: Any) -> Any:
        """What the call gives, or None where it failed; the result is kept."""
        try:
            value = call(*values)
        except Bad as error:
            state = STATES.get(type(error), "FAILED")
            self.results.append((step, state, f"{what}: {error}"))
        except Exception as error:  # a hostile bundle may be malformed in any way
            self.results.append((step, "FAILED", f"{what}: malformed ({type(error).__name__})"))
        else:
            self.results.append((step, "ok", what))
            return value
        return None

    def run(self) -> None:
        """All steps, in an order in which each has what it needs."""
        self.check(1, "manifest.json", self.package)
        self.checkpoint = self.check(7, "checkpoint.txt", self.signed_checkpoint)
        for name in self.names("records/", ".json") if self.checkpoint else ():
            self.record(name[8:-5])
        if all(state == "ok" for _, state, _ in self.results):  # else they only say it again
            self.check(3, "disclosures.json", self.same_disclosures)
            self.check(1, "records", self.complete)
        for name in self.names("certificates/", ".tlog-proof") if self.checkpoint else ():
            self.check(13, name, self.certificate, name)
        if self.names("certificates/") and self.checkpoint:
            self.check(13, "certificates", self.certified)
        if all(state == "ok" for _, state, _ in self.results):
            self.check(8, "revisions", self.revisions)
        if not self.trust.policy.logs:
            self.check(7, "key", need, False, "only its own: name the log's (--policy)", Missing)
        if "response.jws" in self.files and self.checkpoint:
            self.check(9, "response.jws", self.answer)
        if self.trust.kept and self.checkpoint:
            self.check(10, "your checkpoint", self.compared)
        if self.checkpoint:
            self.signed = self.check(11, "cosignatures", self.cosigned) or {}
        for name in self.names("anchors/", ".tsr") if self.checkpoint else ():
            self.stamps.append(self.check(12, name, self.stamped, name))

    def package(self) -> None:
        """Step 1."""
        manifest = parse(self.file("manifest.json"), "it")
        need_version(manifest, "audit-bundle/1")
        need(set(manifest) == {"files", "v"}, "it has other members than files and v")
        for name in sorted({*manifest["files"], *self.files} - {"manifest.json"}):
            need(name in self.files, f"{name} is missing")
            need(name in manifest["files"], f"it does not have {name}")
            hashed = sha256(self.files[name]).hexdigest()
            need(hashed == manifest["files"][name], f"{name} has another SHA-256")

    def complete(self) -> None:
        """Step 1: there are records, and nothing that looks like proof and belongs to none."""
        need(self.records, "there is none")
        for folder in ("records/", "proofs/", "headers/", "streams/", "maps/"):
            for name in self.names(folder):
                need(name in self.used, f"{name} belongs to no record")

    def signed_checkpoint(self) -> Checkpoint:
        """Step 7. Without a key of yours only the bundle's own can be tried."""
        checkpoint = read_checkpoint(self.file("checkpoint.txt"))
        beside = [read_vkey(line) for line in self.file("keys/vkeys.txt").decode().split()]
        keys = self.trust.policy.logs or beside
        self.log_keys = [key for key in keys if is_signed(checkpoint, key)]
        need(self.log_keys, "it is not signed by the log's key")
        return checkpoint

    def record(self, key: str) -> None:
        """Steps 2 to 6 of one record, which is shown only if its header is in the log."""
        pub = self.check(2, key, self.fields, key)
        proof = pub and self.check(4, key, self.in_segment, key, pub)
        if not proof:
            return
        header, extra, index, path = proof
        line = extra["header"].encode()
        self.disclosures[key] = extra["disclosures"]
        shown = self.check(3, key, self.disclosed, pub, extra["disclosures"])
        if self.check(6, key, self.in_log, header, line, index, path):
            self.check(5, key, self.signed_header, header, line)
            self.records[key], self.shown[key] = pub, shown or {}

    def fields(self, key: str) -> Any:
        """Step 2."""
        line, fields = self.file(f"records/{key}.line"), self.file(f"records/{key}.json")
        whole = parse(line[:-1], "its line")
        need(line[-1:] == b"\n" and set(whole) == {"integrity_hash", "pii", "pub"}, "not a record")
        need(whole["pub"] and isinstance(whole["pub"], dict), "it has no fields")
        need(canonical(whole["pub"]) == fields, "its fields are not those of its line")
        hashed = sha256(fields).hexdigest()
        need(whole["integrity_hash"] == f"sha256:{hashed}", "SHA-256 of its fields is not its hash")
        return whole["pub"]

    def same_disclosures(self) -> None:
        """Step 3: the file for people has what the proofs have."""
        proven = {key: texts for key, texts in self.disclosures.items() if texts}
        need(self.file("disclosures.json") == canonical(proven), "it is not what the proofs show")

    def disclosed(self, pub: Any, texts: list[str]) -> dict[str, Any]:
        """Step 3: personal fields by name."""
        shown, digests = {}, list(pub.get("_sd", ()))
        for text in texts:
            digest = b64u(sha256(text.encode()).digest())
            need(digest in digests, "a disclosure has no digest in the record")
            digests.remove(digest)
            _, field, value = parse(unb64u(text, "it"), "a disclosure")
            need(field in PERSONAL and field not in shown, "it discloses something else, or twice")
            shown[field] = value
        return shown

    def in_segment(self, key: str, pub: Any) -> tuple[Any, Any, int, list[bytes]]:
        """Step 4: header, extra, index and path of a proof (C2SP tlog-proof)."""
        extra_line, index, hashes = self.proof(f"proofs/{key}.tlog-proof")
        need(extra_line[:6] == "extra ", "no tlog-proof of a record")
        extra = parse(unb64(extra_line[6:], "extra"), "extra")
        need(set(extra) == {"disclosures", "header", "index", "path", "pub"}, "no proof of ours")
        need(canonical(extra["pub"]) == canonical(pub), "its proof is of other fields")
        need(type(extra["index"]) is int, "its proof has no index in the segment")
        line = extra["header"].encode()
        header = parse(line, "its header")
        known = (header.get("v"), pub.get("v")) == ("audit-segment/1", "audit-record/1")
        if not known:  # a newer one only if it is the archive's
            self.in_log(header, line, index, hashes)
        need_version(header, "audit-segment/1")
        leaf, steps = leaf_hash(sha256(canonical(pub)).digest()), map(unhash, extra["path"])
        root = tree_root(leaf, extra["index"], header["count"], steps)
        need(root.hex() == header["root"], "it is not in the tree of its segment")
        need_version(pub, "audit-record/1")
        need(key == pub["source"].replace("/", "."), "its source is another")
        place, offset = pub["source"].rsplit("/", 1)
        its_place = "{topic}/{generation}/{partition}".format(**header)
        need(place == its_place, "its segment is of another stream")
        need(type(header["base"]) is int, "its header has no base")
        there = place_in(header["ledger"], header["base"], int(offset))
        need(there == extra["index"], "its offset has another place in the ledger")
        return header, extra, index, hashes

    def proof(self, name: str) -> tuple[str, int, list[bytes]]:
        """Extra line, index and path of a proof to the checkpoint (C2SP tlog-proof)."""
        head, _, note = self.file(name).partition(b"\n\n")
        need(note == self.files["checkpoint.txt"], "its proof is to another checkpoint")
        first, *rest = head.decode().split("\n")
        extra = rest.pop(0) if rest[0].startswith("extra ") else ""
        index, *path = rest
        need(first == "c2sp.org/tlog-proof@v1", "no tlog-proof")
        need(re.fullmatch("index (0|[1-9][0-9]{0,18})", index), "its proof names no index")
        return extra, int(index[6:]), [unhash(each) for each in path]

    def signed_header(self, header: Any, line: bytes) -> None:
        """Step 5. A newer stream object is the archive's: the key of a header in the log signed it,
        or one of the verifier's."""
        name = "{topic}.{generation}.{partition}.{base}".format(**header)
        need(self.file(f"headers/{name}.txt").startswith(line + b"\n"), "its header is another")
        self.signed_lines(f"headers/{name}.txt", header["kid"])
        any_of_mine = None if self.trust.segments else header["kid"]
        named = "streams/{topic}.{generation}.json".format(**header)
        stream = self.signed_lines(named, any_of_mine)
        need_version(stream, "audit-stream/1")
        for member in ("archive", "generation", "stream", "topic"):
            need(stream[member] == header[member], f"its stream has another {member}")
        if header["status_map"] != "0" * 64:  # else made before there was a map to name
            hashed = sha256(self.file(f"maps/{header['status_map']}.json")).hexdigest()
            need(hashed == header["status_map"], "its status map is another")

    def signed_lines(self, name: str, kid: str | None) -> Any:
        """Line 1, signed by line 2: by the key `kid`, or by any of the verifier's."""
        line, sig, end = self.file(name).split(b"\n")
        signature = unb64u(parse(sig, "its signature")["sig"], "its signature")
        beside = [read_pem(self.files[each]) for each in self.names("keys/segment-", ".pem")]
        keys = self.trust.segments or beside
        fits = [key for key in keys if kid in (None, sha256(key).hexdigest()[:16])]
        signed = not end and any(ed25519(key, line, signature) for key in fits)
        need(signed, f"{name} is not signed by the key it names")
        return parse(line, name)

    def in_log(self, header: Any, line: bytes, index: int, path: list[bytes]) -> bool:
        """Step 6."""
        need(header["archive"] == self.checkpoint.origin, "its line is of another archive")
        root = tree_root(leaf_hash(line), index, self.checkpoint.size, path)
        need(root == self.checkpoint.root, "its line is not in the log of the checkpoint")
        return True

    def certificate(self, proof: str) -> None:
        """Step 13: an entry of a register."""
        name = proof[: -len(".tlog-proof")]
        line, (extra, index, path) = self.file(f"{name}.json").split(b"\n")[0], self.proof(proof)
        entry = parse(line, "its line")
        self.in_log(entry, line, index, path)
        register = name.split("/")[1].split(".")[0]
        need_version(entry, REGISTERS[register])
        self.signed_lines(f"{name}.json", entry["kid"])
        need(name == f"certificates/{register}.{entry['number']}", "it is another entry")
        need(not extra and type(entry["number"]) is int, "its proof is of something else")
        self.certificates[register, entry["number"]] = entry, leaf_hash(line).hex()

    def certified(self) -> None:
        """Step 13: they follow each other, but for disposals, of which only those are here that are
        needed; and nothing there looks like one and is none."""
        self.used.add("certificates/range.json")
        for name in self.names("certificates/"):
            need(name in self.used, f"{name} belongs to none")
        behind: dict[str, str] = {}
        if (13, "UNKNOWN") in {result[:2] for result in self.results}:
            return  # what cannot be judged can be what stands between two others
        for (register, number), (entry, leaf) in sorted(self.certificates.items()):
            follows = entry["prev"] == behind.get(register, entry["prev"])
            some = register == "disposals"
            need(some or follows, f"there is one between {register} {number} and the one before")
            behind[register] = leaf

    @property
    def newer(self) -> bool:
        """Whether something here is of a newer release."""
        return any(state == "UNKNOWN" for _, state, _ in self.results)

    def revisions(self) -> None:
        """Step 8: what comes before is here, or was disposed of."""
        last: dict[Any, tuple[int, str | None]] = {}
        for pub in sorted(self.records.values(), key=lambda pub: pub["revision"]):
            stream = pub["source"].rsplit("/", 2)[0]
            message = stream, pub["platform_tenant_id"], pub["message_uuid"]
            number, source = last.get(message, (0, None))
            follows = (pub["revision"] - 1, pub["supersedes"]) == (number, source)
            skips = pub["revision"] - 1 > number
            known = follows or (skips and self.was_disposed_of(stream, pub["supersedes"]))
            need(known, f"what comes before revision {pub['revision']} of a message is missing")
            last[message] = pub["revision"], pub["source"]

    def was_disposed_of(self, stream: str, source: Any) -> bool:
        """Step 8: whether a certificate of step 13 covers that position of the stream."""
        place, _, offset = str(source).rpartition("/")
        return place.rpartition("/")[0] == stream and any(
            place == "{topic}/{generation}/{partition}".format(**each)
            and each["base"] <= int(offset) < each["next"]
            for (register, _), (entry, _) in self.certificates.items() if register == "disposals"
            for each in entry["stretches"]
        )  # fmt: skip

    def answer(self) -> None:
        """Step 9."""
        head, payload, sig = self.files["response.jws"].decode().split(".")
        header = json.loads(unb64u(head, "its header"))
        keys = self.trust.answers or self.file("keys/jwks.json")
        key = {each["kid"]: each for each in json.loads(keys)["keys"]}[header["kid"]]
        x, y = (int.from_bytes(unb64u(key[name], "its key"), "big") for name in "xy")
        signed = es256(x, y, f"{head}.{payload}".encode(), unb64u(sig, "its signature"))
        need(header["alg"] == "ES256" and "crit" not in header, "it is of an unknown kind")
        need(signed, "it is not signed by its key")
        answer = parse(unb64u(payload, "its text"), "its text")
        here = {sha256(canonical(pub)).hexdigest(): name for name, pub in self.records.items()}
        for said in (answer["audit_record"], *answer.get("history", ())):
            name = here.get(said["integrity_hash"][7:], "")
            lacking = Newer if self.newer else Bad  # then it can be the one that cannot be judged
            need(name, "it is about a record that is not here", lacking)
            known = {**self.records[name], **self.shown[name]}
            for each in sorted(known.keys() & said.keys()):
                erased = each in PERSONAL and said[each] is None
                same = canonical(said[each]) == canonical(known[each])
                need(same or erased, f"it says another {each}")
        size, root = answer["as_of"]["size"], answer["as_of"]["root"]
        same = size != self.checkpoint.size or root == self.checkpoint.root.hex()
        need(same, "it has another root for the checkpoint's size")
        need(self.trust.answers, "it fits; name keys you trust for it (--answer-keys)", Missing)

    def compared(self) -> None:
        """Step 10: the checkpoint you kept and the bundle's are of one history."""
        mine, theirs = read_checkpoint(self.trust.kept), self.checkpoint
        same = mine.origin == theirs.origin and any(is_signed(mine, key) for key in self.log_keys)
        need(same, "it is of another log, or signed by another key", Diverged)
        old, new = sorted((mine, theirs), key=lambda each: each.size)
        if old.size == new.size:
            return need(old.root == new.root, f"there are two roots for size {old.size}", Diverged)
        if old.size == 0:  # every log continues an empty one
            return need(old.root == sha256(b"").digest(), "an empty log has no such root", Diverged)
        name = f"consistency/{old.size}-{new.size}.txt"
        proof = self.trust.proof or self.files.get(name, b"")
        need(proof, f"there is no {name}", Missing)
        path = [unhash(line) for line in proof.decode().split()]
        return need(is_prefix(old, new, path), "one does not continue the other", Diverged)

    def cosigned(self) -> dict[str, int]:
        """Step 11 (C2SP tlog-cosignature)."""
        lines, signed = list(self.checkpoint.signatures), {}  # of a witness the last good one
        for name in self.names("anchors/", ".note"):
            data = self.files[name]  # a whole note, or the lines that a witness answers with
            bare = b"" if b"\n\n" in data else f"{self.checkpoint.text}\n".encode()
            note = read_checkpoint(bare + data)
            need(note.text == self.checkpoint.text, f"{name} is for another checkpoint")
            lines += note.signatures
        for label, key in self.trust.policy.witnesses.items():
            found = [line[2] for line in lines if line[:2] == (key.name, key.id)]
            for blob in found:  # anyone can put a false line beside a good one
                seconds = int.from_bytes(blob[:8], "big")
                text = f"cosignature/v1\ntime {seconds}\n{self.checkpoint.text}"
                if key.kind == 4 and ed25519(key.public, text.encode(), blob[8:]):
                    signed[label] = seconds
            need(not found or label in signed, f"the cosignature of {label} is not good")
        need(signed, "there is none of a witness in your policy", Missing)
        return signed

    def stamped(self, name: str) -> str:
        """Step 12: the time of a token that openssl finds good."""
        note = self.files["checkpoint.txt"]
        need(b"\x04\x20" + sha256(note).digest() in self.files[name], "it is of other bytes")
        need(self.trust.authorities, "name an authority you trust (--tsa-ca)", Missing)
        need(shutil.which("openssl"), "the program openssl is not here", Missing)
        with tempfile.TemporaryDirectory() as folder:
            chain = b"".join(self.files[each] for each in self.names("anchors/", "-chain.pem"))
            for file, data in {"note": note, "token": self.files[name], "chain": chain,
                               "ca": self.trust.authorities}.items():  # fmt: skip
                Path(folder, file).write_bytes(data)
            command = ["openssl", "ts", "-verify", "-data", "note", "-in", "token", "-CAfile", "ca"]
            more = ["-untrusted", "chain"] if chain else []
            done = subprocess.run([*command, *more], cwd=folder, capture_output=True, check=False)
            distrusted = b"certificate verify error" in done.stderr
            need(not distrusted, "it is by no authority of yours, or a certificate ended", Missing)
            need(done.returncode == 0, "openssl says that it is not good")
            text = subprocess.run(["openssl", "ts", "-reply", "-in", "token", "-text"], cwd=folder,
                                  capture_output=True, check=False).stdout  # fmt: skip
        found = re.findall(rb"(?m)^Time stamp: (.*)$", text)  # before it stands what nobody signed
        return found[-1].decode() if found else "unknown time"

    @property
    def verdict(self) -> str:
        """What all of it comes to."""
        states = {state for _, state, _ in self.results}
        for state, verdict in (("FAILED", "INVALID"), ("DIVERGED", "DIVERGED"),
                               ("UNKNOWN", "CANNOT JUDGE")):  # fmt: skip
            if state in states:
                return verdict
        policy, uncompared = self.trust.policy, (10, "not checked")
        if not policy.logs or uncompared in {(step, state) for step, state, _ in self.results}:
            return "UNANCHORED"
        if policy.quorum not in ("", "none") and policy.met(policy.quorum, self.signed):
            return "WITNESSED"
        return "TIMESTAMPED" if any(self.stamps) else "UNANCHORED"


# ---- the command -------------------------------------------------------------------------------


def summary(verifier: Verifier) -> list[tuple[int, str, str]]:
    """One line a step, or one for each thing in it that was not found good."""
    lines = []
    stopped = {"FAILED", "UNKNOWN"} & {state for _, state, _ in verifier.results}
    none = "none was reached" if stopped else "there is none"
    for step in range(1, len(STEPS) + 1):
        found = [result for result in verifier.results if result[0] == step]
        wrong = [result for result in found if result[1] != "ok"]
        state = ("ok", f"{len(found)} checked") if found else ("not checked", none)
        lines += wrong or [(step, *state)]
    return lines


def told(verifier: Verifier) -> Iterable[str]:
    """What was found, for a person; escaped, so that no text here can steer a terminal."""
    for step, state, text in summary(verifier):
        yield f"{step:3} {STEPS[step - 1]:12} {state:12} {ascii(text)[1:-1]}"
    code, meaning = VERDICTS[verifier.verdict]
    proved = verifier.records or verifier.certificates
    if code < VERDICTS["DIVERGED"][0] and proved:
        log = verifier.checkpoint
        proven = "Proven to be" if verifier.trust.policy.logs else "By its own account"
        yield f"\n{proven} in the archive {log.origin!a} at log size {log.size}:"
        for key, pub in sorted(verifier.records.items(), key=lambda each: each[1]["revision"]):
            names = ("message_uuid", "revision", "delivery_status", "carrier_receipt_timestamp")
            yield ascii({**{name: pub[name] for name in names}, **verifier.shown[key]})
        for entry, _ in verifier.certificates.values():
            yield ascii({name: entry[name] for name in CERTIFIED if name in entry})
    for label, seconds in verifier.signed.items():
        yield f"the checkpoint was cosigned by {label} at {seconds} (Unix time)"
    yield from (f"the checkpoint existed at {time}" for time in verifier.stamps if time)
    if not verifier.trust.policy.logs:
        yield "\nYou named no key of the log: the bundle vouches for itself."
    yield f"\n{verifier.verdict}: {meaning}"


class Parser(argparse.ArgumentParser):
    """Exit code 2 is a verdict here."""

    def error(self, message: str) -> Any:
        """A wrong command line."""
        self.exit(64, f"{self.prog}: {message}\n")


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(description="Checks an audit_stream evidence bundle.")
    add = parser.add_argument
    add("bundle", type=Path, help="the zip, or the folder it was unpacked to")
    add("--policy", type=Path, help="your logs, witnesses and quorum (C2SP tlog-policy)")
    add("--key", action="append", default=[], help="a log's verifier key you trust: name+id+base64")
    add("--segment-key", action="append", default=[], help="a segment key you trust, hexadecimal")
    add("--answer-keys", type=Path, help="a JWKS file of the keys you trust for signed answers")
    add("--tsa-ca", type=Path, help="PEM file of the timestamp authorities you trust")
    add("--checkpoint", type=Path, help="a checkpoint of the log you kept")
    add("--consistency", type=Path, help="consistency proof between it and the bundle's")
    add("--json", action="store_true", help="the result as JSON")
    return parser


def main() -> int:
    """Check, tell, and give the verdict's exit code."""
    parser = options()
    given = parser.parse_args()
    paths = (given.policy, given.answer_keys, given.tsa_ca, given.checkpoint, given.consistency)
    try:
        policy, *others = [path.read_bytes() if path else b"" for path in paths]
        segments = [bytes.fromhex(key) for key in given.segment_key]
        trust = Trust(Policy(policy.decode(), given.key), segments, *others)
    except (Bad, ValueError, OSError, TypeError, IndexError) as error:
        parser.error(str(error))
    verifier = Verifier({}, trust)
    verifier.files = verifier.check(1, str(given.bundle), load, given.bundle) or {}
    verifier.run()
    code, _ = VERDICTS[verifier.verdict]
    if given.json:
        result = {"exit": code, "steps": summary(verifier), "verdict": verifier.verdict}
        lines: Iterable[str] = [json.dumps(result)]
    else:
        lines = told(verifier)
    sys.stdout.write("\n".join(lines) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
