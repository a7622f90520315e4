"""`prove-complete` on a real installation: signed, checked, and no more than can be shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from audit_stream.evidence.note import parse_note, parse_vkey
from tests.integration.test_raw_topics import copied_and_stopped
from tests.support.commands import document, run
from tests.support.events import Events
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def at(minutes: float) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


async def test_a_period_is_stated_signed_and_held_against_a_list(
    fleet: Fleet, tmp_path: Path
) -> None:
    events = Events(81, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(1500))
    coverage = await fleet.settled()
    await fleet.stop(0)
    words = ("prove-complete", "--topic", fleet.topic, "--from", at(-60), "--to")
    open_ended = await document(fleet, *words, at(0), code=1)  # a later event could still come
    assert not open_ended["statement"]["complete"]

    stop = at(0)
    assert (await run(fleet, "notary", "--once")).returncode == 0
    messages = sorted({message for message, _ in events.oracle.archived})
    listed = tmp_path / "sent.txt"
    listed.write_text("\n".join([*messages[:50], "never-heard-of"]))
    path = tmp_path / "statement"
    more = ("--manifest", str(listed), "--output", str(path))
    found = await document(fleet, *words, stop, *more, code=1)
    assert found["without_terminal_status"] == ["never-heard-of"]
    statement = found["statement"]
    assert statement["complete"]
    assert statement["offsets"] == 1500
    assert statement["unexplained"] == 0
    assert statement["quarantined"] == coverage.totals()["q"]
    assert statement["unresolved"] == coverage.unresolved
    assert statement["dispositions"]["archived"] == len(events.oracle.archived)
    assert statement["checkpoint"].startswith(fleet.settings.archive_name)

    key = parse_vkey((await run(fleet, "log", "key")).stdout.strip())
    note = parse_note(path.read_bytes(), "the statement")
    assert note.is_signed(key)
    assert orjson.loads(note.text) == statement

    listed.write_text("\n".join(f'{{"message_id":"{m}"}}' for m in messages))
    again = await document(
        fleet, *words, stop, "--manifest", str(listed), code=1 if coverage.unresolved else 0
    )
    assert again["without_terminal_status"] == []


async def test_a_rekeyed_topic_is_complete_once_all_is_copied(fleet: Fleet) -> None:
    """Records wait in the raw topic while its twin's archive is at the twin's end."""
    events = Events(82, fleet.topic)
    await copied_and_stopped(fleet, events, 300)
    await fleet.send([(b"tenant_b", value) for _, value in events.lines(200)])
    stop = at(0)
    assert (await run(fleet, "notary", "--once")).returncode == 0
    words = ("prove-complete", "--topic", f"{fleet.topic}-rekeyed", "--from", at(-60), "--to", stop)
    done = await run(fleet, *words, "--json")
    assert not orjson.loads(done.stdout)["statement"]["complete"]
    assert f"200 offsets of {fleet.topic} are not copied yet" in done.stderr
    fleet.start(0)
    done = await run(fleet, *words, "--wait", "120", "--json")
    statement = orjson.loads(done.stdout)["statement"]
    assert statement["complete"]
    assert statement["offsets"] >= 500
    assert done.returncode == (1 if statement["unresolved"] else 0)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--from", "2026-01-02", "--to", "2026-01-01"), "must be times"),
        (("--from", "5", "--to", "9"), "must be times"),
        (("--from", "x", "--to", "2026-01-01"), "neither an offset nor a time"),
    ],
)
async def test_wrong_use_is_refused(fleet: Fleet, words: tuple[str, ...], says: str) -> None:
    done = await run(fleet, "prove-complete", "--topic", fleet.topic, *words)
    assert done.returncode == 2
    assert says in done.stderr
