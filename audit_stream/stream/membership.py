"""A static member's name belongs to one process: whoever finds another one under it ends.

aiokafka's heartbeats and commits do not carry the name. A broker that has given it to another
process answers them as if the member were unknown, and aiokafka then joins anew under the same
name, which takes it from the other process, and so on for ever. So before it joins anew the broker
is asked whose the name is (KIP-345).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.protocol.group import JoinGroupRequest

from audit_stream.kafka.requests import FENCED_INSTANCE_ID, NamedHeartbeat


class NameGuard:
    """Watches one consumer's group coordinator; `fenced` is called once another has the name."""

    def __init__(self, coordinator: Any, fenced: Callable[[str], None]) -> None:
        self._coordinator = coordinator
        self._fenced = fenced
        self._known: tuple[int, str] | None = None  # generation and member id, the last there were
        self._reset: Callable[[], None] = coordinator.reset_generation
        self._rejoin: Callable[[Any], Awaitable[bool]] = coordinator._do_rejoin_group

    @classmethod
    def watch(cls, coordinator: Any, fenced: Callable[[str], None]) -> None:
        """Begin to, for as long as the coordinator lives. Nothing to do for a dynamic member."""
        if coordinator._group_instance_id is not None:
            guard = cls(coordinator, fenced)
            coordinator.reset_generation = guard.reset_generation
            coordinator._do_rejoin_group = guard.rejoin

    def reset_generation(self) -> None:
        """As stock, and remember who this was."""
        self._remember()
        self._reset()

    async def rejoin(self, subscription: Any) -> bool:
        """As stock, unless the name is another's."""
        self._remember()
        if await self._is_taken():
            return False
        try:
            return await self._rejoin(subscription)
        except KafkaError:
            if await self._is_taken():  # since it was asked
                return False
            raise

    def _remember(self) -> None:
        coordinator = self._coordinator
        if coordinator.member_id != JoinGroupRequest.UNKNOWN_MEMBER_ID:
            self._known = coordinator.generation, coordinator.member_id

    async def _is_taken(self) -> bool:
        if self._known is None:
            return False  # it has not joined yet: who comes last has the name
        coordinator = self._coordinator
        name = coordinator._group_instance_id
        asked = NamedHeartbeat(coordinator.group_id, *self._known, name)
        try:
            answer = await coordinator._send_req(asked)
        except KafkaError:
            return False  # away: joining will find out
        if answer.error_code != FENCED_INSTANCE_ID:
            return False
        self._fenced(name)
        return True
