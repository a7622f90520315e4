"""Whether a receiver honours idempotency keys, judged by how it answers probes. Pure.

A probe is posted twice under one key, and a day later again; each time it is posted under two other
keys, before and after. A receiver that remembers a key answers as it did the first time: by the
place where it keeps the post, by an id in its answer, by a header, or by a conflict. What is not
different for each of those keys says nothing: it may be of the body, of the moment, or of one of a
few machines. Neither does an answer that repeats what was posted. Where the receiver can be asked
how many posts it has under a key, that alone counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from hashlib import sha256
from typing import Any, Final, Self
from urllib.parse import urlsplit

import orjson

from audit_stream.delivery.outcome import Answer
from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical, check_members, parse_line

VERSION: Final = "audit-delivery-check/1"
PROBE: Final = "audit-probe/1"
LATER_SECONDS: Final = 86_400.0  # from the first post of a probe to its last
_NOTE = "A probe of idempotency keys: it stands for no message and no person."
#: Headers by which a receiver says that it gives an earlier answer once more.
_REPLAYED = ("idempotent-replayed", "idempotency-replayed", "x-idempotent-replayed")
_IDS = frozenset({"id", "_id"})  # members that name what a post made
_MOST_MEMBERS = 32


class Verdict(Enum):
    """What a repeated post showed, best first."""

    HONOURED = "honoured"
    UNKNOWN = "unknown"
    NOT_HONOURED = "not_honoured"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and why, for people."""

    verdict: Verdict
    why: str

    @classmethod
    def decode(cls, value: Mapping[str, Any] | None) -> Self | None:
        """The inverse of `_encoded`."""
        return None if value is None else cls(Verdict(value["verdict"]), value["why"])


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer to a probe, as far as it can tell one post from another: digests, no text of it."""

    status: int
    replayed: bool = False
    place: str | None = None  # of its ``Location``
    members: Mapping[str, str] = field(default_factory=dict)  # of its JSON object, by name

    @property
    def accepted(self) -> bool:
        """Whether the receiver took the post."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Probe:
    """What is posted."""

    archive: str
    probe_id: str
    at: str  # RFC 3339
    beside: str = ""  # which of those under other keys

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return f"audit-probe:{self.probe_id}{self.beside}"

    @property
    def body(self) -> bytes:
        """The same at each post."""
        return canonical({
            "archive": self.archive, "at": self.at, "note": _NOTE, "probe_id": self.probe_id,
            "v": PROBE,
        })  # fmt: skip

    def others(self, when: str) -> tuple[Probe, Probe]:
        """The same bodies under other keys."""
        one, two = (replace(self, beside=f"-{when}-{number}") for number in (1, 2))
        return one, two


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """How far the checks of one receiver are: those of the probe at work, and the last that came to
    an end. Times are Unix seconds."""

    target: str
    probe: Probe
    began: int
    first: Seen | None = None  # None: it may have been posted, and its answer was lost
    soon: Judgement | None = None
    later: Judgement | None = None  # of the last probe that was repeated a day later
    remembered: int = 0  # seconds for which a key was shown to be remembered; 0: for none

    @property
    def judgement(self) -> Judgement | None:
        """The worse of the two; None before the first."""
        order = list(Verdict)
        found = [each for each in (self.soon, self.later) if each is not None]
        return max(found, key=lambda each: order.index(each.verdict), default=None)

    def is_due(self, now: float) -> bool:
        """Whether the last post of the probe at work is due."""
        return self.first is not None and now - self.began >= LATER_SECONDS

    def encode(self) -> bytes:
        """As it is kept."""
        value = asdict(self) | {"v": VERSION}
        value |= {name: _encoded(getattr(self, name)) for name in ("soon", "later")}
        return canonical(value)


_MEMBERS = frozenset(Check.__dataclass_fields__) | {"v"}


def parse_check(data: bytes, what: str) -> Check:
    """The inverse of `Check.encode`; `FormatError`."""
    value = parse_line(data, what)
    check_members(value, VERSION, _MEMBERS, what)
    try:
        return Check(
            target=value["target"], probe=Probe(**value["probe"]), began=int(value["began"]),
            first=None if value["first"] is None else Seen(**value["first"]),
            soon=Judgement.decode(value["soon"]), later=Judgement.decode(value["later"]),
            remembered=int(value["remembered"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{what} is not the state of a check") from error


def seen(answer: Answer, probe: Probe) -> Seen:
    """What an answer to a probe tells. Members that repeat what was posted are left out."""
    headers = answer.headers
    replayed = any(headers.get(name, "").strip().lower() == "true" for name in _REPLAYED)
    place = _place(headers.get("location", ""))
    if answer.status == 202 and probe.probe_id in place:
        place = ""  # where it says how a request goes may be named after the request
    return Seen(
        answer.status, replayed, _digest(place) if place else None,
        _members(answer.body, {probe.probe_id, probe.at, PROBE, _NOTE}),
    )  # fmt: skip


def judge(first: Seen, again: Seen, others: Sequence[Seen], count: int | None) -> Judgement:
    """Of two posts under one key, and those under other ones. `count`: how many the receiver says
    it has under the key; None: it cannot be asked."""
    if count is not None:
        return _by_count(count)
    if again.replayed and not any(other.replayed for other in others):
        return Judgement(Verdict.HONOURED, "it says that it repeats its first answer")
    if again.status == 409 and all(other.accepted for other in others):
        return Judgement(
            Verdict.HONOURED, "it knows the key (HTTP 409); a post that is repeated will stand in "
            "audit-undeliverable"
        )  # fmt: skip
    if not again.accepted:
        return _unknown(f"it answered the repeated post with HTTP {again.status}")
    return (
        _by_place(first, again, others)
        or _by_members(first, again, others)
        or _unknown("its answers do not tell one post from another: set AUDIT_DELIVERY_CHECK_URL")
    )


def count_in(answer: Answer) -> int:
    """What the check URL said: a number, or a JSON object with the member ``count``. `FormatError`
    for anything else."""
    try:
        value = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        value = None
    count = value.get("count") if isinstance(value, dict) else value
    if answer.status != 200 or type(count) is not int or count < 0:
        raise FormatError(
            f"the check URL answered HTTP {answer.status} and no count",
            hint='it answers 200 with {"count": n}: how many posts it has under the key',
        )
    return count


def _by_count(count: int) -> Judgement:
    if count == 1:
        return Judgement(Verdict.HONOURED, "it has one post under the key")
    if count:
        return Judgement(Verdict.NOT_HONOURED, f"it has {count} posts under one key")
    return _unknown("it does not count what it has just been sent")


def _by_place(first: Seen, again: Seen, others: Sequence[Seen]) -> Judgement | None:
    if first.place is None or again.place is None:
        return None
    if first.place != again.place:
        if 202 in (first.status, again.status):
            return None  # of each request it may say how that one goes
        return Judgement(Verdict.NOT_HONOURED, "each post under one key has a place of its own")
    if not _differ([again.place, *(other.place for other in others)]):
        return None
    return Judgement(Verdict.HONOURED, "both posts under the key have one place")


def _by_members(first: Seen, again: Seen, others: Sequence[Seen]) -> Judgement | None:
    both = first.members.keys() & again.members.keys()
    same = {name for name in both if first.members[name] == again.members[name]}
    for name in same:
        if _differ([again.members[name], *(other.members.get(name) for other in others)]):
            return Judgement(Verdict.HONOURED, "both posts under the key were given one id")
    if both & _IDS - same:
        return Judgement(Verdict.NOT_HONOURED, "each post under one key was given an id of its own")
    return None


def _differ(values: Sequence[str | None]) -> bool:
    """Whether each is there and like no other."""
    return None not in values and len(set(values)) == len(values)


def _unknown(why: str) -> Judgement:
    return Judgement(Verdict.UNKNOWN, why)


def _place(location: str) -> str:
    """Path and query, for a place may be given with its origin or without."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return location
    return f"{parts.path}?{parts.query}" if location else ""


def _members(body: bytes, sent: Collection[str]) -> dict[str, str]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(value, dict):
        return {}
    found = [(name, each) for name, each in sorted(value.items()) if type(each) in (str, int)]
    texts = [(name, str(each)) for name, each in found]
    told = [each for each in texts if not any(part.lower() in each[1].lower() for part in sent)]
    return {name[:64]: _digest(each) for name, each in told[:_MOST_MEMBERS]}


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _encoded(judgement: Judgement | None) -> dict[str, str] | None:
    if judgement is None:
        return None
    return {"verdict": judgement.verdict.value, "why": judgement.why}
