"""Posting probes to a receiver, and keeping how it answered: what `delivery.probing` judges by.

The state is one small rewritable object beside the positions. It is kept before the first post, so
a run that was cut off is not taken for one that was answered: its probe is given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from audit_stream.delivery.outcome import Answer
from audit_stream.delivery.probing import (
    Check,
    Judgement,
    Probe,
    Seen,
    Verdict,
    judge,
    parse_check,
    seen,
)
from audit_stream.errors import StoreRefused
from audit_stream.evidence.encoding import time_text
from audit_stream.ports import SubjectStore, Versioned

FOLDER: Final = "checks/"
_LOOKS, _LOOK_SECONDS = 30, 1.0  # for a count that lags
#: Posts a body under a key, and returns the receiver's first answer once the post is final.
Observe = Callable[[bytes, str], Awaitable[Answer]]
#: How many posts the receiver has under a key.
Count = Callable[[str], Awaitable[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Checks one receiver. Errors are those of `ports.Delivery` and `ports.SubjectStore`, and
    `FormatError`: nothing is judged then, and the next run tries again."""

    target: str
    archive: str
    store: SubjectStore
    observe: Observe
    count: Count | None = None
    now: Callable[[], float]  # Unix seconds
    draw: Callable[[], str]  # 16 random hexadecimal digits
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(self) -> Check:
        """Whatever is due: nothing, a new probe, or the last post of the one at work."""
        kept = await self.store.get(self._name)
        before = None if kept is None else parse_check(kept.data, self._name)
        if before is None or before.first is None:
            return await self._begin(before, kept)
        if not before.is_due(self.now()):
            return before
        after = await self._end(before)
        return await self._begin(after, await self._keep(after, kept))

    async def _begin(self, before: Check | None, kept: Versioned | None) -> Check:
        began = int(self.now())
        probe = Probe(self.archive, self.draw(), time_text(began * 1000))
        check = Check(target=self.target, probe=probe, began=began)
        if before is not None:
            check = replace(
                check, soon=before.soon, later=before.later, remembered=before.remembered
            )
        kept = await self._keep(check, kept)
        first = await self._seen(probe)
        if not first.accepted:
            raise StoreRefused(f"the receiver answered a probe with HTTP {first.status}")
        check = replace(check, first=first)
        check = replace(check, soon=await self._judged(check, "soon"))
        await self._keep(check, kept)
        return check

    async def _end(self, check: Check) -> Check:
        found = await self._judged(check, "later")
        age = int(self.now()) - check.began
        honoured = found.verdict is Verdict.HONOURED
        return replace(check, later=found, remembered=age if honoured else 0)

    async def _judged(self, check: Check, when: str) -> Judgement:
        assert check.first is not None
        before, after = check.probe.others(when)
        seen_before = await self._seen(before)
        again = await self._seen(check.probe)
        others = [seen_before, await self._seen(after)]
        return judge(check.first, again, others, await self._counted(check.probe.key, after.key))

    async def _seen(self, probe: Probe) -> Seen:
        return seen(await self.observe(probe.body, probe.key), probe)

    async def _counted(self, key: str, after: str) -> int | None:
        """How many it has under a key, once it counts what was posted after: it may count late."""
        if self.count is None:
            return None
        for _ in range(_LOOKS):
            if await self.count(after):
                return await self.count(key)
            await self.sleep(_LOOK_SECONDS)
        return 0

    async def _keep(self, check: Check, kept: Versioned | None) -> Versioned | None:
        """Durable on return. `StoreRefused` when another process checks the same receiver."""
        data = check.encode()
        if kept is None:
            await self.store.create(self._name, data)
        else:
            await self.store.replace(self._name, data, kept.etag)
        stands = await self.store.get(self._name)
        if stands is None or stands.data != data:
            raise StoreRefused(
                f"another process checks {self.target}", hint="one of them is enough"
            )
        return stands

    @property
    def _name(self) -> str:
        return check_name(self.target)


def check_name(target: str) -> str:
    """Of the object that holds how far the checks of a receiver are."""
    return f"{FOLDER}{target}.json"


async def kept_check(store: SubjectStore, target: str) -> Check | None:
    """How far they are; None where none was made. `StoreError`, `FormatError`."""
    kept = await store.get(check_name(target))
    return None if kept is None else parse_check(kept.data, check_name(target))
