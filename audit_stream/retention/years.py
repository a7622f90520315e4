"""Destroying the keys of years: the keyring moves to its next epoch without them.

The epoch rises, although no cover changes: so a backup that still has the key is below the
archive's newest epoch and is refused, and who has the old keyring loaded drops it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from audit_stream.keys.epochs import read_master, replace_keyring
from audit_stream.privacy.keyring import Keyring


def destroy_years(path: Path, years: Iterable[int]) -> Keyring:
    """The keyring at `path`, swapped for one without the keys of these years; what stands now.

    For whoever holds the keyring's lock. Keys that are gone already are no error. The views are for
    the caller to bring up.
    """
    old = read_master(path)
    gone = set(years)
    if not gone & old.years.keys():
        return old
    left = {year: key for year, key in old.years.items() if year not in gone}
    new = replace(old, epoch=old.epoch + 1, years=left)
    replace_keyring(path, old, new)
    return new
