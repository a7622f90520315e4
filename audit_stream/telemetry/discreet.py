"""What may be said of an error where others read it.

Our own errors hold no personal data (errors.py), and those of the system and of the Kafka client
name files, hosts and topics. Any other text could quote what was worked on: a record, a key, a
request. Of those the kind is said, and the way through the code.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from audit_stream.errors import AuditError

_CAUSED = "The above exception was the direct cause of the following exception:"
_MEANWHILE = "During handling of the above exception, another exception occurred:"
_KAFKA = "aiokafka.errors"
_WAY = 4  # frames that `where` names


def said(error: BaseException) -> str:
    """One line: the kind of error, with its text where that is harmless."""
    kind = type(error).__name__
    if isinstance(error, AuditError):
        return f"{kind}: {error}"
    if isinstance(error, OSError):
        return f"{kind}: {error.strerror}" if error.strerror else kind
    if type(error).__module__ == _KAFKA:
        return f"{kind}: {error}"
    return kind


def where(error: BaseException) -> str:
    """Files and lines, the innermost first."""
    frames = traceback.extract_tb(error.__traceback__)[-_WAY:]
    return " < ".join(f"{f.filename.rpartition('/')[2]}:{f.lineno}" for f in reversed(frames))


def traced(error: BaseException) -> str:
    """A traceback as Python writes it, causes first, each error as `said`."""
    return "\n".join(_traced(error, set()))


def _traced(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before, link = error.__cause__, _CAUSED
    if before is None and not error.__suppress_context__:
        before, link = error.__context__, _MEANWHILE
    if before is not None and id(before) not in seen:
        yield from _traced(before, seen)
        yield f"\n{link}\n"
    yield "Traceback (most recent call last):"
    yield "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")
    yield said(error)
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            if id(each) not in seen:
                yield from _traced(each, seen)
