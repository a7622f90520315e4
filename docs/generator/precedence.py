"""The precedence matrix."""

from __future__ import annotations

from audit_stream.precedence.matrix import MATRIX, STATUSES
from docs.generator.markdown import table

_DISPOSITION = {"a": "archived", "d": "duplicate", "r": "regressed"}
_HEAD = """# Precedence

EXPIRED > FAILED > READ > DELIVERED. Rows: what is held; columns: what comes.

"""


def page() -> str:
    """What is held against what comes."""
    rows = [
        [held or "nothing", *(_DISPOSITION[MATRIX[held, came]] for came in STATUSES)]
        for held in (None, *STATUSES)
    ]
    return _HEAD + table(["held", *STATUSES], rows)
