"""golang.org/x/mod/sumdb, which shares no code with ours, accepts our checkpoints and proofs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from audit_stream.evidence.checkpoint import encode_hash
from audit_stream.evidence.note import NoteSigner
from audit_stream.notary.log import Head
from tests.support.go_peers import go_peer
from tests.support.logs import SIGNER, WrittenLog

pytestmark = pytest.mark.timeout(1200)  # the first test may have to build it
SIZE = 300  # more than a tile


def accepts(proofs: Mapping[str, Any], vkey: str = str(SIGNER.key)) -> str:
    """What it says against them; nothing when it accepts them."""
    done = subprocess.run(
        [go_peer("sumdb"), vkey], input=json.dumps(proofs), capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert (done.returncode != 0) is bool(done.stdout), done.stderr
    return done.stdout


async def proofs(log: WrittenLog, head: Head, old: Head | None) -> dict[str, Any]:
    """Every leaf of the log, and what it continues."""
    leaves = [leaf async for batch in log.log.batches(0) for leaf in batch.leaves]
    found: dict[str, Any] = {"checkpoint": head.note.encode().decode(), "old": None}
    found["leaves"] = [
        {"data": leaf.line.decode(), "index": index,
         "proof": [encode_hash(each) for each in await log.log.inclusion(index, head)]}
        for index, leaf in enumerate(leaves)
    ]  # fmt: skip
    if old is not None:
        path = await log.log.consistency(old.size, old.root, head)
        text = old.note.encode().decode()
        found["old"] = {"checkpoint": text, "proof": [encode_hash(each) for each in path]}
    return found


async def test_it_accepts_checkpoints_and_proofs_of_many_sizes() -> None:
    log = WrittenLog()
    old: Head | None = None
    for size in (1, 2, 3, 7, 8, 64, 255, 256, 257, SIZE):
        head = await log.grow(size - (old.size if old else 0))
        assert accepts(await proofs(log, head, old)) == ""
        old = head


async def test_it_refuses_what_is_wrong() -> None:
    log = WrittenLog()
    old = await log.grow(5)
    good = await proofs(log, await log.grow(6), old)
    assert accepts(good) == ""
    other = str(NoteSigner(SIGNER.key.name, b"\x23" * 32).key)
    assert "checkpoint" in accepts(good, other)
    leaf = good["leaves"][3]
    assert "leaf 3" in accepts(good | {"leaves": [leaf | {"data": leaf["data"] + " "}]})
    assert "leaf 4" in accepts(good | {"leaves": [leaf | {"index": 4}]})
    shorter = good["old"] | {"proof": good["old"]["proof"][1:]}
    assert "old checkpoint" in accepts(good | {"old": shorter})
    changed = good["checkpoint"].replace("\n11\n", "\n12\n")
    assert "checkpoint" in accepts(good | {"checkpoint": changed})
