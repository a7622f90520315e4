"""Verification of the registers: redaction certificates, holds, disposals.

V25 each register is one chain: numbers from 0, each entry naming the one before, signed by the
    trusted key that it names, of this archive, with the members of its kind. Epochs and times of
    redaction certificates never fall; a hold is declared, and then released once, of the same
    matter and scope. What no trusted key signed is junk: it is noted, and takes up its number
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence.batch import Leaf
from audit_stream.evidence.canonical import parse_line
from audit_stream.evidence.disposal import disposal_of
from audit_stream.evidence.hold import Action, HoldEntry, hold_of
from audit_stream.evidence.redaction import Redaction, redaction_of
from audit_stream.evidence.register import (
    Entry,
    Register,
    RegisterHead,
    decode_entry,
    parse_entry_name,
    signer_of_entry,
)
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.verify.report import Problem

Read = Callable[[str], bytes | None]
_STEP = "V25"
#: What reads an entry of each kind, and raises `FormatError` when it has other members.
KINDS: Mapping[Register, Callable[[Entry], object]] = {
    Register.DISPOSALS: disposal_of, Register.HOLDS: hold_of, Register.REDACTIONS: redaction_of,
}  # fmt: skip


class RegisterVerifier:
    """Verifies the entries among the objects of one archive.

    `archives`: the names that its stream objects give it; none, and every name will do.
    """

    def __init__(self, read: Read, keys: TrustedKeys, archives: Collection[str]) -> None:
        self._read, self._keys, self._archives = read, keys, archives
        self.problems: list[Problem] = []
        self.unknown: list[Problem] = []
        self.notes: list[str] = []
        #: Leaf hash of each entry that stands: what the archive log must say of it.
        self.leaves: dict[str, bytes] = {}
        self._said = _Said()

    def run(self, names: Iterable[str]) -> None:
        """Verify these objects, whose names are entries'."""
        chain: _Chain | None = None
        for name in sorted(names):
            place = parse_entry_name(name)
            assert place is not None
            if chain is None or chain.register is not place[0]:
                chain = _Chain(place[0])
            self._verify(name, place[1], chain)

    def _verify(self, name: str, number: int, chain: _Chain) -> None:
        data = self._read(name) or b""
        if signer_of_entry(data, name, self._keys) is None:
            self.notes.append(f"{_STEP} {name}: junk, signed by no trusted key: it is passed over")
            chain.skip(number)
            return
        try:
            entry = self._entry(data, name)
        except UnknownVersion as error:
            self.unknown.append(Problem(_STEP, name, _short(error, name)))
            chain.lose(number)
        except FormatError as error:  # as junk to its readers, but a trusted key stands behind it
            self._wrong(name, _short(error, name))
            chain.skip(number)
        else:
            self.leaves[name] = entry.leaf
            for where, what in chain.link(entry):
                self._wrong(where, what)
            self._check_kind(entry)

    def _entry(self, data: bytes, name: str) -> Entry:
        entry = decode_entry(data, name)
        if not entry.is_signed(self._keys):
            raise FormatError(f"{name} is not signed by the key it names")
        if self._archives and entry.archive not in self._archives:
            raise FormatError(f"{name} is of the archive {entry.archive}")
        return entry

    def _check_kind(self, entry: Entry) -> None:
        try:
            wrong = self._said.take(KINDS[entry.register](entry))
        except FormatError as error:
            wrong = _short(error, entry.name)
        if wrong is not None:
            self._wrong(entry.name, wrong)

    def _wrong(self, name: str, what: str) -> None:
        self.problems.append(Problem(_STEP, name, what))


class _Chain:
    """One register as it is followed; behind a break it is followed from there."""

    def __init__(self, register: Register) -> None:
        self.register = register
        self._next = 0
        self._leaf: bytes | None = None
        self._known = True  # which entry was the last

    def skip(self, number: int) -> None:
        """Junk stands there."""
        self._next += number == self._next

    def lose(self, number: int) -> None:
        """An entry stands there that this release cannot read."""
        self._next, self._known = number + 1, False

    def link(self, entry: Entry) -> list[tuple[str, str]]:
        """What is wrong with the entry's place, by the name it is about."""
        wrong = []
        if entry.number != self._next:
            missing = self.register.entry_name(self._next)
            wrong.append((missing, f"is missing, and {entry.name} stands behind it"))
        elif self._known and entry.prev != self._leaf:
            wrong.append((entry.name, "line 1 prev is not the leaf hash of the entry before"))
        self._next, self._leaf, self._known = entry.number + 1, entry.leaf, True
        return wrong


class _Said:
    """What entries have said so far: a later one may not take it back."""

    def __init__(self) -> None:
        self._redaction: Redaction | None = None
        self._holds: dict[str, HoldEntry] = {}

    def take(self, said: object) -> str | None:
        """The next entry of whichever register; what is wrong with it."""
        if isinstance(said, Redaction):
            before, self._redaction = self._redaction, said
            return None if before is None else _lower(said, before)
        if isinstance(said, HoldEntry):
            standing = self._holds.get(said.hold_id)
            self._holds[said.hold_id] = said
            return _other_hold(said, standing)
        return None


def _lower(said: Redaction, before: Redaction) -> str | None:
    if said.epochs[1] < before.epochs[1] or said.executed_at < before.executed_at:
        return "has an earlier epoch or time than the certificate before it"
    return None


def _other_hold(said: HoldEntry, standing: HoldEntry | None) -> str | None:
    released = said.action is Action.RELEASED
    if standing is None:
        return "releases a hold that is not declared" if released else None
    if standing.action is Action.RELEASED:
        return "speaks of a hold that was released before"
    if said.matter != standing.matter or (released and said.scope != standing.scope):
        return "is of another matter or scope than the hold's declaration"
    return None


class LoggedRegisters:
    """The registers as the archive log has them, followed leaf by leaf."""

    def __init__(self, archive: str) -> None:
        self._archive = archive
        self.heads: dict[Register, RegisterHead] = {}

    def take(self, leaf: Leaf, register: Register, number: int) -> tuple[str, bool]:
        """Take an entry's leaf: the id of the key that signed it, and whether it is in its place.
        `FormatError` when it is no entry of this archive under this number."""
        said = parse_line(leaf.line, f"the leaf of {leaf.name}")
        fits = (said.get("archive"), said.get("number")) == (self._archive, number)
        if not fits or type(said.get("kid")) is not str:
            raise FormatError(f"the leaf of {leaf.name} is no entry of this archive's register")
        before = self.heads.get(register)
        prev = None if before is None else before.leaf.hex()
        in_order = number >= (0 if before is None else before.next) and said.get("prev") == prev
        self.heads[register] = RegisterHead(number + 1, leaf.hash)
        return said["kid"], in_order

    def covers(self, name: str) -> bool:
        """Whether it is an entry's name, and one behind it is logged."""
        place = parse_entry_name(name)
        head = None if place is None else self.heads.get(place[0])
        return place is not None and head is not None and place[1] < head.next


def _short(error: FormatError, name: str) -> str:
    return error.message.removeprefix(f"{name} ")
