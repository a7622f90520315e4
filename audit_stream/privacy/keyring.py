"""The keyring (formats.md section 5): parsed, checked, and cut down to what a role may see.

Pure: bytes in, objects out. Reading and compare-and-swap writing of the file are `keys.file`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from audit_stream.errors import FormatError, KeyringError, NoYearKey
from audit_stream.evidence.canonical import canonical, parse_line
from audit_stream.evidence.encoding import b64u, b64u_decode, hex_decode
from audit_stream.privacy.keytree import TAG_BYTES, genesis_cover

VERSION = "audit-keyring/1"
#: Of a keyring that knows of subjects that returned: it has the member `returned`.
VERSION_RETURNED = "audit-keyring/2"
YEARS_AHEAD = 30
KEY_BYTES = 32
_ARCHIVE_NAME = re.compile(r"[^\s+]{1,128}").fullmatch
_YEAR = re.compile(r"[0-9]{4}").fullmatch
_MEMBERS = {"archive", "epoch", "index_key", "log_key", "segment_key", "trees", "v", "years"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One tree of the keyring: its cover file and the pepper of its tags."""

    cover: str
    cover_sha256: str
    first_epoch: int
    pepper: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """The keys of one archive at one epoch. Secrets stay out of the repr."""

    archive: str
    epoch: int
    index_key: bytes = field(repr=False)
    log_key: bytes | None = field(repr=False)
    segment_key: bytes | None = field(repr=False)
    trees: tuple[Tree, ...]
    years: Mapping[int, bytes] = field(repr=False)
    #: Of subjects that were erased and returned: the tag they had first -> the epochs from which on
    #: they were back, ascending. Their generation at an epoch is how many of these it has reached.
    returned: Mapping[bytes, tuple[int, ...]] = field(default_factory=dict, repr=False)

    def year_key(self, year: int) -> bytes:
        """The key of one UTC year; `NoYearKey` when it is missing or was destroyed."""
        try:
            return self.years[year]
        except KeyError:
            raise NoYearKey(
                f"the keyring has no key for the year {year}",
                hint="it was destroyed, or the broker's clock is wrong, or years must be added",
            ) from None

    def encode(self) -> bytes:
        """The file's bytes: one canonical line without newline."""
        value: dict[str, Any] = {
            "archive": self.archive,
            "epoch": self.epoch,
            "index_key": b64u(self.index_key),
            "trees": [
                {"cover": t.cover, "cover_sha256": t.cover_sha256, "first_epoch": t.first_epoch,
                 "pepper": b64u(t.pepper)}
                for t in self.trees
            ],
            "v": VERSION_RETURNED if self.returned else VERSION,
            "years": {f"{year:04d}": b64u(key) for year, key in self.years.items()},
        }  # fmt: skip
        if self.returned:
            value["returned"] = {tag.hex(): epochs for tag, epochs in self.returned.items()}
        for name, key in (("log_key", self.log_key), ("segment_key", self.segment_key)):
            if key is not None:  # a view by role leaves out what the role must not hold
                value[name] = b64u(key)
        return canonical(value)


def new_keyring(archive: str, first_year: int, secret: bytes) -> tuple[Keyring, bytes]:
    """A first keyring and its cover file, from fresh random bytes (see `secret_size`)."""
    if not _ARCHIVE_NAME(archive):
        raise KeyringError(
            f"{archive!r} cannot be an archive's name",
            hint="use 1 to 128 characters without white space and +",
        )
    if len(secret) != secret_size():
        raise KeyringError(f"a new keyring takes {secret_size()} random bytes")
    keys = [secret[i : i + KEY_BYTES] for i in range(0, len(secret), KEY_BYTES)]
    root, pepper, index_key, log_key, segment_key, *years = keys
    cover = genesis_cover(root)
    tree = Tree(
        cover="cover-1.bin", cover_sha256=sha256(cover).hexdigest(), first_epoch=1, pepper=pepper
    )
    ring = Keyring(
        archive=archive, epoch=1, index_key=index_key, log_key=log_key, segment_key=segment_key,
        trees=(tree,), years={first_year + i: key for i, key in enumerate(years)},
    )  # fmt: skip
    return ring, cover


def secret_size() -> int:
    """Random bytes a new keyring takes: five keys and one for each of thirty years."""
    return KEY_BYTES * (5 + YEARS_AHEAD)


def parse_keyring(data: bytes) -> Keyring:
    """A keyring from its file's bytes; `KeyringError` says what is wrong, never a key."""
    try:
        value = parse_line(data.rstrip(b"\n"), "the keyring")
        _check(value)
        return Keyring(
            archive=value["archive"],
            epoch=value["epoch"],
            index_key=b64u_decode(value["index_key"], "index_key", KEY_BYTES),
            log_key=_optional_key(value, "log_key"),
            segment_key=_optional_key(value, "segment_key"),
            trees=_parse_trees(value["trees"], value["epoch"]),
            years={
                int(y): b64u_decode(k, f"year {y}", KEY_BYTES) for y, k in value["years"].items()
            },
            returned=_parse_returned(value.get("returned", {}), value["epoch"]),
        )
    except FormatError as error:
        raise KeyringError(
            f"the keyring cannot be used: {error.message}",
            hint="restore it from its backup: `audit-stream keyring restore`",
        ) from error


def _optional_key(value: Mapping[str, Any], name: str) -> bytes | None:
    return b64u_decode(value[name], name, KEY_BYTES) if name in value else None


def _check(value: Mapping[str, Any]) -> None:
    versions = {VERSION: _MEMBERS, VERSION_RETURNED: _MEMBERS | {"returned"}}
    members = versions.get(str(value.get("v")))
    if members is None:
        raise FormatError(f"v is neither {VERSION} nor {VERSION_RETURNED}")
    if not set(value) <= members or members - set(value) - {"log_key", "segment_key"}:
        raise FormatError("members are missing or unknown")
    if type(value["archive"]) is not str or type(value["epoch"]) is not int or value["epoch"] < 1:
        raise FormatError("archive or epoch has the wrong type")
    if not _ARCHIVE_NAME(value["archive"]):
        raise FormatError("archive is empty, too long or holds white space or +")
    years = value["years"]
    if not isinstance(years, dict) or not all(map(_YEAR, years)):
        raise FormatError("years is not an object of four-digit years")
    if not isinstance(value["trees"], list) or not value["trees"]:
        raise FormatError("trees is empty")


def _parse_returned(items: Any, epoch: int) -> dict[bytes, tuple[int, ...]]:
    if not isinstance(items, dict):
        raise FormatError("returned is not an object")
    found: dict[bytes, tuple[int, ...]] = {}
    for tag, epochs in items.items():
        if not isinstance(epochs, list) or not all(type(each) is int for each in epochs):
            raise FormatError("returned holds something other than lists of epochs")
        if not epochs or sorted(set(epochs)) != epochs or not 1 < epochs[0] <= epochs[-1] <= epoch:
            raise FormatError("returned holds epochs that are not ascending up to the keyring's")
        found[hex_decode(tag, "a returned tag", TAG_BYTES)] = tuple(epochs)
    return found


def _parse_trees(items: list[Any], epoch: int) -> tuple[Tree, ...]:
    trees = tuple(map(_parse_tree, items))
    starts = [tree.first_epoch for tree in trees]
    # The tree in force would be ambiguous, or one that has not begun.
    if len(set(starts)) != len(starts) or min(starts) < 1 or max(starts) > epoch:
        raise FormatError("the trees do not begin at different epochs up to the keyring's")
    return trees


def _parse_tree(item: Any) -> Tree:
    if not isinstance(item, dict) or set(item) != {
        "cover", "cover_sha256", "first_epoch", "pepper",
    }:  # fmt: skip
        raise FormatError("a tree does not have cover, cover_sha256, first_epoch, pepper")
    cover = item["cover"]
    if type(cover) is not str or cover in ("", ".", "..") or "/" in cover or "\x00" in cover:
        raise FormatError("a tree's cover is not a plain file name")
    if type(item["first_epoch"]) is not int:
        raise FormatError("a tree's first_epoch is not an integer")
    hex_decode(item["cover_sha256"], "cover_sha256")
    return Tree(
        cover=item["cover"], cover_sha256=item["cover_sha256"], first_epoch=item["first_epoch"],
        pepper=b64u_decode(item["pepper"], "pepper", KEY_BYTES),
    )  # fmt: skip
