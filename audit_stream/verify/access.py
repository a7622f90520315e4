"""Verification of the access journals against the archive log's lines about them.

V23 each part of a journal follows the one before and is what its name says; each line of the log
    names heads of those chains, and never fewer parts than an earlier one
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence.access import AccessLine, JournalPart, decode_part
from audit_stream.evidence.log_names import access_name, parse_access_name
from audit_stream.verify.report import Problem

Read = Callable[[str], bytes | None]
_STEP = "V23"


def access_problems(
    names: Iterable[str], read: Read, archive: str, lines: Iterable[AccessLine]
) -> Iterator[Problem]:
    """What is wrong with the journals whose parts are among `names`; `lines` in the log's order.

    `UnknownVersion` of a part that this release cannot judge.
    """
    leaves: dict[tuple[str, int], bytes] = {}
    for name in sorted(names):
        if (place := parse_access_name(name)) is None:
            continue
        try:
            part = _part(read(name) or b"", name, archive, leaves.get((place[0], place[1] - 1)))
        except UnknownVersion:
            raise
        except FormatError as error:
            yield Problem(_STEP, name, error.message.removeprefix(f"{name} "))
        else:
            leaves[place] = part.leaf
    yield from _line_problems(leaves, lines)


def _part(data: bytes, name: str, archive: str, before: bytes | None) -> JournalPart:
    part = decode_part(data, name)
    if part.name != name or part.archive != archive:
        raise FormatError(f"{name} is the part {part.name} of {part.archive}")
    if part.prev != before or (before is None) != (part.number == 0):
        raise FormatError(f"{name} does not follow the part before it")
    return part


def _line_problems(
    leaves: dict[tuple[str, int], bytes], lines: Iterable[AccessLine]
) -> Iterator[Problem]:  # fmt: skip
    reached: dict[str, int] = {}
    told: set[str] = set()
    for line in lines:
        for journal in sorted(reached.keys() | line.heads.keys()):
            head = line.heads.get(journal)
            number = reached.get(journal, 1) if head is None else head.next
            if head is None or number < reached.get(journal, 0):
                what = "is logged, and a later line has fewer parts"
            elif leaves.get((journal, number - 1)) != head.leaf:
                what = "is logged, and is missing or another here"
            else:
                what = ""
            reached[journal] = max(number, reached.get(journal, 0))
            name = access_name(journal, number - 1)
            if what and name not in told:
                told.add(name)
                yield Problem(_STEP, name, what)
