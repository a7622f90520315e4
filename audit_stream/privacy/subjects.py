"""Whose a record is, and their keys under a key epoch (formats.md section 5).

Nothing is stored per person; keys are derived on demand and kept in a bounded cache that the
caller drops with the object when the key epoch changes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from typing import Final, NamedTuple, TypeGuard

from audit_stream.errors import KeyringError, RequestError
from audit_stream.privacy.derivation import Derivation, TagMaker
from audit_stream.privacy.keyring import Keyring, Tree
from audit_stream.privacy.keytree import Buffer, check_cover
from audit_stream.privacy.wiping import wipe

EXTERNAL: Final = "external"
ADDRESS: Final = "address"
MESSAGE: Final = "message"
#: The cover of one of the keyring's trees.
CoverOf = Callable[[Tree], Buffer]
#: Subjects whose keys are kept in each of two generations, about 500 bytes each.
CACHED_SUBJECTS = 50_000


def choose_subject(
    tenant: str,
    external_id: str | None,
    address: str | None,
    message_id: str,
    placeholders: Collection[str] = (),
) -> tuple[str, str, str]:
    """``(tenant, kind, id)``: by customer, else by address, else by message. Byte-exact."""
    if names_somebody(external_id, placeholders):
        return (tenant, EXTERNAL, external_id)
    if names_somebody(address, placeholders):
        return (tenant, ADDRESS, address)
    return (tenant, MESSAGE, message_id)


def names_somebody(said: str | None, placeholders: Collection[str]) -> TypeGuard[str]:
    """Whether records with this customer's id or address are that one's."""
    return said is not None and said != "" and not said.isspace() and said not in placeholders


def check_somebody(what: str, said: str, placeholders: Collection[str]) -> None:
    """`RequestError` where no record can be of whom somebody asks for: to hold or erase them would
    reach nobody and seem to have been done. `what`: customer or address."""
    if not names_somebody(said, placeholders):
        raise RequestError(
            f"this {what} is blank or a placeholder: it stands for nobody",
            hint="name them as their records do; AUDIT_PLACEHOLDER_IDS lists the placeholders",
        )


class SubjectKeys(NamedTuple):
    """What sealing or opening one subject's records of one year takes; not erased, so present."""

    tag: bytes
    enc: bytes  # K_enc
    mac: bytes  # K_mac

    def __repr__(self) -> str:
        return "SubjectKeys(…)"  # keys must not reach a log


#: What the cache answers for a subject it does not hold; None is an erased one.
_UNKNOWN: Final = SubjectKeys(b"", b"", b"")


class KeyDeriver:
    """Subject keys of one stream under one key epoch, cached; shared by a stream's lanes.

    The cache holds key bytes, not ciphers: making a cipher costs a tenth of deriving its key, and
    takes ten times the memory of the bytes.
    """

    def __init__(self, keyring: Keyring, cover: Buffer, stream: bytes, epoch: int | None = None):
        self._epoch = keyring.epoch if epoch is None else epoch
        tree = tree_at(keyring, self._epoch)
        check_cover(cover)
        self._keyring = keyring
        self._derivation = Derivation(tree.pepper, cover, stream)
        self._young: dict[tuple[str, str, str, int], SubjectKeys | None] = {}
        self._old: dict[tuple[str, str, str, int], SubjectKeys | None] = {}

    def keys(self, subject: tuple[str, str, str], year: int) -> SubjectKeys | None:
        """Keys of the subject in a UTC year, or None when the subject was erased."""
        key = (*subject, year)
        found = self._young.get(key, _UNKNOWN)
        if found is not _UNKNOWN:
            return found
        found = self._old.get(key, _UNKNOWN)
        if found is _UNKNOWN:
            found = self._derived(subject, year)
        if len(self._young) >= CACHED_SUBJECTS:
            # Two generations: dropping a dict's oldest entry one by one would scan the dropped.
            self._old, self._young = self._young, {}
        # Each event brings its own text of the tenant; the cache need not keep them all.
        self._young[sys.intern(subject[0]), *key[1:]] = found
        return found

    def wipe(self) -> None:
        """Overwrite every key it holds and let go of the cover: nobody may use it any more, and
        whoever does fails."""
        for kept in (self._young, self._old):
            for found in kept.values():
                if found is not None:
                    wipe(found.enc)
                    wipe(found.mac)
            kept.clear()
        self._derivation.wipe()
        del self._derivation, self._keyring

    def _derived(self, subject: tuple[str, str, str], year: int) -> SubjectKeys | None:
        first = self._derivation.tag(subject)
        found = self.keys_of_tag(first, year)
        if found is not None or first not in self._keyring.returned:
            return found
        generation = sum(epoch <= self._epoch for epoch in self._keyring.returned[first])
        if not generation:
            return None
        return self.keys_of_tag(self._derivation.tag((*subject, generation)), year)

    def keys_of_tag(self, tag: bytes, year: int) -> SubjectKeys | None:
        """As `keys`, for a tag read from a subject object."""
        year_key = self._keyring.years.get(year, b"")
        both = self._derivation.keys(tag, year_key)
        if both is None:
            return None
        if not year_key:
            self._keyring.year_key(year)  # refuses, also where it is no more than unknown
        return SubjectKeys(tag, *both)


def tags_of(
    keyring: Keyring, subject: tuple[str, str, str], only: Tree | None = None
) -> list[bytes]:  # fmt: skip
    """Every tag that the subject has or had: of each tree, or `only` one, the first one first, and
    of each time that it returned."""
    found = []
    for tree in keyring.trees if only is None else (only,):
        maker = TagMaker(tree.pepper)
        first = maker.tag(subject)
        again = range(1, len(keyring.returned.get(first, ())) + 1)
        found += [first, *(maker.tag((*subject, generation)) for generation in again)]
    return found


def era(keyring: Keyring, epoch: int) -> tuple[int, int]:
    """What tells epochs apart under which a subject may have other keys: the tree in force, and the
    last return of anybody."""
    returns = (each for epochs in keyring.returned.values() for each in epochs)
    last = max((each for each in returns if each <= epoch), default=0)
    return tree_at(keyring, epoch).first_epoch, last


def tree_at(keyring: Keyring, epoch: int) -> Tree:
    """The tree in force at a key epoch: the newest that began at or before it."""
    trees = [tree for tree in keyring.trees if tree.first_epoch <= epoch]
    if not trees:
        raise KeyringError(f"the keyring has no tree for the key epoch {epoch}")
    return max(trees, key=lambda tree: tree.first_epoch)
