"""The verifier's own trust file (C2SP tlog-policy): which logs, which witnesses, how many of them.

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<k> <name>…
    quorum <name>|none

Trust comes from here and never from what is judged. Source: https://c2sp.org/tlog-policy
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from audit_stream.errors import FormatError
from audit_stream.evidence.note import COSIGNATURE, ED25519, Note, NoteKey, parse_vkey

NONE = "none"
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]").search
_COUNT = re.compile(r"[1-9][0-9]{0,3}").fullmatch


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses a checkpoint when `threshold` of its members, witnesses or groups, do."""

    threshold: int
    members: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a policy makes of one checkpoint."""

    log: NoteKey | None  # the trusted log whose signature it has
    witnesses: Mapping[str, int]  # by their names in the policy: Unix seconds of the cosignature
    quorum: bool

    @property
    def witnessed(self) -> bool:
        """Whether a trusted log signed it and witnesses, one at least, reach the quorum."""
        return self.log is not None and self.quorum and bool(self.witnesses)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustPolicy:
    """A parsed policy: every name in it is defined."""

    logs: Sequence[NoteKey]
    witnesses: Mapping[str, NoteKey]
    groups: Mapping[str, Group]
    quorum: str  # of a witness or group, or `NONE`

    def judge(self, note: Note) -> Judgement:
        """Who of the trusted vouches for the note; what others signed counts for nothing."""
        origin = note.text.partition("\n")[0]
        logs = (key for key in self.logs if key.name == origin and note.is_signed(key))
        times = {name: note.cosigned_at(key) for name, key in self.witnesses.items()}
        vouching = {name: seconds for name, seconds in times.items() if seconds}
        quorum = self.quorum == NONE or self._holds(self.quorum, vouching)
        return Judgement(log=next(logs, None), witnesses=vouching, quorum=quorum)

    def _holds(self, name: str, vouching: Mapping[str, int]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in vouching
        return sum(self._holds(each, vouching) for each in group.members) >= group.threshold


def parse_policy(data: bytes, what: str) -> TrustPolicy:
    """A policy file; `FormatError` names the line that is wrong."""
    if not data.endswith(b"\n"):
        raise FormatError(f"{what} does not end with a newline: it may have been cut off")
    parser = _Parser()
    # Names are octets to the specification; this decoding keeps different ones different.
    for number, raw in enumerate(data[:-1].split(b"\n"), 1):
        try:
            if _FORBIDDEN(raw):
                raise FormatError("control characters other than tab")
            parser.line(raw.decode("utf-8", "surrogateescape"))
        except FormatError as error:
            raise FormatError(f"{what} line {number}: {ascii(error.message)[1:-1]}") from error
    if parser.quorum is None:
        raise FormatError(f"{what} has no quorum line")
    return TrustPolicy(
        logs=parser.logs, witnesses=parser.witnesses, groups=parser.groups, quorum=parser.quorum
    )


class _Parser:
    """What the lines read so far define."""

    def __init__(self) -> None:
        self.logs: list[NoteKey] = []
        self.witnesses: dict[str, NoteKey] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._members: set[str] = set()

    def line(self, text: str) -> None:
        """One line, without its newline."""
        items = [item for item in re.split("[ \t]+", text) if item]
        if not items or items[0].startswith("#"):
            return
        rules: dict[str, Callable[[list[str]], None]] = {
            "log": self._log, "witness": self._witness, "group": self._group,
            "quorum": self._quorum,
        }  # fmt: skip
        rule = rules.get(items[0])
        if rule is None:
            raise FormatError(f"{items[0]} is not log, witness, group or quorum")
        rule(items[1:])

    def _log(self, items: list[str]) -> None:
        if not 1 <= len(items) <= 2:
            raise FormatError("a log has a vkey and at most a URL")
        self.logs.append(self._new_key(items[0], ED25519, self.logs, "a log's"))

    def _witness(self, items: list[str]) -> None:
        if not 2 <= len(items) <= 3:
            raise FormatError("a witness has a name, a vkey and at most a URL")
        known = list(self.witnesses.values())
        key = self._new_key(items[1], COSIGNATURE, known, "a witness's")
        self.witnesses[self._new_name(items[0])] = key

    def _group(self, items: list[str]) -> None:
        if len(items) < 3:
            raise FormatError("a group has a name, a threshold and members")
        name, threshold, *members = items
        for member in members:
            self._defined(member)
            if member in self._members:
                raise FormatError(f"{member} is a member already: it can count only once")
            self._members.add(member)
        group = Group(_threshold(threshold, len(members)), tuple(members))
        self.groups[self._new_name(name)] = group

    def _quorum(self, items: list[str]) -> None:
        if len(items) != 1 or self.quorum is not None:
            raise FormatError("there is one quorum line, with one name")
        if items[0] != NONE:
            self._defined(items[0])
        self.quorum = items[0]

    def _new_name(self, name: str) -> str:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise FormatError(f"the name {name} is taken")
        return name

    def _defined(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise FormatError(f"{name} is no witness or group of a line above")

    @staticmethod
    def _new_key(vkey: str, kind: int, known: Sequence[NoteKey], whose: str) -> NoteKey:
        key = parse_vkey(vkey)
        if key.kind != kind:
            raise FormatError(f"the key of {key.name} is not {whose}: its type is {key.kind}")
        if any(key.public == each.public for each in known):
            raise FormatError(f"the public key of {key.name} is on a line above already")
        return key


def _threshold(text: str, members: int) -> int:
    if text in ("any", "all"):
        return 1 if text == "any" else members
    if not _COUNT(text) or int(text) > members:
        raise FormatError(f"{text} is not all, any or a number from 1 to {members}")
    return int(text)


def any_of(log: NoteKey, witnesses: Sequence[NoteKey]) -> TrustPolicy:
    """One log, and any one of its witnesses; without witnesses, no quorum."""
    named = {f"{key.name}+{key.id.hex()}": key for key in witnesses}
    if not named:
        return TrustPolicy(logs=[log], witnesses={}, groups={}, quorum=NONE)
    anyone = {"any": Group(1, tuple(named))}
    return TrustPolicy(logs=[log], witnesses=named, groups=anyone, quorum="any")
