"""The return of who was erased: a new generation of the subject, by an explicit command only."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from audit_stream.archive.fleet import tell_epoch
from audit_stream.erasure.batch import JOURNAL
from audit_stream.erasure.filing import KINDS, Kind
from audit_stream.erasure.installation import Installation, bring_up_views, newest_keyring
from audit_stream.erasure.requests import Requests
from audit_stream.errors import RequestError
from audit_stream.keys.epochs import advance
from audit_stream.keys.file import load_cover
from audit_stream.keys.lock import keyring_lock
from audit_stream.privacy.keytree import Cover, path_of
from audit_stream.privacy.subjects import tags_of, tree_at


async def bring_back(place: Installation, kind: Kind, typed: str, tenant: str) -> int:
    """Give an erased subject a new generation, with the keyring's next epoch; its number.

    `RequestError` when they were not erased, or an erasure, of anybody, is at work or, of them, is
    asked for: its tags are those of before.
    """
    with keyring_lock(place.keyring):
        if await place.private.get(JOURNAL) is not None:
            raise RequestError("an erasure is at work", hint="finish it: audit-stream redact run")
        ring = await newest_keyring(place)
        tree = tree_at(ring, ring.epoch)
        tags = tags_of(ring, (tenant, KINDS[kind], typed), tree)
        cover = Cover(load_cover(place.keyring, tree, place.covers))
        if cover.find(path_of(tags[-1])) is not None:
            raise RequestError(f"this {kind} is not erased: there is nobody to bring back")
        await _check_asked_for(place, kind, tags)
        epochs = (*ring.returned.get(tags[0], ()), ring.epoch + 1)
        returned = {**ring.returned, tags[0]: epochs}
        ring = await asyncio.to_thread(
            advance, place.keyring, ring, lambda _: (), returned, place.covers
        )
        bring_up_views(place)
        await tell_epoch(place.private, ring.epoch)
        await _check_asked_for(place, kind, tags)  # again: it may not have seen the epoch
        return len(tags)


async def _check_asked_for(place: Installation, kind: Kind, tags: Collection[bytes]) -> None:
    if asked := await Requests(place.private).naming(tags):
        raise RequestError(
            f"the request {asked[0].ref} asks for this {kind}'s erasure",
            hint="carry it out or withdraw it: it would not reach what comes from now on",
        )
