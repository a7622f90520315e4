"""The promises, held against the evidence. Pure: it only reads what was gathered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from audit_stream.evidence.layout import map_name
from tests.campaigns.chaos import archived, persons, promises
from tests.campaigns.chaos.evidence import Evidence
from tests.campaigns.chaos.promises import Found
from tests.campaigns.chaos.traffic import UNMAPPED
from tests.support.planting import judge as judge_private

#: Fenced, or something was away for too long: start again. 1: the same, while it starts.
_START_AGAIN = {1, 70, 71}
_REFUSED = 2  # an operator's matter, while a worker starts
_ASKED = {0, -9, -15} | _START_AGAIN
_BUGS = ("unexpected", "agent failed", "Faust crashed", "Traceback")
_LETTERS = {
    "archived": "a", "intermediate": "i", "duplicate": "d", "regressed": "r", "quarantined": "q",
    "absent": "x", "lost": "l",
}  # fmt: skip
#: What no log may say, and the promise that it breaks.
_NEVER = (("P5", "ALARM fork"), ("P1", "ALARM lost"), ("P8", "Traceback"))


@dataclass
class Verdict:
    """What the judge says; a problem begins with the promise that is broken."""

    problems: list[str] = field(default_factory=list)
    records: int = 0
    offsets: int = 0
    quarantined: int = 0
    erased: int = 0


def judge(seen: Evidence) -> Verdict:
    """Everything."""
    found = promises.judge(
        seen.objects, seen.logs, seen.made, seen.ring.signer.public,
        lambda name: UNMAPPED.lower().encode() in seen.objects[map_name(name)].lower(),
    )  # fmt: skip
    problems = [
        *found.problems, *promises.unsent(seen.logs, seen.sent), *_complete(seen, found),
        *_derived(seen), *_tampered(seen), *_private(seen), *persons.forgotten(seen, found.records),
        *_never_silent(seen, found),
    ]  # fmt: skip
    return Verdict(
        problems=problems, records=len(found.records), offsets=found.letters.total(),
        quarantined=found.letters["q"], erased=len(seen.erased),
    )  # fmt: skip


def _complete(seen: Evidence, found: Found) -> Iterator[str]:
    """P1 as `reconcile` says it, and that it counts what our own pass does."""
    try:
        said = json.loads(seen.reconciled.out)
    except ValueError:
        said = {}
    if seen.reconciled.code or said["unexplained"] or said["to_come"]:
        yield f"P1: reconcile {seen.reconciled}"
        return
    counted = {letter: said["dispositions"][name] for name, letter in _LETTERS.items()}
    for older in said["older_generations"]:
        for name, letter in _LETTERS.items():
            counted[letter] += older[name]
    if {letter: count for letter, count in counted.items() if count} != dict(found.letters):
        yield f"P1: reconcile counts {counted}, and there are {dict(found.letters)}"


def _derived(seen: Evidence) -> Iterator[str]:
    """P3."""
    if seen.replayed.code:
        yield f"P3: replay {seen.replayed}"


def _tampered(seen: Evidence) -> Iterator[str]:
    """P5: it is whole, every checkpoint that was shown fits, and a change would be found."""
    if seen.verified.code:
        yield f"P5: verify {seen.verified}"
    if seen.changed.code != 1:
        yield f"P5: {seen.change}, and verify {seen.changed}"
    leaves, stored = archived.log_leaves(seen.objects)
    last = 0
    for note in seen.kept:
        size, root = archived.said_by(note)
        if size < last:
            yield f"P5: a checkpoint of {size} was shown behind one of {last}"
        if size > len(leaves) or archived.root_of(leaves[:size]) != root:
            yield f"P5: a checkpoint of {size} that was shown is not of this log"
        last = size
    if len(seen.kept) < 2 or not set(seen.kept) <= set(stored):
        yield f"P5: of {len(seen.kept)} checkpoints that were shown not all are stored"


def _private(seen: Evidence) -> Iterator[str]:
    """P6."""
    return (f"P6: {each}" for each in judge_private(seen.seen))


def _never_silent(seen: Evidence, found: Found) -> Iterator[str]:
    """P8: what was not understood lies in quarantine; no process ended as none should; no alarm of
    what must not happen."""
    if lost := found.quarantined - seen.copies:
        yield f"P8: no copy in quarantine of {sorted(lost)[:5]}"
    for each in seen.exits:
        allowed = _ASKED if each.asked else _START_AGAIN
        refused = each.code == _REFUSED and any(code in each.reason for code in seen.refusals)
        if not (each.code in allowed or refused) or any(word in each.reason for word in _BUGS):
            yield f"P8: {each}"
    for name, text in seen.words.items():
        for promise, words in _NEVER:
            line = next((line for line in text.splitlines() if words in line), None)
            if line is not None:
                yield f"{promise}: {name} says: {line[:500]}"
