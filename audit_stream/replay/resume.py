"""Going on with a comparison that was stopped."""

from __future__ import annotations

from audit_stream.archive.chain import Chain, Found
from audit_stream.replay.states import States
from audit_stream.replay.tally import Tally
from audit_stream.seal.builder import Link


async def resume(chain: Chain, states: States, of: str) -> tuple[Link, Tally] | None:
    """Where the states are, and what was counted by then; None when they are of something else.

    `of` says what is compared with what. The segment that was done last must still stand.
    """
    applied, noted = states.applied(chain.partition, chain.stream.topic), states.position
    if applied is None or noted is None:
        return None
    tally = Tally.decode(noted)
    if tally.of != of:
        return None
    found = await chain.at(applied.base)
    if not isinstance(found, Found) or found.segment.leaf != applied.leaf:
        return None
    return found.link, tally
