"""Trust policies (C2SP tlog-policy) over the witness of `tests.support.bundles`; and none."""

from __future__ import annotations

from audit_stream.evidence.note import COSIGNATURE, NoteKey, NoteSigner
from tests.support.bundles import LOG_SIGNER, WITNESS_KEY


def witness(number: int) -> NoteKey:
    """One that cosigned nothing."""
    public = NoteSigner("w", bytes([number]) * 32).key.public
    return NoteKey(name=f"w{number}.example", kind=COSIGNATURE, public=public)


_KEYS = f"""# mine

log {LOG_SIGNER.key} https://log.example
witness auditor {WITNESS_KEY}
witness w1 {witness(1)}
\twitness  w2 {witness(2)} \n"""
#: Rules behind these keys, with the verdict on a bundle that the witness `auditor` cosigned.
RULES = {
    "quorum auditor": "WITNESSED",
    "quorum none": "UNANCHORED",
    "group g any auditor w1\nquorum g": "WITNESSED",
    "group g 1 w1 auditor\nquorum g": "WITNESSED",
    "group g all auditor w1\nquorum g": "UNANCHORED",
    "group g 2 auditor w1 w2\nquorum g": "UNANCHORED",
    "quorum w1": "UNANCHORED",
    "group a any auditor w1\ngroup b 1 a w2\nquorum b": "WITNESSED",
    "group a any auditor w1\ngroup b all a w2\nquorum b": "UNANCHORED",
}
POLICIES = {f"{_KEYS}{rule}\n": verdict for rule, verdict in RULES.items()}
_NONE = (
    "", "quorum nobody", "quorum none\nquorum none", f"witness again {WITNESS_KEY}\nquorum none",
    f"witness w1 {witness(3)}\nquorum none", "group a any w1\ngroup b any w1\nquorum none",
    "group g 0 auditor\nquorum g", "group g 2 auditor\nquorum g", "group g 1 nobody\nquorum g",
    "group g 2 auditor auditor\nquorum g", "group auditor 1 w1\nquorum auditor",
    "group none 1 auditor\nquorum none", "witness w3 x\nquorum none", "log a+b+c\nquorum none",
    "logs x\nquorum none",
)  # fmt: skip
NO_POLICIES = [f"{_KEYS}{rules}\n" for rules in _NONE]
