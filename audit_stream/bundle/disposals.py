"""The disposal certificates that tell where the statuses before a bundle's first went.

Of a message some revisions may be left when those before were disposed of with their segments: the
one that is left names the position of the one before, and a certificate covers that position.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from audit_stream.archive.register import RegisterReader
from audit_stream.errors import FormatError
from audit_stream.evidence.disposal import Stretch, disposal_of
from audit_stream.evidence.register import Entry, Register
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.index.lookup import Revision
from audit_stream.ports import WormStore

_HINT = "audit-stream verify says more"


def superseded(revisions: Iterable[Revision]) -> set[str]:
    """Positions of the records that these supersede and that are not among them."""
    pubs = [each.record.pub for each in revisions]
    named = {str(pub["supersedes"]) for pub in pubs if pub["supersedes"] is not None}
    return named - {pub["source"] for pub in pubs}


async def covering(
    store: WormStore, keys: TrustedKeys, archive: str, positions: set[str]
) -> Sequence[Entry]:  # fmt: skip
    """The entries that cover these positions; with none of these the register is not read.

    `FormatError` when nothing covers one of them: its record is missing. `ForkAlarm`, `StoreError`.
    """
    if not positions:
        return ()
    reader = RegisterReader(store, keys, archive, Register.DISPOSALS)
    found: dict[str, Entry] = {}
    for entry in await reader.new_entries():
        stretches = disposal_of(entry).stretches
        found |= {each: entry for each in positions if _is_covered(each, stretches)}
    if missing := positions - found.keys():
        raise FormatError(f"{min(missing)} is missing, and was not disposed of", hint=_HINT)
    return sorted({each.number: each for each in found.values()}.values(), key=_number)


def _is_covered(position: str, stretches: Iterable[Stretch]) -> bool:
    topic, generation, partition, offset = position.rsplit("/", 3)
    place = topic, int(generation), int(partition)
    return any(
        place == (each.topic, each.generation, each.partition)
        and each.base <= int(offset) < each.next
        for each in stretches
    )


def _number(entry: Entry) -> int:
    return entry.number
