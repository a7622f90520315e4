"""``python -m tests.support.dying_keeper STEP WHEN``: a run of erasures that is killed there."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from audit_stream.app.erasing import erasing
from audit_stream.erasure.keeper import Keeper
from audit_stream.settings import Settings


async def run(step: str, when: str) -> None:
    def hook(now: str, moment: str) -> None:
        if (now, moment) == (step, when):
            os.kill(os.getpid(), signal.SIGKILL)

    async with erasing(Settings.load()) as place:
        await Keeper(place.installation(hook)).run()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2]))
