"""The product's next release, for tests of rolling upgrades: it knows format 2 of segments and
keeps its states in a form of its own. Both go where a release would put them.

`worker`, or any command line of the product.
"""

from __future__ import annotations

import asyncio
import logging.config
import sys
from struct import Struct

from audit_stream.app.run import run_worker
from audit_stream.cli.main import run_command
from audit_stream.evidence.formats import FORMATS, Format
from audit_stream.precedence.matrix import State
from audit_stream.settings import Settings
from audit_stream.stream.form import StateForm
from audit_stream.telemetry.logs import logging_config

SECOND = Format(2, "audit-segment/2", "audit-record/1")
_STATE = Struct("<QQIB")  # the other way round: read as the first form, it is nonsense


def _pack(state: State) -> bytes:
    return _STATE.pack(state.timestamp, state.offset, state.revision, state.rank)


def _unpack(data: bytes) -> State:
    timestamp, offset, revision, rank = _STATE.unpack(data)
    return State(rank, revision, offset, timestamp)


SECOND_FORM = StateForm(
    name="audit-state/2", prefix=b"\x002\x00", marker=b"\x00applied-2\x00", pack=_pack,
    unpack=_unpack,
)  # fmt: skip


def worker() -> None:
    settings = Settings.load(None)
    logging.config.dictConfig(logging_config("INFO", "console"))
    asyncio.run(run_worker(settings, form=SECOND_FORM))


if __name__ == "__main__":
    FORMATS[SECOND.number] = SECOND
    sys.exit(worker() if sys.argv[1:] == ["worker"] else run_command(sys.argv[1:]))
