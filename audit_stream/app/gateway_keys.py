"""A gateway's keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from audit_stream.app.covers import cover_opener
from audit_stream.keys.file import LoadedKeyring
from audit_stream.privacy.keyring import Tree
from audit_stream.privacy.keytree import Buffer
from audit_stream.settings import Settings


@dataclass(frozen=True, slots=True)
class Keys:
    """A keyring with all its covers mapped: they can be destroyed behind it."""

    ring: LoadedKeyring
    covers: Mapping[int, Buffer] = field(repr=False)

    @property
    def epoch(self) -> int:
        """Of the keyring."""
        return self.ring.keyring.epoch

    def cover_of(self, tree: Tree) -> Buffer:
        """Of one of its trees."""
        return self.covers[tree.first_epoch]


def with_covers(settings: Settings, ring: LoadedKeyring) -> Keys:
    """Of the keyring that the settings name; `KeyringError`."""
    older = sorted(ring.keyring.trees, key=lambda each: each.first_epoch)
    newest, opened = older.pop(), cover_opener(settings)
    covers: dict[int, Buffer] = {each.first_epoch: opened(each) for each in older}
    covers[newest.first_epoch] = ring.cover
    return Keys(ring, covers)
