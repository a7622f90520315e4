"""P6: planted persons are found where the map of personal data says, and nowhere else.

Everything there is runs over them: imports, workers that crash and stores that fail, rekeying,
quarantine, notary, gateway, pages and commands, all at the loudest log level. Then every file,
object, database, topic, line and answer is searched, and judged by the very table that
`audit-stream privacy map` shows. To have more of the product run, add to `ACTIONS`.
"""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from audit_stream.cli.main import run_command
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.embedded import EmbeddedKafka, free_ports
from audit_stream.keys.file import load_closed
from audit_stream.privacy.place import At, Where
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.planted import persons_in
from tests.support.planted_events import ARCHIVED, STRANGER, import_lines
from tests.support.planted_requests import api, pages
from tests.support.planting import Scene, Seen, environment_of, judge
from tests.support.receiver import receiving

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
Action = Callable[[Scene], Awaitable[None]]
ONE = ARCHIVED[0]
MESSAGE = f"planted-{ONE.number:02d}"


async def sending(scene: Scene) -> None:
    """Persons in every field, key and header, in a keyed topic and in one to be rekeyed."""
    fleet = scene.fleet
    await scene.plant(fleet.topic, Events(5, fleet.topic).lines(200))
    await scene.plant(fleet.settings.rekey_topics[0])


async def importing(scene: Scene) -> None:
    """From a file that has broken lines, and one without a key."""
    file = scene.folder / "import.jsonl"
    file.write_bytes(import_lines())
    await scene.command("import", str(file), "--topic", scene.fleet.topic, "--json")
    await scene.command("import", str(file))


async def crashing(scene: Scene) -> None:
    """Bugs whose text quotes a record, in an agent and while storing."""
    for where in ("sink", "store"):
        scene.fleet.start(0, "spill", where)
        assert await scene.fleet.ended(0) == 70, scene.fleet.log()


async def archiving(scene: Scene) -> None:
    """On a store that is away at first; alarms go out by webhook and topic."""
    fleet, away = scene.fleet, scene.folder / "away"
    fleet.extra |= {"AUDIT_BREAKER_ATTEMPTS": "1", "AUDIT_BREAKER_PROBE_SECONDS": "0.5"}
    away.touch()
    with receiving() as receiver:
        fleet.extra["AUDIT_ALERT_WEBHOOK"] = receiver.url
        port = fleet.serve()
        fleet.start(0, "away", str(away))
        opened = await asyncio.to_thread(receiver.take, 1)
        await _web_pages(scene, port)
        away.unlink()
        closed = await asyncio.to_thread(receiver.take, 1)
        await fleet.settled()
        await _web_pages(scene, port)
        assert await fleet.stop(0) == 0
        del fleet.extra["AUDIT_ALERT_WEBHOOK"]
        scene.say("webhook", "alarms", repr([*opened, *closed, *receiver.taken()]).encode())


async def _web_pages(scene: Scene, port: int) -> None:
    names = {"metrics": "metrics", "alarms": "alarms", "healthz": "health", "readyz": "health"}
    for page, name in names.items():
        url = f"http://127.0.0.1:{port}/{page}"
        scene.say(name, f"/{page}", await asyncio.to_thread(_page, url))


def _page(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        return error.read()


async def serving(scene: Scene) -> None:
    """Notary and gateway, asked rightly and wrongly, over HTTP and by its pages."""
    port, web = free_ports(2)
    scene.url = f"http://127.0.0.1:{port}"
    extra = {"AUDIT_GATEWAY_PORT": str(port), "AUDIT_WEB_PORT": str(web)}
    with scene.process("notary"), scene.process("gateway", **extra):

        async def up() -> bool:
            keys = f"{scene.url}/.well-known/jwks.json"
            try:
                return b"keys" in await asyncio.to_thread(_page, keys)
            except OSError:
                return False

        await eventually(up)
        await api(scene)
        await pages(scene)
        await _web_pages(scene, web)


async def answering(scene: Scene) -> None:
    """Commands that give personal data to who asked for it."""
    me = [ONE.number]
    topic, folder = scene.fleet.topic, scene.folder
    assert await scene.command("show", MESSAGE, name="show", asked=me) == 0
    await scene.command("show", MESSAGE, "--customer", STRANGER.customer, name="show", asked=me)
    await scene.command("show", STRANGER.address, name="show", asked=[STRANGER.number])
    bundle = ["export", "--message", MESSAGE, "--output", str(folder / "evidence.zip")]
    assert await scene.command(*bundle) == 0
    nobody = ["export", "--customer", STRANGER.customer, "--tenant", "tenant_a"]
    assert await scene.command(*nobody, "--output", str(folder / "none")) == 1
    proof = ["--topic", topic, "--from", "2026-01-01", "--to", "2026-01-02"]
    await scene.command("prove-complete", *proof, "--output", str(folder / "proof"))


async def operating(scene: Scene) -> None:
    """Commands of operators and auditors."""
    assert await scene.command("index", "status") == 0
    assert await scene.command("index", "rebuild", "--fresh") == 0
    assert await scene.command("verify", "--json") == 0
    await scene.command("reconcile", "--textfile", str(scene.folder / "metrics.prom"))
    assert await scene.command("quarantine", "list") == 0
    assert await scene.command("quarantine", "retry", "--reason", "personal-data", "--json") == 1
    assert await scene.command_apart("replay", "--compare", "--processes", "1") == 0
    assert await scene.command("state", "rebuild") == 0
    await scene.command("topics", "apply", "--dry-run")  # other tests have changed topics
    await scene.command("keyring", "status", "--json")
    await scene.command("archive", "check")
    await scene.command("log", "checkpoint")
    await scene.command("log", "keys")
    await scene.command("alerts", "test")
    await scene.command("doctor")
    await scene.command("tokens", "list")
    await scene.command("privacy", "map")


async def erasing(scene: Scene) -> None:
    """Somebody is held, asked to be forgotten, erased, and is back; the dry run shows the asker
    the spelling they typed."""
    me, who = [ONE.number], ["--customer", ONE.customer]
    told: dict[str, Any] = {"name": "show", "asked": me}
    here = [*who, "--tenant", "tenant_a"]
    asked = [*here, "--request-ref", "R-1", "--basis", "GDPR Art.17", "--by", "privacy"]
    hold = ["--matter", "M-1", "--custodian", "legal", "--by", "legal", "--approver", "counsel"]
    assert await scene.command("hold", "add", *here, *hold, "--reason", "CLAIM-7") == 0
    assert await scene.command("redact", *who, "--dry-run", "--json", **told) == 0
    assert await scene.command("redact", *asked, **told) == 0
    assert await scene.command("redact", "approve", "R-1", "--by", "privacy") == 1
    assert await scene.command("redact", "approve", "R-1", "--by", "counsel") == 0
    await scene.command("redact", "--customer", STRANGER.customer, "--message", STRANGER.address)
    await scene.command("redact", "--address", STRANGER.address, "--tenant", STRANGER.customer)
    assert await scene.command("redact", "run") == 0  # held
    assert await scene.command("hold", "list", "--json") == 0
    [hold_id] = await _holds(scene)
    release = ["release", hold_id, "--reason", "CLAIM-7-ENDED", "--by", "legal"]
    assert await scene.command("hold", *release) == 0
    assert await scene.command("hold", "approve", hold_id, "--by", "counsel") == 0
    assert await scene.command("redact", "run") == 1  # the workers that crashed may have the keys
    newest = f"{load_closed(scene.fleet.settings.keyring).keyring.epoch:010d}"
    for process in (scene.fleet.settings.subjects_path / "private/fleet").iterdir():
        names = [each.name for each in process.iterdir()] if process.is_dir() else []
        epochs = [each for each in names if each.isdecimal()]
        if epochs and "left" not in names and max(epochs) < newest:
            said = ["--reason", "it crashed", "--by", "operator"]
            assert await scene.command("redact", "excuse", process.name, *said) == 0
    assert await scene.command("redact", "run", "--json") == 0
    assert await scene.command("redact", "list") == 0
    assert await scene.command("redact", "fleet", "--json") == 0
    out = str(scene.folder / "opening")
    assert await scene.command("redact", "opening", "R-1", "--out", out, "--by", "privacy") == 0
    assert await scene.command("redact", "return", *here) == 0
    assert await scene.command("redact", "sweep") == 0
    assert await scene.command("retention", "status") == 0
    assert await scene.command("show", MESSAGE) == 0  # not theirs any more
    assert await scene.command("verify") == 0


async def _holds(scene: Scene) -> list[str]:
    names = (scene.fleet.settings.archive_path / "holds").glob("*.json")
    return [json.loads(each.read_bytes().split(b"\n")[0])["hold_id"] for each in names]


ACTIONS: Sequence[Action] = (
    sending, importing, crashing, archiving, serving, answering, operating, erasing,
)  # fmt: skip


@pytest.fixture
async def scene(
    kafka: EmbeddedKafka, tmp_path: Path, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    topics = f"{fresh}_status,{fresh}_email"
    extra = environment_of(tmp_path)
    extra |= {"AUDIT_BARRIER_SECONDS": "0", "AUDIT_ERASURE_GRACE_SECONDS": "0"}
    extra |= {"AUDIT_TOPICS": topics, "AUDIT_REKEY_TOPICS": f"{fresh}_email"}
    found = Scene(Fleet(kafka.url, tmp_path, fresh, extra=extra))
    for name, value in found.fleet.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AUDIT_DEBUG", "1")
    await found.fleet.prepare()
    with found.ends:
        yield found
    await found.fleet.close()


async def test_p6_planted_persons_are_where_the_map_says_and_nowhere_else(scene: Scene) -> None:
    for action in ACTIONS:
        await action(scene)
    seen = await scene.look_everywhere()
    assert judge(seen) == []
    _assert_that_the_clear_places_were_used(seen)


def _assert_that_the_clear_places_were_used(seen: list[Seen]) -> None:
    """Else there was nothing to find."""
    held = {each.at for each in seen if persons_in(each.data)}
    assert {
        At(Where.KIND, "raw"), At(Where.KIND, "rekeyed"), At(Where.TOPIC, "audit-quarantine"),
        At(Where.SAID, "answer"), At(Where.SAID, "page"), At(Where.SAID, "show"),
        At(Where.FILE, "import"), At(Where.FILE, "evidence bundle"),
    } <= held  # fmt: skip
    there = {each.at.where for each in seen}
    assert there == set(Where) - {Where.BEYOND}


async def test_a_retention_that_somebody_raised_is_found(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in fleet.environment.items():
        monkeypatch.setenv(name, value)
    assert await asyncio.to_thread(run_command, ["privacy", "map"]) == 0
    assert f"{fleet.topic}: 30 days declared, 30 days in force, the last record gone after 37" in (
        capsys.readouterr().out
    )
    raised = ConfigResource(
        ConfigResourceType.TOPIC, fleet.topic, {"retention.ms": str(31 * 86_400_000)}
    )
    async with open_admin(KafkaConnection.from_settings(fleet.settings)) as admin:
        await admin.alter_configs([raised])

    async def found() -> bool:
        capsys.readouterr()
        return await asyncio.to_thread(run_command, ["privacy", "map", "--json"]) == 1

    await eventually(found)
    (raw,) = [each for each in json.loads(capsys.readouterr().out) if each["name"] == "raw-topics"]
    assert raw["retention"][0]["standing"] == "longer than declared"
