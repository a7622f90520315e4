"""The archive as its bytes say, read with nothing of the product's. Pure."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Objects = Mapping[str, bytes]
_RUN = re.compile(r"([0-9]*)([aidrqxl])")


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: its header, and what stands in its record lines."""

    name: str
    header: Mapping[str, Any]
    pubs: Sequence[Mapping[str, Any]]

    def letters(self) -> Iterator[tuple[int, str]]:
        """Every offset it covers, with its disposition."""
        offset = int(self.header["base"])
        for count, letter in _RUN.findall(self.header["ledger"]):
            for _ in range(int(count or 1)):
                yield offset, letter
                offset += 1


@dataclass(frozen=True, slots=True)
class Stream:
    """A generation of a topic; `ends` are of the generation's end, None while it goes on."""

    topic: str
    generation: int
    genesis: Sequence[int]
    ends: Mapping[int, int] | None

    @property
    def place(self) -> str:
        """As it stands in a record's source."""
        return f"{self.topic}/{self.generation}"


def streams(objects: Objects) -> list[Stream]:
    """All, each topic's in order."""
    said = [
        json.loads(data.split(b"\n")[0])
        for name, data in sorted(objects.items())
        if name.startswith("streams/")
    ]
    found = []
    for each in said:
        following = [
            other for other in said
            if (other["topic"], other["generation"]) == (each["topic"], each["generation"] + 1)
        ]  # fmt: skip
        ends = (
            {item["partition"]: item["next"] for item in following[0]["ended"]}
            if following
            else None
        )
        found.append(Stream(each["topic"], each["generation"], each["genesis"], ends))
    return found


def segments(objects: Objects, stream: Stream, partition: int, public: bytes) -> list[Segment]:
    """Those that are signed, by their base; what is not is nothing."""
    folder = f"segments/{stream.topic}/{stream.generation:05d}/{partition:05d}/"
    found = [_segment(name, objects[name], public) for name in objects if name.startswith(folder)]
    return sorted(
        (each for each in found if each), key=lambda each: (each.header["base"], each.name)
    )


def _segment(name: str, data: bytes, public: bytes) -> Segment | None:
    try:
        head, signature, *lines = zlib.decompress(data, 31).split(b"\n")
        header = json.loads(head)
        text = json.loads(signature)["sig"]
        Ed25519PublicKey.from_public_bytes(public).verify(
            base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), head
        )
    except (zlib.error, ValueError, KeyError, TypeError, InvalidSignature):
        return None
    if header["v"] != "audit-segment/1":
        return None
    return Segment(name, header, [json.loads(line)["pub"] for line in lines if line])


def log_leaves(objects: Objects) -> tuple[list[bytes], list[str]]:
    """Hashes of the archive log's leaves in order, and the checkpoints of its batches."""
    leaves: list[bytes] = []
    checkpoints = []
    for name in sorted(each for each in objects if each.startswith("log/")):
        batch = json.loads(objects[name])
        leaves += [sha256(b"\0" + leaf["line"].encode()).digest() for leaf in batch["leaves"]]
        checkpoints.append(batch["checkpoint"])
    return leaves, checkpoints


def root_of(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162 2.1.1, of leaves that are hashed already."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else sha256(b"").digest()
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sha256(b"\1" + root_of(leaves[:half]) + root_of(leaves[half:])).digest()


def said_by(note: str) -> tuple[int, bytes]:
    """Size and root of a checkpoint."""
    _, size, root, *_ = note.split("\n")
    return int(size), base64.b64decode(root)
