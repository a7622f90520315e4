"""What can happen: one coroutine for each kind of action. Each returns once it is undone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import psutil

from tests.campaigns.chaos.crew import Process
from tests.campaigns.chaos.hands import TERM, page
from tests.campaigns.chaos.operating import erase, generation, learn_map
from tests.campaigns.chaos.schedule import Action
from tests.campaigns.chaos.site import STORM
from tests.campaigns.stores.azure import AZURE
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from tests.campaigns.chaos.play import Play

#: So long a worker may take to come to a step.
_STEP_SECONDS = 8.0
_JOIN_SECONDS = 15.0


async def _strike(play: Play, process: Process, action: Action, number: int) -> None:
    """Signal a worker at the action's step, or at once where none comes by."""
    if "step" in action.given:
        orders = play.site.crew.orders(_number(action))
        orders.with_suffix(".new").write_text(
            f"{int(number)} {action.given['step']} {action.given['when']}"
        )
        orders.with_suffix(".new").rename(orders)
        with contextlib.suppress(AssertionError):
            await eventually(lambda: _struck(process), _STEP_SECONDS)
        # Where it ended by something else meanwhile, the order is not for who comes next.
        orders.unlink(missing_ok=True)
        if await _struck(process):
            return
    process.signal(number)


async def _struck(process: Process) -> bool:
    if process.running is None or not process.runs:
        return True
    try:
        return psutil.Process(process.running.pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return True


def _number(action: Action) -> int:
    return int(action.given["worker"])


async def kill(play: Play, action: Action) -> None:
    """SIGKILL, and back after a while."""
    process = play.site.crew.worker(_number(action))
    async with play.locks[process.name]:
        process.wanted = False
        process.asked = True
        await _strike(play, process, action, signal.SIGKILL)
        await process.ended()
        await asyncio.sleep(action.hold)
        process.start()


async def freeze(play: Play, action: Action) -> None:
    """SIGSTOP for longer than its session; then the zombie wakes."""
    process = play.site.crew.worker(_number(action))
    async with play.locks[process.name]:
        await _strike(play, process, action, signal.SIGSTOP)
        await asyncio.sleep(action.hold)
        process.signal(signal.SIGCONT)


async def stop(play: Play, action: Action) -> None:
    """SIGTERM, and back after a while."""
    process = play.site.crew.worker(_number(action))
    async with play.locks[process.name]:
        await process.end(TERM)
        await asyncio.sleep(action.hold)
        process.start()


async def storm(play: Play, action: Action) -> None:
    """Members join and leave, by turns politely and not."""
    members = [play.site.crew.worker(STORM + n) for n in range(int(action.given["members"]))]
    async with play.locks["storm"]:
        for turn in range(int(action.given["rounds"])):
            for each in members:
                each.start()
            with contextlib.suppress(AssertionError):  # it leaves before it has joined
                await eventually(lambda: asyncio.to_thread(_assigned, members), _JOIN_SECONDS)
            for each in members:
                await each.end(TERM if turn % 2 else signal.SIGKILL)


def _assigned(members: list[Process]) -> bool:
    """Whether each has joined the group and been told what is its."""
    shown = (page(each, "readyz") for each in members)
    return all(text is not None and json.loads(text)["assigned"] for text in shown)


async def scale(play: Play, action: Action) -> None:
    """One worker more, or one less."""
    wanted, usual = int(action.given["to"]), play.site.schedule.workers
    process = play.site.crew.worker(max(wanted, usual) - 1)
    async with play.locks[process.name]:
        if wanted > usual:
            process.start()
        else:
            await process.end(TERM)


async def broker_kill(play: Play, action: Action) -> None:
    """SIGKILL of a broker, and back."""
    await _broker_away(play, action, lambda n: asyncio.to_thread(play.cluster.kill, n))


async def broker_stop(play: Play, action: Action) -> None:
    """SIGTERM of a broker, which hands its leaders over, and back."""
    await _broker_away(play, action, play.cluster.stop)


async def _broker_away(
    play: Play, action: Action, end: Callable[[int], Awaitable[None]]
) -> None:  # fmt: skip
    number = int(action.given["broker"])
    async with play.locks["cluster"]:
        await end(number)
        await asyncio.sleep(action.hold)
        await play.cluster.start(number)


async def broker_pause(play: Play, action: Action) -> None:
    """SIGSTOP of a broker."""
    number = int(action.given["broker"])
    async with play.locks["cluster"]:
        play.cluster.pause(number)
        await asyncio.sleep(action.hold)
        play.cluster.resume(number)


async def leaders(play: Play, action: Action) -> None:
    """Other brokers lead the topics' partitions."""
    draw, fleet = random.Random(int(action.given["order"])), play.site.fleet
    topics = (*fleet.topics, f"{fleet.prefix}-precedence-changelog")
    async with play.locks["cluster"]:
        for _ in range(int(action.given["moves"])):
            for topic in topics:
                await play.cluster.move_leaders(topic, draw)


async def delay(play: Play, action: Action) -> None:
    """A broker is slow to reach."""
    async with play.locks["cluster"]:
        play.network.delay(int(action.given["broker"]), float(action.given["delay"]))
        await asyncio.sleep(action.hold)
        play.network.heal()


async def partition(play: Play, action: Action) -> None:
    """A broker is cut off from its clients, one way or both, or from its peers."""
    number, direction = int(action.given["broker"]), str(action.given["direction"])
    async with play.locks["cluster"]:
        if direction == "peers":
            play.network.isolate(number)
        else:
            play.network.partition(number, direction)
        await asyncio.sleep(action.hold)
        play.network.heal()


async def reset(play: Play, action: Action) -> None:
    """A broker's connections break."""
    async with play.locks["cluster"]:
        for _ in range(int(action.given["times"])):
            play.network.reset(int(action.given["broker"]))
            await asyncio.sleep(0.5)


async def store_fault(play: Play, action: Action) -> None:
    """The store fails a share of all requests."""
    account, fault = play.site.account, AZURE.by_name[str(action.given["fault"])]
    assert account is not None
    async with play.locks["store"]:
        for number, hit in enumerate(fault.hits):
            share = float(action.given["share"])
            account.server.tell("faults", **hit.armed(share, play.site.schedule.seed + number))
        await asyncio.sleep(action.hold)
        account.server.clear("faults")


async def disk_full(play: Play, action: Action) -> None:
    """A worker's disk takes nothing more."""
    async with play.locks[f"machine-{_number(action)}"]:
        play.site.machines[_number(action)].full_disk()
        await asyncio.sleep(action.hold)
        play.site.machines[_number(action)].heal()


async def disk_slow(play: Play, action: Action) -> None:
    """A worker's disk is slow to make anything durable."""
    async with play.locks[f"machine-{_number(action)}"]:
        play.site.machines[_number(action)].slow_disk(int(action.given["ms"]))
        await asyncio.sleep(action.hold)
        play.site.machines[_number(action)].heal()


async def clock(play: Play, action: Action) -> None:
    """A worker's clock jumps, and jumps back."""
    async with play.locks[f"machine-{_number(action)}"]:
        jump = int(action.given["hours"]) * 3_600_000
        play.site.machines[_number(action)].clock_jump(jump)
        await asyncio.sleep(action.hold)
        play.site.machines[_number(action)].heal()


async def huge(play: Play, action: Action) -> None:
    """A backlog at once."""
    await play.sender.send(play.traffic.lines(int(action.given["lines"])))


async def poison(play: Play, action: Action) -> None:
    """What no worker can understand."""
    await play.sender.send(play.traffic.poison(int(action.given["rounds"])))


async def notary_kill(play: Play, action: Action) -> None:
    """The notary is killed, and another one comes."""
    process = play.site.crew.notary
    async with play.locks[process.name]:
        await process.end(signal.SIGKILL)
        await asyncio.sleep(action.hold)
        process.start()


ACTIONS: dict[str, Callable[[Play, Action], Awaitable[None]]] = {
    "kill": kill, "freeze": freeze, "stop": stop, "storm": storm, "scale": scale,
    "broker-kill": broker_kill, "broker-stop": broker_stop, "broker-pause": broker_pause,
    "leaders": leaders, "delay": delay, "partition": partition, "reset": reset,
    "store-fault": store_fault, "disk-full": disk_full, "disk-slow": disk_slow, "clock": clock,
    "huge": huge, "poison": poison, "erase": erase, "map": learn_map, "generation": generation,
    "notary-kill": notary_kill,
}  # fmt: skip
#: What an operator does with the installation in order: nothing else is under way then.
ALONE = ("map", "generation")
