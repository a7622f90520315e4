"""The Merkle tree against the probes of transparency-dev/merkle: most of them must be refused."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from audit_stream.evidence.tree import verify_consistency, verify_inclusion

FOLDER = Path(__file__).parent / "merkle"


def probes(kind: str) -> list[Any]:
    lines = (FOLDER / f"{kind}.jsonl").read_text("utf-8").splitlines()
    return [pytest.param(probe, id=probe["file"]) for probe in map(json.loads, lines)]


def hashes(texts: list[str] | None) -> list[bytes]:
    return [b64decode(text) for text in texts or []]


@pytest.mark.parametrize("probe", probes("inclusion"))
def test_an_inclusion_proof_is_judged_as_elsewhere(probe: dict[str, Any]) -> None:
    leaf, root = hashes([probe["leafHash"] or "", probe["root"] or ""])
    path = hashes(probe["proof"])
    held = verify_inclusion(leaf, probe["leafIdx"], probe["treeSize"], path, root)
    assert held is not probe["wantErr"]


@pytest.mark.parametrize("probe", probes("consistency"))
def test_a_consistency_proof_is_judged_as_elsewhere(probe: dict[str, Any]) -> None:
    old, new = hashes([probe["root1"] or "", probe["root2"] or ""])
    path = hashes(probe["proof"])
    held = verify_consistency(probe["size1"], probe["size2"], old, new, path)
    assert held is not probe["wantErr"]


def test_the_refusals_far_outnumber_the_proofs() -> None:
    wanted = [probe.values[0]["wantErr"] for kind in ("inclusion", "consistency")
              for probe in probes(kind)]  # fmt: skip
    assert wanted.count(True) > 5 * wanted.count(False) > 0
