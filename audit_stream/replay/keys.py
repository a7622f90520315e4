"""Keys for sealing again what was sealed before: under the key epoch a segment names."""

from __future__ import annotations

from audit_stream.errors import NoYearKey
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.subjects import CoverOf, KeyDeriver, SubjectKeys, era, tree_at


class ResealingKeys(KeyDeriver):
    """As `KeyDeriver`; a person of a year that was shredded since is as good as erased.

    A year without a key means two things: it was destroyed, or a producer's clock is wrong and the
    record went to quarantine. `sealed` are the record lines that the archive holds of the range in
    work: a year that was sealed there had its key.
    """

    sealed: bytes = b""

    def keys_of_tag(self, tag: bytes, year: int) -> SubjectKeys | None:
        """See `KeyDeriver`."""
        try:
            return super().keys_of_tag(tag, year)
        except NoYearKey:
            if b'"ingestion_timestamp":"%04d-' % year in self.sealed:
                return None
            raise


class StreamKeys:
    """The keys of one stream, by key epoch; the epochs of one era share them."""

    def __init__(self, keyring: Keyring, cover_of: CoverOf, stream: str) -> None:
        self._keyring, self._cover_of = keyring, cover_of
        self._stream = bytes.fromhex(stream)
        self._made: dict[tuple[int, int], ResealingKeys] = {}

    def at(self, epoch: int) -> ResealingKeys:
        """Keys of an epoch. `KeyringError` when the keyring has no tree for it."""
        tree = tree_at(self._keyring, epoch)
        key = era(self._keyring, epoch)
        if key not in self._made:
            self._made[key] = ResealingKeys(
                self._keyring, self._cover_of(tree), self._stream, epoch
            )
        return self._made[key]
