"""The rights that topics/ declares are enough for each role, and no role has what it has no use of.

On a broker that allows nobody anything else: workers archive, a notary names the topics' ends, an
operator proves, erases and rebuilds, everybody tells alarms.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError

from audit_stream.errors import BrokerError, ConfigError
from audit_stream.evidence.batch import decode_batch
from audit_stream.evidence.digest import decode_digest
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.topics import load_topics
from tests.integration.conftest import not_run
from tests.integration.test_erasure import QUICK, ask, customer
from tests.support.authorised import ROLES, AuthorisedKafka, grant, settings_of
from tests.support.commands import document, run, running
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthorisedKafka]:
    found = AuthorisedKafka(tmp_path_factory.mktemp("authorised"))
    try:
        asyncio.run(found.start())
    except (BrokerError, ConfigError) as error:
        not_run(error)
    yield found
    asyncio.run(found.stop())


@pytest.fixture
async def everybody(
    broker: AuthorisedKafka, tmp_path: Path, fresh: str
) -> AsyncIterator[dict[str, Fleet]]:
    """The same installation, reached as each role; as nobody by ''. One topic is rekeyed."""
    copied = f"{fresh}_copied"
    extra = {
        "AUDIT_TOPICS": f"{fresh}_status,{copied}", "AUDIT_REKEY_TOPICS": copied,
        "AUDIT_LOG_BATCH_SECONDS": "1",
    }  # fmt: skip
    nobody = Fleet(broker.url, tmp_path, fresh, extra=extra)
    await nobody.prepare()
    settings = nobody.settings
    await grant(KafkaConnection.from_settings(settings), load_topics(
        raw_topics=settings.topics, rekey_topics=settings.rekey_topics, app_id=settings.app_id,
    ), settings.app_id)  # fmt: skip
    found = {
        role: replace(nobody, extra=extra | settings_of(broker, role), workers={}) for role in ROLES
    }
    yield {"": nobody, **found}
    for fleet in found.values():
        await fleet.close()


async def test_every_role_gets_by_with_its_rights(everybody: dict[str, Fleet]) -> None:
    nobody, operator = everybody[""], everybody["operator"]
    events = Events(5, nobody.topic)
    everybody["worker"].start(0)
    with running(everybody["notary"], "notary") as notary:
        await nobody.send(events.lines(600))
        await nobody.send(
            Events(6, f"{nobody.prefix}_copied").lines(200), f"{nobody.prefix}_copied"
        )
        await nobody.settled()
        await eventually(lambda: asyncio.to_thread(_ends_named, nobody), 60)
        await _operator_works(operator)
        notary.terminate()
        _, said = await asyncio.to_thread(notary.communicate, timeout=60)
    assert "the digest will not name" not in said
    assert await everybody["worker"].stop(0) == 0
    rebuilt = await document(operator, "state", "rebuild")
    assert rebuilt["states"] > 0
    assert nobody.verify().problems == []


async def _operator_works(operator: Fleet) -> None:
    assert (await document(operator, "reconcile", "--wait", "30"))["unexplained"] == 0
    await ask(operator, "R-1", customer(7))
    done = await run(operator, "redact", "run", "--json", **QUICK)
    assert done.returncode == 0, done.stderr
    assert len(orjson.loads(done.stdout)["certificates"]) == 1
    assert (await run(operator, "topics", "apply", "--dry-run")).returncode == 0
    assert (await run(operator, "quarantine", "list")).returncode == 0


def _ends_named(fleet: Fleet) -> bool:
    """Whether a digest of the archive log has an end of every archived topic."""
    named: set[str] = set()
    for path in (fleet.settings.archive_path / "log").glob("*.json"):
        *_, last = decode_batch(path.read_bytes(), path.name).leaves
        digest = decode_digest(last.line, path.name)
        named.update(each.topic for each in digest.coverage if each.end is not None)
    return named == {fleet.topic, f"{fleet.prefix}_copied-rekeyed"}


@pytest.mark.parametrize("role", ["notary", "gateway", "deliverer"])
async def test_who_reads_the_archive_alone_reads_no_personal_data_from_kafka(
    everybody: dict[str, Fleet], role: str
) -> None:
    await everybody[""].send(Events(7, everybody[""].topic).lines(10))
    connection = KafkaConnection.from_settings(everybody[role].settings)
    consumer = AIOKafkaConsumer(**connection.client_options(), auto_offset_reset="earliest")
    consumer.assign([TopicPartition(everybody[""].topic, 0)])

    async def read() -> None:  # a role that may ask where the topic is starts, and no more
        await consumer.start()
        await consumer.getone()

    try:
        with pytest.raises(TopicAuthorizationFailedError):
            await read()
    finally:
        await consumer.stop()


@pytest.mark.parametrize("role", ROLES)
async def test_everybody_may_tell_alarms(everybody: dict[str, Fleet], role: str) -> None:
    done = await run(everybody[role], "alerts", "test")
    assert done.returncode == 0, done.stderr
