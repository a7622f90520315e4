"""What a receiver's HTTP answer means. Nothing counts as stored that it did not say is stored.

    POST    200, 201     stored if the endpoint is declared synchronous, else an error that is said
            202          pending: the status resource at ``Location`` is asked until it is final
            408, 429, 5xx  may pass
            401, 403, 407  refused: credentials
            3xx          refused: a redirect is not followed
            other 4xx    the receiver's final no to this post
    status  200, 201, 204  by the member ``status`` of its JSON object; without a body, stored
            202          pending
            303          stored: it leads to what was made
            404, 410     forgotten: post again under the same key
            408, 429, 5xx  pending
            anything else  refused

A refusal is nothing about one record: the same would happen to the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from urllib.parse import SplitResult, urljoin, urlsplit

import orjson

from audit_stream.errors import StoreRefused, StoreTransient
from audit_stream.ports import Rejected

MOST_WAIT = 3600.0  # seconds: a ``Retry-After`` beyond it counts as this
MOST_ANSWER = 8000  # characters of an answer that are looked at
_MOST_PLACE = 200  # characters of a ``Location`` that are kept in a receipt
_CREDENTIALS = frozenset({401, 403, 407})
_MAY_PASS = frozenset({408, 425, 429})
_STORED = frozenset({"stored", "completed", "succeeded"})
_FAILED = frozenset({"failed", "rejected"})
_PENDING = frozenset({"pending", "running"})
_PORTS = {"http": 80, "https": 443}
_CREDENTIALS_HINT = "check AUDIT_DELIVERY_TOKEN or its file, and what the token may do"
_MANUAL = "docs/how-to/deliver-to-a-siem.md says what counts as stored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)  # its beginning


@dataclass(frozen=True, slots=True)
class Stored:
    """The receiver has it."""

    said: str  # for people: status, and where it keeps it


@dataclass(frozen=True, slots=True)
class Pending:
    """Ask `location` in so many seconds; None: when it suits."""

    location: str
    wait: float | None = None


Verdict = Stored | Pending | Rejected


def posted(answer: Answer, url: str, *, synchronous: bool, now: float) -> Verdict:
    """What the answer to a POST to `url` means; `now` is Unix seconds.

    Raises `StoreTransient` for what may pass and `StoreRefused` for what waiting does not mend.
    """
    status = answer.status
    if status in (200, 201) and synchronous:
        return Stored(f"HTTP {status}{_kept_at(answer)}")
    if status == 202:
        return Pending(_location(answer, url), retry_after(answer, now))
    if _may_pass(status):
        raise StoreTransient(
            f"the receiver answered HTTP {status}", retry_after=retry_after(answer, now)
        )
    _check_refusal(status, "a post")
    if 400 <= status < 500:
        return Rejected(status=status, answer=readable(answer.body))
    if status in (200, 201):
        raise StoreRefused(
            f"the receiver answered HTTP {status}, which does not say that it has stored anything",
            hint="set AUDIT_DELIVERY_SYNCHRONOUS=true if it answers once it has stored, and only "
            "then",
        )
    raise StoreRefused(f"the receiver answered HTTP {status} to a post", hint=_MANUAL)


def polled(answer: Answer, location: str, now: float) -> Verdict:
    """What the answer of the status resource at `location` means.

    Raises `StoreTransient` when the post was forgotten, and `StoreRefused` as `posted`.
    """
    status = answer.status
    if status in (200, 201, 204):
        return _by_body(answer, location, now)
    if status == 202:
        return Pending(location, retry_after(answer, now))
    if status == 303:
        return Stored(f"HTTP 303{_kept_at(answer)}")
    if status in (404, 410):
        raise StoreTransient("the receiver has forgotten a post that it had accepted")
    if _may_pass(status):
        return Pending(location, retry_after(answer, now))
    _check_refusal(status, "a request for a status")
    raise StoreRefused(
        f"the receiver answered HTTP {status} when it was asked for a status", hint=_MANUAL
    )


def retry_after(answer: Answer, now: float) -> float | None:
    """Seconds that the receiver asks us to wait (RFC 9110 10.2.3), at most `MOST_WAIT`."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text), MOST_WAIT)
    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, OSError):  # absent, or no date
        return None
    return min(max(moment - now, 0.0), MOST_WAIT)


def readable(body: bytes) -> str:
    """The beginning of an answer as one line of text for people, at most `MOST_ANSWER` characters:
    what is no printable character is a space."""
    text = body[: 4 * MOST_ANSWER].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MOST_ANSWER]


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port (RFC 6454). ValueError for what is no http URL."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("no http URL")
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]


def is_this_machine(host: str) -> bool:
    """Whether a URL's host is the machine itself, by its name or a loopback address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _may_pass(status: int) -> bool:
    return status in _MAY_PASS or status >= 500


def _check_refusal(status: int, what: str) -> None:
    """Raise for credentials and redirects."""
    if status in _CREDENTIALS:
        raise StoreRefused(f"the receiver answered HTTP {status} to {what}", hint=_CREDENTIALS_HINT)
    if 300 <= status < 400:
        raise StoreRefused(
            f"the receiver answered {what} with a redirect (HTTP {status}), which is not followed",
            hint="set AUDIT_DELIVERY_URL to where it leads, if that is the receiver",
        )


def _location(answer: Answer, url: str) -> str:
    """Where a post's status is found, of the same origin: the token goes to nobody else."""
    text = answer.headers.get("location", "").strip()
    if not text:
        raise StoreRefused(
            "the receiver answered HTTP 202 without Location: whether it stores the record cannot "
            "be known",
            hint=_MANUAL,
        )
    try:
        place = urljoin(url, text)
        same = origin(place) == origin(url)
    except ValueError:
        raise StoreRefused("the receiver's Location is no URL", hint=_MANUAL) from None
    if not same or "@" in urlsplit(place).netloc:
        raise StoreRefused(
            "the receiver's Location is of another origin, which would be given the token",
            hint="set AUDIT_DELIVERY_URL to that origin, if it is the receiver's",
        )
    return place


def _by_body(answer: Answer, location: str, now: float) -> Verdict:
    """The final answer of a status resource, as its JSON object says."""
    if not answer.body:
        return Stored(f"HTTP {answer.status}{_at(urlsplit(location))}")
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        document = None
    said = document.get("status") if isinstance(document, dict) else None
    word = said.lower() if isinstance(said, str) else ""
    if word in _STORED:
        return Stored(f"HTTP {answer.status}, {word}{_at(urlsplit(location))}")
    if word in _FAILED:
        return Rejected(status=answer.status, answer=readable(answer.body))
    if word in _PENDING:
        return Pending(location, retry_after(answer, now))
    raise StoreRefused(
        "the receiver's status resource does not say stored, failed or pending", hint=_MANUAL
    )


def _kept_at(answer: Answer) -> str:
    """``Location`` for people: its path alone, for a query may hold a secret."""
    try:
        return _at(urlsplit(answer.headers.get("location", "")))
    except ValueError:
        return ""


def _at(place: SplitResult) -> str:
    return f", {readable(place.path.encode())[:_MOST_PLACE]}" if place.path else ""
