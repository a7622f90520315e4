"""Legal holds on a whole container: the management plane sets them, the data plane cannot.

Needs the actions ``containers/read``, ``containers/setLegalHold/action`` and
``containers/clearLegalHold/action``, which a worker's identity must not have.
"""

from __future__ import annotations

from audit_stream.stores.azure_arm import open_arm
from audit_stream.stores.azure_target import AzureTarget


class AzureContainerHolds:
    """`ports.ContainerHolds` of one container."""

    def __init__(self, target: AzureTarget) -> None:
        self._target = target

    async def tags(self) -> frozenset[str]:
        """See `ports.ContainerHolds`."""
        async with open_arm(self._target) as arm:
            return frozenset((await arm.container()).holds)

    async def set_tag(self, tag: str, held: bool) -> None:
        """See `ports.ContainerHolds`."""
        async with open_arm(self._target) as arm:
            await arm.set_hold(tag, held)
