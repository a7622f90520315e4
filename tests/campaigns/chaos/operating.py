"""What operators do: erase persons, teach the status map a word, begin a new generation."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import TYPE_CHECKING

from audit_stream.kafka.ask import topic_partitions
from audit_stream.kafka.connect import KafkaConnection, open_admin
from tests.campaigns.chaos.hands import TERM, command, stop_workers
from tests.campaigns.chaos.schedule import Action
from tests.campaigns.chaos.traffic import PERSONS, nameless
from tests.support.commands import ROOT, environment, run
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from tests.campaigns.chaos.play import Play

BASIS = "GDPR Art.17(1)(b)"
_LIMIT_SECONDS = 60.0


async def learn_map(play: Play, action: Action) -> None:
    """A word nobody knows comes; the map learns it on worker after worker; it is retried."""
    await play.sender.send(play.traffic.unmapped(int(action.given["lines"])))
    words = json.loads(play.site.fleet.settings.status_map_path.read_bytes())
    words["terminal"]["FAILED"].append("bounced")
    play.site.status_map.write_text(json.dumps(words))
    await play.settled()
    play.site.crew.told_to(AUDIT_STATUS_MAP=str(play.site.status_map))
    for each in [each for each in play.site.crew.workers if each.wanted]:
        await each.end(TERM)
        each.start()
    await play.sender.send(play.traffic.unmapped(5))  # some know it by now
    await command(play, "quarantine", "retry", "--reason", "status-unmapped", also=(1,))


async def erase(play: Play, action: Action) -> None:
    """Persons are erased, in two hands; the keeper is killed at a step, and another finishes."""
    draw = random.Random(f"erase {play.site.schedule.seed}")
    chosen = draw.sample([each for each in PERSONS if each.number not in play.erased],
                         int(action.given["persons"]))  # fmt: skip
    for person in chosen:
        ref = f"R-{play.site.schedule.seed}-{person.number}"
        named = "--address" if nameless(person) else "--customer"
        who = person.address if nameless(person) else person.customer
        asked = ("redact", named, "-", "--request-ref", ref, "--basis", BASIS, "--by", "privacy")
        await command(play, *asked, typed=f"{who}\n")
        await command(play, "redact", "approve", ref, "--by", "counsel")
        play.erased[person.number] = ref
    if "step" in action.given:
        await _dying_keeper(play, str(action.given["step"]), str(action.given["when"]))
    # A killed worker is let go of once every partition was sealed on: traffic does not stop.
    await command(play, "redact", "run", meanwhile=lambda: _traffic(play))
    for person in chosen:  # who was erased is written to again
        await play.sender.send(play.traffic.of_person(person, 3))


async def _traffic(play: Play) -> None:
    await play.sender.send(play.traffic.lines(60))


async def _dying_keeper(play: Play, step: str, when: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.dying_keeper", step, when,
        env=environment(play.site.fleet), cwd=ROOT, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    play.say(f"the keeper ended with {await process.wait()} at {step}, {when}")


async def generation(play: Play, action: Action) -> None:
    """A topic's new generation: it was recreated, or an operator declares one."""
    fleet = play.site.fleet
    topic = fleet.topics[int(action.given["topic"])]
    recreated = action.given["how"] == "recreated"
    words = ["topics", "new-generation", topic, "--reason", "chaos", "--yes"]
    if recreated:
        await play.settled()
    ran = await stop_workers(play)
    if recreated:
        play.problems += await compared(play)
        await play.raw.keep(topic)
        await _recreate(play, topic)
    else:
        words += ["--force", "--accept-unarchived"]
    play.raw.next_generation(topic, recreated=recreated)
    await command(play, *words)
    for each in ran:
        each.start()


async def compared(play: Play) -> list[str]:
    """P3, while the raw log is there: derive everything again and compare."""
    done = await run(play.site.fleet, "replay", "--compare", "--processes", "1")
    return [f"P3: {done.stdout} {done.stderr}"] if done.returncode else []


async def _recreate(play: Play, topic: str) -> None:
    connection = KafkaConnection.from_settings(play.site.fleet.settings)
    async with open_admin(connection) as admin:
        await admin.delete_topics([topic])

    async def gone() -> bool:
        return topic not in await topic_partitions(connection, [topic])

    await eventually(gone, _LIMIT_SECONDS)
    await play.site.fleet.prepare()
    await play.cluster.healthy()
    await play.sender.restart()
    await play.sender.send(play.traffic.lines(play.site.schedule.chunk_lines))
