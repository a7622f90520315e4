"""Why a worker ended is a metric of the process after it, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_stream.app.ends import EndNote
from audit_stream.errors import ForkAlarm


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (f"{ForkAlarm.code}: t/0: other lines", "AS-4001"),
        ("AS-5002", "AS-5002"),
        ("event loop made no progress for 60 s", "AS-0000"),
        ("the reason quotes AS-4001", "AS-0000"),
    ],
)
def test_the_code_a_reason_begins_with_is_kept_for_one_process(
    tmp_path: Path, reason: str, code: str
) -> None:
    assert EndNote(tmp_path).take() is None
    EndNote(tmp_path).leave(reason)
    assert EndNote(tmp_path).take() == code
    assert EndNote(tmp_path).take() is None


def test_a_note_that_cannot_be_left_or_read_is_none(tmp_path: Path) -> None:
    EndNote(tmp_path / "gone").leave("AS-4001")
    (tmp_path / "last-end").write_bytes(b"\xff<script>")
    assert EndNote(tmp_path).take() is None
    (tmp_path / "last-end").write_text("anything")
    assert EndNote(tmp_path).take() is None
