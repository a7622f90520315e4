"""The letters of a ledger: what each says, and what follows from it."""

from __future__ import annotations

from audit_stream.evidence.ledger import (
    ABSENT,
    ARCHIVED,
    DUPLICATE,
    INTERMEDIATE,
    LOST,
    MEANING,
    QUARANTINED,
    REGRESSED,
)
from docs.generator.markdown import table

_HEAD = """# Dispositions

Every offset of every raw topic has exactly one, as a letter in the `ledger` of the segment that
covers it ([the form](../spec/segment.md#ledger)). `audit-stream reconcile` counts them against
the broker's offsets; what no ledger has is *unexplained*. The [order of
judgement](../spec/record.md#order-of-judgement) decides between the first five.

"""
_FOLLOWS = {
    ARCHIVED: ("the status is above the one held", "a record line, a revision; the state rises"),
    INTERMEDIATE: ("the status map says that the word is not final", "nothing: it is counted"),
    DUPLICATE: ("the status is the one held", "nothing: it is counted"),
    REGRESSED: ("the status is below the one held", "nothing: it is counted by held and came"),
    QUARANTINED: (
        "it is not understood, or stands under a wrong key",
        (
            "a copy in `audit-quarantine`, before the segment; `audit-stream quarantine` works on "
            "it ([runbook](../runbooks/quarantine.md))"
        ),
    ),
    ABSENT: ("the broker has no record there: a control marker, or compaction", "nothing"),
    LOST: (
        "retention deleted it before it was read",
        "an alarm, always ([runbook](../runbooks/lost.md))",
    ),
}


def page() -> str:
    """Letter, name, when, what follows."""
    rows = [[f"`{letter}`", name, *_FOLLOWS[letter]] for letter, name in MEANING.items()]
    return (
        _HEAD
        + table(["letter", "name", "when", "what follows"], rows)
        + "\n`c` and `k` are reserved, and invalid.\n"
    )
