"""How the pages say things: times written out, statuses, who vouches. Pure, no markup."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

from audit_stream.evidence.vouching import Vouched
from audit_stream.precedence.matrix import DELIVERED, EXPIRED, FAILED, READ

STATUS = {DELIVERED: "Delivered", READ: "Read", FAILED: "Failed", EXPIRED: "Expired"}
MEANING = {
    DELIVERED: "The message reached the customer.",
    READ: "The message reached the customer and was opened.",
    FAILED: "The message did not reach the customer.",
    EXPIRED: "The message was not delivered in time.",
}
DISPUTED = (
    "Whether the message reached the customer is disputed. The status above counts by the rule of "
    "the archive: expired before failed, failed before read, read before delivered."
)
ASSURANCE = {
    "worm_locked": "in write-once storage whose protection nobody can lift",
    "worm_unlocked": "in write-once storage whose protection an administrator could still lift",
    "mutable": "in storage that its owner can rewrite: changes show only against an outside anchor "
    "or a kept checkpoint",
}
#: What ``personal`` of an answer's revision says, for a reader.
PERSONAL = {
    "opened": "opened with the archive's keys and checked against the record",
    "erased": "erased: this person was forgotten, and nobody can open it any more",
    "needs the customer's id": "closed: enter the customer's id to open it",
    "another customer's": "closed: it is not the customer you named",
    "its year's key was destroyed": "closed for good: the key of its year was destroyed",
}
NOBODY_OUTSIDE = (
    "Nobody outside this organisation has vouched for the archive's log yet. Whoever owns both the "
    "storage and all keys could have rewritten it as a whole."
)
NO_ANCHOR = f"No outside anchor. {NOBODY_OUTSIDE}"
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def moment(text: str) -> str:
    """An RFC 3339 time as ``10 May 2024 14:32:01 UTC``; any other text as it came: carriers write
    what they like."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    if found.tzinfo is None:
        return text
    try:
        return _written(found.astimezone(UTC))
    except OverflowError:  # in UTC it is before year 1 or behind 9999
        return text


def moment_ms(milliseconds: int) -> str:
    """The same of milliseconds since 1970; of 0 a dash."""
    if not milliseconds:
        return "–"
    return _written(datetime.fromtimestamp(milliseconds // 1000, UTC))


def day(found: date) -> str:
    """``10 May 2024``."""
    return f"{found.day} {_MONTHS[found.month - 1]} {found.year}"


def number(value: int) -> str:
    """With thousands apart."""
    return f"{value:,}"


def span(seconds: float) -> str:
    """A duration in its largest unit, rounded down: ``3 hours``."""
    for size, unit in _UNITS:
        if seconds >= size:
            return counted(int(seconds // size), unit)
    return "0 seconds"


def counted(value: int, what: str) -> str:
    """``1 day``, ``2,000 days``."""
    return f"{value:,} {what}" if value == 1 else f"{value:,} {what}s"


def channel(kind: str) -> str:
    """A communication type without what all of them have: ``email``."""
    return kind.removeprefix("outbound_").removesuffix("_status_update").replace("_", " ")


def vouchers(vouched: Vouched | None) -> list[str]:
    """Who outside vouches for the newest checkpoint, and since when."""
    if vouched is None:
        return []
    witnesses = [
        f"witness {name}, {_written(datetime.fromtimestamp(seconds, UTC))}"
        for name, seconds in sorted(vouched.judgement.witnesses.items())
    ]
    return witnesses + [
        f"timestamp authority {each.authority}, {_written(each.time.astimezone(UTC))}"
        for each in vouched.timestamps.values()
    ]


def through(archived: Mapping[str, list[dict[str, int]]]) -> list[str]:
    """How far each topic is archived, a sentence each."""
    return [
        f"{topic}: " + ", ".join(
            f"partition {each['partition']} up to position {each['next']:,}"
            + (f" (generation {each['generation']})" if each["generation"] > 1 else "")
            for each in places
        )
        for topic, places in sorted(archived.items())
    ]  # fmt: skip


def _written(found: datetime) -> str:
    return f"{found.day} {_MONTHS[found.month - 1]} {found.year} {found:%H:%M:%S} UTC"
