"""Keys in the log (`audit-key/1`): what it says of them, and the lines that say more.

Who says something of a key must know everything that was said before, for a line that breaks a
rule stands for ever: the log is read from its beginning, and each line tried before it is signed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import replace

from audit_stream.errors import ConfigError, ForkAlarm, FormatError, UnknownVersion
from audit_stream.evidence.batch import Batch, Leaf
from audit_stream.evidence.key_line import KeyHistory, KeyLine, Use, decode_key_line, is_key_line
from audit_stream.evidence.log_tree import Frontier
from audit_stream.evidence.signing import LineSigner
from audit_stream.notary.log import ArchiveLog, Head

#: The lines to write, given what was said and the index at which the first of them will stand.
Say = Callable[[KeyHistory, int], Sequence[KeyLine]]
MOST_LINES = 16  # of a batch's leaves


class LoggedKeys:
    """What a log says of keys, as far as it was read."""

    def __init__(self, log: ArchiveLog) -> None:
        self._log, self._frontier = log, Frontier()
        self.history = KeyHistory(log.key.name, log.key.public)
        self._broken: list[str] = []

    @property
    def wrong(self) -> list[str]:
        """Lines that break a rule, and keys that count nowhere."""
        return [*self._broken, *self.history.unfounded]

    async def catch_up(self, head: Head | None) -> KeyHistory:
        """Read on to the head, whose root must be that of what was read. `FormatError`,
        `ForkAlarm`; `UnknownVersion` of a line about a key, behind which nothing can be said."""
        size = 0 if head is None else head.size
        async for batch in self._log.whole_batches(self._frontier.size, size):
            self._take(batch)
        if head is not None and self._frontier.root != head.root:
            raise ForkAlarm(
                "the archive log's batches do not have the root of its newest checkpoint",
                hint="read docs/runbooks/fork.md; audit-stream verify says more",
            )
        return self.history

    def saying(self, say: Say) -> Callable[[Head | None, int], Awaitable[list[Leaf]]]:
        """For `Notary.write`."""

        async def leaves(head: Head | None, index: int) -> list[Leaf]:
            found = say(await self.catch_up(head), index)
            return [Leaf(line.line()) for line in found]

        return leaves

    def _take(self, batch: Batch) -> None:
        for index, leaf in enumerate(batch.leaves, batch.old_size):
            if leaf.name is None and is_key_line(leaf.line):
                try:
                    self.history.add(index, decode_key_line(leaf.line, f"leaf {index}"))
                except UnknownVersion:
                    raise
                except FormatError as error:
                    self._broken.append(error.message)
        self._frontier = self._frontier.add(leaf.hash for leaf in batch.leaves)


def unannounced(
    history: KeyHistory, keys: Iterable[tuple[Use, bytes]]
) -> list[tuple[Use, bytes]]:  # fmt: skip
    """Of some keys, by use and public half, those that the log does not know."""
    known = {(key.use, key.public) for key in history.keys}
    return [key for key in keys if key not in known]


def announcements(
    history: KeyHistory, index: int, keys: Iterable[tuple[Use, bytes]], signer: LineSigner,
    reason: str,
) -> list[KeyLine]:  # fmt: skip
    """Lines for those that the log does not know, the first at leaf `index`; not all of very many.

    The first key of its use counts from the log's beginning, any other from behind its line.
    """
    said, lines = deepcopy(history), list[KeyLine]()
    for at, (use, public) in enumerate(unannounced(history, keys)[:MOST_LINES], index):
        first = not any(key.use == use for key in said.keys)
        line = KeyLine(
            archive=history.archive, not_before_size=0 if first else at + 1, public=public,
            reason=reason, use=use,
        ).signed(signer)  # fmt: skip
        said.add(at, line)
        lines.append(line)
    return lines


def revocation(
    history: KeyHistory, index: int, kid: str, signer: LineSigner, reason: str,
    start: int | None = None,
) -> KeyLine:  # fmt: skip
    """The line that revokes a key from `start` on: the place behind the line if not given.

    `ConfigError` when the log does not know the key, or none of its use would be left.
    """
    key = next((each for each in history.keys if each.kid == kid), None)
    if key is None or key.revoked_at_size is not None:
        what = "was revoked already" if key else "is not in the archive log"
        raise ConfigError(f"the key {kid} {what}", hint="audit-stream log keys lists them")
    end = index + 1 if start is None else start
    if not key.not_before_size <= end <= index + 1:
        raise ConfigError(
            f"the key {kid} counts from {key.not_before_size} on, and its line would stand at "
            f"{index}: {end} is not between",
            hint="name the first leaf it must not count for; without --from it is the next",
        )
    if not any(other.kid != kid for other in history.in_force(key.use, index + 1)):
        raise ConfigError(
            f"no other {key.use} key would count", hint="announce its successor first"
        )
    line = replace(key, revoked_at_size=end, reason=reason).signed(signer)
    deepcopy(history).add(index, line)
    return line
