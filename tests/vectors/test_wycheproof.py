"""The shipped verifier's own Ed25519 and ES256 against every case of Wycheproof."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit_stream.bundle.shipped import verify

FOLDER = Path(__file__).with_name("wycheproof")


def cases(name: str) -> Iterator[dict[str, Any]]:
    for line in (FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines():
        yield json.loads(line)


def ed25519(case: dict[str, Any]) -> bool:
    public, message, signature = (bytes.fromhex(case[name]) for name in ("public", "msg", "sig"))
    return verify.ed25519(public, message, signature)


def es256(case: dict[str, Any]) -> bool:
    point = bytes.fromhex(case["public"])
    x, y = (int.from_bytes(half, "big") for half in (point[1:33], point[33:]))
    return verify.es256(x, y, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))


@pytest.mark.parametrize(
    ("name", "judge", "count"), [("ed25519", ed25519, 151), ("es256", es256, 262)]
)
def test_every_case_is_judged_right(name: str, judge: Any, count: int) -> None:
    found = list(cases(name))
    assert len(found) == count
    assert {each["result"] for each in found} == {"valid", "invalid"}
    wrong = [(each["tcId"], each["comment"]) for each in found
             if judge(each) is not (each["result"] == "valid")]  # fmt: skip
    assert wrong == []
