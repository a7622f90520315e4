"""Verification of what the archive log says of keys, and of who signed what by it.

V24 each line about a key keeps the rules; each segment, stream object and register's entry that is
    a leaf, or stands behind the last one, and each checkpoint, is signed by a key that counts at
    its place. A log without such lines says nothing of keys; behind one of a version that is not
    known here, nothing can be judged
"""

from __future__ import annotations

from collections.abc import Iterable

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence.key_line import KeyHistory, decode_key_line
from audit_stream.evidence.log_names import LOG_FOLDER
from audit_stream.evidence.note import NoteKey
from audit_stream.evidence.signing import TrustedKeys, key_id
from audit_stream.evidence.stream_object import signer_of
from audit_stream.verify.report import Problem

_STEP = "V24"


class KeyRules:
    """Folds the lines about keys in the log's order, then judges the signatures."""

    def __init__(self, key: NoteKey) -> None:
        self._log_kid, self._history = key_id(key.public), KeyHistory(key.name, key.public)
        self._sealed: list[tuple[int, str, str]] = []  # leaf, kid, object's name
        self._founded: list[tuple[int, str, bytes]] = []  # leaf, object's name, its bytes
        self.problems: list[Problem] = []
        self.unknown: list[Problem] = []

    def take_line(self, index: int, line: bytes) -> None:
        """The leaf of this index is about a key."""
        try:
            self._history.add(index, decode_key_line(line, f"leaf {index}"))
        except UnknownVersion as error:
            self.unknown.append(Problem(_STEP, LOG_FOLDER, error.message))
        except FormatError as error:
            self._wrong(LOG_FOLDER, error.message)

    def take_signed(self, index: int, kid: str, name: str) -> None:
        """The leaf of this index is a segment or a register's entry, whose line 1 names a key."""
        self._sealed.append((index, kid, name))

    def take_stream(self, index: int, data: bytes, name: str) -> None:
        """The leaf of this index is a stream object, of these bytes: it names no key."""
        self._founded.append((index, name, data))

    def judge(self, checkpoints: Iterable[int]) -> None:
        """At the end, for a revocation reaches back: keys, objects, checkpoints of these sizes."""
        known = {key.use for key in self._history.keys}
        for what in self._history.unfounded:
            self._wrong(LOG_FOLDER, what)
        if "segment" in known:
            for index, kid, name in self._sealed:
                if self._history.key("segment", kid, index) is None:
                    self._wrong(name, f"is leaf {index}, where its key {kid} does not count")
            for index, name, data in self._founded:
                if not self._is_signed(index, data):
                    self._wrong(name, f"is leaf {index}, where no key counts that signed it")
        if "log" in known:
            for size in checkpoints:
                if self._history.key("log", self._log_kid, size) is None:
                    self._wrong(
                        LOG_FOLDER,
                        f"has a checkpoint of {size} leaves, where its key does not count",
                    )

    def _is_signed(self, index: int, data: bytes) -> bool:
        keys = TrustedKeys(*(key.public for key in self._history.in_force("segment", index)))
        return signer_of(data, keys) is not None

    def _wrong(self, name: str, what: str) -> None:
        found = self.unknown if self.unknown else self.problems
        found.append(Problem(_STEP, name, what))
