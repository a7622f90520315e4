"""Step 8 of `verify.py` over each way in which statuses of a message can be gone."""

from __future__ import annotations

from typing import Any

import pytest

from audit_stream.bundle.shipped import verify

PLACE = "t/1/0"


def pub(revision: int, offset: int, before: str | None) -> dict[str, Any]:
    return {
        "message_uuid": "m", "platform_tenant_id": "a", "revision": revision,
        "source": f"{PLACE}/{offset}", "supersedes": before,
    }  # fmt: skip


def judged(pubs: list[dict[str, Any]], *stretches: dict[str, Any]) -> str:
    """The state of step 8, with a certificate of these stretches that was found good."""
    trust = verify.Trust(verify.Policy("", ()), [], b"", b"", b"", b"")
    verifier = verify.Verifier({}, trust)
    verifier.records = {each["source"]: each for each in pubs}
    verifier.certificates["redactions", 0] = {"stretches": [stretch(0, 10**6)]}, ""
    verifier.certificates["disposals", 4] = {"stretches": list(stretches)}, ""
    verifier.check(8, "revisions", verifier.revisions)
    return verifier.results[0][1]


def stretch(base: int, following: int, **place: Any) -> dict[str, Any]:
    """Offsets from `base` to below `following`."""
    where = {"topic": "t", "generation": 1, "partition": 0, **place}
    return {"base": base, "next": following, **where}


FIRST, SECOND, THIRD = pub(1, 3, None), pub(2, 20, f"{PLACE}/3"), pub(3, 40, f"{PLACE}/20")


@pytest.mark.parametrize(
    ("pubs", "state"),
    [
        ([FIRST, SECOND, THIRD], "ok"), ([SECOND, THIRD], "FAILED"), ([FIRST, THIRD], "FAILED"),
        ([THIRD], "FAILED"), ([FIRST], "ok"),
    ],
)  # fmt: skip
def test_without_a_disposal_all_are_there(pubs: list[dict[str, Any]], state: str) -> None:
    assert judged(pubs) == state


@pytest.mark.parametrize(
    ("pubs", "gone", "state"),
    [
        ([SECOND, THIRD], [stretch(0, 20)], "ok"), ([THIRD], [stretch(20, 40)], "ok"),
        ([FIRST, THIRD], [stretch(20, 40)], "ok"),
        ([SECOND, THIRD], [stretch(7, 9), stretch(3, 4)], "ok"),
        ([THIRD], [stretch(0, 20)], "FAILED"), ([FIRST, THIRD], [stretch(0, 20)], "FAILED"),
        ([SECOND], [stretch(4, 20)], "FAILED"), ([SECOND], [stretch(0, 3)], "FAILED"),
        ([SECOND], [stretch(0, 20, topic="u")], "FAILED"),
        ([SECOND], [stretch(0, 20, generation=2)], "FAILED"),
        ([SECOND], [stretch(0, 20, partition=1)], "FAILED"),
        ([pub(1, 20, f"{PLACE}/3")], [stretch(0, 20)], "FAILED"),
        ([pub(2, 20, None)], [stretch(0, 20)], "FAILED"),
        ([pub(2, 20, "u/1/0/3")], [stretch(0, 20, topic="u")], "FAILED"),
        ([FIRST, pub(2, 20, f"{PLACE}/5")], [stretch(4, 20)], "FAILED"),
    ],
)  # fmt: skip
def test_what_a_certificate_covers_need_not_be(
    pubs: list[dict[str, Any]], gone: list[dict[str, Any]], state: str
) -> None:
    assert judged(pubs, *gone) == state
