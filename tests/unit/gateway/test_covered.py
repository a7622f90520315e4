"""What an index made anew cannot tell from the chains alone: the archive log tells it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from audit_stream.evidence.layout import parse_segment_name
from audit_stream.evidence.log_names import batch_name
from tests.campaigns.tampering import insiders, refit
from tests.campaigns.tampering.api import Api, Said
from tests.campaigns.tampering.archives import Changed
from tests.campaigns.tampering.judge import Truth
from tests.campaigns.tampering.scene import Scene, build
from tests.support.resealed import MESSAGES

PLACE = f"{MESSAGES}/1/0"


@pytest.fixture(scope="module")
def scene() -> Scene:
    return asyncio.run(build(stamped=False))


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with Api(tmp_path) as opened:
        yield opened


async def asked(api: Api, scene: Scene, changed: Changed, index: Path | None = None) -> Said:
    """For a message of each topic, the long one's first."""
    truth = Truth(scene)
    keys = {source.partition("/")[0]: key for key, sources in truth.messages.items() for source in
            sources}  # fmt: skip
    first = keys.pop(MESSAGES)
    return await api.ask(changed.objects, changed.subjects, [first, *keys.values()], index=index)


def statuses(said: Said) -> list[int]:
    return [status for status, _ in said.answers.values()]


async def test_a_clean_archive_is_answered(api: Api, scene: Scene) -> None:
    said = await asked(api, scene, Changed(scene.objects, scene.subjects))
    assert (said.alarms, said.refused, statuses(said)) == ([], "", [200, 200, 200])


async def test_the_end_of_a_chain_that_is_gone_is_missed(api: Api, scene: Scene) -> None:
    gone = max(n for n in scene.objects if n.startswith(f"segments/{MESSAGES}/"))
    left = {name: data for name, data in scene.objects.items() if name != gone}
    said = await asked(api, scene, Changed(left, scene.subjects))
    assert said.alarms == [f"tampered:{PLACE}", f"tampered:segments/{MESSAGES}/00001/00000"]
    assert statuses(said) == [409, 200, 200]
    known = await asked(api, scene, Changed(left, scene.subjects),
                        await api.index_of(scene.objects, scene.subjects))  # fmt: skip
    assert (known.alarms, statuses(known)) == ([], [200, 200, 200])


async def test_a_chain_signed_anew_is_not_the_one_that_was_logged(api: Api, scene: Scene) -> None:
    chance = random.Random(1)
    changed = insiders.another_status(scene, chance, 0)
    while not str(changed.source).startswith(MESSAGES):
        changed = insiders.another_status(scene, chance, 0)
    said = await asked(api, scene, changed)
    assert f"tampered:{PLACE}" in said.alarms
    assert statuses(said) == [409, 200, 200]


async def test_a_stream_that_is_gone_is_missed(api: Api, scene: Scene) -> None:
    left = {name: data for name, data in scene.objects.items() if f"streams/{MESSAGES}" not in name}
    said = await asked(api, scene, Changed(left, scene.subjects))
    assert said.alarms == [f"tampered:{PLACE}"]
    assert statuses(said) == [404, 200, 200]
    unknown = next(iter(said.answers.values()))[1]
    assert "segments are missing or do not fit" in unknown["detail"]


async def test_what_is_newer_than_the_log_is_answered(api: Api, scene: Scene) -> None:
    """A gateway is up to a minute ahead of the log."""
    without = {n: d for n, d in scene.objects.items() if not n.startswith(("log/", "tile/"))}
    kept = {batch_name(0): scene.objects[batch_name(0)]}  # before anything was sealed
    said = await asked(api, scene, Changed(without | kept, scene.subjects))
    assert (said.alarms, statuses(said)) == ([], [200, 200, 200])
    message = next(iter(said.answers.values()))[1]
    assert message["history"][0]["evidence"]["log_index"] is None


async def test_an_index_from_before_knows_the_log_that_it_followed(
    api: Api, scene: Scene
) -> None:  # fmt: skip
    index = await api.index_of(scene.objects, scene.subjects)
    changed = insiders.log_rewritten(scene, random.Random(3), 0)
    assert parse_segment_name(max(changed.objects)) is None
    said = await asked(api, scene, changed, index)
    assert "has another root than when it was indexed" in said.refused or (
        "the index knows an archive log of" in said.refused)  # fmt: skip
    same = {n: d.replace(b"11-25T00:00:00.000Z", b"11-25T00:00:01.000Z") if n.startswith("log/")
            else d for n, d in scene.objects.items()}  # fmt: skip
    said = await asked(api, scene, Changed(refit.log(same), scene.subjects), index)
    assert "has another root than when it was indexed" in said.refused
