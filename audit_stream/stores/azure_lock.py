"""Locking a container's retention policy: what will be done, as a plan, and the doing.

Nothing here shortens, unlocks or removes a policy. Each step names the ETag of the policy that the
plan was made for, so a policy that somebody changed meanwhile is left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from audit_stream.errors import ConfigError, StoreRefused
from audit_stream.stores.azure_arm import Arm
from audit_stream.stores.azure_facts import EXTENSIONS, Container, Policy

LONGEST_DAYS = 146_000


class Step(Enum):
    """What is done, in this order."""

    SET = "set the policy, unlocked"
    EXTEND = "extend the locked policy"
    LOCK = "lock the policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockPlan:
    """From what stands to what will; without steps there is nothing to do."""

    before: Policy | None
    versioned: bool  # the container's default policy of versions
    days: int
    steps: tuple[Step, ...]

    @property
    def extensions_left(self) -> int | None:
        """Of a container's locked policy, afterwards; None where Azure does not count."""
        if self.versioned:
            return None
        used = self.before.extended if self.before else 0
        return EXTENSIONS - used - (Step.EXTEND in self.steps)


def plan_lock(container: Container, days: int) -> LockPlan:
    """How the container comes to be locked for `days`. `ConfigError` where that would shorten."""
    if not 1 <= days <= LONGEST_DAYS:
        raise ConfigError(f"--days must be 1 to {LONGEST_DAYS}")
    policy = container.policy
    if policy is not None and days < policy.days:
        raise ConfigError(
            f"the policy is {policy.days} days long: {days} would shorten it",
            hint=f"--days {policy.days}, or more",
        )
    plan = LockPlan(
        before=policy, versioned=container.versioned, days=days, steps=_steps(policy, days)
    )
    if plan.extensions_left is not None and plan.extensions_left < 0:
        raise ConfigError(
            f"the locked policy was extended {EXTENSIONS} times: Azure allows no more",
            hint="a new container with a longer policy",
        )
    return plan


def _steps(policy: Policy | None, days: int) -> tuple[Step, ...]:
    if policy is not None and policy.locked:
        return (Step.EXTEND,) if days > policy.days else ()
    if policy is None or policy.days != days or policy.append or policy.append_all:
        return (Step.SET, Step.LOCK)
    return (Step.LOCK,)


async def carry_out(arm: Arm, plan: LockPlan) -> Container:
    """Take the steps; the container as it is read back afterwards.

    `StoreRefused` when the policy is another one by now: nothing more is done then.
    """
    etag = plan.before.etag if plan.before else None
    for step in plan.steps:
        match step:
            case Step.SET:
                etag = _etag(await arm.set_unlocked_policy(plan.days, etag), plan.days)
            case Step.EXTEND:
                await arm.extend_policy(plan.days, etag or "")
            case Step.LOCK:
                await arm.lock_policy(etag or "")
    return await arm.container()


def _etag(policy: Policy | None, days: int) -> str:
    if policy is None or policy.locked or policy.days != days:
        raise StoreRefused(
            "the management plane answered with another policy than was set: it is not locked",
            hint="look at it with audit-stream archive check, then try again",
        )
    return policy.etag
