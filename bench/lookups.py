"""``python -m bench.lookups``: what it costs to learn that a message was never seen.

Processor time of a look-up in a database of the table's kind, as it grows and once it is opened
again: most look-ups of a worker are for messages that it does not know.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from audit_stream.precedence.matrix import table_key
from audit_stream.rocks import batch_of, new_cache, open_database

_STREAM = "0123456789abcdef" * 2
_ASKED = 20_000
_AT_ONCE = 10_000


def _key(rng: random.Random) -> bytes:
    return table_key(_STREAM, "tenant_prod_00", f"{rng.getrandbits(128):032x}")


def _microseconds(path: Path, rng: random.Random, more: int = 0) -> float:
    """A look-up's, in the database opened anew, once `more` keys were added."""
    database = open_database(path, new_cache())
    for _ in range(more // _AT_ONCE):
        database.write(batch_of((_key(rng), rng.randbytes(21)) for _ in range(_AT_ONCE)))
    database.flush()
    some = [_key(rng) for _ in range(_ASKED)]
    began = time.process_time()
    for key in some:
        database.get(key)
    spent = time.process_time() - began
    database.close()
    return spent / _ASKED * 1e6


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="bench.lookups", description=__doc__)
    parser.add_argument("--millions", type=float, nargs="+", default=[0.5, 1, 2, 4])
    options = parser.parse_args(argv)
    rng = random.Random(1)  # noqa: S311 - the same keys every time
    rows = ["| millions of keys | filled, µs | opened again, µs |", "|--:|--:|--:|"]
    for millions in options.millions:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.db"
            filled = _microseconds(path, rng, round(millions * 1e6))
            again = _microseconds(path, rng)
        rows.append(f"| {millions:g} | {filled:.1f} | {again:.1f} |")
    Console().print("\n".join(rows), markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
