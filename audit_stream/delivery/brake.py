"""The brake: a receiver that says no to everything is set up wrong, and empties no archive into
``audit-undeliverable``."""

from __future__ import annotations

from audit_stream.delivery.undeliverable import Undeliverable
from audit_stream.errors import DeliveryBrake


class Brake:
    """Counts rejections in a row, over all partitions and turns of a process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.run = 0

    def met(self, refused: Undeliverable | None) -> None:
        """A post is final. `DeliveryBrake`, as long as nothing is stored, once there are too many:
        what is not written down yet is posted again."""
        self.run = 0 if refused is None else self.run + 1
        if refused is not None and self.run > self._most:
            raise DeliveryBrake(
                f"{refused.target} has rejected more than {self._most} records in a row, the last "
                f"with HTTP {refused.status}",
                hint="check AUDIT_DELIVERY_URL and what the receiver expects; if it means every "
                "one of them, raise AUDIT_DELIVERY_BRAKE_RUN",
            )
