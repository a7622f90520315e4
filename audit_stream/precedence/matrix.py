"""Precedence as data: EXPIRED > FAILED > READ > DELIVERED.

The state of a message is the join of every status seen, in the chain below (a join-semilattice:
commutative, associative, idempotent). `MATRIX` spells out, for what is held and what comes, the
disposition the arrival gets; ``docs/reference/precedence.md`` is generated from it.
"""

from __future__ import annotations

from struct import Struct

import msgspec

DELIVERED, READ, FAILED, EXPIRED = "DELIVERED", "READ", "FAILED", "EXPIRED"
#: Terminal states, lowest first.
STATUSES = (DELIVERED, READ, FAILED, EXPIRED)
RANK = {status: rank for rank, status in enumerate(STATUSES, start=1)}
#: Rank of a message of which no terminal status has been archived.
NOTHING = 0

#: (held, came) -> disposition: a archived (a rise), d duplicate, r regressed.
MATRIX: dict[tuple[str | None, str], str] = {
    (None, DELIVERED): "a", (None, READ): "a", (None, FAILED): "a", (None, EXPIRED): "a",
    (DELIVERED, DELIVERED): "d", (DELIVERED, READ): "a", (DELIVERED, FAILED): "a",
    (DELIVERED, EXPIRED): "a",
    (READ, DELIVERED): "r", (READ, READ): "d", (READ, FAILED): "a", (READ, EXPIRED): "a",
    (FAILED, DELIVERED): "r", (FAILED, READ): "r", (FAILED, FAILED): "d", (FAILED, EXPIRED): "a",
    (EXPIRED, DELIVERED): "r", (EXPIRED, READ): "r", (EXPIRED, FAILED): "r",
    (EXPIRED, EXPIRED): "d",
}  # fmt: skip

#: The matrix by rank, for the hot loop: ``BY_RANK[held_rank][came_rank]``.
BY_RANK = tuple(
    tuple(" " if came is None else MATRIX[held, came] for came in (None, *STATUSES))
    for held in (None, *STATUSES)
)


def join(held: str | None, came: str) -> str:
    """The status held after `came` arrived: the higher of the two."""
    return came if held is None or RANK[came] > RANK[held] else held


class State(msgspec.Struct, frozen=True, gc=False):
    """What the table holds of a message: its last rise."""

    rank: int  # 1..4
    revision: int  # 1, 2, …
    offset: int  # source offset of the rise
    timestamp: int  # Kafka timestamp of the rise, ms


_STATE = Struct(">BIQQ")
STATE_SIZE = _STATE.size


def pack_state(state: State) -> bytes:
    """The 21 bytes a state has in RocksDB and in the changelog."""
    return _STATE.pack(state.rank, state.revision, state.offset, state.timestamp)


def unpack_state(data: bytes) -> State:
    """The state of `pack_state`'s bytes."""
    return State(*_STATE.unpack(data))


def stream_prefix(stream: str) -> bytes:
    """What the table keys of one stream (its id) begin with: no state crosses to another one."""
    return f"{stream}\x00".encode()


def table_key(stream: str, tenant: str, message_id: str) -> bytes:
    """stream id 00 tenant 00 message id: what the table is keyed by."""
    return stream_prefix(stream) + f"{tenant}\x00{message_id}".encode()
