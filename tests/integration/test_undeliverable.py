"""What a receiver will not take, on a real broker: kept before a position passes, tried again."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from audit_stream.kafka.ask import topic_ends
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.embedded import EmbeddedKafka
from audit_stream.kafka.undeliverable import TOPIC, read_undeliverable
from tests.support.delivering import ROOT, Delivering, expected, pubs
from tests.support.eventually import until
from tests.support.indexing import customer_of
from tests.support.siem import Mode, siem

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
FIELDS = "customer_external_id,recipient_address"
READS = {
    f"{pub['message_uuid']}:READ": pub for pub in pubs() if pub["delivery_status"] == "READ"
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, kafka: EmbeddedKafka, fresh: str) -> Iterator[Delivering]:
    with siem(tmp_path / "siem") as server:
        found = Delivering(
            tmp_path, server, {"AUDIT_BROKER": kafka.url, "AUDIT_DELIVERY_NAME": fresh}
        )
        command = [sys.executable, "-m", "audit_stream", "topics", "apply", "--replication", "1"]
        subprocess.run(command, env=found.environment, cwd=ROOT, check=True, capture_output=True)
        yield found


async def entries(connection: KafkaConnection, target: str) -> list[dict[str, Any]]:
    """What lies in the topic of one target."""
    ends = await topic_ends(connection, [TOPIC])
    ranges = {partition: bounds for (_, partition), bounds in ends.items()}
    found = [orjson.loads(each) async for _, _, each in read_undeliverable(connection, ranges)]
    return [each for each in found if each["target"] == target]


def waiting(place: Delivering) -> int:
    done = place.run("status", "--json")
    assert done.returncode == 0, done.stderr
    found: int = orjson.loads(done.stdout)["undeliverable"]["entries"]
    return found


async def test_refused_records_are_kept_by_place_and_tried_again_under_their_keys(
    place: Delivering, connection: KafkaConnection, fresh: str
) -> None:
    place.siem.be(Mode(refuse={":READ": 422}, echo=True))
    place.once(AUDIT_DELIVERY_FIELDS=FIELDS)
    assert place.settled() == place.ends()
    assert place.siem.keys() == expected() - Counter(READS.keys())
    found = await entries(connection, fresh)
    assert {each["key"] for each in found} == set(READS)
    for each in found:
        pub = READS[each["key"]]
        assert "/".join(
            str(each[name]) for name in ("topic", "generation", "partition", "offset")
        ) == pub["source"]  # fmt: skip
        assert each["status"] == 422
        assert "[personal]" in each["answer"]  # the receiver repeated what was posted
        customer = customer_of(pub)
        assert customer is None or customer not in each["answer"]
    assert waiting(place) == len(READS)

    again = place.run("retry", "--json")  # it still says no
    assert again.returncode == 1
    assert orjson.loads(again.stdout)["rejected"] == len(READS)
    assert waiting(place) == len(READS)

    place.siem.be(Mode())
    last = place.run("retry", "--json")
    assert orjson.loads(last.stdout)["stored"] == len(READS)
    assert last.returncode == 0
    assert place.siem.keys() == expected()
    assert waiting(place) == 0


def test_a_retry_that_is_killed_anywhere_loses_no_entry(place: Delivering) -> None:
    place.siem.be(Mode(refuse={":READ": 400}))
    place.once()
    place.siem.be(Mode(latency=0.05))
    chance, lives = random.Random(3), 0
    while place.siem.keys() != expected() and lives < 4:
        with place.running("retry") as process:
            before = len(place.siem.seen())
            until(lambda at=before: len(place.siem.seen()) > at)  # type: ignore[misc]
            time.sleep(chance.uniform(0, 0.4))  # where it is killed, not what is waited for
            process.kill()
        lives += 1
    assert place.run("retry").returncode == 0
    assert place.siem.keys() == expected()
    assert waiting(place) == 0
