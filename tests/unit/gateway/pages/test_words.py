"""What the pages say, of answers and texts that a test writes itself."""

from __future__ import annotations

from typing import Any

import pytest

from audit_stream.gateway.pages import words
from audit_stream.gateway.pages.message import checked, is_anchored


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2024-05-10T14:32:01.999Z", "10 May 2024 14:32:01 UTC"),
        ("2024-05-10T14:32:01+02:00", "10 May 2024 12:32:01 UTC"),
        ("2024-05-10T14:32:01", "2024-05-10T14:32:01"), ("soon", "soon"), ("", ""),
        ("9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59-01:00"),
        ("0001-01-01T00:00:00+01:00", "0001-01-01T00:00:00+01:00"),
    ],
)  # fmt: skip
def test_a_time_is_written_out_or_left_as_the_carrier_wrote_it(text: str, said: str) -> None:
    assert words.moment(text) == said


def history(*log_indexes: int | None) -> dict[str, Any]:
    return {
        "history": [{"personal": "closed", "evidence": {"log_index": each}} for each in log_indexes]
    }


def test_what_is_not_logged_is_not_promised() -> None:
    assert checked(history(4, 9))[-1] == "Each file stands in the archive's log, which only grows."
    said = checked(history(4, None))[-1]
    assert said.startswith("1 of 2 files stand in the archive's log; the rest is not in it yet")
    assert "minutes" not in said  # nobody knows when a notary that is away comes back


@pytest.mark.parametrize(
    ("anchored_size", "log_indexes", "wanted"),
    [
        (10, (4, 9), True), (10, (4, 10), False), (10, (4, None), False), (None, (4,), None),
        (0, (0,), False),
    ],
)  # fmt: skip
def test_an_anchor_counts_for_what_it_covers(
    anchored_size: int | None, log_indexes: tuple[int | None, ...], wanted: bool | None
) -> None:
    answer = history(*log_indexes) | {"as_of": {"anchored_size": anchored_size}}
    assert is_anchored(answer) is wanted
    assert is_anchored(history(1) | {"as_of": None}) is None
