"""Asking a witness (C2SP tlog-witness): it cosigns what continues the log as it last saw it.

Source: https://c2sp.org/tlog-witness
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from audit_stream.anchors.http import Answer, Post
from audit_stream.errors import AnchorError, AnchorRefused, ForkAlarm, FormatError
from audit_stream.evidence.checkpoint import encode_hash
from audit_stream.evidence.note import Note, NoteKey, parse_note
from audit_stream.notary.log import ArchiveLog, Head

_KIND = "text/plain"
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n").fullmatch
_TRIES = 4  # of notaries that ask at the same time, each goes on from the other's size
_FORKED = "stop the notaries, keep everything, and read docs/runbooks/fork.md"
_HINTS = {
    403: "has the witness the public key of this log (audit-stream log key)?",
    404: "does the witness know this log, and is the URL its submission prefix?",
}


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A checkpoint that a witness vouches for."""

    head: Head
    note: Note  # the checkpoint's, with the witness's line
    seconds: int  # Unix time of the cosignature


class Witness:
    """One witness; remembers the size that it last said, which saves a question."""

    def __init__(self, key: NoteKey, url: str, post: Post) -> None:
        self.key, self._post = key, post
        self._url = f"{url.rstrip('/')}/add-checkpoint"
        self._size = 0

    @property
    def name(self) -> str:
        """As its notes are stored: the key's name as far as a file's may hold it, and its id."""
        return f"{re.sub('[^A-Za-z0-9-]', '_', self.key.name)}-{self.key.id.hex()}"

    async def ask(self, log: ArchiveLog, head: Head) -> Cosigned:
        """The head cosigned, or a newer one that the witness has seen already.

        `ForkAlarm` when it saw a log that ours does not continue; `AnchorError` when it did not
        cosign, `AnchorRefused` when it will not.
        """
        for _ in range(_TRIES):
            head = await self._not_behind(log, head)
            answer = await self._post(self._url, await self._request(log, head), _KIND)
            if answer.status == 200:
                cosigned = self._cosigned(head, answer.body)
                self._size = head.size
                return cosigned
            if answer.status != 409:
                raise self._refusal(answer, head)
            self._size = _size_of(answer.body)
        raise AnchorError("it went on while it was asked, again and again")

    async def _not_behind(self, log: ArchiveLog, head: Head) -> Head:
        """A head as new as what the witness saw: a checkpoint leaves only after its batch."""
        if self._size > head.size:
            head = await log.follow(head)
        if self._size > head.size:
            raise ForkAlarm(
                f"the witness has cosigned {self._size} leaves, and this log has {head.size}",
                hint=_FORKED,
            )
        return head

    async def _request(self, log: ArchiveLog, head: Head) -> bytes:
        proof: Sequence[bytes] = ()
        if self._size:
            old = await log.frontier(self._size)
            proof = await log.consistency(self._size, old.root, head)
        lines = [f"old {self._size}", *map(encode_hash, proof), "", ""]
        return "\n".join(lines).encode() + head.note.encode()

    def _cosigned(self, head: Head, body: bytes) -> Cosigned:
        """With the line of this witness's key; others it may send count for nothing."""
        try:
            signed = parse_note(head.note.text.encode() + b"\n" + body, "the witness's answer")
        except FormatError as error:
            raise AnchorError(error.message) from error
        for line in signed.signatures:
            if seconds := Note(head.note.text, (line,)).cosigned_at(self.key):
                return Cosigned(head, head.note.with_signatures([line]), seconds)
        raise AnchorError(
            "its answer has no good cosignature by its key",
            hint="check the vkey in AUDIT_ANCHOR_WITNESSES",
        )

    def _refusal(self, answer: Answer, head: Head) -> ForkAlarm | AnchorError:
        if answer.status == 422:
            return ForkAlarm(
                f"the witness saw another log of {self._size} leaves, which this one of "
                f"{head.size} does not continue",
                hint=_FORKED,
            )
        said = f"it answered HTTP {answer.status}"
        if answer.status >= 500 or answer.status in (408, 425, 429):
            return AnchorError(said)
        return AnchorRefused(said, hint=_HINTS.get(answer.status, "check the witness's URL"))


def _size_of(body: bytes) -> int:
    match = _SIZE(body)
    if match is None:
        raise AnchorError("it answered HTTP 409 without the size it knows")
    return int(match[1])
