"""Violations of each promise, planted in what is left of a sound installation.

Those in a segment are an insider's: signed with the archive's own key.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.segment import decode, encode
from audit_stream.privacy.place import At, Where
from audit_stream.privacy.subject_object import seal_tags
from tests.campaigns.chaos.crew import Exit
from tests.campaigns.chaos.evidence import Evidence, Said
from tests.campaigns.chaos.persons import Tags
from tests.campaigns.chaos.traffic import PERSONS, TENANTS
from tests.support.planting import Seen

Lines = list[dict[str, Any]]
Change = Callable[[dict[str, Any], Lines], None]


def resealed(found: Evidence, change: Change) -> dict[str, bytes]:
    """The archive with a segment of several records changed and signed anew."""
    name = next(
        name for name in sorted(found.objects)
        if name.startswith("segments/") and _revised(found.objects[name], name)
    )  # fmt: skip
    whole = decode(found.objects[name], name)
    header = json.loads(whole.header_line)
    lines = [json.loads(line) for line in whole.record_lines()]
    change(header, lines)
    for each in lines:
        each["integrity_hash"] = "sha256:" + sha256(canonical(each["pub"])).hexdigest()
    line = canonical(header)
    body = b"".join(canonical(each) + b"\n" for each in lines)
    data = encode(line, found.ring.signer.signature_line(line), body)
    return {**found.objects, name: data}


def _revised(data: bytes, name: str) -> bool:
    return any(b'"revision":2' in line for line in decode(data, name).record_lines())


def _in_segment(change: Change) -> Callable[[Evidence], Evidence]:
    return lambda found: replace(found, objects=resealed(found, change))


def _second(lines: Lines) -> dict[str, Any]:
    """The first record that has one before it."""
    pub: dict[str, Any] = next(each["pub"] for each in lines if each["pub"]["revision"] == 2)
    return pub


def _set(**fields: object) -> Callable[[Evidence], Evidence]:
    return _in_segment(lambda _, lines: _second(lines).update(fields))


def _another_letter(header: dict[str, Any], _: Lines) -> None:
    header["ledger"] = header["ledger"].replace("i", "#").replace("d", "i").replace("#", "d")


def _dropped(prefix: str) -> Callable[[Evidence], Evidence]:
    def drop(found: Evidence) -> Evidence:
        names = sorted(name for name in found.objects if name.startswith(prefix))
        gone = names[len(names) // 2]
        return replace(found, objects={k: v for k, v in found.objects.items() if k != gone})

    return drop


def _another_history(found: Evidence) -> Evidence:
    head, size, root, rest = found.kept[-1].split("\n", 3)
    other = base64.b64encode(bytes(b ^ 1 for b in base64.b64decode(root))).decode()
    return replace(found, kept=[*found.kept, "\n".join((head, size, other, rest))])


def _seen(at: At, data: bytes) -> Callable[[Evidence], Evidence]:
    return lambda found: replace(found, seen=[*found.seen, Seen(at, "planted", data)])


def _linked(found: Evidence) -> Evidence:
    """The subject object of somebody whom an erasure passed by."""
    ring, tags = found.ring.keyring, Tags(found.ring.keyring)
    [gone, *_] = found.erased
    name = max(each for each in found.subjects if each.startswith("subjects/"))
    data = seal_tags(ring.index_key, name, tags.of(TENANTS[0], gone), secrets.token_bytes(12))
    return replace(found, subjects={**found.subjects, name: data})


def _one_more_erased(found: Evidence) -> Evidence:
    other = next(each.number for each in PERSONS if each.number not in found.erased)
    return replace(found, erased={**found.erased, other: "R-other"})


def _exit(code: int, reason: str, *, asked: bool = False) -> Callable[[Evidence], Evidence]:
    ended = Exit("worker-0", code, asked, reason)
    return lambda found: replace(found, exits=[*found.exits, ended])


def _says(words: str) -> Callable[[Evidence], Evidence]:
    return lambda found: replace(found, words={**found.words, "worker-9.log": f"x {words} y"})


_WHO = PERSONS[6]
#: What is planted, by the promise that it breaks.
VIOLATIONS: dict[tuple[str, str], Callable[[Evidence], Evidence]] = {
    ("P1", "a segment dropped"): _dropped("segments/"),
    ("P1", "another disposition"): _in_segment(_another_letter),
    ("P1", "reconcile says so"): lambda f: replace(f, reconciled=Said(1, "{}")),
    ("P1", "offsets lost"): _says("ALARM lost:topic/1"),
    ("P2", "a record twice"): _in_segment(lambda _, lines: lines.append(lines[-1])),
    ("P2", "another status"): _set(delivery_status="EXPIRED"),
    ("P2", "another message"): _set(message_uuid="msg-other"),
    ("P4", "a revision skipped"): _set(revision=3),
    ("P4", "pointing nowhere"): _set(supersedes=None),
    ("P5", "a checkpoint of another history"): _another_history,
    ("P5", "checkpoints out of order"): lambda f: replace(f, kept=list(reversed(f.kept))),
    ("P5", "a batch of the log dropped"): _dropped("log/"),
    ("P5", "verify says so"): lambda f: replace(f, verified=Said(1, "WRONG")),
    ("P5", "a change that is not found"): lambda f: replace(f, changed=Said(0, "fine")),
    ("P5", "the fork alarm"): _says("ALARM fork:topic/1"),
    ("P6", "in a log"): _seen(At(Where.SAID, "log"), _WHO.address.encode()),
    ("P6", "in state, in base64"): _seen(
        At(Where.SETTING, "state_dir"), base64.b64encode(b"1" + _WHO.customer.encode())
    ),
    ("P6", "in a record"): _seen(At(Where.ARCHIVE, "segments/x"), _WHO.customer.encode()),
    ("P6", "where nobody looks"): _seen(At(Where.FILE, "core.1234"), b""),
    ("P7", "an erased one opens"): _one_more_erased,
    ("P7", "another does not open"): lambda f: replace(f, erased={}),
    ("P7", "a certificate is missing"): _dropped("redactions/"),
    ("P7", "a subject object links an erased one"): _linked,
    ("P8", "a bug ended a worker"): _exit(70, "unexpected failure while storing"),
    ("P8", "a worker died of itself"): _exit(-11, "segmentation fault"),
    ("P8", "no copy in quarantine"): lambda f: replace(f, copies=set()),
    ("P8", "a traceback"): _says("Traceback (most recent call last)"),
}
