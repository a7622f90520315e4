"""An archive of chains as a gateway follows it, its log at whatever a test says."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from audit_stream.evidence.checkpoint import Checkpoint
from audit_stream.evidence.digest import Digest
from audit_stream.evidence.log_tree import Frontier
from audit_stream.evidence.tree import leaf_hash
from audit_stream.evidence.vouching import Vouched
from audit_stream.gateway.followed import Followed
from audit_stream.index.tail import Archive
from audit_stream.notary.log import ArchiveLog, Head
from audit_stream.ports import WormStore
from tests.support import chains, golden
from tests.support.indexing import Indexing
from tests.support.logs import SIGNER

SIZE = 100  # leaves of the log


@asynccontextmanager
async def indexed_chains(store: WormStore, folder: Path) -> AsyncIterator[Indexing]:
    """The index of all that chain makers put there, none of it stopped."""
    keyring = replace(golden.KEYRING, archive=chains.NAME)
    made = Indexing(Archive(store, None, chains.TRUSTED, keyring), folder)
    assert (await made.catch_up()).stopped == []
    yield made
    made.index.close()


def followed(
    made: Indexing, *digests: Digest, behind_seconds: float = 0.0, anchored: Vouched | None = None
) -> Followed:
    """A log of `SIZE` leaves that ends with the last of the digests; none: there is no log yet."""
    found = Followed(
        archive=made.archive, index=made.index, tail=made.tail, alarms=made.alarms,
        archive_log=ArchiveLog(made.archive.store, SIGNER.key), vouched=_nobody,
        head=_head(digests[-1]) if digests else None, anchored=anchored,
        caught_up_at=time.monotonic() - behind_seconds,
    )  # fmt: skip
    for each in digests:
        found.watch.saw(each)
    return found


def _head(digest: Digest) -> Head:
    frontier = Frontier().add(leaf_hash(b"%d" % at) for at in range(SIZE))
    text = Checkpoint(origin=chains.NAME, size=SIZE, root=frontier.root).text()
    return Head(frontier, SIGNER.sign(text), digest, SIZE - 1)


async def _nobody() -> Vouched | None:
    return None
